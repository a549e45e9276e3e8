"""Searches as data."""

from __future__ import annotations

import pytest

from nirantar.errors import InvalidInput, LimitExceeded, UnknownSearchParameter
from nirantar.fhir.dates import range_of
from nirantar.fhir.search_match import canonical_query
from nirantar.fhir.search_query import (
    Criterion,
    DateValue,
    MissingValue,
    ReferenceValue,
    SearchQuery,
    StringValue,
    TokenValue,
    parse_condition,
    parse_query,
)
from nirantar.limits import CURSOR_CHARS_MAX, SEARCH_COUNT_MAX, SEARCH_CRITERIA_MAX, SEARCH_VALUES_MAX


def only(type: str, name: str, text: str) -> Criterion:
    """The one criterion of a search by one parameter."""
    (criterion,) = parse_query(type, [(name, text)], strict=True).criteria
    return criterion


def test_tokens_say_what_their_system_may_be() -> None:
    """Any system, none, a given one, or all codes of one; commas and bars can be escaped."""
    assert only("Patient", "identifier", r"a,|b,s|c,s|,x\,y\|z\$\\,C:\d") == Criterion(
        "identifier",
        "token",
        None,
        (
            TokenValue(None, "a"),
            TokenValue("", "b"),
            TokenValue("s", "c"),
            TokenValue("s", None),
            TokenValue(None, "x,y|z$\\"),
            TokenValue(None, "C:\\d"),
        ),
    )
    assert only("Patient", "gender:not", "male").modifier == "not"


def test_strings_are_normalised_and_remember_how_they_were_written() -> None:
    """The text to compare with the index, and the one for `:exact`."""
    assert only("Patient", "name:exact", "José").values == (StringValue("jose", "José"),)
    assert only("Patient", "name:contains", "कु").values == (StringValue("कु", "कु"),)


def test_dates_carry_prefix_and_range() -> None:
    """Each date is a range; `ap` is widened by its own length; a plus sign that became a space is a plus."""
    low, high = range_of("2024-05")
    assert only("Patient", "birthdate", "ge2024-05").values == (DateValue("ge", low, high, "2024-05"),)
    low, high = range_of("2024-05-02")
    widened = (range_of("2024-05-01")[0], range_of("2024-05-03")[1])
    assert only("Patient", "birthdate", "ap2024-05-02").values == (DateValue("ap", *widened, "2024-05-02"),)
    plus = only("Observation", "date", "2024-05-01T10:00:00 05:30").values[0]
    assert isinstance(plus, DateValue)
    assert plus.text == "2024-05-01T10:00:00+05:30"


def test_references_are_complete_targets() -> None:
    """A bare id stands for every type it may mean, a type modifier chooses one, versions do not count."""
    assert only("Encounter", "subject", "7").values == (ReferenceValue("Group/7"), ReferenceValue("Patient/7"))
    assert only("Encounter", "subject:Patient", "7").values == (ReferenceValue("Patient/7"),)
    assert only("Encounter", "subject:Patient", "Patient/7/_history/2").values == (ReferenceValue("Patient/7"),)
    assert only("Encounter", "patient", "http://x/Patient/7").values == (ReferenceValue("http://x/Patient/7"),)
    with pytest.raises(InvalidInput):
        parse_query("Encounter", [("subject:Patient", "Group/7")], strict=False)


def test_uris_are_whole() -> None:
    """A bar in a URI is part of it."""
    assert only("Patient", "_profile", "http://x|2").values == (TokenValue("", "http://x|2"),)


def test_missing_takes_true_or_false() -> None:
    """On any kind of parameter."""
    for name in ("name", "identifier", "birthdate", "organization", "_profile"):
        assert only("Patient", f"{name}:missing", "true").values == (MissingValue(True),)
    with pytest.raises(InvalidInput):
        parse_query("Patient", [("name:missing", "perhaps")], strict=False)


def test_what_shapes_the_answer() -> None:
    """Count, total, cursor: read once each and bounded."""
    assert parse_query("Patient", [("_format", "json")], strict=True) == SearchQuery("Patient")
    assert parse_query("Patient", [("_count", "7"), ("_cursor", "c")], strict=True) == SearchQuery(
        "Patient", count=7, cursor="c"
    )
    assert parse_query("Patient", [("_count", "9" * 30)], strict=True).count == SEARCH_COUNT_MAX
    for name, text in (("_count", "0"), ("_summary", "count")):
        query = parse_query("Patient", [(name, text)], strict=True)
        assert query.count_only
        assert query.total
    assert parse_query("Patient", [("_total", "accurate")], strict=True).total
    assert parse_query("Patient", [], strict=True, compartment="7").compartment == "7"


