"""A person's typed fields as a FHIR R4 Patient, and back.

Going back matters: the correction form shows a stored Patient, and only what was changed in it is written, so that
elements from elsewhere (another hospital's identifiers, a structured name) survive a corrected phone number.
The relative is a Patient.contact, his name as typed; the relation is kept in words and, where R4 has one, as a code.
"""

from __future__ import annotations

from copy import deepcopy
from datetime import date
from typing import Any, Final

from nirantar.workflows.patient_fields import AGE_UNITS, GENDERS, LANGUAGES, PERSON_FIELDS, RELATIONS, PersonFields

AGE_ESTIMATED: Final = "https://nirantar.example/fhir/StructureDefinition/age-estimated"
"""Extension of Patient: `age` as it was told and the date (`recorded`) on which it was."""
IDENTIFIER_TYPES: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
UNITS: Final = "http://unitsofmeasure.org"
_BCP_47: Final = "urn:ietf:bcp:47"


def new_patient(person: PersonFields, uhid: str, uhid_system: str, today: date) -> dict[str, Any]:
    """The Patient of a checked form. Without a name he is called by what can be seen of him, with a temporary
    identifier (type MRT) that medical records later link to the person."""
    unidentified = person.unidentified == "yes"
    code, display = ("MRT", "Temporary Medical Record Number") if unidentified else ("MR", "Medical record number")
    patient: dict[str, Any] = {
        "resourceType": "Patient",
        "identifier": [{
            "use": "temp" if unidentified else "usual",
            "type": {"coding": [{"system": IDENTIFIER_TYPES, "code": code, "display": display}]},
            "system": uhid_system,
            "value": uhid,
        }],
        "active": True,
    }
    empty = PersonFields()
    named = person if person.name else _seen(person)
    return with_corrections(patient, empty, named, today)


def with_corrections(patient: dict[str, Any], before: PersonFields, after: PersonFields, today: date) -> dict[str, Any]:
    """A copy of `patient` with the fields that differ between `before` and `after` rewritten, the others untouched."""
    changed = {name for name in PERSON_FIELDS if getattr(before, name) != getattr(after, name)}
    corrected = deepcopy(patient)
    if "name" in changed:
        corrected["name"] = [{"use": "official", "text": after.name}]
    if "gender" in changed:
        corrected["gender"] = after.gender
    if changed & {"birth_date", "age", "age_unit"} and (after.birth_date or after.age):
        _set_birth(corrected, after, today)
    if "phone" in changed:
        _set_phone(corrected, after.phone)
    if changed & {"address", "district", "state", "pin"}:
        _set_address(corrected, after)
    if changed & {"relation", "relative_name"}:
        _set_relative(corrected, after)
    if "language" in changed:
        _set_language(corrected, after.language)
    return {name: value for name, value in corrected.items() if value not in ([], {}, "")}


def fields_of(patient: dict[str, Any]) -> PersonFields:
    """What the form shows for a stored Patient, wherever it came from."""
    age, unit, _ = estimated_age(patient) or ("", "years", "")
    address = (patient.get("address") or [{}])[0]
    relative = _relative(patient)
    languages = [
        coding.get("code", "")
        for each in patient.get("communication", [])[:1]
        for coding in each.get("language", {}).get("coding", [])[:1]
    ]
    return PersonFields(
        name=name_of(patient),
        relation=_relation_of(relative),
        relative_name=relative.get("name", {}).get("text", ""),
        gender=patient.get("gender", ""),
        birth_date="" if age else patient.get("birthDate", ""),
        age=age,
        age_unit=unit,
        phone=phone_of(patient),
        address=", ".join(address.get("line", [])) or address.get("city", ""),
        district=address.get("district", ""),
        state=address.get("state", ""),
        pin=address.get("postalCode", ""),
        language=languages[0] if languages else "",
    )


def name_of(patient: dict[str, Any]) -> str:
    """The name as one text: as it was typed, or put together from its parts."""
    for name in patient.get("name", []):
        if text := name.get("text") or " ".join([*name.get("given", []), name.get("family", "")]).strip():
            return str(text)
    return ""


def phone_of(patient: dict[str, Any]) -> str:
    """The first phone number, or ""."""
    return next((str(each["value"]) for each in patient.get("telecom", [])
                 if each.get("system") == "phone" and "value" in each), "")


def uhid_of(patient: dict[str, Any], uhid_system: str) -> str:
    """The hospital's number of the patient, or ""."""
    return next((str(each["value"]) for each in patient.get("identifier", [])
                 if each.get("system") == uhid_system and "value" in each), "")


def number_system_of(patient: dict[str, Any]) -> str:
    """The identifier system under which a registration numbered this patient, or ""."""
    return next((str(each["system"]) for each in patient.get("identifier", []) for coding in _codings(each)
                 if coding in ((IDENTIFIER_TYPES, "MR"), (IDENTIFIER_TYPES, "MRT")) and "system" in each), "")


