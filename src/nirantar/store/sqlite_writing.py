"""Folding into the SQLite view: one entry at a time, inside the caller's transaction.

What an entry means is decided in projector.py and which versions are current in fold/version_graph.py; here that is
written down with as few statements as it takes. The usual version (the first of its resource, or one made from the
only current one) needs no look at the resource's past.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import apsw

from nirantar.errors import Damaged, LimitExceeded
from nirantar.fold.grants import Grant
from nirantar.fold.version_graph import GraphNode, heads, node_of, parse_version_id, rank, version_id
from nirantar.journal.entry import Entry
from nirantar.store.projector import Folding, Outlines, Projected, numbers_in, read_entry
from nirantar.store.schema import SEQUENCE_BITS
from nirantar.store.sqlite_indexing import Indexer, Interned, outlined
from nirantar.store.sqlite_rows import all_rows, first_row, one_row

_ORIGIN: Final = "SELECT origin_key, entries FROM origin WHERE name = ?"
_ADVANCE: Final = "UPDATE origin SET entries = ?, last_leaf_hash = ? WHERE origin_key = ?"
_NEW_ORIGIN: Final = "INSERT INTO origin (name, node, entries, last_leaf_hash) VALUES (?, ?, 1, ?)"
_UNFOLDED: Final = "INSERT INTO unfolded (origin_key, entry_index, why) VALUES (?, ?, ?)"
_KEY: Final = "INSERT OR IGNORE INTO idempotency (key, origin_key, entry_index) VALUES (?, ?, ?)"
_NUMBER: Final = "INSERT OR IGNORE INTO number (series, value) VALUES (?, ?)"

_FIND: Final = (
    "SELECT r.resource_key, r.shown, r.heads, v.origin_key, v.entry_index, v.resource FROM resource r"
    " JOIN version v ON v.version_row = r.shown WHERE r.type_key = ? AND r.id = ?"
)
_LAST_ROW: Final = (
    "SELECT version_row FROM version WHERE version_row >= ? AND version_row < ? ORDER BY version_row DESC LIMIT 1"
)
_NEW_VERSION: Final = (
    "INSERT INTO version (version_row, resource_key, type_key, origin_key, entry_index, hlc_wall_us, hlc_counter,"
    " recorded_at_us, parents, resource) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_NEW_RESOURCE: Final = (
    "INSERT INTO resource (type_key, id, shown, heads, deleted) VALUES (?, ?, ?, 1, ?)"
)
_SHOW: Final = "UPDATE resource SET shown = ?, heads = ?, deleted = ? WHERE resource_key = ?"
_AWAIT: Final = "INSERT OR IGNORE INTO awaited (resource_key, version_id) VALUES (?, ?)"
_ARRIVED: Final = "DELETE FROM awaited WHERE resource_key = ? AND version_id = ?"
_GRAPH: Final = (
    "SELECT v.version_row, o.name, v.entry_index, v.hlc_wall_us, v.hlc_counter, v.recorded_at_us, v.parents"
    " FROM version v JOIN origin o ON o.origin_key = v.origin_key WHERE v.resource_key = ?"
)
_FORGET_HEADS: Final = "DELETE FROM head WHERE resource_key = ?"
_HEADS: Final = "SELECT version_row FROM head WHERE resource_key = ?"
_HEAD: Final = "INSERT INTO head (resource_key, version_row) VALUES (?, ?)"
_RESOURCE: Final = "SELECT resource FROM version WHERE version_row = ?"
_COMPARTMENT: Final = "SELECT name FROM compartment WHERE compartment_key = ?"
_STALE: Final = "INSERT OR IGNORE INTO digest_stale (subject) VALUES (?)"


class Writer:
    """Folds entries through one connection. What it remembers between entries is bounded: interned names, and how
    far each origin is folded."""

    def __init__(self, connection: apsw.Connection, series_of_system: Mapping[str, str]) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._series_of_system = series_of_system
        self._folded: dict[str, tuple[int, int]] = {}
        self._interned = Interned(self._cursor)
        self._indexer = Indexer(self._cursor, self._interned)

    def forget_caches(self) -> None:
        """After a rollback: what was interned or folded since may be gone again."""
        self._interned.forget()
        self._folded.clear()

    def project(
        self, entry_index: int, leaf_hash: bytes, entry: Entry, grants: Mapping[str, Grant], outlines: Outlines
    ) -> None:
        """Fold one entry or keep it as evidence; see the port."""
        origin_key = self._advance(entry.origin, entry_index, leaf_hash)
        folding = read_entry(entry_index, entry, grants, outlines)
        if isinstance(folding, str):
            self._cursor.execute(_UNFOLDED, (origin_key, entry_index, folding))
            return
        if entry.idempotency_key is not None:
            self._cursor.execute(_KEY, (entry.idempotency_key, origin_key, entry_index))
        placed = _Place(self._cursor, origin_key, entry.origin, entry_index, folding)
        for change in folding.changes:
            self._fold(placed, change)

    def skip(self, origin: str, entry_index: int, leaf_hash: bytes, why: str) -> None:
        """Count an entry as seen and keep the reason why it is not folded."""
        self._cursor.execute(_UNFOLDED, (self._advance(origin, entry_index, leaf_hash), entry_index, why))

    def _advance(self, origin: str, entry_index: int, leaf_hash: bytes) -> int:
        known = self._folded.get(origin) or first_row(self._cursor, _ORIGIN, (origin,))
        expected = 0 if known is None else known[1]
        if entry_index != expected:
            raise Damaged(f"Entry {entry_index} of {origin} is not the next one to fold: {expected} is.")
        if known is None:
            self._cursor.execute(_NEW_ORIGIN, (origin, node_of(origin), leaf_hash))
            origin_key = self._connection.last_insert_rowid()
        else:
            origin_key = known[0]
            self._cursor.execute(_ADVANCE, (entry_index + 1, leaf_hash, origin_key))
        self._folded[origin] = (origin_key, entry_index + 1)
        return origin_key

    def _fold(self, placed: _Place, change: Projected) -> None:
        cursor = self._cursor
        type_key = self._interned.type_key(change.type)
        compartment_key = self._interned.compartment_key(change.compartment)
        deleted = change.resource is None
        version_row = placed.next_row(compartment_key)
        if change.outline is not None and change.outline.identifiers:
            cursor.executemany(_NUMBER, numbers_in(change.outline.identifiers, self._series_of_system))
        self._stale(change, change.compartment)

        found = first_row(cursor, _FIND, (type_key, change.id))
        if found is None:
            cursor.execute(_NEW_RESOURCE, (type_key, change.id, version_row, deleted))
            resource_key = self._connection.last_insert_rowid()
            placed.write(version_row, resource_key, type_key, change)
            for parent in change.parents:
                cursor.execute(_AWAIT, (resource_key, parent))
            self._indexer.replace(type_key, resource_key, None, change.outline)
            return

        resource_key, shown, head_count, shown_origin_key, shown_index, shown_resource = found
        placed.write(version_row, resource_key, type_key, change)
        cursor.execute(_ARRIVED, (resource_key, placed.version_id))
        superseded = self._connection.changes() > 0
        alone = head_count == 1 and not superseded and len(change.parents) == 1
        if alone and self._names(change.parents[0], shown_origin_key, shown_index):
            cursor.execute(_SHOW, (version_row, 1, deleted, resource_key))
            self._stale_row(change, shown)
            self._indexer.replace(type_key, resource_key, shown_resource, change.outline)
        else:
            self._fold_concurrent(resource_key, type_key, change, shown, shown_resource)

    def _fold_concurrent(
        self, resource_key: int, type_key: int, change: Projected, shown: int, shown_resource: bytes | None
    ) -> None:
        """The general case: decide from the whole set of the resource's versions, the new one included."""
        cursor = self._cursor
        row_of: dict[str, int] = {}
        nodes = []
        for row, origin, entry_index, wall_us, counter, recorded_at_us, parents in all_rows(
            cursor, _GRAPH, (resource_key,)
        ):
            name = version_id(origin, entry_index)
            row_of[name] = row
            ranked = rank(wall_us, counter, recorded_at_us, origin, entry_index)
            nodes.append(GraphNode(name, tuple(parents.split()), ranked))
        for parent in change.parents:
            if parent not in row_of:
                cursor.execute(_AWAIT, (resource_key, parent))

        current = [row_of[node.version_id] for node in heads(nodes)]
        before = [row for (row,) in all_rows(cursor, _HEADS, (resource_key,))] or [shown]
        cursor.execute(_FORGET_HEADS, (resource_key,))
        if len(current) > 1:
            cursor.executemany(_HEAD, [(resource_key, row) for row in current])
        for row in {*before, *current}:
            self._stale_row(change, row)
        (resource,) = one_row(cursor, _RESOURCE, (current[0],))
        cursor.execute(_SHOW, (current[0], len(current), resource is None, resource_key))
        if current[0] != shown:
            self._indexer.replace(type_key, resource_key, shown_resource, outlined(resource))

    def _names(self, parent: str, origin_key: int, entry_index: int) -> bool:
        """Whether the version id `parent` is that of the version with this origin and index."""
        parsed = parse_version_id(parent)
        return parsed is not None and parsed[1] == entry_index and parsed[0] == self._interned.node(origin_key)

    def _stale(self, change: Projected, compartment: str) -> None:
        of_patient = compartment.startswith("Patient/")
        self._cursor.execute(_STALE, (compartment if of_patient else f"{change.type}/{change.id}",))

    def _stale_row(self, change: Projected, version_row: int) -> None:
        """Mark the subject under which this version of the changed resource counts."""
        (compartment,) = one_row(self._cursor, _COMPARTMENT, (version_row >> SEQUENCE_BITS,))
        self._stale(change, compartment)


