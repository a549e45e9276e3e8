"""Dates, texts and searches, on input that nobody thought of."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from urllib.parse import parse_qsl

from hypothesis import given, settings
from hypothesis import strategies as st

from nirantar.errors import InvalidInput
from nirantar.fhir.dates import OPEN_END_US, OPEN_START_US, range_matches, range_of, range_of_value
from nirantar.fhir.index_rows import normalised_text
from nirantar.fhir.search_match import canonical_query, matches
from nirantar.fhir.search_parameters import extract, search_parameters_of
from nirantar.fhir.search_query import SearchQuery, parse_condition, parse_query

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAYS = st.integers(date(1, 1, 3).toordinal(), date(9999, 12, 29).toordinal())
MOMENTS = st.builds(
    lambda day, clock: datetime.combine(date.fromordinal(day), clock, tzinfo=UTC), DAYS, st.times()
)
OFFSETS = st.integers(-13 * 60, 14 * 60)
TYPES = st.sampled_from(["Patient", "Observation", "Encounter", "Provenance", "NirantarNode", "MedicationRequest"])
NAMES = st.sampled_from(
    [f"{code}{modifier}" for code in ("_id", "_lastUpdated", "_count", "_profile", "identifier", "name", "date",
     "birthdate", "subject", "patient", "code", "target", "_has", "x.y", "zz")
     for modifier in ("", ":not", ":exact", ":contains", ":missing", ":Patient")]
)  # fmt: skip
TEXTS = st.text(max_size=30) | st.text("ab|,\\$ 2019-05T:Z+egt/", max_size=30)


@given(moment=MOMENTS, minutes=OFFSETS)
@settings(derandomize=True)
def test_a_moment_is_the_same_number_whatever_its_offset(moment: datetime, minutes: int) -> None:
    """The library's own calendar agrees to the microsecond."""
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    text = aware.isoformat(timespec="microseconds")
    expected = (aware - EPOCH) // timedelta(microseconds=1)
    assert range_of(text) == (expected, expected + 1)


@given(moment=MOMENTS)
@settings(derandomize=True)
def test_a_vaguer_date_spans_the_sharper_one(moment: datetime) -> None:
    """Year ⊇ month ⊇ day ⊇ second, and the ranges are never empty."""
    text = moment.replace(microsecond=0, tzinfo=timezone(timedelta(hours=5.5))).isoformat()
    ranges = [range_of(text[:4]), range_of(text[:7]), range_of(text[:10]), range_of(text)]
    for outer, inner in pairwise(ranges):
        assert outer[0] <= inner[0] < inner[1] <= outer[1]


@given(text=st.text(max_size=40) | st.text("0123456789-T:.Z+", max_size=30))
@settings(derandomize=True)
def test_any_text_is_a_range_or_refused(text: str) -> None:
    """Nothing but InvalidInput, and ranges lie between the open ends."""
    with suppress(InvalidInput):
        low, high = range_of(text)
        assert OPEN_START_US < low < high < OPEN_END_US


@given(value=st.recursive(TEXTS | st.integers() | st.none(), lambda inner: st.lists(inner, max_size=3)
       | st.dictionaries(st.sampled_from(["start", "end", "event", "repeat", "boundsPeriod"]), inner, max_size=3)))  # fmt: skip
@settings(derandomize=True)
def test_any_value_is_a_range_or_nothing(value: object) -> None:
    """The index asks about elements of any shape and gets a range or None."""
    found = range_of_value(value)
    assert found is None or found[0] < found[1]


@given(
    stored=st.tuples(st.integers(-9, 9), st.integers(1, 9)),
    asked=st.tuples(st.integers(-9, 9), st.integers(1, 9)),
)
@settings(derandomize=True)
def test_prefixes_agree_with_each_other(stored: tuple[int, int], asked: tuple[int, int]) -> None:
    """`ne` is not `eq`; `sa` implies `gt` implies `ge`; `eb` implies `lt` implies `le`; apart means no `ap`."""
    held = (stored[0], stored[0] + stored[1])
    wanted = (asked[0], asked[0] + asked[1])
    holds = {prefix: range_matches(prefix, held, wanted) for prefix in ("eq", "ne", "gt", "ge", "lt", "le", "sa", "eb", "ap")}
    assert holds["eq"] is not holds["ne"]
    for stronger, weaker in (("sa", "gt"), ("gt", "ge"), ("eb", "lt"), ("lt", "le"), ("eq", "ge"), ("eq", "le"), ("eq", "ap")):
        assert holds[weaker] or not holds[stronger]
    assert holds["ap"] is not (holds["sa"] or holds["eb"])


@given(text=st.text(max_size=40))
@settings(derandomize=True, max_examples=500)
def test_normalising_twice_changes_nothing(text: str) -> None:
    """Normalised text is its own normal form, so index and question always meet."""
    once = normalised_text(text)
    assert normalised_text(once) == once
    assert normalised_text(text.upper().lower()) == normalised_text(normalised_text(text.upper().lower()))


@given(type=TYPES, pairs=st.lists(st.tuples(NAMES | st.text(max_size=8), TEXTS), max_size=5), strict=st.booleans())
@settings(derandomize=True, max_examples=250)
def test_any_search_is_understood_or_refused(type: str, pairs: list[tuple[str, str]], strict: bool) -> None:
    """Nothing but InvalidInput; what is understood can be asked of a resource and written canonically."""
    with suppress(InvalidInput):
        query = parse_query(type, pairs, strict=strict)
        resource = {"resourceType": type, "id": "a"}
        assert matches(query, extract(resource), resource) in (True, False)
        written = canonical_query(query)
        again = parse_query(type, parse_qsl(written, keep_blank_values=True), strict=True)
        assert canonical_query(again) == written
        assert {tuple(sorted(map(repr, one.values))) for one in again.criteria} == {
            tuple(sorted(map(repr, one.values))) for one in query.criteria
        }


@given(condition=st.text(max_size=40) | TEXTS.map(lambda text: f"identifier={text}"))
@settings(derandomize=True)
def test_any_condition_has_criteria_or_is_refused(condition: str) -> None:
    """A condition that says nothing would match everything, so it never comes out of here."""
    with suppress(InvalidInput):
        assert parse_condition("Patient", condition).criteria


@given(text=st.text(min_size=1, max_size=20))
@settings(derandomize=True)
def test_a_resource_is_found_by_what_it_says(text: str) -> None:
    """An identifier and a name, escaped into a query, find the resource that holds them."""
    resource = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": text}], "name": [{"text": text}]}
    escaped = "".join("\\" + character if character in "\\,|$" else character for character in text)
    rows = extract(resource)
    by_token = parse_query("Patient", [("identifier", f"urn:x|{escaped}")], strict=True)
    assert matches(by_token, rows, resource)
    if normalised_text(text):
        for modifier in ("", ":exact", ":contains"):
            by_name = parse_query("Patient", [(f"name{modifier}", escaped)], strict=True)
            assert matches(by_name, rows, resource)
            assert not matches(SearchQuery("Observation", by_name.criteria), rows, resource)
    assert {row.param for row in rows} <= set(search_parameters_of("Patient"))
