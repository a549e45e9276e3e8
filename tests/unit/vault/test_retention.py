"""How long each kind of object is locked, and which settings are refused."""

from __future__ import annotations

import pytest

from nirantar.errors import ConfigInvalid
from nirantar.vault.keys import LEVELS
from nirantar.vault.retention import DAY_US, Retention


@pytest.mark.parametrize(
    ("key", "days"),
    [
        ("hospital.json", 1_100),
        ("roster/00000001.note", 1_100),
        *((f"opd-1/{level}/000000000000-3.segment", 90) for level in LEVELS[:-1]),
        (f"opd-1/{LEVELS[-1]}/000000000000-3.segment", 1_100),
        ("opd-1/tile/0/000", 1_100),
        ("opd-1/attachment/" + "a" * 64, 1_100),
        ("something/new", 1_100),
    ],
)
def test_only_what_is_merged_is_kept_shorter(key: str, days: int) -> None:
    """Segments below the highest level have their own days; everything else, known or not, has the long ones."""
    assert Retention().until_us(key, 5) == 5 + days * DAY_US


@pytest.mark.parametrize(
    ("days", "lower", "named"),
    [(13, 13, "retain_days = 13"), (100, 13, "retain_lower_levels_days = 13"), (40_000, 90, "retain_days = 40000"),
     (30, 31, "more than retain_days")],
)
def test_days_that_protect_from_nobody_or_for_ever_are_refused(days: int, lower: int, named: str) -> None:
    """The sentence names the setting and its bounds."""
    with pytest.raises(ConfigInvalid, match=named):
        Retention(days, lower).check()


def test_the_defaults_are_within_the_bounds() -> None:
    """What a node does without being told is allowed."""
    Retention().check()
    Retention(14, 14).check()
    assert Retention().days > Retention().lower_levels_days
