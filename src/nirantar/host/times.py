"""Time as Nirantar holds it: whole microseconds since 1970 UTC; FHIR's instant only at the edges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UTC: Final = "+00:00"
_MICROSECOND: Final = timedelta(microseconds=1)


def instant(time_us: int) -> str:
    """FHIR instant with milliseconds, UTC: `2026-11-23T08:30:12.345Z`."""
    text = (_EPOCH + timedelta(microseconds=time_us)).isoformat(timespec="milliseconds")
    return text[: -len(_UTC)] + "Z"


def from_instant(text: str) -> int:
    """Microseconds since 1970 of an ISO 8601 date-time with an offset.

    Raises ValueError when it is not one or has no offset: a time without a zone is not a time.
    """
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        raise ValueError("the time has no UTC offset; write it like 2026-11-23T08:30:00+05:30 or ...Z")
    return (parsed - _EPOCH) // _MICROSECOND
