"""Registration's decisions: what three resources say, what is refused, and what a correction leaves alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from nirantar.errors import FieldsInvalid, InvalidInput
from nirantar.fhir import json
from nirantar.fhir.validation import validate
from nirantar.workflows.patient_fields import PersonFields
from nirantar.workflows.patient_resource import AGE_ESTIMATED, fields_of
from nirantar.workflows.registration import Place, RegisterPatient, check, correct, register, visit

TODAY = date(2026, 11, 23)
PLACE = Place("urn:nirantar:test:uhid", TODAY, "2026-11-23T04:30:00.000Z")
KAMLA = PersonFields(
    name="Kamla Devi", relation="W/o", relative_name="Ram Prasad", gender="female", age="45", phone="9000000001",
    address="12 Rampur", district="Sitapur", state="Uttar Pradesh", pin="261001", language="hi",
)
COMMAND = RegisterPatient(KAMLA, "bpl", "General Medicine")


def registered(command: RegisterPatient = COMMAND) -> list[dict[str, Any]]:
    """The resources of a registration."""
    return [dict(each.resource or {}) for each in register(command, "100000016", PLACE)]


def wrong_fields(person: PersonFields, department: str = "ENT", category: str = "general") -> dict[str, str]:
    """The sentences for a form; empty when all is right."""
    try:
        check(RegisterPatient(person, category, department), TODAY)
    except FieldsInvalid as found:
        return found.fields
    return {}


def test_a_registration_is_three_valid_resources_that_refer_to_one_patient() -> None:
    """Patient, Encounter and Coverage pass R4 validation, and both others point at the patient's full URL."""
    operations = register(COMMAND, "100000016", PLACE)
    assert [each.type for each in operations] == ["Patient", "Encounter", "Coverage"]
    for resource in registered():
        validate(resource)
    patient_url = operations[0].full_url
    _, encounter, coverage = registered()
    assert encounter["subject"]["reference"] == patient_url
    assert coverage["beneficiary"]["reference"] == patient_url


def test_a_name_is_one_text_and_a_number_an_identifier_of_the_hospital() -> None:
    """No surname is invented, and the UHID is an identifier of type MR in the hospital's own system."""
    patient = registered()[0]
    assert patient["name"] == [{"use": "official", "text": "Kamla Devi"}]
    identifier = patient["identifier"][0]
    assert (identifier["system"], identifier["value"]) == ("urn:nirantar:test:uhid", "100000016")
    assert identifier["type"]["coding"][0]["code"] == "MR"


@pytest.mark.parametrize(
    ("age", "unit", "year", "code"),
    [("45", "years", "1981", "a"), ("11", "months", "2025", "mo"), ("10", "months", "2026", "mo"), ("30", "days", "2026", "d")],
)
def test_an_age_becomes_a_year_and_never_a_first_of_january(age: str, unit: str, year: str, code: str) -> None:
    """The birth date holds the year only; the extension holds the age as told and the day on which it was."""
    patient = registered(replace(COMMAND, person=replace(KAMLA, age=age, age_unit=unit)))[0]
    assert patient["birthDate"] == year
    extension = next(each for each in patient["extension"] if each["url"] == AGE_ESTIMATED)["extension"]
    assert extension[0]["valueAge"]["value"] == int(age)
    assert extension[0]["valueAge"]["code"] == code
    assert extension[1]["valueDate"] == "2026-11-23"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("27-03-1974", "1974-03-27"), ("7/3/1974", "1974-03-07"), ("1974-03-27", "1974-03-27"), ("1974", "1974"), ("२७-०३-१९७४", "1974-03-27")],
)
def test_a_birth_date_may_be_typed_as_people_write_it(typed: str, kept: str) -> None:
    """Day first or year first, a year alone, and digits of another script all mean the same date."""
    patient = registered(replace(COMMAND, person=replace(KAMLA, age="", birth_date=typed)))[0]
    assert patient["birthDate"] == kept
    assert "extension" not in patient