@pytest.mark.parametrize(
    ("name", "text"),
    [("_count", "-1"), ("_count", "x"), ("_count", "٣"), ("_total", "some"), ("_cursor", ""), ("name", ""),
     ("name", "a,,b"), ("name", "  "), ("identifier", "|"), ("birthdate", "soon"), ("birthdate", "ge"),
     ("_cursor", "c" * (CURSOR_CHARS_MAX + 1))],
)  # fmt: skip
def test_wrong_values_are_refused(name: str, text: str) -> None:
    """A value that its parameter cannot have is an error in lenient searches too."""
    with pytest.raises(InvalidInput):
        parse_query("Patient", [(name, text)], strict=False)


def test_a_setting_given_twice_is_refused() -> None:
    """Two counts leave open which is meant."""
    with pytest.raises(InvalidInput):
        parse_query("Patient", [("_count", "1"), ("_count", "2")], strict=False)


@pytest.mark.parametrize(
    "name",
    ["organization.name", "_has:Observation:patient:code", "_include", "_sort", "_text", "name:phonetic",
     "identifier:of-type", "organization:Patient", "phonetic", "general-practitioner:identifier", "name:"],
)  # fmt: skip
def test_what_is_not_built_yet_is_refused_and_not_ignored(name: str) -> None:
    """R4 defines these; leaving them out would answer a wider question than was asked."""
    with pytest.raises(UnknownSearchParameter):
        parse_query("Patient", [(name, "x")], strict=False)
    with pytest.raises(UnknownSearchParameter):
        parse_query("Observation", [("value-quantity", "gt5")], strict=False)


def test_what_nobody_defines_is_ignored_or_refused() -> None:
    """Lenient handling names it, strict handling refuses it; an odd name is not quoted."""
    query = parse_query("Patient", [("colour", "red"), ("x y", "z"), ("active", "true")], strict=False)
    assert query.ignored == ("colour", "A parameter with an unusual name")
    assert len(query.criteria) == 1
    with pytest.raises(UnknownSearchParameter, match="colour"):
        parse_query("Patient", [("colour", "red")], strict=True)


def test_searches_are_bounded() -> None:
    """Criteria, values, characters and the meanings of bare ids have limits."""
    with pytest.raises(LimitExceeded, match="SEARCH_CRITERIA_MAX"):
        parse_query("Patient", [("name", "x")] * (SEARCH_CRITERIA_MAX + 1), strict=True)
    with pytest.raises(LimitExceeded, match="SEARCH_VALUES_MAX"):
        parse_query("Patient", [("name", ",".join("x" * (SEARCH_VALUES_MAX + 1)))], strict=True)
    with pytest.raises(LimitExceeded, match="FORM_FIELD_CHARS_MAX"):
        parse_query("Patient", [("name", "x" * 2_001)], strict=True)
    with pytest.raises(LimitExceeded, match="SEARCH_EXPANDED_VALUES_MAX"):
        parse_query("Provenance", [("target", "1,2,3,4")], strict=True)


def test_conditions_are_strict_searches_for_two() -> None:
    """Percent-encoded, with criteria only: enough to know none, one or many."""
    query = parse_condition("Patient", "?identifier=urn%3Ax%7C1")
    assert query == SearchQuery(
        "Patient", (Criterion("identifier", "token", None, (TokenValue("urn:x", "1"),)),), count=2
    )
    for condition in ("", "?", "identifier", "_count=1", "identifier=x&_count=3", "identifier=", "identifier=%ff",
                      "identifier=a&&", "_format=json&identifier=x"):  # fmt: skip
        with pytest.raises(InvalidInput):
            parse_condition("Patient", condition)
    with pytest.raises(UnknownSearchParameter):
        parse_condition("Patient", "identifier=x&colour=red")


def test_the_canonical_text_is_the_same_for_the_same_question() -> None:
    """Order of criteria and values, and ways of writing a reference, do not matter."""
    first = parse_query("Encounter", [("subject", "Patient/1,Group/1"), ("status", "b,a")], strict=True)
    second = parse_query("Encounter", [("status", "a,b"), ("subject", "1")], strict=True)
    assert canonical_query(first) == canonical_query(second) == "status=a%2Cb&subject=Group%2F1%2CPatient%2F1"
