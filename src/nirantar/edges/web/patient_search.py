"""The one box: a number with its check digit, a phone, or a name in any script. And who is likely meant by a form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from nirantar import limits
from nirantar.edges.web.desk import Desk
from nirantar.fhir import json
from nirantar.fhir.search_query import parse_query
from nirantar.interactions.authorize import Caller
from nirantar.interactions.numbers import is_valid
from nirantar.workflows.likeness import latin, skeleton
from nirantar.workflows.patient_fields import PersonFields, ascii_digits, cleaned, phone_digits
from nirantar.workflows.patient_resource import name_of

NAME_CHARS_MIN: Final = 2
_SPECIAL: Final = re.compile(r"([\\,|$])")


@dataclass(frozen=True, slots=True)
class Found:
    """Patients that match, at most a page, and one `sentence` to say about the search itself, or ""."""

    patients: tuple[dict[str, Any], ...]
    sentence: str
    more: bool = False


def find(desk: Desk, caller: Caller, asked_for: str) -> Found:
    """Patients for what was typed into the one box."""
    text = ascii_digits(cleaned(asked_for))
    digits = re.sub(r"[\s-]", "", text)
    if re.fullmatch(r"\+?[0-9]{4,}", digits):
        return _by_number(desk, caller, digits)
    if any(character.isdigit() for character in text) and " " not in text:
        return _page(_matches(desk, caller, ("identifier", text)), "Nobody has this identifier.")
    if len(text) < NAME_CHARS_MIN:
        return Found((), f"Type at least {NAME_CHARS_MIN} letters of a name, a UHID or a phone number.")
    return _by_name(desk, caller, text)


def candidates(desk: Desk, caller: Caller, person: PersonFields) -> tuple[dict[str, Any], ...]:
    """Patients worth comparing with a filled-in form: those of its phone, and those whose names begin alike."""
    questions = [("phone", person.phone)] if person.phone else []
    for spelling in dict.fromkeys((person.name, latin(person.name))):
        first = spelling.split(" ")[0]
        if first:
            questions.append(("name", first[:4]))
    return _each_once(
        patient
        for question in questions
        for patient in _matches(desk, caller, question, limits.DUPLICATE_CANDIDATES_MAX)
    )


def _by_number(desk: Desk, caller: Caller, digits: str) -> Found:
    phone = phone_digits(digits)
    patients = [*_matches(desk, caller, ("identifier", digits.lstrip("+")))]
    if len(phone) == 10:
        patients += _matches(desk, caller, ("phone", phone))
    if patients:
        return _page(patients, "")
    like_phone = len(phone) == 10 and phone[0] in "6789"
    if is_valid(digits.lstrip("+")) and not like_phone:
        return Found((), "The number is a well-formed UHID, but nobody on this node has it.")
    if like_phone:
        return Found((), "Nobody is registered with this phone number.")
    return Found((), "This cannot be a UHID: its check digit is wrong, so a digit was mistyped. Look at the card.")


def _by_name(desk: Desk, caller: Caller, text: str) -> Found:
    patients = [*_matches(desk, caller, ("name", text))]
    romanised = latin(text)
    wanted = set(skeleton(text))
    if romanised != text.casefold():
        patients += _sounding_like(desk, caller, romanised, wanted)
    if not patients:
        patients += _matches(desk, caller, ("name:contains", text))
    if not patients and romanised == text.casefold():
        patients += _sounding_like(desk, caller, romanised, wanted)
    return _page(patients, "Nobody on this node has a name like this.")


def _sounding_like(desk: Desk, caller: Caller, romanised: str, wanted: set[str]) -> Iterator[dict[str, Any]]:
    """Patients whose names begin with the same letters and have the same consonants: another script or spelling."""
    for patient in _matches(desk, caller, ("name", romanised[:2]), limits.SEARCH_COUNT_MAX):
        if wanted <= set(skeleton(name_of(patient))):
            yield patient


def _matches(
    desk: Desk, caller: Caller, question: tuple[str, str], count: int = limits.SEARCH_COUNT_DEFAULT + 1
) -> Iterator[dict[str, Any]]:
    name, value = question
    pairs = [(name, _SPECIAL.sub(r"\\\1", value)), ("_count", str(count))]
    for version in desk.doors.read.search(caller, parse_query("Patient", pairs, strict=True)).versions:
        if version.resource is not None:
            yield json.decode(version.resource)


def _page(patients: Iterable[dict[str, Any]], nobody: str) -> Found:
    found = _each_once(patients)
    return Found(
        found[: limits.SEARCH_COUNT_DEFAULT], "" if found else nobody, more=len(found) > limits.SEARCH_COUNT_DEFAULT
    )


def _each_once(patients: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    return tuple({str(patient["id"]): patient for patient in patients}.values())
