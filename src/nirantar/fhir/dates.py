"""FHIR dates as ranges of microseconds, and how two ranges compare in a search.

A FHIR date says as much as its writer knew: `2024`, `2024-05`, `2024-05-01`, or a moment with its UTC offset. Each is
the range of all moments that it may mean, half-open: `[low_us, high_us)`, in microseconds since 1970 UTC.
Sources: R4 datatypes (date, dateTime, instant, Period, Timing) and R4 search §3.1.1.4.5 (date).
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date
from functools import lru_cache
from typing import Any, Final

from nirantar.errors import InvalidInput

MICROSECONDS: Final = 1_000_000
DAY_US: Final = 86_400 * MICROSECONDS

HOSPITAL_UTC_OFFSET_MINUTES: Final = 330
"""What a date without an offset is relative to: Indian Standard Time.

R4 search says that a server assumes its own time zone there. India has a single zone without summer time, so one
constant is exact; with UTC instead, a test done at two in the morning would be filed under the day before.
"""

OPEN_START_US: Final = -(2**62)
"""The low end of a Period that has no start: before every date, and inside a signed 64-bit column."""

OPEN_END_US: Final = 2**62
"""The high end of a Period that has no end."""

_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_OFFSET_US: Final = HOSPITAL_UTC_OFFSET_MINUTES * 60 * MICROSECONDS
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d|60)(?:\.(\d{1,32}))?)?"
    r"(Z|[+-](?:0\d|1[0-3]):[0-5]\d|[+-]14:00)?)?)?)?",
    re.ASCII,
)

Range = tuple[int, int]

_RANGES_REMEMBERED_MAX: Final = 4_096
"""One visit's resources share their times, and those of one transaction their `lastUpdated`."""


@lru_cache(maxsize=_RANGES_REMEMBERED_MAX)
def range_of(text: str) -> Range:
    """The half-open range `[low_us, high_us)` that a date, dateTime or instant means.

    A second may be 60 (a leap second; counted as the first moment of the next minute), digits of a fraction beyond
    microseconds are cut, and as in searches the seconds or the offset may be absent. Raises InvalidInput for
    anything that is not such a date, or not in the calendar.
    """
    matched = _DATE.fullmatch(text)
    if matched is None:
        raise InvalidInput("This is not a FHIR date: write YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss+zz:zz.")
    year, month, day, hour, minute, second, fraction, offset = matched.groups()
    try:
        if hour is None:
            return _days(int(year), int(month) if month else None, int(day) if day else None)
        midnight = (date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY) * DAY_US
    except ValueError as error:
        raise InvalidInput("This date is not in the calendar.") from error
    low = midnight + (int(hour) * 60 + int(minute)) * 60 * MICROSECONDS - _offset_us(offset)
    if second is None:
        return low, low + 60 * MICROSECONDS
    low += int(second) * MICROSECONDS
    if fraction is None:
        return low, low + MICROSECONDS
    digits = fraction[:6]
    unit = 10 ** (6 - len(digits))
    low += int(digits) * unit
    return low, low + unit


def _days(year: int, month: int | None, day: int | None) -> Range:
    """The range of a year, a month or a day at the hospital's offset. Raises ValueError outside the calendar."""
    first = date(year, month or 1, day or 1).toordinal()
    if day is not None:
        days = 1
    elif month is not None:
        days = monthrange(year, month)[1]
    else:
        days = 366 if monthrange(year, 2)[1] == 29 else 365
    low = (first - _EPOCH_DAY) * DAY_US - _OFFSET_US
    return low, low + days * DAY_US


def _offset_us(offset: str | None) -> int:
    """How far a local time with this offset runs ahead of UTC; without an offset, the hospital's."""
    if offset is None:
        return _OFFSET_US
    if offset == "Z":
        return 0
    ahead = (int(offset[1:3]) * 60 + int(offset[4:6])) * 60 * MICROSECONDS
    return -ahead if offset[0] == "-" else ahead


def range_of_value(value: Any) -> Range | None:
    """The range of an element that a date parameter points to: a date, dateTime, instant, Period or Timing.

    A Timing counts from its first to its last moment, its repetition pattern aside (R4 search). None for anything
    else: an index says nothing about a value that it cannot place in time.
    """
    try:
        if isinstance(value, str):
            return range_of(value)
        if not isinstance(value, dict):
            return None
        if "start" in value or "end" in value:
            return _range_of_period(value)
        return _range_of_timing(value)
    except InvalidInput:
        return None


def _range_of_period(period: dict[str, Any]) -> Range | None:
    """From the first moment of the start to the last of the end; a missing one is open. None if it runs backwards."""
    start, end = period.get("start"), period.get("end")
    low = range_of(start)[0] if isinstance(start, str) else OPEN_START_US
    high = range_of(end)[1] if isinstance(end, str) else OPEN_END_US
    return (low, high) if low < high else None


def _range_of_timing(timing: dict[str, Any]) -> Range | None:
    """From the earliest to the latest moment that a Timing names by its events or its bounds."""
    events = timing.get("event")
    ranges = [range_of(event) for event in events if isinstance(event, str)] if isinstance(events, list) else []
    repeat = timing.get("repeat")
    bounds = repeat.get("boundsPeriod") if isinstance(repeat, dict) else None
    if isinstance(bounds, dict):
        period = _range_of_period(bounds)
        if period is not None:
            ranges.append(period)
    if not ranges:
        return None
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def range_matches(prefix: str, stored: Range, asked: Range) -> bool:
    """Whether a stored range answers a search for `prefix` and the asked range (R4 search, table of prefixes).

    `ap` asks for any overlap: its widening is part of the asked range already.
    """
    (low, high), (asked_low, asked_high) = stored, asked
    inside = asked_low <= low and high <= asked_high
    match prefix:
        case "eq":
            return inside
        case "ne":
            return not inside
        case "gt":
            return high > asked_high
        case "lt":
            return low < asked_low
        case "ge":
            return high > asked_high or inside
        case "le":
            return low < asked_low or inside
        case "sa":
            return low >= asked_high
        case "eb":
            return high <= asked_low
        case "ap":
            return low < asked_high and asked_low < high
    raise AssertionError(f"unknown date prefix {prefix!r}")
