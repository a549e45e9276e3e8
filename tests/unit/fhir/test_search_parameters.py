"""What the search index holds of a resource."""

from __future__ import annotations

from typing import Any

import pytest

from nirantar.fhir.dates import OPEN_END_US, range_of
from nirantar.fhir.index_rows import DateRow, ReferenceRow, StringRow, TokenRow, normalised_text
from nirantar.fhir.search_expression import Route, Step, UnreadableExpression, routes_of
from nirantar.fhir.search_parameters import exact_texts, extract, search_parameters_of, unsupported

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "meta": {"lastUpdated": "2024-05-01T10:00:00Z", "profile": ["http://x/profile"], "tag": [{"code": "t"}]},
    "identifier": [{"system": "urn:uhid", "value": "1001"}, {"value": "loose"}, {"system": "urn:only"}],
    "name": [{"text": "José  कुमारी", "given": ["José"]}],
    "telecom": [
        {"system": "phone", "value": "98"},
        {"system": "email", "value": "a@b"},
        {"value": "unsaid"},
    ],
    "active": True,
    "birthDate": "1974",
    "managingOrganization": {"reference": "Organization/o1/_history/4"},
    "address": [{"line": ["1 Road"], "city": "Agra"}],
}


def rows_of(resource: dict[str, Any], param: str) -> list[tuple[Any, ...]]:
    """The columns of the rows of one parameter."""
    return [tuple(row)[1:] for row in extract(resource) if row.param == param]


def test_each_kind_of_element_becomes_its_rows() -> None:
    """Identifiers, booleans, contact points, names, addresses, partial dates and references of a Patient."""
    rows = extract(PATIENT)
    assert TokenRow("_id", "", "p1") in rows
    assert TokenRow("_profile", "", "http://x/profile") in rows
    assert TokenRow("_tag", "", "t") in rows
    assert rows_of(PATIENT, "identifier") == [("urn:uhid", "1001"), ("", "loose")]
    assert TokenRow("active", "", "true") in rows
    assert rows_of(PATIENT, "phone") == [("", "98")]
    assert rows_of(PATIENT, "telecom") == [("", "98"), ("", "a@b"), ("", "unsaid")]
    assert StringRow("name", normalised_text("jose कुमारी")) in rows
    assert StringRow("address-city", "agra") in rows
    assert DateRow("birthdate", *range_of("1974")) in rows
    assert DateRow("_lastUpdated", *range_of("2024-05-01T10:00:00Z")) in rows
    assert ReferenceRow("organization", "Organization/o1") in rows


def test_extraction_repeats_nothing_and_depends_on_content_only() -> None:
    """The same resource with its keys in another order gives the same rows in the same order."""
    shuffled = dict(reversed(PATIENT.items()))
    rows = extract(PATIENT)
    assert extract(shuffled) == rows
    assert len(set(rows)) == len(rows)


@pytest.mark.parametrize(
    ("death", "expected"),
    [({}, "false"), ({"deceasedBoolean": False}, "false"), ({"deceasedBoolean": True}, "true"),
     ({"deceasedDateTime": "2024"}, "true")],
)  # fmt: skip
def test_deceased_says_whether_there_is_a_death(death: dict[str, Any], expected: str) -> None:
    """R4 indexes the presence of a death, however it was recorded."""
    assert rows_of({**PATIENT, **death}, "deceased") == [("", expected)]


def test_choices_and_references_by_type() -> None:
    """Choice elements by their JSON names, `patient` only where the subject is one, every coding of a concept."""
    observation = {
        "resourceType": "Observation",
        "code": {"coding": [{"system": "http://loinc.org", "code": "a"}, {"code": "b"}], "text": "c"},
        "subject": {"reference": "Group/g"},
        "effectivePeriod": {"start": "2024-05-01"},
        "valueCodeableConcept": {"text": "Pāle", "coding": [{"code": "p"}]},
        "component": [{"valueCodeableConcept": {"coding": [{"code": "q"}]}}],
    }
    assert rows_of(observation, "code") == [("http://loinc.org", "a"), ("", "b")]
    assert rows_of(observation, "subject") == [("Group/g",)]
    assert rows_of(observation, "patient") == []
    assert rows_of(observation, "date") == [(range_of("2024-05-01")[0], OPEN_END_US)]
    assert sorted(rows_of(observation, "combo-value-concept")) == [("", "p"), ("", "q")]
    assert rows_of(observation, "value-string") == [("pale",)]
    absolute = {**observation, "subject": {"reference": "https://x/fhir/Patient/7"}}
    assert rows_of(absolute, "patient") == [("https://x/fhir/Patient/7",)]
    declared = {**observation, "subject": {"reference": "urn:uuid:1", "type": "Patient"}}
    assert rows_of(declared, "patient") == [("urn:uuid:1",)]


