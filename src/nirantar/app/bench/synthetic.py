"""Made-up patients for measuring: valid R4 of the sizes that a hospital writes, the same for the same number."""

from __future__ import annotations

from typing import Any, Final

from nirantar.fhir.transaction_bundle import Operation
from nirantar.interactions.operations import create

_FAMILIES: Final = ("Sharma", "Verma", "Iyer", "Khan", "Das", "Patel", "Reddy", "Singh", "Nair", "Bose")
_GIVEN: Final = ("Asha", "Ravi", "Meena", "Arjun", "Fatima", "Kiran", "Lata", "Mohan", "Priya", "Salim")
_CITIES: Final = ("Delhi", "Mathura", "Rohtak", "Meerut", "Alwar", "Agra", "Panipat", "Karnal")
_TESTS: Final = (
    ("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL"),
    ("2345-7", "Glucose [Mass/volume] in Serum or Plasma", "mg/dL"),
    ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "mg/dL"),
    ("6690-2", "Leukocytes [#/volume] in Blood by Automated count", "10*3/uL"),
    ("8867-4", "Heart rate", "/min"),
)
_NARRATIVE: Final = (
    '<div xmlns="http://www.w3.org/1999/xhtml"><p>Registered at the outpatient counter. Identity was checked against '
    "the document shown; the mobile number was confirmed by a call. The patient was told about the queue, the fee and "
    "the documents to bring to the next visit, and agreed that reminders may be sent by message.</p></div>"
)


def patient(number: int) -> dict[str, Any]:
    """A Patient, about 1.2 KB."""
    family, given = _FAMILIES[number % 10], _GIVEN[number // 10 % 10]
    return {
        "resourceType": "Patient",
        "text": {"status": "generated", "div": _NARRATIVE},
        "identifier": [
            {"use": "official", "type": {"text": "Hospital number"}, "system": "urn:bench:hospital-number",
             "value": f"{number:012d}"},
            {"use": "secondary", "type": {"text": "Document"}, "system": "urn:bench:document",
             "value": f"DL-{number * 7919 % 10**10:010d}"},
        ],
        "active": True,
        "name": [{"use": "official", "text": f"{given} {family}", "family": family, "given": [given]}],
        "telecom": [{"system": "phone", "use": "mobile", "value": f"+91-98{number % 10**8:08d}"}],
        "gender": "female" if number % 2 else "male",
        "birthDate": f"{1940 + number % 80}-{1 + number % 12:02d}-{1 + number % 28:02d}",
        "address": [{"use": "home", "line": [f"House {number % 500}, Gali {number % 40}"],
                     "city": _CITIES[number % 8], "state": "Delhi", "postalCode": f"{110000 + number % 90}",
                     "country": "IN"}],
        "contact": [{"relationship": [{"text": "Father"}], "name": {"text": f"{_GIVEN[number % 7]} {family}"},
                     "telecom": [{"system": "phone", "value": f"+91-99{number % 10**8:08d}"}]}],
        "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "hi"}]}, "preferred": True}],
    }


def encounter(subject: str, number: int) -> dict[str, Any]:
    """An outpatient visit, about 0.9 KB."""
    return {
        "resourceType": "Encounter",
        "text": {"status": "generated", "div": _NARRATIVE},
        "identifier": [{"system": "urn:bench:visit", "value": f"V{number:012d}"}],
        "status": "planned",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "serviceType": {"coding": [{"system": "urn:bench:department", "code": f"D{number % 30}"}], "text": "Medicine"},
        "priority": {"text": "routine"},
        "subject": {"reference": subject},
        "period": {"start": _moment(number)},
        "reasonCode": [{"text": "Fever and cough since three days, no known allergies"}],
    }


def observation(subject: str, visit: str, number: int) -> dict[str, Any]:
    """A measured value, about 1.3 KB."""
    code, display, unit = _TESTS[number % 5]
    return {
        "resourceType": "Observation",
        "text": {"status": "generated", "div": _NARRATIVE},
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                  "code": "laboratory", "display": "Laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": display}], "text": display},
        "subject": {"reference": subject},
        "encounter": {"reference": visit},
        "effectiveDateTime": _moment(number),
        "issued": _moment(number + 1),
        "valueQuantity": {"value": 50 + number % 100, "unit": unit, "system": "http://unitsofmeasure.org",
                          "code": unit},
        "referenceRange": [{"low": {"value": 40, "unit": unit}, "high": {"value": 160, "unit": unit},
                            "text": "Adults, both sexes, venous sample taken in the morning"}],
        "note": [{"text": "Measured by the analyser of the outpatient laboratory; released by the technician."}],
    }


def registration(number: int) -> tuple[Operation, ...]:
    """What one registration writes: Patient, Encounter, Observation; its entry in the log has about 4 KB."""
    return chart(number, observations=1)


def chart(number: int, *, observations: int) -> tuple[Operation, ...]:
    """A patient with one visit and so many values, as one transaction."""
    subject = f"urn:uuid:00000000-0000-4000-8000-{number:012d}"
    visit = f"urn:uuid:00000000-0000-4000-9000-{number:012d}"
    return (
        create(patient(number), full_url=subject),
        create(encounter(subject, number), full_url=visit),
        *(create(observation(subject, visit, number + each)) for each in range(observations)),
    )


def chart_bundle(number: int, *, observations: int) -> dict[str, Any]:
    """The same chart as a FHIR transaction Bundle."""
    entries = []
    for operation in chart(number, observations=observations):
        entry: dict[str, Any] = {"resource": operation.resource, "request": {"method": "POST", "url": operation.type}}
        if operation.full_url is not None:
            entry["fullUrl"] = operation.full_url
        entries.append(entry)
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _moment(number: int) -> str:
    return f"2024-{1 + number % 12:02d}-{1 + number % 28:02d}T{number % 24:02d}:{number % 60:02d}:00+05:30"
