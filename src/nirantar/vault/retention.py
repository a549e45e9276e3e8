"""How long a vault that enforces it keeps each object from everybody, its own administrator included.

Segments of the lower levels are merged into higher ones and may go after that; everything else is what recovery
starts from and stays for years. The days are counted from the moment of storing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nirantar import limits
from nirantar.errors import ConfigInvalid
from nirantar.vault.keys import LEVELS, SegmentKey, parse

DAY_US: Final = 24 * 60 * 60 * 1_000_000
_HIGHEST_LEVEL: Final = LEVELS[-1]


@dataclass(frozen=True, slots=True)
class Retention:
    """Days of the lock: `lower_levels_days` for segments below the highest level, `days` for all else."""

    days: int = limits.RETAIN_DAYS
    lower_levels_days: int = limits.RETAIN_LOWER_LEVELS_DAYS

    def check(self) -> None:
        """Raise ConfigInvalid for days outside limits.RETAIN_DAYS_MIN and RETAIN_DAYS_MAX, or the wrong way round."""
        for name, days in (("retain_days", self.days), ("retain_lower_levels_days", self.lower_levels_days)):
            if not limits.RETAIN_DAYS_MIN <= days <= limits.RETAIN_DAYS_MAX:
                raise ConfigInvalid(
                    f"{name} = {days}: a lock is {limits.RETAIN_DAYS_MIN} to {limits.RETAIN_DAYS_MAX} days. Shorter "
                    "ones end while an intruder still waits; nobody can undo one that is too long."
                )
        if self.lower_levels_days > self.days:
            raise ConfigInvalid(
                f"retain_lower_levels_days = {self.lower_levels_days} is more than retain_days = {self.days}: what is "
                "merged would be kept longer than what it was merged into."
            )

    def until_us(self, key: str, now_us: int) -> int:
        """When the lock of an object that is stored now ends, in microseconds since 1970."""
        segment = parse(key)
        lower = isinstance(segment, SegmentKey) and segment.level != _HIGHEST_LEVEL
        return now_us + (self.lower_levels_days if lower else self.days) * DAY_US