def test_contained_and_nameless_references_give_no_row() -> None:
    """A link inside the resource, an identifier alone and a display alone lead nowhere."""
    for subject in ({"reference": "#a"}, {"identifier": {"value": "1"}}, {"display": "x"}):
        assert rows_of({"resourceType": "Observation", "subject": subject}, "subject") == []


def test_strange_shapes_give_no_rows_and_no_error() -> None:
    """An index of something that no validator saw stays silent about it."""
    strange = {"resourceType": "Patient", "name": 7, "birthDate": "soon", "telecom": {"system": 1}, "identifier": []}
    assert {row.param for row in extract(strange)} == {"deceased"}


def test_records_of_our_own_types_have_the_rows_of_every_resource() -> None:
    """A type that R4 does not know is found by `_id`, and by nothing that it merely shares a name with."""
    assert extract({"resourceType": "NirantarNode", "id": "n1", "name": "x"}) == (TokenRow("_id", "", "n1"),)
    assert "_id" in search_parameters_of("NirantarNode")


def test_exact_texts_keep_case_and_accents() -> None:
    """`:exact` is checked against the text as written."""
    assert exact_texts(PATIENT, "name") == {"José  कुमारी", "José"}
    assert exact_texts(PATIENT, "address-city") == {"Agra"}


def test_normalising_keeps_the_vowel_signs_of_hindi() -> None:
    """Accents of Latin letters go, matras and nuktas stay, both spellings of a nukta letter come out alike."""
    assert normalised_text(" ÉLODIE\tŁuczak ") == "elodie łuczak"
    assert normalised_text("कुमारी") == "कुमारी"
    assert normalised_text("कुमारी") != normalised_text("कमर")
    assert normalised_text("\u0958") == normalised_text("\u0915\u093c") == "\u0915\u093c"
    assert normalised_text("straße") == normalised_text("STRASSE")


def test_what_a_type_can_be_searched_by() -> None:
    """Kinds, targets, and R4's parameters that are known but not indexed."""
    parameters = search_parameters_of("Observation")
    assert parameters["patient"].targets == ("Patient",)
    assert parameters["code"].kind == "token"
    assert not parameters["value-quantity"].indexed
    assert not parameters["_content"].indexed
    assert not search_parameters_of("Patient")["phonetic"].indexed


def test_expressions_that_are_not_understood_are_named() -> None:
    """Two are left, both about what lies inside a Bundle; a new one would show here."""
    assert [(type, code) for type, code, _ in unsupported()] == [("Bundle", "composition"), ("Bundle", "message")]


def test_the_dialect_of_expressions() -> None:
    """Unions, types, filters and bare paths become routes; the rest is refused, not guessed."""
    assert routes_of("Goal.due.as(date) | (Goal.start as date)", "Goal") == (
        Route((Step("dueDate"),)),
        Route((Step("startDate"),)),
    )
    assert routes_of("Patient.telecom.where(system='phone')", "Patient") == (
        Route((Step("telecom", ("system", "phone")),)),
    )
    assert routes_of("name | alias", "InsurancePlan") == (Route((Step("name"),)), Route((Step("alias"),)))
    assert routes_of("Goal.x", "Patient") == ()
    for expression in ("Patient.name.first()", "Patient.a[0].b", "Patient", "Patient.a + 1", "(Patient.a).b"):
        with pytest.raises(UnreadableExpression):
            routes_of(expression, "Patient")
