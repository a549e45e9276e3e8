"""Invented people for drills and demos: Indian names in Latin and Devanagari script, the same for the same number.

Only the standard library is used, so that the drill's client stays a stranger to the program it measures.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

IDENTIFIER_SYSTEM: Final = "urn:nirantar:drill:person"
_LANGUAGE: Final = "http://hl7.org/fhir/StructureDefinition/language"


class Person(NamedTuple):
    """One invented person. `sex` is FHIR's administrative gender, `age` in years, `phone` a number nobody has."""

    name: str
    name_hindi: str
    sex: str
    age: int
    phone: str
    town: str


_GIVEN: Final = (
    ("Asha", "आशा", "female"), ("Ramesh", "रमेश", "male"), ("Sunita", "सुनीता", "female"), ("Imran", "इमरान", "male"),
    ("Lakshmi", "लक्ष्मी", "female"), ("Gurpreet", "गुरप्रीत", "male"), ("Meena", "मीना", "female"),
    ("Suresh", "सुरेश", "male"), ("Fatima", "फ़ातिमा", "female"), ("Arun", "अरुण", "male"), ("Kamla", "कमला", "female"),
    ("Vijay", "विजय", "male"), ("Rekha", "रेखा", "female"), ("Mohan", "मोहन", "male"), ("Anjali", "अंजलि", "female"),
    ("Deepak", "दीपक", "male"), ("Savitri", "सावित्री", "female"), ("Harish", "हरीश", "male"),
    ("Nasreen", "नसरीन", "female"),
)
_FAMILY: Final = (
    ("Sharma", "शर्मा"), ("Verma", "वर्मा"), ("Khan", "ख़ान"), ("Devi", "देवी"), ("Singh", "सिंह"), ("Yadav", "यादव"),
    ("Gupta", "गुप्ता"), ("Das", "दास"), ("Nair", "नायर"), ("Patel", "पटेल"), ("Mishra", "मिश्रा"), ("Kaur", "कौर"),
    ("Bano", "बानो"), ("Joshi", "जोशी"), ("Reddy", "रेड्डी"), ("Kumar", "कुमार"), ("Rawat", "रावत"),
)
_TOWNS: Final = ("New Delhi", "Ghaziabad", "Faridabad", "Meerut", "Rohtak", "Alwar", "Aligarh", "Panipat", "Patna")
# Phone numbers in India begin with 6 to 9, so one that begins with 0 rings nowhere.
_NOBODYS_PHONE: Final = "00000{:05d}"


def person(number: int) -> Person:
    """The `number`-th person; two numbers may give namesakes, as in life."""
    given, given_hindi, sex = _GIVEN[number % len(_GIVEN)]
    family, family_hindi = _FAMILY[(number * 5 + number // len(_GIVEN)) % len(_FAMILY)]
    return Person(
        f"{given} {family}", f"{given_hindi} {family_hindi}", sex, 1 + number * 7 % 88,
        _NOBODYS_PHONE.format(number % 100_000), _TOWNS[number * 4 % len(_TOWNS)],
    )


def registration(number: int, year: int) -> dict[str, Any]:
    """The FHIR transaction Bundle that registers the `number`-th person for a visit in `year`: Patient, Encounter and
    Coverage, about as large as the desk's own."""
    who = person(number)
    patient = f"urn:uuid:00000000-0000-4000-8000-{number:012x}"
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            _created(_patient(number, who, year), patient),
            _created({
                "resourceType": "Encounter",
                "status": "arrived",
                "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
                "serviceType": {"text": "General Medicine"},
                "subject": {"reference": patient, "display": who.name},
            }),
            _created({
                "resourceType": "Coverage",
                "status": "active",
                "type": {"text": "General"},
                "beneficiary": {"reference": patient},
                "payor": [{"reference": patient}],
            }),
        ],
    }


def _patient(number: int, who: Person, year: int) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "identifier": [{"system": IDENTIFIER_SYSTEM, "value": str(number)}],
        "active": True,
        "name": [
            {"use": "official", "text": who.name},
            {"extension": [{"url": _LANGUAGE, "valueCode": "hi"}], "use": "usual", "text": who.name_hindi},
        ],
        "telecom": [{"system": "phone", "value": who.phone, "use": "mobile"}],
        "gender": who.sex,
        "birthDate": str(year - who.age),
        "address": [{"use": "home", "city": who.town, "country": "IN"}],
    }


def _created(resource: dict[str, Any], full_url: str | None = None) -> dict[str, Any]:
    entry: dict[str, Any] = {} if full_url is None else {"fullUrl": full_url}
    return {**entry, "resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}}
