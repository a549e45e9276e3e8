"""Reading ahead of the fold: what folding entries will touch is looked up on other connections, in other threads.

In a view that a recovery is still filling, each absent page is a fetch for which the fold would wait; fetched by
several threads they cost the time of one. Nothing depends on this: what was not looked up, the fold fetches itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, LifoQueue
from typing import Final

import apsw

from nirantar.errors import NotHereYet
from nirantar.fhir.index_rows import DateRow, IndexRow, TokenRow
from nirantar.fhir.outline import Outline, outline_of
from nirantar.journal.entry import Entry
from nirantar.store.disk_errors import translated
from nirantar.store.projector import Outlines, compartment_of, parse_resource
from nirantar.store.schema import SEQUENCE_BITS, span_of
from nirantar.store.sqlite_indexing import LookUp, outlined
from nirantar.store.sqlite_rows import first_row

_BEHIND_ALL: Final = (1 << 63) - 1
"""A key that no row has: what is new goes to the end of its like."""
_NEAR_US: Final = 60_000_000

_TYPE: Final = "SELECT type_key FROM type WHERE name = ?"
_PARAM: Final = "SELECT param_key FROM search_param WHERE type_key = ? AND name = ?"
_SYSTEM: Final = "SELECT system_key FROM code_system WHERE name = ?"
_RESOURCE: Final = (
    "SELECT r.resource_key, v.resource FROM resource r JOIN version v ON v.version_row = r.shown"
    " WHERE r.type_key = ? AND r.id = ?"
)
_COMPARTMENT: Final = "SELECT compartment_key FROM compartment WHERE name = ?"
_LAST: Final = (
    "SELECT length(resource) FROM version WHERE version_row >= ? AND version_row < ? ORDER BY version_row DESC LIMIT 1"
)
_VERSIONS: Final = "SELECT 1 FROM version WHERE resource_key = ? AND origin_key = ? AND entry_index = ?"
_ENDS: Final = (
    "SELECT 1 FROM version WHERE type_key = ? ORDER BY recorded_at_us DESC LIMIT 1",
    "SELECT 1 FROM resource INDEXED BY resource_by_type WHERE type_key = ? AND deleted = 0"
    " ORDER BY resource_key DESC LIMIT 1",
    "SELECT max(resource_key) FROM resource WHERE ? IS NOT NULL",
)
"""Where what is new of a type goes."""
_KEY: Final = "SELECT 1 FROM idempotency WHERE key = ?"


class _Seen:
    """What was looked up already, by all threads of one fold."""

    def __init__(self) -> None:
        self.names: dict[tuple[str | int, ...], int | None] = {}
        self.places: set[tuple[object, ...]] = set()


class AheadOfFold:
    """Threads that look up, each on a connection of its own. A store.port.Ahead; close it."""

    def __init__(self, open_reader: Callable[[], apsw.Connection], threads: int) -> None:
        self._open_reader = open_reader
        self._pool = ThreadPoolExecutor(threads, "ahead-of-fold")
        self._idle: LifoQueue[apsw.Connection] = LifoQueue()
        self._seen = _Seen()

    def begin(self, entries: Sequence[Entry]) -> Future[list[Outlines]]:
        """See the port."""
        return self._pool.submit(self._look_up_all, entries)

    def close(self) -> None:
        """End, after what is under way."""
        self._pool.shutdown(cancel_futures=True)
        while not self._idle.empty():
            self._idle.get_nowait().close()

    def _look_up_all(self, entries: Sequence[Entry]) -> list[Outlines]:
        found = [outlines_of(entry) for entry in entries]
        try:
            connection = self._idle.get_nowait()
        except Empty:
            connection = self._open_reader()
        try:
            with translated(), suppress(NotHereYet):
                connection.execute("BEGIN")
                for entry, outlines in zip(entries, found, strict=True):
                    _LookingUp(connection.cursor(), self._seen).look_up(entry, outlines)
        finally:
            if not connection.get_autocommit():
                connection.execute("ROLLBACK")
            self._idle.put(connection)
        return found


class _LookingUp:
    """Looks up through one cursor, in one transaction."""

    def __init__(self, cursor: apsw.Cursor, seen: _Seen) -> None:
        self._cursor = cursor
        self._names = seen.names
        self._places = seen.places

    def look_up(self, entry: Entry, outlines: Outlines) -> None:
        """Look up what folding the entry will touch. Raises NotHereYet."""
        if entry.idempotency_key is not None:
            first_row(self._cursor, _KEY, (entry.idempotency_key,))
        for change in entry.changes:
            outline = outlines.get((change.type, change.id))
            patient = None if outline is None else outline.patient
            self._compartment(compartment_of(change.type, change.id, patient))
            type_key = self._name(_TYPE, change.type)
            if type_key is None:
                continue
            if self._new(("ends", type_key)):
                for find in _ENDS:
                    first_row(self._cursor, find, (type_key,))
            found = first_row(self._cursor, _RESOURCE, (type_key, change.id))
            resource_key = _BEHIND_ALL if found is None else found[0]
            first_row(self._cursor, _VERSIONS, (resource_key, 0, 0))
            replaced = None if found is None else outlined(found[1])
            for each in (outline, replaced):
                for row in () if each is None else each.rows():
                    self._row(type_key, resource_key, row)

    def _compartment(self, name: str) -> None:
        if self._new(("compartment", name)):
            found = first_row(self._cursor, _COMPARTMENT, (name,))
            if found is not None:
                start = found[0] << SEQUENCE_BITS
                first_row(self._cursor, _LAST, (start, start + (1 << SEQUENCE_BITS)))

    def _row(self, type_key: int, resource_key: int, row: IndexRow) -> None:
        param = self._name(_PARAM, type_key, row.param)
        if param is None:
            return
        columns: tuple[int | str, ...]
        place: tuple[int | str, ...]
        if isinstance(row, TokenRow):
            system = self._name(_SYSTEM, row.system) if row.system else 0
            if system is None:
                return
            place = columns = (row.code, system)
        elif isinstance(row, DateRow):
            columns = (span_of(row.low_us, row.high_us), row.low_us, row.high_us)
            place = (columns[0], row.low_us // _NEAR_US)
        else:
            place = columns = (row[1],)
        if self._new((param, *place, resource_key)):
            first_row(self._cursor, LookUp.statement_for(row), (param, *columns, resource_key))

    def _name(self, find: str, *name: str | int) -> int | None:
        """The key of an interned name; None where the view does not know it yet."""
        known = (find, *name)
        if known not in self._names:
            row = first_row(self._cursor, find, name)
            self._names[known] = None if row is None else row[0]
        return self._names[known]

    def _new(self, place: tuple[object, ...]) -> bool:
        if place in self._places:
            return False
        self._places.add(place)
        return True


def outlines_of(entry: Entry) -> Outlines:
    """The outlines of an entry's resources, made of its very bytes; none where they are not what the entry names."""
    outlines: dict[tuple[str, str], Outline] = {}
    for change in entry.changes:
        document = None if change.resource_bytes is None else parse_resource(change.resource_bytes)
        if document is not None and document.get("resourceType") == change.type and document.get("id") == change.id:
            outlines[change.type, change.id] = outline_of(document)
    return outlines


