"""The attack against which drills are measured: a large Indian hospital, November 2022, from its public record.

About 1.3 TB on five servers were encrypted; outpatients, wards and laboratories worked on paper meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SECONDS_A_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that came back, and after how many days in 2022."""

    what: str
    days: int


DATABASE: Final = Figure("Records can be read again", 7)
REGISTRATION: Final = Figure("Patients can be registered again", 14)
LABORATORY: Final = Figure("The laboratory's link works again", 20)

PAPER: Final = "days of paper, typed in afterwards"
NOT_PROVEN: Final = "no proof was possible"
HONEST_LINE: Final = (
    "To be fair: this was one PC with synthetic patients. That hospital saw 20,000 outpatients a day, and it also had "
    "thousands of PCs to clean."
)
"""Printed below every comparison."""