class _Place:
    """Where the versions of one entry go: their origin, times, and the next free rows of their compartments."""

    __slots__ = ("_cursor", "_head", "_next", "version_id")

    def __init__(
        self, cursor: apsw.Cursor, origin_key: int, origin: str, entry_index: int, folding: Folding
    ) -> None:
        self._cursor = cursor
        self._head = (origin_key, entry_index, folding.hlc.wall_us, folding.hlc.counter, folding.recorded_at_us)
        self._next: dict[int, int] = {}
        self.version_id = version_id(origin, entry_index)

    def next_row(self, compartment_key: int) -> int:
        """The key of the next version in this compartment."""
        row = self._next.get(compartment_key)
        if row is None:
            first = compartment_key << SEQUENCE_BITS
            found = first_row(self._cursor, _LAST_ROW, (first, first + (1 << SEQUENCE_BITS)))
            row = first if found is None else found[0] + 1
        if row >> SEQUENCE_BITS != compartment_key:
            raise LimitExceeded(f"One compartment of the view holds at most {1 << SEQUENCE_BITS} versions.")
        self._next[compartment_key] = row + 1
        return row

    def write(self, version_row: int, resource_key: int, type_key: int, change: Projected) -> None:
        """Insert the version's row."""
        self._cursor.execute(
            _NEW_VERSION,
            (version_row, resource_key, type_key, *self._head, " ".join(change.parents), change.resource),
        )
