"""FHIR's date, dateTime and instant: their form, whether the day exists, and which of two comes first.

https://hl7.org/fhir/R4/datatypes.html#dateTime. Partial dates stay partial: nothing here fills them up.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

_YEAR: Final = r"(?!0000)[0-9]{4}"
_MONTH: Final = r"(?:0[1-9]|1[0-2])"
_DAY: Final = r"(?:0[1-9]|[12][0-9]|3[01])"
_TIME: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]{1,9})?"
_OFFSET: Final = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"

_DATE: Final = re.compile(rf"{_YEAR}(?:-{_MONTH}(?:-{_DAY})?)?")
_DATE_TIME: Final = re.compile(rf"{_YEAR}(?:-{_MONTH}(?:-{_DAY}(?:T{_TIME}{_OFFSET})?)?)?")
_INSTANT: Final = re.compile(rf"{_YEAR}-{_MONTH}-{_DAY}T{_TIME}{_OFFSET}")
_TIME_OF_DAY: Final = re.compile(_TIME)

_DATE_CHARS: Final = 10
_ALWAYS_THERE: Final = "28"


def is_date(text: str) -> bool:
    """Whether this is a FHIR date (YYYY, YYYY-MM or YYYY-MM-DD) of a day that exists."""
    return _DATE.fullmatch(text) is not None and _day_exists(text)


def is_date_time(text: str) -> bool:
    """Whether this is a FHIR dateTime: a date, or one with time to the second and an offset."""
    return _DATE_TIME.fullmatch(text) is not None and _day_exists(text)


def is_instant(text: str) -> bool:
    """Whether this is a FHIR instant: date, time to the second or finer, offset."""
    return _INSTANT.fullmatch(text) is not None and _day_exists(text)


def is_time(text: str) -> bool:
    """Whether this is a FHIR time of day, HH:MM:SS with an optional fraction."""
    return _TIME_OF_DAY.fullmatch(text) is not None


def _day_exists(text: str) -> bool:
    day = text[8:10]
    if day <= _ALWAYS_THERE:
        return True
    month = text[5:7]
    if month == "02":
        year = int(text[:4])
        return day == "29" and (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))
    return day != "31" or month not in ("04", "06", "09", "11")


def is_certainly_after(left: str, right: str) -> bool:
    """Whether `left` is after `right` however their missing parts are filled.

    Both must be valid dateTimes. Where one is only a date, both are compared in the precision they share, as
    written: the offset of the other is not applied to a date that has none.
    """
    shared = min(len(left), len(right))
    if shared <= _DATE_CHARS:
        return left[:shared] > right[:shared]
    if left[19:] == right[19:]:
        return left > right
    return _moment(left) > _moment(right)


def _moment(text: str) -> datetime:
    # datetime has no second 60; for an order of start and end 59 serves as well.
    return datetime.fromisoformat(text[:17] + "59" + text[19:] if text[17:19] == "60" else text)
