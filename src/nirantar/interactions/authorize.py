"""Who may do what: the roles of the hospital as data, in this one place.

A rule is a role, a set of resource types it may read, and a set it may write. What a role may not do is everything
that is not listed. Finer rules (own unit, own ward, two persons) belong to the workflows that need them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from nirantar.errors import Forbidden

Access = Literal["read", "write"]

EVERY_TYPE: Final = frozenset({"*"})

SYSTEM_TYPE_PREFIX: Final = "Nirantar"
"""Resource types of our own (staff accounts, access-log digests): in the log like all else, never on the FHIR edge."""

_MASTERS: Final = frozenset({"Organization", "Location", "Practitioner", "PractitionerRole", "HealthcareService"})
_SCHEDULING: Final = frozenset({"Appointment", "Schedule", "Slot"})
_IDENTITY: Final = frozenset({"Patient", "RelatedPerson", "Encounter", "EpisodeOfCare", "Coverage", "Flag"})
_SAFETY: Final = frozenset({"AllergyIntolerance", "Flag"})
_CLINICAL: Final = frozenset({
    "AllergyIntolerance", "Condition", "Procedure", "Observation", "ImagingStudy", "Immunization", "CarePlan",
    "CareTeam", "Goal", "ClinicalImpression", "Composition", "DocumentReference", "Binary", "FamilyMemberHistory",
    "QuestionnaireResponse", "Communication", "Consent", "Task", "ServiceRequest", "DiagnosticReport", "Specimen",
    "Media", "DeviceUseStatement", "Device", "NutritionOrder", "RiskAssessment", "List", "Provenance",
})
_MEDICATION: Final = frozenset({
    "Medication", "MedicationRequest", "MedicationAdministration", "MedicationDispense", "MedicationStatement",
})
_LABORATORY: Final = frozenset({
    "ServiceRequest", "Specimen", "Observation", "DiagnosticReport", "Task", "Communication", "Device", "Provenance",
})
_MONEY: Final = frozenset({
    "Account", "ChargeItem", "ChargeItemDefinition", "Invoice", "PaymentReconciliation", "PaymentNotice", "Claim",
    "ClaimResponse", "ExplanationOfBenefit", "Coverage",
})
_AUDIT: Final = frozenset({"AuditEvent", "Provenance"})


@dataclass(frozen=True, slots=True)
class Role:
    """A role: its title on pages, the types it reads and writes, whether it sees the node's operation pages or
    manages staff accounts (`operates`), and whether it may give a whole chart out of the hospital (`discloses`)."""

    title: str
    reads: frozenset[str]
    writes: frozenset[str]
    operates: bool = False
    discloses: bool = False


ROLES: Final[dict[str, Role]] = {
    "registration-clerk": Role(
        "Registration clerk",
        reads=_IDENTITY | _SCHEDULING | _MASTERS,
        writes=_IDENTITY | _SCHEDULING,
    ),
    "doctor": Role(
        "Doctor",
        reads=_IDENTITY | _SCHEDULING | _MASTERS | _CLINICAL | _MEDICATION,
        writes=_IDENTITY | _SCHEDULING | _CLINICAL | (_MEDICATION - {"MedicationDispense"}),
    ),
    "nurse": Role(
        "Nurse",
        reads=_IDENTITY | _SCHEDULING | _MASTERS | _CLINICAL | _MEDICATION,
        writes=frozenset({
            "Encounter", "Observation", "MedicationAdministration", "Specimen", "Communication", "Task",
            "AllergyIntolerance", "Composition", "DocumentReference", "Provenance", "Flag",
        }),
    ),
    "lab-technician": Role(
        "Laboratory technician",
        reads=_LABORATORY | {"Patient", "Encounter"} | _MASTERS,
        writes=_LABORATORY - {"ServiceRequest"},
    ),
    "pathologist": Role(
        "Pathologist",
        reads=_LABORATORY | {"Patient", "Encounter", "Condition"} | _MASTERS,
        writes=_LABORATORY,
    ),
    "pharmacist": Role(
        "Pharmacist",
        reads=_MEDICATION | _SAFETY | {"Patient", "Encounter", "Condition", "Observation"} | _MASTERS,
        writes=frozenset({"MedicationDispense", "Medication", "Provenance"}),
    ),
    "cashier": Role(
        "Cashier",
        reads=_MONEY | {"Patient", "Encounter"} | _MASTERS,
        writes=_MONEY,
    ),
    "mrd-officer": Role(
        "Medical records officer",
        reads=_IDENTITY | _SCHEDULING | _MASTERS | _CLINICAL | _MEDICATION | _AUDIT,
        writes=_IDENTITY | {"Condition", "DocumentReference", "Provenance", "Task"},
        discloses=True,
    ),
    "it-security": Role("IT and security", reads=_MASTERS, writes=_MASTERS, operates=True),
    "auditor": Role("Auditor", reads=_AUDIT | _MASTERS, writes=frozenset()),
    "integration": Role("Integration (another system)", reads=EVERY_TYPE, writes=EVERY_TYPE),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the answerable person or system, the role they act in, and the workstation they sit at."""

    actor: str
    name: str
    role: str
    workstation: str


def allowed(role: str, access: Access, resource_type: str) -> bool:
    """Whether the role may read or write a resource type. An unknown role may nothing; nobody may a system record,
    which has doors of its own (`Accounts`)."""
    rule = ROLES.get(role)
    if rule is None or resource_type.startswith(SYSTEM_TYPE_PREFIX):
        return False
    types = rule.reads if access == "read" else rule.writes
    return types is EVERY_TYPE or resource_type in types


def authorize(caller: Caller, access: Access, resource_types: Iterable[str]) -> None:
    """Let the caller pass or raise Forbidden with a sentence that names role and type."""
    for resource_type in resource_types:
        if not allowed(caller.role, access, resource_type):
            title = ROLES[caller.role].title if caller.role in ROLES else caller.role
            raise Forbidden(f"The role “{title}” may not {access} {resource_type}.")


def authorize_operation(caller: Caller) -> None:
    """Let only those pass who operate the node (status in full, staff accounts). Raises Forbidden."""
    rule = ROLES.get(caller.role)
    if rule is None or not rule.operates:
        raise Forbidden("Only the role “IT and security” may do this.")


def authorize_disclosure(caller: Caller) -> None:
    """Let only those pass who may release copies of records. IT and auditors may not: a proof holds the chart itself,
    which neither may read; whoever is handed one verifies it without any right here. Raises Forbidden."""
    rule = ROLES.get(caller.role)
    if rule is None or not rule.discloses:
        raise Forbidden("Only the role “Medical records officer” may give a proven chart out of the hospital.")