def _codings(identifier: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each.get("system", ""), each.get("code", "")) for each in identifier.get("type", {}).get("coding", [])]


def is_temporary(patient: dict[str, Any]) -> bool:
    """Whether the identity is a temporary one, of a person whom nobody could name."""
    return any(coding.get("code") == "MRT" for each in patient.get("identifier", [])
               for coding in each.get("type", {}).get("coding", []))


def estimated_age(patient: dict[str, Any]) -> tuple[str, str, str] | None:
    """(number, unit, date it was recorded) of an age that stands for an unknown birth date."""
    for extension in patient.get("extension", []):
        if extension.get("url") != AGE_ESTIMATED:
            continue
        parts = {part.get("url"): part for part in extension.get("extension", [])}
        age, recorded = parts.get("age", {}).get("valueAge", {}), parts.get("recorded", {}).get("valueDate", "")
        units = {code: unit for unit, (code, _) in AGE_UNITS.items()}
        if "value" in age:
            return str(age["value"]), units.get(age.get("code"), "years"), str(recorded)
    return None


def age_in_years(patient: dict[str, Any], today: date) -> int | None:
    """Whole years as far as they are known: from the birth date's year where nothing finer is recorded."""
    born = str(patient.get("birthDate", ""))
    if len(born) == 10:
        day = date.fromisoformat(born)
        return today.year - day.year - ((today.month, today.day) < (day.month, day.day))
    if born[:4].isdigit():
        return today.year - int(born[:4])
    return None


def _seen(person: PersonFields) -> PersonFields:
    """An unidentified person called by sex and apparent age."""
    age = f" about {person.age} {person.age_unit}" if person.age else ""
    sex = "person" if person.gender in ("unknown", "other") else GENDERS[person.gender].lower()
    return PersonFields(**{**{name: getattr(person, name) for name in PERSON_FIELDS}, "name": f"Unknown {sex}{age}"})


def _set_birth(patient: dict[str, Any], person: PersonFields, today: date) -> None:
    others = [each for each in patient.get("extension", []) if each.get("url") != AGE_ESTIMATED]
    if person.birth_date:
        patient["birthDate"], patient["extension"] = person.birth_date, others
        return
    number, (code, _) = int(person.age), AGE_UNITS[person.age_unit]
    patient["birthDate"] = str(_birth_year(number, person.age_unit, today))
    patient["extension"] = [*others, {
        "url": AGE_ESTIMATED,
        "extension": [
            {"url": "age", "valueAge": {"value": number, "unit": person.age_unit, "system": UNITS, "code": code}},
            {"url": "recorded", "valueDate": today.isoformat()},
        ],
    }]


def _birth_year(number: int, unit: str, today: date) -> int:
    if unit == "years":
        return today.year - number
    if unit == "months":
        return (today.year * 12 + today.month - 1 - number) // 12
    return date.fromordinal(today.toordinal() - number).year


def _set_phone(patient: dict[str, Any], phone: str) -> None:
    telecom = patient.get("telecom", [])
    old = next((each for each in telecom if each.get("system") == "phone"), None)
    others = [each for each in telecom if each is not old]
    patient["telecom"] = [{"system": "phone", "value": phone, "use": "mobile"}, *others] if phone else others


def _set_address(patient: dict[str, Any], person: PersonFields) -> None:
    parts = {
        "use": "home", "line": [person.address] if person.address else [], "district": person.district,
        "state": person.state, "postalCode": person.pin, "country": "IN",
    }
    kept = {name: value for name, value in parts.items() if value}
    others = patient.get("address", [])[1:]
    typed = any((person.address, person.district, person.state, person.pin))
    patient["address"] = [kept, *others] if typed else others


def _relative(patient: dict[str, Any]) -> dict[str, Any]:
    """The contact that the relation on the card means: the first with a relation of ours, else none."""
    return next((each for each in patient.get("contact", []) if _relation_of(each)), {})


def _relation_of(contact: dict[str, Any]) -> str:
    return next((each["text"] for each in contact.get("relationship", []) if each.get("text") in RELATIONS), "")


def _set_relative(patient: dict[str, Any], person: PersonFields) -> None:
    old = _relative(patient)
    others = [each for each in patient.get("contact", []) if each is not old]
    new = {"relationship": [{"text": person.relation}], "name": {"text": person.relative_name}}
    patient["contact"] = [new, *others] if person.relative_name else others


def _set_language(patient: dict[str, Any], language: str) -> None:
    others = patient.get("communication", [])[1:]
    if not language:
        patient["communication"] = others
        return
    text = LANGUAGES[language].rsplit(" ", 1)[-1] if language in LANGUAGES else language
    patient["communication"] = [
        {"language": {"coding": [{"system": _BCP_47, "code": language}], "text": text}, "preferred": True}, *others,
    ]
