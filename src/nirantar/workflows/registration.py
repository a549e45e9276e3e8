"""Registering a person for a visit, and correcting what was registered: pure decisions.

One registration is three resources: the Patient, the Encounter (arrived, waiting for the department) and the Coverage
that says on whose account he is seen. The category lives in the Coverage alone, since it can change with each visit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from nirantar.errors import FieldsInvalid, InvalidInput
from nirantar.fhir.transaction_bundle import Operation
from nirantar.interactions.operations import create, update
from nirantar.workflows.patient_fields import CATEGORIES, PERSON_FIELDS, PersonFields, check_person, check_text, cleaned
from nirantar.workflows.patient_resource import new_patient, with_corrections

EMERGENCY: Final = "Emergency"
REASON_CHARS_MAX: Final = 300

ACT_CODES: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CATEGORY_SYSTEM: Final = "https://nirantar.example/fhir/CodeSystem/payer-category"

_PATIENT: Final = "urn:uuid:8c1f6a52-5b1e-4a6f-9c8e-0d6f3b7a1e01"
_ENCOUNTER: Final = "urn:uuid:8c1f6a52-5b1e-4a6f-9c8e-0d6f3b7a1e02"
_COVERAGE: Final = "urn:uuid:8c1f6a52-5b1e-4a6f-9c8e-0d6f3b7a1e03"
_PAYORS: Final = {
    "bpl": "State government, below poverty line", "pm-jay": "Ayushman Bharat PM-JAY",
    "cghs": "Central Government Health Scheme", "echs": "Ex-Servicemen Contributory Health Scheme",
    "staff": "This hospital, for its staff",
}


@dataclass(frozen=True, slots=True)
class RegisterPatient:
    """A filled-in registration form, as typed."""

    person: PersonFields
    category: str = "general"
    department: str = ""

    @classmethod
    def from_form(cls, form: Mapping[str, str]) -> RegisterPatient:
        """The command that a form means; fields it lacks are empty, others are ignored."""
        return cls(person_from(form), form.get("category", "general"), form.get("department", ""))


@dataclass(frozen=True, slots=True)
class Place:
    """Where and when a registration happens: `uhid_system` names the hospital's numbers, `today` is its calendar
    date, `now` the FHIR instant."""

    uhid_system: str
    today: date
    now: str


def person_from(form: Mapping[str, str]) -> PersonFields:
    """The person that a form describes; fields it lacks keep their defaults."""
    return PersonFields(**{name: form[name] for name in PERSON_FIELDS if name in form})


def check(
    command: RegisterPatient, today: date, departments: Collection[str] | None = None
) -> RegisterPatient:
    """The same command, cleaned. `departments` are those that the hospital has; None: any is taken.

    Raises FieldsInvalid with a sentence for every field that is wrong.
    """
    wrong: dict[str, str] = {}
    person = command.person
    try:
        person = check_person(command.person, today)
    except FieldsInvalid as found:
        wrong.update(found.fields)
    department = cleaned(command.department)
    sentence = _department_problem(department, departments, "Choose the department that the patient came for.")
    if sentence is not None:
        wrong["department"] = sentence
    if command.category not in CATEGORIES:
        wrong["category"] = "Choose a category from the list."
    if wrong:
        raise FieldsInvalid(wrong)
    return RegisterPatient(person, command.category, department)


def register(command: RegisterPatient, uhid: str, place: Place) -> tuple[Operation, ...]:
    """The transaction that registers a person under `uhid`: Patient, Encounter, Coverage. Raises FieldsInvalid."""
    checked = check(command, place.today)
    patient = new_patient(checked.person, uhid, place.uhid_system, place.today)
    return (
        create(patient, full_url=_PATIENT),
        create(_encounter(checked.department, _PATIENT, place.now), full_url=_ENCOUNTER),
        create(_coverage(checked.category, place.today), full_url=_COVERAGE),
    )


def visit(
    department: str, patient_id: str, place: Place, departments: Collection[str] | None = None
) -> tuple[Operation, ...]:
    """The transaction that opens another visit of a known patient; `departments` as in `check`.

    Raises FieldsInvalid.
    """
    department = cleaned(department)
    problem = _department_problem(department, departments, "Choose the department of the visit.")
    if problem is not None:
        raise FieldsInvalid({"department": problem})
    return (create(_encounter(department, f"Patient/{patient_id}", place.now)),)


def correct(
    patient: dict[str, Any], before: PersonFields, after: PersonFields, reason: str, version_id: str, today: date
) -> tuple[Operation, ...]:
    """The transaction that corrects `patient`, if it is still at `version_id`.

    `before` is what the form showed: only fields that differ from it are touched, all else of the resource stays.
    Raises FieldsInvalid, and InvalidInput when nothing was changed.
    """
    wrong: dict[str, str] = {}
    try:
        checked = check_person(after, today)
    except FieldsInvalid as found:
        # A record from elsewhere may hold less than the desk demands; only what was touched has to be right.
        touched = {name for name in PERSON_FIELDS if getattr(before, name) != getattr(after, name)}
        wrong = {name: sentence for name, sentence in found.fields.items() if name in touched | _partners(touched)}
        checked = after
    reason = cleaned(reason)
    if not reason:
        wrong["reason"] = "Say why: the history shows it beside the change."
    elif (sentence := check_text(reason, "reason", REASON_CHARS_MAX)) is not None:
        wrong["reason"] = sentence
    if wrong:
        raise FieldsInvalid(wrong)
    corrected = with_corrections(patient, before, checked, today)
    if corrected == patient:
        raise InvalidInput("Nothing was changed, so nothing was saved.")
    return (update(corrected, if_match=version_id),)


def _department_problem(department: str, departments: Collection[str] | None, missing: str) -> str | None:
    if not department:
        return missing
    if (sentence := check_text(department, "department", 80)) is not None:
        return sentence
    if departments is not None and department not in departments:
        return "Choose a department from the list."
    return None


def _partners(touched: set[str]) -> set[str]:
    """Fields that are wrong together with touched ones."""
    pairs = ({"birth_date", "age", "age_unit"}, {"relation", "relative_name"})
    return {name for pair in pairs if pair & touched for name in pair}


def _encounter(department: str, patient: str, now: str) -> dict[str, Any]:
    emergency = department == EMERGENCY
    kind = {"code": "EMER", "display": "emergency"} if emergency else {"code": "AMB", "display": "ambulatory"}
    return {
        "resourceType": "Encounter",
        "status": "arrived",
        "class": {"system": ACT_CODES, **kind},
        "serviceType": {"text": department},
        "subject": {"reference": patient},
        "period": {"start": now},
    }


def _coverage(category: str, today: date) -> dict[str, Any]:
    payor = {"display": _PAYORS[category]} if category in _PAYORS else {"reference": _PATIENT}
    return {
        "resourceType": "Coverage",
        "status": "active",
        "type": {"coding": [{"system": CATEGORY_SYSTEM, "code": category}], "text": CATEGORIES[category]},
        "beneficiary": {"reference": _PATIENT},
        "period": {"start": today.isoformat()},
        "payor": [payor],
    }