def test_an_unidentified_patient_gets_a_temporary_identity() -> None:
    """Without name and relative the patient is named by what is seen, under an identifier of type MRT."""
    person = PersonFields(unidentified="yes", gender="male", age="40")
    patient, encounter, _ = registered(RegisterPatient(person, "general", "Emergency"))
    validate(patient)
    assert patient["name"][0]["text"] == "Unknown male about 40 years"
    assert patient["identifier"][0]["type"]["coding"][0]["code"] == "MRT"
    assert encounter["class"]["code"] == "EMER"


def test_an_unidentified_patient_needs_neither_name_nor_age() -> None:
    """Nothing is known but that somebody is there."""
    patient = registered(RegisterPatient(PersonFields(unidentified="yes", gender="unknown"), "general", "Emergency"))[0]
    validate(patient)
    assert patient["name"][0]["text"] == "Unknown person"
    assert "birthDate" not in patient


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"), ({"name": "12345"}, "name"), ({"name": "x" * 121}, "name"),
        ({"name": "<script>alert(1)</script>"}, "name"), ({"name": "Kamla\x00"}, "name"), ({"name": "Kamla\u202eDevi"}, "name"),
        ({"relation": "X/o"}, "relation"), ({"relation": ""}, "relation"), ({"relative_name": ""}, "relative_name"),
        ({"gender": ""}, "gender"), ({"gender": "f"}, "gender"),
        ({"age": "", "birth_date": ""}, "age"), ({"birth_date": "1974"}, "age"), ({"age": "0"}, "age"),
        ({"age": "131"}, "age"), ({"age": "-4"}, "age"), ({"age": "4.5"}, "age"), ({"age": "9" * 400}, "age"),
        ({"age": "37", "age_unit": "months"}, "age"), ({"age_unit": "weeks"}, "age_unit"),
        ({"age": "", "birth_date": "31-02-2020"}, "birth_date"), ({"age": "", "birth_date": "24-11-2026"}, "birth_date"),
        ({"age": "", "birth_date": "2027"}, "birth_date"), ({"age": "", "birth_date": "01-01-1890"}, "birth_date"),
        ({"age": "", "birth_date": "yesterday"}, "birth_date"),
        ({"phone": "12345"}, "phone"), ({"phone": "90000000012"}, "phone"), ({"phone": "nine"}, "phone"),
        ({"pin": "26100"}, "pin"), ({"pin": "061001"}, "pin"), ({"pin": "' OR 1=1"}, "pin"),
        ({"address": "x" * 201}, "address"), ({"district": "a\nb"}, "district"), ({"language": "klingon"}, "language"),
    ],
)
def test_a_wrong_field_is_named_with_a_sentence(change: dict[str, str], field: str) -> None:
    """Exactly the field that is wrong is reported, with a sentence that does not quote what was typed."""
    found = wrong_fields(replace(KAMLA, **change))
    assert list(found) == [field]
    assert found[field].endswith(".")
    typed = change.get(field, "")
    assert len(typed) < 3 or typed not in found[field]


def test_every_wrong_field_is_reported_at_once() -> None:
    """An empty form comes back with all that it lacks, in the order of the form."""
    assert list(wrong_fields(PersonFields(), department="", category="vip")) == [
        "name", "gender", "age", "department", "category",
    ]


@pytest.mark.parametrize("typed", ["9000000001", "+91 90000 00001", "09000000001", "९०००० ०००-०१", "(90000) 00001"])
def test_a_phone_is_ten_digits_however_it_was_typed(typed: str) -> None:
    """Prefix, spaces and digits of another script do not matter."""
    assert registered(replace(COMMAND, person=replace(KAMLA, phone=typed)))[0]["telecom"][0]["value"] == "9000000001"


@pytest.mark.parametrize("name", ["कमला देवी", "Mary-Jane O'Brien", "Md. Salīm", "கமலா தேவி", "کملا دیوی", "J. P. Singh"])
def test_names_of_any_script_are_kept(name: str) -> None:
    """A name is stored as it was typed."""
    assert registered(replace(COMMAND, person=replace(KAMLA, name=f"  {name} ")))[0]["name"][0]["text"] == name


