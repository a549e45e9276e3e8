"""Whether a view that came with a snapshot shows what the journal says, row by row, and nothing else.

The snapshot's own digest cannot tell: who changed rows before it was made is in it. Nothing is folded anew, so this
takes a pass over the journal, one look-up a version and no second database.
"""

from __future__ import annotations

from collections.abc import Mapping

from nirantar.continuity.replay import BATCH_ENTRIES
from nirantar.errors import Damaged, EntryDamaged
from nirantar.fold.grants import Grant
from nirantar.journal.entry import Entry, decode
from nirantar.journal.reader import JournalReader
from nirantar.store.projector import read_entry
from nirantar.store.sqlite import SqliteView


def shows_the_journal(view: SqliteView, reader: JournalReader, grants: Mapping[str, Grant]) -> bool:
    """Whether every version in the view is one of the journal's, byte for byte, none is missing, what is not folded may
    not be, and heads, search rows and digest follow from the versions. The journal is taken as proven."""
    try:
        with view.reader() as state:
            if next(iter(state.check_rows()), None) is not None:
                return False
            positions = {origin: position.entries for origin, position in state.positions().items()}
            unfolded = {(origin, entry_index) for origin, entry_index, _ in state.unfolded()}
        for origin, entries in positions.items():
            versions = 0
            for start in range(0, entries, BATCH_ENTRIES):
                stop = min(entries, start + BATCH_ENTRIES)
                shown = _versions_shown(view, reader, grants, unfolded, (origin, start, stop))
                if shown is None:
                    return False
                versions += shown
            with view.reader() as state:
                if state.versions_before(origin, entries) != versions:
                    return False
    except Damaged:
        return False
    return True


def _versions_shown(
    view: SqliteView, reader: JournalReader, grants: Mapping[str, Grant], unfolded: set[tuple[str, int]],
    stretch: tuple[str, int, int],
) -> int | None:
    """How many versions these entries made, all of them in the view as they are; None where one is not."""
    origin, start, stop = stretch
    count = 0
    with view.reader() as state:
        for entry_index, data, _ in reader.entries(origin, start, stop):
            entry = _read(data, origin, entry_index)
            may_fold = entry is not None and not isinstance(read_entry(entry_index, entry, grants), str)
            if may_fold == ((origin, entry_index) in unfolded):
                return None
            if entry is None or not may_fold:
                continue
            for change in entry.changes:
                version = state.read_version(change.type, change.id, change.version_id)
                if version is None or version.resource != change.resource_bytes:
                    return None
                count += 1
    return count


def _read(data: bytes, origin: str, entry_index: int) -> Entry | None:
    try:
        return decode(data, origin, entry_index) if data else None
    except EntryDamaged:
        return None
