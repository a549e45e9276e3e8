"""The invented people of drills and demos."""

from __future__ import annotations

from nirantar.app.drill.people import person, registration
from nirantar.fhir.validation import validate


def test_every_invented_registration_is_valid_fhir() -> None:
    """Patient, Encounter and Coverage of many numbers pass the validation that every write passes."""
    types = set()
    for number in range(400):
        for entry in registration(number, 2026)["entry"]:
            validate(entry["resource"])
            types.add(entry["resource"]["resourceType"])
    assert types == {"Patient", "Encounter", "Coverage"}


def test_people_are_many_and_the_same_for_the_same_number() -> None:
    """A number always means the same person; hundreds of them have hundreds of faces."""
    assert person(7) == person(7)
    assert len({person(number) for number in range(300)}) == 300
    assert len({person(number).name for number in range(400)}) > 200
