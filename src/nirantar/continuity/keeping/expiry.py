"""The one thing that a keeper removes, by its own rule and nobody's word: segments that merged ones have long replaced.

A keeper has no key, so it cannot tell whether a merged segment opens. So one replaces others only after it has lain
here for KEEPER_EXPIRY_DAYS itself: that long a rehearsal has had time to open it, and an intruder's rubbish to be
noticed. Which segments are then replaced is decided by `superseded`, pure, from keys and ages alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from nirantar.continuity.keeping.records import Records
from nirantar.host.port import Host
from nirantar.limits import KEEPER_EXPIRY_DAYS
from nirantar.vault.keys import SegmentKey, parse

_DAY_SECONDS = 86_400.0

Superseded = Callable[[Mapping[SegmentKey, float], Iterable[SegmentKey]], Iterator[SegmentKey]]
"""Given the age of each segment of a node in seconds, and those that count as proven: which may go."""


class Expiry:
    """Removes files below `vault`, the keeper's own directory of objects. No message reaches it."""

    def __init__(self, host: Host, vault: Path, records: Records, superseded: Superseded) -> None:
        self._host = host
        self._vault = vault
        self._records = records
        self._superseded = superseded

    def expire(self, node: str) -> list[str]:
        """Remove what may go of one node's segments; the keys, in order."""
        now_us = self._host.now_us()
        ages: dict[SegmentKey, float] = {}
        sizes: dict[SegmentKey, int] = {}
        for key, size, stored_us in self._records.segments(node):
            named = parse(key)
            if isinstance(named, SegmentKey):
                ages[named], sizes[named] = max(0.0, (now_us - stored_us) / 1e6), size
        settled = [key for key, age in ages.items() if age >= KEEPER_EXPIRY_DAYS * _DAY_SECONDS]
        gone = sorted(self._superseded(ages, settled))
        for named in gone:
            # A death between file and record leaves a record without a file, which goes the next time.
            with suppress(FileNotFoundError):
                self._host.files.remove(self._vault / str(named))
            self._records.forget_segment(node, str(named), sizes[named])
        return [str(named) for named in gone]
