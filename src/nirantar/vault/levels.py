"""Levels: when segments are merged into fewer, larger ones, and when the smaller may go. Pure: keys, counts and ages.

    live -> minute -> hour -> day -> month

A level is merged into the next when it has LEVEL_SEGMENTS_MAX segments that the next does not cover, or when the oldest
of them is LEVEL_AGE_SECONDS_MAX old: so a reader of the whole log needs few requests however busy or quiet the node is,
and nothing expires (LEVEL_EXPIRES_SECONDS) that was not merged long before. The names are those of a node that seals
each second; what counts is the number, not the calendar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from nirantar.limits import (
    LEVEL_AGE_SECONDS_MAX,
    LEVEL_EXPIRES_SECONDS,
    LEVEL_SEGMENTS_MAX,
    SEGMENT_MERGED_ENTRIES_MAX,
    SEGMENT_MERGED_PLAIN_BYTES_MAX,
)
from nirantar.vault.keys import LEVELS, SegmentKey

MERGED_FROM: Final = dict(zip(LEVELS[1:], LEVELS[:-1], strict=True))
"""Each merged level and the level that it is made of."""


def next_merge(
    unmerged: Mapping[str, Sequence[SegmentKey]], age_seconds: Callable[[SegmentKey], float],
    plain_bytes: Callable[[SegmentKey], int],
) -> tuple[str, list[SegmentKey]] | None:
    """The level to merge into now, and the segments of the level below that one merged segment takes; None when nothing
    is due. The lowest level comes first.

    `unmerged` are the segments of each level that the next does not cover, in order. A merged segment holds whole ones
    that adjoin, so that it begins and ends where they do, within SEGMENT_MERGED_PLAIN_BYTES_MAX and
    SEGMENT_MERGED_ENTRIES_MAX; one alone always fits.
    """
    for level, below in MERGED_FROM.items():
        waiting = unmerged[below]
        if not waiting:
            continue
        if len(waiting) < LEVEL_SEGMENTS_MAX[below] and age_seconds(waiting[0]) < LEVEL_AGE_SECONDS_MAX[below]:
            continue
        run = [waiting[0]]
        entries, size = waiting[0].count, plain_bytes(waiting[0])
        for key in waiting[1 : LEVEL_SEGMENTS_MAX[below]]:
            entries, size = entries + key.count, size + plain_bytes(key)
            if (
                key.first > run[-1].end
                or entries > SEGMENT_MERGED_ENTRIES_MAX
                or size > SEGMENT_MERGED_PLAIN_BYTES_MAX
            ):
                break
            run.append(key)
        return level, run
    return None


def superseded(age_seconds: Mapping[SegmentKey, float], proven: Iterable[SegmentKey]) -> Iterator[SegmentKey]:
    """Which segments of one node may be expired: those that have been stored for their level's time (`age_seconds`) and
    whose every entry is in segments of higher levels that are `proven`.

    `proven` are the keys whose header proves itself by the node's signature; a name alone covers nothing. Whatever is
    dropped together, each entry stays in the highest level that held it.
    """
    kept = list(proven)
    reaches = {
        level: list(_joined(key for key in kept if LEVELS.index(key.level) > height))
        for height, level in enumerate(LEVELS)
    }
    for key, age in age_seconds.items():
        expires = LEVEL_EXPIRES_SECONDS.get(key.level)
        covered = any(first <= key.first and key.end <= end for first, end in reaches[key.level])
        if expires is not None and age >= expires and covered:
            yield key


def _joined(keys: Iterable[SegmentKey]) -> Iterator[Sequence[int]]:
    """The stretches [first, end) that segments cover together."""
    reach: list[int] = []
    for key in sorted(keys, key=lambda each: each.first):
        if reach and key.first <= reach[1]:
            reach[1] = max(reach[1], key.end)
            continue
        if reach:
            yield reach
        reach = [key.first, key.end]
    if reach:
        yield reach
