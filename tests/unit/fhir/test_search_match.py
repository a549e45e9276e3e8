"""What a search means on one resource."""

from __future__ import annotations

from typing import Any

import pytest

from nirantar.fhir.search_match import matches
from nirantar.fhir.search_parameters import extract
from nirantar.fhir.search_query import parse_query

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [{"system": "urn:uhid", "value": "1001"}, {"value": "loose"}],
    "name": [{"text": "José कुमारी", "family": "Ordóñez"}],
    "gender": "female",
    "birthDate": "1974",
    "managingOrganization": {"reference": "Organization/o1"},
}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("_id", "p1", True),
        ("identifier", "1001", True),
        ("identifier", "urn:uhid|1001", True),
        ("identifier", "urn:uhid|", True),
        ("identifier", "|1001", False),
        ("identifier", "|loose", True),
        ("identifier", "nobody,1001", True),
        ("gender:not", "male", True),
        ("gender:not", "male,female", False),
        ("language:not", "en", True),
        ("name", "jose", True),
        ("name", "OrdoN", True),
        ("name", "rdon", False),
        ("name:contains", "rdon", True),
        ("name:contains", "मार", True),
        ("name:exact", "Ordóñez", True),
        ("name:exact", "ordonez", False),
        ("name:exact", "Ordó", False),
        ("birthdate", "1974", True),
        ("birthdate", "1974-01-01", False),
        ("birthdate", "lt1975", True),
        ("birthdate", "gt1974-06", True),
        ("birthdate", "sa1974", False),
        ("organization", "o1", True),
        ("organization", "Organization/o2", False),
        ("organization:missing", "false", True),
        ("organization:missing", "true", False),
        ("death-date:missing", "true", True),
    ],
)
def test_each_kind_of_criterion(name: str, text: str, expected: bool) -> None:
    """Tokens, strings, dates, references and their modifiers, on one patient."""
    query = parse_query("Patient", [(name, text)], strict=True)
    assert matches(query, extract(PATIENT), PATIENT) is expected


def test_all_criteria_must_hold() -> None:
    """Criteria are joined by and, also when they are of the same parameter."""
    rows = extract(PATIENT)
    both = parse_query("Patient", [("identifier", "1001"), ("identifier", "loose")], strict=True)
    assert matches(both, rows, PATIENT)
    one = parse_query("Patient", [("identifier", "1001"), ("identifier", "other")], strict=True)
    assert not matches(one, rows, PATIENT)


def test_type_and_compartment_bound_a_search() -> None:
    """A search is of one type, and perhaps within one patient's compartment."""
    observation = {"resourceType": "Observation", "id": "o", "subject": {"reference": "Patient/p1"}}
    rows = extract(observation)
    assert matches(parse_query("Observation", [], strict=True, compartment="p1"), rows, observation)
    assert not matches(parse_query("Observation", [], strict=True, compartment="p2"), rows, observation)
    assert not matches(parse_query("Patient", [], strict=True), rows, observation)
