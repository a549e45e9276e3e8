"""Validation of resources against the table of cases, and what an error says."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from validation_cases import BAD, GOOD, OBSERVATION, PATIENT, changed

from nirantar import limits
from nirantar.errors import Issue, ResourceInvalid
from nirantar.fhir import json, schema, validation


def issues_of(resource: Any) -> tuple[Issue, ...]:
    """The issues that validation finds, none for a valid resource."""
    try:
        validation.validate(resource)
    except ResourceInvalid as error:
        return error.found
    return ()


@pytest.mark.parametrize("name", GOOD)
def test_a_valid_resource_passes(name: str) -> None:
    """Nothing that R4 allows is refused, straight or after a round trip through bytes."""
    assert issues_of(GOOD[name]) == ()
    assert issues_of(json.decode(json.encode(GOOD[name]))) == ()


@pytest.mark.parametrize("name", BAD)
def test_an_invalid_resource_is_refused_where_it_is_wrong(name: str) -> None:
    """Each fault is found, and its first issue names the element at fault."""
    resource, path = BAD[name]
    found = issues_of(resource)
    assert found
    assert found[0].expression == path
    assert all(issue.severity == "error" and issue.code and issue.diagnostics for issue in found)


@pytest.mark.parametrize("value", [None, True, 7, "Patient", [], {}, [PATIENT]])
def test_what_is_not_a_resource_is_refused(value: Any) -> None:
    """Any JSON value gets an answer, not a crash."""
    assert issues_of(value)


def test_every_issue_is_reported_at_once() -> None:
    """Three independent faults are three issues, so that a sender needs one attempt to see all."""
    resource = changed(changed(changed(PATIENT, "gender", "x"), "birthDate", "y"), "active", "z")
    assert {issue.expression for issue in issues_of(resource)} == {
        "Patient.gender",
        "Patient.birthDate",
        "Patient.active",
    }


def test_the_number_of_issues_is_bounded() -> None:
    """A resource with thousands of faults gets limits.ISSUES_MAX of them."""
    resource = changed(PATIENT, "name", [{"family": 1} for _ in range(5_000)])
    assert len(issues_of(resource)) == limits.ISSUES_MAX


@pytest.mark.parametrize("name", BAD)
def test_no_issue_quotes_a_value(name: str) -> None:
    """Diagnostics go to logs and senders: they hold rules and paths, never what the record says."""
    resource, _ = BAD[name]
    told = " ".join(issue.diagnostics + issue.expression for issue in issues_of(resource))
    for secret in (
        "Kamla",
        "Sitapur",
        "900000123",
        "9000000001",
        "kamla_1",
        "Pateint",
        "1974",
        "2023-02",
        "alert",
        "rupees",
    ):
        assert secret not in told


def test_a_name_that_cannot_be_an_element_is_not_repeated() -> None:
    """A key like `Kamla Devi, 52` is data that slipped, so only its place is named."""
    (issue,) = issues_of(changed(PATIENT, "Kamla Devi, 52", "x"))
    assert issue.expression == "Patient"
    assert "Kamla" not in issue.diagnostics


def test_codes_are_of_the_issue_type_code_system() -> None:
    """Edges pass codes on as they are, so each must be FHIR's."""
    used = {issue.code for resource, _ in BAD.values() for issue in issues_of(resource)}
    assert used == {"structure", "required", "value", "code-invalid", "invariant"}


def test_the_text_of_the_error_names_element_and_rule() -> None:
    """`str(error)` is a sentence for the person who can act on it."""
    with pytest.raises(ResourceInvalid, match=r"^Patient\.birthDate: .*day that exists"):
        validation.validate(changed(PATIENT, "birthDate", "2023-02-30"))


def test_the_schema_finds_by_itself_what_it_can_see() -> None:
    """The second opinion works: it names the place of a wrong type and leaves a right one alone."""
    assert schema.check_schema(OBSERVATION) is None
    problems = schema.check_schema(changed(PATIENT, "name", 0, "family", 7))
    assert problems is not None
    assert [problem.at for problem in problems] == [".name[0].family"]


def test_what_is_never_a_value_is_refused_everywhere() -> None:
    """Whatever element of whatever case gets an empty or null value, the answer is a refusal and not a crash."""
    never_valid: list[Any] = [None, "", [], [None], [[]], {}, {"x": None}, Decimal("NaN")]
    for resource in GOOD.values():
        for name in resource:
            for value in never_valid:
                assert issues_of(changed(resource, name, value)), name
