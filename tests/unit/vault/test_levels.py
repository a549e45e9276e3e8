"""When segments are merged, how many a merged one takes, and which smaller ones may go: by keys, counts and ages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from nirantar.limits import (
    LEVEL_AGE_SECONDS_MAX,
    LEVEL_EXPIRES_SECONDS,
    LEVEL_SEGMENTS_MAX,
    SEGMENT_MERGED_ENTRIES_MAX,
    SEGMENT_MERGED_PLAIN_BYTES_MAX,
)
from nirantar.vault.keys import LEVELS, SegmentKey
from nirantar.vault.levels import MERGED_FROM, next_merge, superseded

NODE = "opd-1"


def keys(level: str, *bounds: int) -> list[SegmentKey]:
    """Segments of a level between these bounds."""
    return [SegmentKey(NODE, level, first, stop - first) for first, stop in pairwise(bounds)]


def due(
    unmerged: Mapping[str, Sequence[SegmentKey]], *, age: float = 0.0, plain_bytes: int = 10
) -> tuple[str, int] | None:
    """The level to merge into and how many segments."""
    levels = {level: unmerged.get(level, ()) for level in LEVELS[:-1]}
    found = next_merge(levels, lambda key: age, lambda key: plain_bytes)
    return None if found is None else (found[0], len(found[1]))


def test_nothing_is_merged_before_it_is_due() -> None:
    """One segment fewer than the number, all of them young: nothing. And where there is none, none is old."""
    for level, count in LEVEL_SEGMENTS_MAX.items():
        assert due({level: keys(level, *range(count))}, age=LEVEL_AGE_SECONDS_MAX[level] - 1) is None
    assert due({}, age=1e9) is None


def test_a_level_is_merged_by_number_or_by_age() -> None:
    """The number makes a whole one, and no more than the number goes into it; age merges what there is."""
    for into, level in MERGED_FROM.items():
        count = LEVEL_SEGMENTS_MAX[level]
        assert due({level: keys(level, *range(count + 5))}) == (into, count)
        assert due({level: keys(level, 0, 7, 9)}, age=LEVEL_AGE_SECONDS_MAX[level]) == (into, 2)


def test_the_lowest_level_comes_first() -> None:
    """What is merged below becomes part of what is merged above."""
    assert due({"live": keys("live", *range(80)), "day": keys("day", *range(80))}) == ("minute", 60)


def test_a_merged_segment_is_bounded() -> None:
    """By bytes and by entries; one alone goes whatever it is, since it fitted its own level."""
    half = SEGMENT_MERGED_PLAIN_BYTES_MAX // 2
    many = {"day": keys("day", *range(31))}
    assert due(many, plain_bytes=half) == ("month", 2)
    assert due(many, plain_bytes=half + 1) == ("month", 1)
    assert due(many, plain_bytes=half * 3) == ("month", 1)
    third = SEGMENT_MERGED_ENTRIES_MAX // 3
    assert due({"day": keys("day", *range(0, third * 31, third))}) == ("month", 3)


def test_a_merged_segment_has_no_gap() -> None:
    """Where a recovery lost entries, the segments before and after them are merged apart; an overlap is no gap."""
    split = {"day": [*keys("day", 0, 5, 9), *keys("day", 12, 15)]}
    assert due(split, age=1e9) == ("month", 2)
    overlapping = {"live": [*keys("live", 3, 4), *keys("live", 3, 7), *keys("live", 7, 9)]}
    assert due(overlapping, age=1e9) == ("minute", 3)


def test_every_level_is_merged_long_before_it_expires() -> None:
    """The ages of merging add up, level by level, to less than the time that a segment stays; the highest stays."""
    waited = 0.0
    for level in LEVELS[:-1]:
        waited += LEVEL_AGE_SECONDS_MAX[level]
        assert LEVEL_AGE_SECONDS_MAX[level] * 1.5 <= LEVEL_EXPIRES_SECONDS[level]
    assert "month" not in LEVEL_EXPIRES_SECONDS
    assert waited < LEVEL_EXPIRES_SECONDS["day"]


OLD = 400 * 86_400.0


def gone(stored: Sequence[SegmentKey], proven: Sequence[SegmentKey], *, age: float = OLD) -> list[SegmentKey]:
    """What may be expired of what is stored, all of one age."""
    return list(superseded(dict.fromkeys(stored, age), proven))


def test_what_a_proven_higher_level_holds_may_go() -> None:
    """Also where two higher ones hold it together; the highest stays for good."""
    live, hour = keys("live", 0, 5, 9, 14), keys("hour", 0, 9)
    assert gone([*live, *hour], hour) == live[:2]
    assert gone([*live, *hour], [*hour, *keys("minute", 7, 14)]) == live
    month = keys("month", 0, 14)
    assert gone([*live, *hour, *month], month) == [*live, *hour]


def test_what_is_young_stays() -> None:
    """One second before its level's time, a segment is kept, whoever covers it."""
    month = keys("month", 0, 9)
    for level, seconds in LEVEL_EXPIRES_SECONDS.items():
        assert gone(keys(level, 0, 9), month, age=seconds - 1) == []
        assert gone(keys(level, 0, 9), month, age=seconds) == keys(level, 0, 9)


def test_a_name_that_is_not_proven_covers_nothing() -> None:
    """Whoever can add an object cannot make the true ones expire by naming it; nor does a lower level cover a higher."""
    live, month = keys("live", 0, 5, 9), keys("month", 0, 9)
    assert gone([*live, *month], []) == []
    assert gone(keys("day", 0, 9), live) == []
    assert gone([*live, *month], keys("month", 0, 8)) == live[:1]
