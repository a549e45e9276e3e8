"""FHIR dates as ranges."""

from __future__ import annotations

import pytest

from nirantar.errors import InvalidInput
from nirantar.fhir.dates import (
    DAY_US,
    OPEN_END_US,
    OPEN_START_US,
    range_matches,
    range_of,
    range_of_value,
)


def at(text: str) -> int:
    """The first moment of a date, as microseconds."""
    return range_of(text)[0]


def test_partial_dates_span_all_that_they_may_mean() -> None:
    """A year, a month and a day reach to the next one, leap years included."""
    assert range_of("2024") == (at("2024-01-01"), at("2025-01-01"))
    assert range_of("2024-02") == (at("2024-02-01"), at("2024-03-01"))
    assert range_of("2024-12") == (at("2024-12-01"), at("2025-01-01"))
    low, high = range_of("2024-02-29")
    assert high - low == DAY_US


def test_a_date_without_offset_is_the_hospitals_day() -> None:
    """Midnight in India is 18:30 UTC of the day before, so a test at 02:00 is found on its own day."""
    assert range_of("1970-01-02") == (int(18.5 * 3600e6), int(42.5 * 3600e6))
    low, high = range_of("2024-05-01")
    assert low <= at("2024-05-01T02:00:00+05:30") < high


def test_offsets_and_fractions_are_exact() -> None:
    """One moment written three ways is one number; a fraction spans its last digit."""
    assert range_of("1970-01-01T05:30:00+05:30") == range_of("1970-01-01T00:00:00Z") == (0, 1_000_000)
    assert range_of("1969-12-31T20:00:00-04:00") == (0, 1_000_000)
    assert range_of("1970-01-01T00:00:00.25Z") == (250_000, 260_000)
    assert range_of("1970-01-01T00:00:00.1234567Z") == (123_456, 123_457)
    assert range_of("1970-01-01T00:00Z") == (0, 60_000_000)
    assert range_of("2016-12-31T23:59:60Z")[0] == at("2017-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "text",
    ["", "24", "2024-13", "2023-02-29", "2024-5-1", "0000", "2024-01-01T24:00:00Z", "2024-01-01T10", "2024-01-01Z",
     "２０２４", "2024-01-01T10:00:00+15:00", "2024-01-01 10:00", "2024\n"],
)  # fmt: skip
def test_what_is_no_date_is_refused(text: str) -> None:
    """Only FHIR's own forms, with real days and western digits, are dates."""
    with pytest.raises(InvalidInput):
        range_of(text)


def test_periods_are_open_where_they_say_nothing() -> None:
    """A Period without an end goes on; one that runs backwards has no place in time."""
    assert range_of_value({"start": "2024-05-01"}) == (at("2024-05-01"), OPEN_END_US)
    assert range_of_value({"end": "2024"}) == (OPEN_START_US, at("2025"))
    assert range_of_value({"start": "2024-05-02", "end": "2024-05-01"}) is None
    assert range_of_value({"start": "no date"}) is None
    assert range_of_value(7) is None


def test_a_timing_counts_by_its_outer_limits() -> None:
    """Events and bounds together give one range; a bare repetition gives none."""
    timing = {"event": ["2024-05-03", "2024-05-01"], "repeat": {"boundsPeriod": {"end": "2024-06"}}}
    assert range_of_value(timing) == (OPEN_START_US, at("2024-07"))
    assert range_of_value({"event": ["2024-05-03", "2024-05-01"]}) == (at("2024-05-01"), at("2024-05-04"))
    assert range_of_value({"repeat": {"frequency": 3}}) is None


@pytest.mark.parametrize(
    ("prefix", "stored", "asked", "expected"),
    [
        ("eq", "2024-05-01", "2024-05", True),
        ("eq", "2024", "2024-05", False),
        ("ne", "2024", "2024-05", True),
        ("gt", "2024", "2024-05", True),
        ("gt", "2024-05", "2024", False),
        ("lt", "2024", "2024-05", True),
        ("ge", "2024-05-01", "2024-05", True),
        ("le", "2024-06-01", "2024-05", False),
        ("sa", "2024-06-01", "2024-05", True),
        ("sa", "2024", "2024-05", False),
        ("eb", "2024-04-30", "2024-05", True),
        ("eb", "2024", "2024-05", False),
        ("ap", "2024", "2024-05", True),
        ("ap", "2023", "2024", False),
        ("ap", "2025", "2024", False),
        ("ge", "2024", "2024-12", False),
        ("le", "2024", "2024-01", False),
    ],
)
def test_prefixes_compare_ranges(prefix: str, stored: str, asked: str, expected: bool) -> None:
    """Each prefix of R4's table, also where the stored date is vaguer than the one asked for."""
    assert range_matches(prefix, range_of(stored), range_of(asked)) is expected
