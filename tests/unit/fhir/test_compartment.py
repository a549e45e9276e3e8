"""Whose record a resource belongs to."""

from __future__ import annotations

from typing import Any

import pytest

from nirantar.fhir.compartment import patient_of, patients_of


def link(target: str) -> dict[str, Any]:
    """A Reference."""
    return {"reference": target}


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ({"resourceType": "Patient", "id": "p", "link": [{"other": link("Patient/q")}]}, ("p", "q")),
        ({"resourceType": "Observation", "performer": [link("Patient/q")], "subject": link("Patient/p")}, ("p", "q")),
        ({"resourceType": "Observation", "performer": [link("Patient/q")], "subject": link("Group/g")}, ("q",)),
        ({"resourceType": "Condition", "subject": link("Patient/p/_history/3")}, ("p",)),
        ({"resourceType": "Coverage", "policyHolder": link("Patient/q"), "beneficiary": link("Patient/p")}, ("p", "q")),
        ({"resourceType": "Appointment", "participant": [{"actor": link("Practitioner/d")}, {}, {"actor": link("Patient/p")}]}, ("p",)),
        ({"resourceType": "Provenance", "target": [link("Patient/p"), link("Patient/q"), link("Patient/p")]}, ("p", "q")),
        ({"resourceType": "Group", "member": [{"entity": link("Patient/p")}]}, ("p",)),
        ({"resourceType": "Practitioner", "id": "d"}, ()),
        ({"resourceType": "Observation", "subject": link("urn:uuid:1")}, ()),
        ({"resourceType": "Observation", "subject": link("https://x/Patient/p")}, ()),
        ({"resourceType": "Observation", "subject": link("#contained")}, ()),
        ({"resourceType": "NirantarNode", "subject": link("Patient/p")}, ()),
        ({"resourceType": "Observation"}, ()),
        ({}, ()),
    ],
)  # fmt: skip
def test_patients_in_the_order_of_how_much_it_is_about_them(resource: dict[str, Any], expected: tuple[str, ...]) -> None:
    """The one it is about first, then those who took part; only final references to our own patients."""
    assert patients_of(resource) == expected
    assert patient_of(resource) == (expected[0] if expected else None)