def test_a_hostile_address_is_text_like_any_other() -> None:
    """Nothing is stripped from free text: escaping is the page's job, and the record keeps what was said."""
    hostile = "<script>alert('x')</script> ../../etc/passwd '; DROP TABLE patient; --"
    patient = registered(replace(COMMAND, person=replace(KAMLA, address=hostile)))[0]
    validate(patient)
    assert patient["address"][0]["line"] == [hostile]


def test_what_the_form_shows_of_a_registered_patient_is_what_was_typed() -> None:
    """Reading the Patient back gives the same fields, so that a correction starts from the truth."""
    assert fields_of(registered()[0]) == KAMLA


def test_a_visit_of_a_known_patient_is_one_encounter() -> None:
    """Another visit refers to the patient and touches nothing else; it needs a department."""
    (operation,) = visit("Cardiology", "p1", PLACE)
    assert operation.resource is not None
    validate(dict(operation.resource))
    assert operation.resource["subject"]["reference"] == "Patient/p1"
    with pytest.raises(FieldsInvalid, match="department"):
        visit(" ", "p1", PLACE)


FOREIGN: dict[str, Any] = {
    "resourceType": "Patient", "id": "p1",
    "meta": {"versionId": "centre.7", "lastUpdated": "2026-01-01T00:00:00.000Z"},
    "identifier": [{"system": "https://elsewhere.example", "value": "X-1"}],
    "name": [{"use": "official", "family": "Devi", "given": ["Kamla"]}],
    "gender": "female", "birthDate": "1974-03-27",
    "telecom": [{"system": "phone", "value": "555-123"}, {"system": "email", "value": "k@example.org"}],
    "multipleBirthInteger": 2,
}


def test_a_correction_touches_only_what_was_changed() -> None:
    """A record from elsewhere keeps its structured name, its odd phone, its e-mail and what the desk does not know."""
    before = fields_of(FOREIGN)
    (operation,) = correct(FOREIGN, before, replace(before, district="Sitapur"), "moved", "centre.7", TODAY)
    assert operation.if_match == "centre.7"
    assert operation.resource is not None
    rest = {name: value for name, value in operation.resource.items() if name != "address"}
    assert rest == FOREIGN
    assert operation.resource["address"][0]["district"] == "Sitapur"


def test_a_corrected_field_must_be_right_even_where_the_record_was_not() -> None:
    """The old phone may stay as it came, a new one must have ten digits."""
    before = fields_of(FOREIGN)
    with pytest.raises(FieldsInvalid) as refused:
        correct(FOREIGN, before, replace(before, phone="123"), "new SIM", "centre.7", TODAY)
    assert list(refused.value.fields) == ["phone"]


def test_a_correction_needs_a_reason_and_a_change() -> None:
    """Without a reason, or with nothing changed, nothing is written."""
    before = fields_of(FOREIGN)
    with pytest.raises(FieldsInvalid, match="Say why"):
        correct(FOREIGN, before, replace(before, district="Sitapur"), "  ", "centre.7", TODAY)
    with pytest.raises(InvalidInput, match="Nothing was changed"):
        correct(FOREIGN, before, before, "no reason", "centre.7", TODAY)


def test_an_age_gives_way_to_a_birth_date() -> None:
    """When the date becomes known, the estimate goes."""
    patient = {**registered()[0], "id": "p1"}
    before = fields_of(patient)
    after = replace(before, age="", birth_date="27-03-1980")
    (operation,) = correct(patient, before, after, "birth certificate", "opd-1.4", TODAY)
    assert operation.resource is not None
    assert operation.resource["birthDate"] == "1980-03-27"
    assert "extension" not in operation.resource


def test_a_registration_is_about_four_kilobytes() -> None:
    """The size that the bench speaks of is the size that the desk writes: between 1 and 4 KB of resources."""
    assert 1_000 < sum(len(json.encode(each)) for each in registered()) < 4_096
