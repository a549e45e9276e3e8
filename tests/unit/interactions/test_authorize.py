"""Roles against the hospital's table of who may what, written down here a second time from that table."""

from __future__ import annotations

import pytest

from nirantar.errors import Forbidden
from nirantar.interactions.authorize import ROLES, Caller, allowed, authorize, authorize_operation

READ_AND_WRITE = {
    # role: (reads, may not read, writes, may not write)
    "registration-clerk": (
        "Patient RelatedPerson Encounter Appointment Coverage Practitioner Organization Location",
        "Observation Condition DiagnosticReport MedicationRequest AllergyIntolerance DocumentReference Invoice AuditEvent",
        "Patient RelatedPerson Encounter Appointment Coverage",
        "Observation Condition MedicationRequest DiagnosticReport Practitioner Invoice Composition",
    ),
    "doctor": (
        "Patient Encounter Observation Condition DiagnosticReport MedicationRequest MedicationAdministration Composition",
        "AuditEvent Invoice ChargeItem",
        "Patient Encounter Condition Observation ServiceRequest MedicationRequest Composition Procedure",
        "MedicationDispense Invoice Practitioner AuditEvent",
    ),
    "nurse": (
        "Patient Encounter Observation MedicationRequest AllergyIntolerance DiagnosticReport",
        "AuditEvent Invoice",
        "Observation MedicationAdministration Specimen Composition Encounter",
        "MedicationRequest MedicationDispense ServiceRequest DiagnosticReport Condition Patient Invoice",
    ),
    "lab-technician": (
        "Patient ServiceRequest Specimen Observation DiagnosticReport Task",
        "Condition MedicationRequest Composition DocumentReference Invoice AuditEvent",
        "Specimen Observation DiagnosticReport Task",
        "ServiceRequest MedicationRequest Condition Patient Composition Invoice",
    ),
    "pathologist": (
        "Patient ServiceRequest Specimen Observation DiagnosticReport Condition",
        "MedicationRequest Composition Invoice AuditEvent",
        "Specimen Observation DiagnosticReport",
        "MedicationRequest MedicationDispense Condition Patient Invoice",
    ),
    "pharmacist": (
        "Patient MedicationRequest AllergyIntolerance Condition Observation MedicationDispense",
        "Composition DiagnosticReport Invoice AuditEvent",
        "MedicationDispense",
        "MedicationRequest ServiceRequest Condition Observation Patient AllergyIntolerance",
    ),
    "cashier": (
        "Patient Encounter Invoice ChargeItem Account Coverage",
        "Condition Observation DiagnosticReport MedicationRequest AllergyIntolerance Composition AuditEvent",
        "Invoice ChargeItem PaymentReconciliation",
        "Patient Encounter Condition Observation MedicationRequest",
    ),
    "mrd-officer": (
        "Patient Encounter Condition Observation Composition DocumentReference AuditEvent",
        "Invoice ChargeItem",
        "Patient Condition DocumentReference",
        "Observation MedicationRequest DiagnosticReport Procedure Composition Specimen",
    ),
    "it-security": (
        "Organization Location Practitioner PractitionerRole",
        "Patient Encounter Observation Condition MedicationRequest DiagnosticReport DocumentReference Invoice",
        "Organization Location Practitioner",
        "Patient Encounter Observation Condition MedicationRequest AuditEvent",
    ),
    "auditor": (
        "AuditEvent Provenance",
        "Patient Observation Condition MedicationRequest",
        "",
        "Patient Observation AuditEvent Provenance Organization Practitioner Task Invoice",
    ),
    "integration": ("Patient Observation Invoice AuditEvent", "", "Patient Observation Invoice", ""),
}


def test_the_table_has_every_role() -> None:
    """A role that is added to the program has to be decided here, too."""
    assert set(ROLES) == set(READ_AND_WRITE)


@pytest.mark.parametrize("role", READ_AND_WRITE)
def test_each_role_may_what_the_hospital_says_and_no_more(role: str) -> None:
    """Reads and writes of each role, allowed and refused, type by type."""
    reads, unread, writes, unwritten = READ_AND_WRITE[role]
    wrong = [
        (access, resource_type, expected)
        for access, expected, types in (
            ("read", True, reads), ("read", False, unread), ("write", True, writes), ("write", False, unwritten),
        )
        for resource_type in types.split()
        if allowed(role, access, resource_type) is not expected  # type: ignore[arg-type]
    ]
    assert wrong == []


@pytest.mark.parametrize("role", [*READ_AND_WRITE, "superuser", ""])
@pytest.mark.parametrize("resource_type", ["NirantarAccount", "NirantarAccessDigest", "NirantarNode"])
def test_system_records_are_for_no_role(role: str, resource_type: str) -> None:
    """Not even the role that may everything reads or writes our own records through FHIR's doors."""
    assert not allowed(role, "read", resource_type)
    assert not allowed(role, "write", resource_type)


def test_an_unknown_role_may_nothing() -> None:
    """A role that a newer or forged record names opens no door, and the sentence names it."""
    with pytest.raises(Forbidden, match=r"superuser.*may not read Patient"):
        authorize(Caller("staff:x", "X", "superuser", "pc"), "read", ["Patient"])


def test_one_forbidden_type_refuses_all() -> None:
    """A transaction with one type that the role may not write is refused as a whole."""
    clerk = Caller("staff:a", "A", "registration-clerk", "pc")
    authorize(clerk, "write", ["Patient", "Encounter"])
    with pytest.raises(Forbidden, match="may not write Observation"):
        authorize(clerk, "write", ["Patient", "Observation"])


def test_only_it_operates_the_node() -> None:
    """Accounts and status in full are for IT and security alone."""
    operating = []
    for role in [*ROLES, "superuser"]:
        try:
            authorize_operation(Caller("staff:a", "A", role, "pc"))
        except Forbidden:
            continue
        operating.append(role)
    assert operating == ["it-security"]
