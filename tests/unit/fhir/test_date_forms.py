"""FHIR's date forms, the calendar, and the order of partial dates."""

from __future__ import annotations

import calendar

import pytest

from nirantar.fhir import date_forms


def test_exactly_the_days_of_the_calendar_exist() -> None:
    """Compared with the standard library for every day that could be written in years that decide leap rules."""
    for year in (1600, 1700, 1900, 1999, 2000, 2023, 2024, 2100, 9999):
        for month in range(1, 13):
            days = calendar.monthrange(year, month)[1]
            for day in range(1, 32):
                assert date_forms.is_date(f"{year:04}-{month:02}-{day:02}") is (day <= days)


@pytest.mark.parametrize(
    "text", ["2024", "2024-02", "2024-02-29", "2024-02-29T23:59:60Z", "0001-01-01T00:00:00.123+14:00"]
)
def test_date_times_of_every_precision(text: str) -> None:
    """Year, month, day and moment are dateTimes."""
    assert date_forms.is_date_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "24",
        "0000",
        "2024-2",
        "2024-00",
        "2024-02-30",
        "2024-02-29T10",
        "2024-02-29T10:00Z",
        "2024-02-29T10:00:00",
        "2024-02-30T10:00:00Z",
        "2024-02-29 10:00:00Z",
        "2024-02-29T10:00:00+14:30",
        "2024-02-29T10:00:00z",
        "2024-02-29T10:00:00Z\n",
        "२०२४",
    ],
)
def test_other_texts_are_not_date_times(text: str) -> None:
    """No guessing: what is not in the form is not a dateTime."""
    assert not date_forms.is_date_time(text)


def test_an_instant_needs_a_time_and_a_date_must_not_have_one() -> None:
    """The three types differ in what they may leave out."""
    assert date_forms.is_instant("2024-02-29T10:00:00.5+05:30")
    assert not date_forms.is_instant("2024-02-29")
    assert not date_forms.is_date("2024-02-29T10:00:00Z")
    assert date_forms.is_time("23:59:59.9")
    assert not date_forms.is_time("24:00:00")


@pytest.mark.parametrize(
    ("left", "right", "after"),
    [
        ("2024", "2023", True),
        ("2024", "2024-05", False),
        ("2024-05", "2024", False),
        ("2024-06", "2024-05-31", True),
        ("2024-05-31", "2024-05-31T23:00:00Z", False),
        ("2024-05-31T10:00:00Z", "2024-05-31T10:00:00Z", False),
        ("2024-05-31T10:00:01Z", "2024-05-31T10:00:00Z", True),
        ("2024-05-31T10:00:00+05:30", "2024-05-31T05:00:00Z", False),
        ("2024-05-31T10:00:00Z", "2024-05-31T15:00:00+05:30", True),
        ("2016-12-31T23:59:60Z", "2017-01-01T05:30:00+05:30", False),
        ("2024-05-31T10:00:00.5Z", "2024-05-31T15:30:00.25+05:30", True),
    ],
)
def test_only_what_is_certain_counts_as_after(left: str, right: str, after: bool) -> None:
    """A partial date is not before or after a moment inside it."""
    assert date_forms.is_certainly_after(left, right) is after
