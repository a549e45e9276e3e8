"""Likely duplicates: who is asked about, and who is left alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from nirantar.workflows.likeness import SHOWN_MAX, latin, likely_duplicates, name_likeness, skeleton
from nirantar.workflows.patient_fields import PersonFields
from nirantar.workflows.patient_resource import new_patient

TODAY = date(2026, 11, 23)
KAMLA = PersonFields(
    name="Kamla Devi", relation="W/o", relative_name="Ram Prasad", gender="female", age="45", phone="9000000001",
    district="Sitapur",
)


def patient(**changes: str) -> dict[str, Any]:
    """Kamla as stored, with changes."""
    return {"id": "p1", **new_patient(replace(KAMLA, **changes), "100000016", "urn:x:uhid", TODAY)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Kamla Devi", "कमला देवी"), ("Kamla Devi", "KAMALA DEVI"), ("Lakshmi", "लक्ष्मी"), ("Mohammad Salim", "Mohammed Saleem"),
        ("Ram Prasad", "राम प्रसाद"), ("Vijay", "Wijay"), ("Seema Sharma", "Sima Sharma"), ("José", "Jose"),
    ],
)
def test_spellings_and_scripts_of_one_name_are_alike(one: str, other: str) -> None:
    """Vowels, aspirates, accents and the script do not make another person."""
    assert name_likeness(one, other) == 4


@pytest.mark.parametrize(("one", "other"), [("Kamla Devi", "Sunita Kumari"), ("Ram", "Rani"), ("", "Ram"), ("राम", "सीता")])
def test_different_names_are_not_alike(one: str, other: str) -> None:
    """Another name stays another name, and no name is like none."""
    assert name_likeness(one, other) == 0


def test_devanagari_is_written_as_it_is_spoken() -> None:
    """The vowel that ends no word in speech does not end it in Latin."""
    assert latin("राम प्रसाद शर्मा") == "ram prasad sharma"
    assert skeleton("राम प्रसाद") == ("rm", "prsd")


def test_the_same_person_in_another_script_is_found() -> None:
    """Name, phone, relative, age and district agree: the candidate is likely, and it is said why."""
    (found,) = likely_duplicates(KAMLA, [patient(name="कमला देवी", relative_name="राम प्रसाद", age="46")], TODAY)
    assert found.why == ("same name", "same phone", "same relative", "about the same age", "same district")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Sunita Devi", "age": "20"},
        {"name": "Ram Prasad", "gender": "male", "age": "50"},
        {"phone": "9000000009", "relative_name": "Mohan Lal", "age": "20", "district": "Lucknow"},
    ],
)
def test_family_and_namesakes_are_left_alone(changes: dict[str, str]) -> None:
    """A shared phone and village are not enough without the name; nor is a common name alone."""
    assert likely_duplicates(KAMLA, [patient(**changes)], TODAY) == ()


def test_the_likeliest_comes_first_and_the_list_is_short() -> None:
    """At most SHOWN_MAX are shown, best first."""
    crowd = [patient(phone="9000000009") for _ in range(SHOWN_MAX + 3)] + [patient()]
    found = likely_duplicates(KAMLA, crowd, TODAY)
    assert len(found) == SHOWN_MAX
    assert found[0].score == max(each.score for each in found)
    assert "same phone" in found[0].why


def test_an_inactive_record_is_no_candidate() -> None:
    """A record that was merged away is not offered again."""
    assert likely_duplicates(KAMLA, [{**patient(), "active": False}], TODAY) == ()
