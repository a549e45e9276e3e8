"""From journals to the view: bringing it forward, rebuilding it, and folding a fresh one to compare with.

Entries of several origins are folded in the order of their hybrid logical clocks, as they happened; the result does not
depend on it (invariant 5).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from heapq import merge
from typing import Final, TypeVar

from nirantar import limits
from nirantar.errors import Damaged, EntryDamaged
from nirantar.journal.entry import Entry, Hlc, decode
from nirantar.journal.reader import JournalReader
from nirantar.store.port import Ahead, View
from nirantar.store.projector import NO_OUTLINES, Outlines
from nirantar.tlog.merkle import leaf_hash

BATCH_ENTRIES: Final = 256
UNKNOWN_VERSION: Final = "its format is newer than this program"
UNREADABLE: Final = "it is not an entry, though its node signed it"
MISSING: Final = "its bytes are missing; only its leaf hash is known"

Progress = Callable[[int, int], None]
"""Called with (entries done, entries in all)."""

T = TypeVar("T")
Place = tuple[int, int, str]
Step = tuple[Place, str, int, bytes, Entry | str]
"""(place in the order, origin, entry index, leaf hash, the entry or why it is not folded)."""
KeptEntry = tuple[int, bytes, bytes]
"""(index, exact bytes, leaf hash), as JournalReader.entries gives them."""


def no_progress(done: int, total: int) -> None:
    """For callers that show none."""


def bring_forward(
    reader: JournalReader, view: View, *, stop_at: Mapping[str, int] | None = None, progress: Progress = no_progress
) -> int:
    """Fold what the view lacks of every log (up to `stop_at`, sizes by origin) and return the number of entries.

    A view that is ahead of its journal, or belongs to another, is emptied and rebuilt. An entry that its node signed
    but nobody can read is kept as evidence. Raises EntryDamaged for one that differs from its leaf hash.
    """
    sizes = dict(stop_at) if stop_at is not None else {origin: reader.size(origin) for origin in reader.origins()}
    starts = _starts(reader, view, sizes)
    if starts is None:
        view.forget_all()
        starts = dict.fromkeys(sizes, 0)
    total = sum(size - starts[origin] for origin, size in sizes.items())
    streams = [_entries(reader, origin, starts[origin], size) for origin, size in sizes.items()]
    return _fold(view, streams, total, progress)


def follows(reader: JournalReader, view: View) -> bool:
    """Whether the view was made from entries of these journals, as far as its positions tell."""
    return _starts(reader, view, {origin: reader.size(origin) for origin in reader.origins()}) is not None


def bring_forward_in_recovery(
    reader: JournalReader, view: View, own_origin: str, tails: Mapping[str, Sequence[KeptEntry]],
    progress: Progress = no_progress, ahead: Ahead | None = None,
) -> int:
    """The same while a recovery still brings the old logs here: the view came from a snapshot, so it is ahead of them,
    and what followed the snapshot is in `tails`, (index, bytes, leaf hash) of entries by origin.

    The view is never emptied. `ahead` reads what the fold will touch. Raises Damaged where it does not meet the tails.
    """
    with view.reader() as state:
        positions = state.positions()
    streams, total = [], 0
    for origin, entries in tails.items():
        start = positions[origin].entries if origin in positions else 0
        left = [each for each in entries if each[0] >= start]
        if left and left[0][0] != start:
            raise Damaged(f"The view has {start} entries of {origin}, but what follows here begins at {left[0][0]}.")
        streams.append(_steps(iter(left), origin, start, start + len(left)))
        total += len(left)
    start = positions[own_origin].entries if own_origin in positions else 0
    size = reader.size(own_origin)
    streams.append(_entries(reader, own_origin, start, size))
    return _fold(view, streams, total + size - start, progress, ahead)


def _fold(
    view: View, streams: Sequence[Iterator[Step]], total: int, progress: Progress, ahead: Ahead | None = None
) -> int:
    done = 0
    steps = merge(*streams, key=lambda step: step[0])
    outlined = ((step, NO_OUTLINES) for step in steps) if ahead is None else _read_ahead(steps, ahead)
    for batch in _batches(outlined, BATCH_ENTRIES):
        view.begin()
        try:
            for (_, origin, entry_index, leaf, entry), outlines in batch:
                if isinstance(entry, str):
                    view.skip(origin, entry_index, leaf, entry)
                else:
                    view.project(entry_index, leaf, entry, outlines)
            view.commit()
        except BaseException:
            view.roll_back()
            raise
        done += len(batch)
        progress(done, total)
    return done


def _starts(reader: JournalReader, view: View, sizes: Mapping[str, int]) -> dict[str, int] | None:
    """Where each log goes on, or None when the view is not a prefix of these journals."""
    with view.reader() as state:
        positions = state.positions()
    for origin, position in positions.items():
        if position.entries == 0:
            continue
        if position.entries > sizes.get(origin, 0):
            return None
        if reader.leaf_hashes(origin, position.entries - 1, position.entries) != [position.last_leaf_hash]:
            return None
    return {origin: positions[origin].entries if origin in positions else 0 for origin in sizes}


def _entries(reader: JournalReader, origin: str, start: int, stop: int) -> Iterator[Step]:
    return _steps(reader.entries(origin, start, stop), origin, start, stop)


def _steps(entries: Iterator[KeptEntry], origin: str, start: int, stop: int) -> Iterator[Step]:
    """Entries with their place in the order. What cannot be read keeps its predecessor's place."""
    place = (0, 0, origin)
    expected = start
    for entry_index, data, leaf in entries:
        if entry_index != expected:
            raise EntryDamaged(origin, expected, "it is not in the journal")
        expected += 1
        if data and leaf_hash(data) != leaf:
            raise EntryDamaged(origin, entry_index, "its bytes differ from its leaf hash")
        entry = _read(data, origin, entry_index)
        if isinstance(entry, Entry):
            # A clock that cannot be read makes the view refuse the entry, wherever it stands.
            with suppress(ValueError):
                clock = Hlc.parse(entry.hlc)
                place = (clock.wall_us, clock.counter, origin)
        yield place, origin, entry_index, leaf, entry
    if expected != stop:
        raise Damaged(f"The journal of {origin} ends at entry {expected} where {stop} are expected.")


def _read(data: bytes, origin: str, entry_index: int) -> Entry | str:
    if not data:
        return MISSING
    try:
        return decode(data, origin, entry_index) or UNKNOWN_VERSION
    except EntryDamaged:
        return UNREADABLE


def _read_ahead(steps: Iterator[Step], ahead: Ahead) -> Iterator[tuple[Step, Outlines]]:
    """The steps in order with the outlines of their resources, so many batches behind what is being read."""
    reading: deque[tuple[list[Step], Future[list[Outlines]]]] = deque()
    for batch in _batches(steps, limits.RECOVERY_AHEAD_ENTRIES):
        reading.append((batch, ahead.begin([step[4] for step in batch if isinstance(step[4], Entry)])))
        if len(reading) > limits.RECOVERY_AHEAD_BATCHES:
            yield from _was_read(*reading.popleft())
    while reading:
        yield from _was_read(*reading.popleft())


def _was_read(batch: list[Step], reading: Future[list[Outlines]]) -> Iterator[tuple[Step, Outlines]]:
    outlines = iter(reading.result())
    for step in batch:
        yield step, next(outlines) if isinstance(step[4], Entry) else NO_OUTLINES


def _batches(steps: Iterator[T], most: int) -> Iterator[list[T]]:
    batch: list[T] = []
    for step in steps:
        batch.append(step)
        if len(batch) == most:
            yield batch
            batch = []
    if batch:
        yield batch
