"""Reads of the SQLite view, through one connection whose transaction the caller holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import apsw

from nirantar.errors import Finding
from nirantar.fhir.search_query import SearchQuery
from nirantar.fold.version_graph import parse_version_id, rank, version_id
from nirantar.store.cursors import Key, decode_cursor, encode_cursor
from nirantar.store.digest import DigestProof
from nirantar.store.disk_errors import translated
from nirantar.store.port import Page, Position, StoredVersion
from nirantar.store.schema import SEQUENCE_BITS
from nirantar.store.sqlite_checking import check_rows, compare
from nirantar.store.sqlite_digest import computed_digest, settled_digest, stored_digest, stored_proof, subject_lines
from nirantar.store.sqlite_rows import Row, all_rows, each_row
from nirantar.store.sqlite_search import search

COLUMNS: Final = "t.name, r.id, o.name, v.entry_index, v.recorded_at_us, v.resource, r.heads"
_JOIN_ALL: Final = (
    " FROM resource r JOIN version v ON v.resource_key = r.resource_key"
    " JOIN origin o ON o.origin_key = v.origin_key JOIN type t ON t.type_key = r.type_key"
)
_OF_ONE: Final = " WHERE r.type_key = (SELECT type_key FROM type WHERE name = ?) AND r.id = ?"

# The most frequent read of all. The order of the joins is fixed, and nothing is fetched that the caller knows.
_READ: Final = (
    "SELECT o.name, v.entry_index, v.recorded_at_us, v.resource, r.heads FROM type t CROSS JOIN resource r"
    " CROSS JOIN version v CROSS JOIN origin o WHERE t.name = ? AND r.type_key = t.type_key AND r.id = ?"
    " AND v.version_row = r.shown AND o.origin_key = v.origin_key"
)
_READ_VERSION: Final = f"SELECT {COLUMNS}{_JOIN_ALL}{_OF_ONE} AND o.node = ? AND v.entry_index = ?"
_HEADS: Final = (
    f"SELECT v.hlc_wall_us, v.hlc_counter, {COLUMNS}{_JOIN_ALL}{_OF_ONE}"
    " AND (v.version_row = r.shown OR r.heads > 1 AND EXISTS"
    " (SELECT 1 FROM head h WHERE h.resource_key = r.resource_key AND h.version_row = v.version_row))"
)
_HISTORY_ORDER: Final = "(v.hlc_wall_us, v.hlc_counter, o.name, v.entry_index)"
_HISTORY_OF_ONE: Final = (
    f"SELECT v.hlc_wall_us, v.hlc_counter, {COLUMNS}{_JOIN_ALL}{_OF_ONE} AND {_HISTORY_ORDER} < (?, ?, ?, ?)"
    " ORDER BY v.hlc_wall_us DESC, v.hlc_counter DESC, o.name DESC, v.entry_index DESC LIMIT ?"
)
_HISTORY_OF_TYPE: Final = (
    f"SELECT v.version_row, {COLUMNS} FROM version v JOIN resource r ON r.resource_key = v.resource_key"
    " JOIN origin o ON o.origin_key = v.origin_key JOIN type t ON t.type_key = v.type_key"
    " WHERE v.type_key = (SELECT type_key FROM type WHERE name = ?) AND (v.recorded_at_us, v.version_row) < (?, ?)"
    " ORDER BY v.recorded_at_us DESC, v.version_row DESC LIMIT ?"
)
_COMPARTMENT: Final = (
    f"SELECT {COLUMNS} FROM version v JOIN resource r ON r.resource_key = v.resource_key AND r.shown = v.version_row"
    " JOIN origin o ON o.origin_key = v.origin_key JOIN type t ON t.type_key = r.type_key"
    " WHERE v.version_row >= ? AND v.version_row < ? AND r.deleted = 0 AND NOT (t.name = 'Patient' AND r.id = ?)"
    " ORDER BY v.version_row"
)
_NEWEST: Final = 2**63 - 1


def stored_version(row: Row) -> StoredVersion:
    """A row of COLUMNS as the port gives it."""
    type_name, resource_id, origin, entry_index, recorded_at_us, resource, heads = row
    version = version_id(origin, entry_index)
    return StoredVersion(type_name, resource_id, version, resource, origin, entry_index, recorded_at_us, heads)


class SqliteReader:
    """A ViewReader over one connection. Iterators that it gave end with `close`."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._streams: list[apsw.Cursor] = []

    def close(self) -> None:
        """End every iterator that is still open, so that the transaction can end."""
        while self._streams:
            self._streams.pop().close(True)

    def close_connection(self) -> None:
        """End every iterator, then the connection itself: for a reader that owns it."""
        self.close()
        self._cursor.close()
        self._connection.close()

    def _rows(self, sql: str, values: tuple[Any, ...]) -> list[Row]:
        with translated():
            return all_rows(self._cursor, sql, values)

    def _stream(self, sql: str, values: tuple[Any, ...] = ()) -> Iterator[Row]:
        cursor = self._connection.cursor()
        self._streams.append(cursor)
        with translated():
            yield from each_row(cursor, sql, values)
        if cursor in self._streams:
            self._streams.remove(cursor)

    def read(self, type: str, id: str) -> StoredVersion | None:
        """See the port."""
        rows = self._rows(_READ, (type, id))
        return stored_version((type, id, *rows[0])) if rows else None

    def read_version(self, type: str, id: str, version_id: str) -> StoredVersion | None:
        """See the port."""
        named = parse_version_id(version_id)
        rows = [] if named is None else self._rows(_READ_VERSION, (type, id, *named))
        return stored_version(rows[0]) if rows else None

    def heads(self, type: str, id: str) -> tuple[StoredVersion, ...]:
        """See the port."""
        ranked = []
        for wall_us, counter, *columns in self._rows(_HEADS, (type, id)):
            version = stored_version(tuple(columns))
            place = rank(wall_us, counter, version.recorded_at_us, version.origin, version.entry_index)
            ranked.append((place, version))
        return tuple(version for _, version in sorted(ranked, key=lambda pair: pair[0], reverse=True))

    def history(self, type: str, id: str | None, *, count: int, cursor: str | None) -> Page:
        """See the port. One resource by its logical clock, a type by the time of recording, newest first."""
        question = f"history\n{type}\n{'' if id is None else id}"
        found: list[tuple[Key, StoredVersion]]
        if id is None:
            after = (_NEWEST, _NEWEST) if cursor is None else decode_cursor(question, cursor, (int, int))
            rows = self._rows(_HISTORY_OF_TYPE, (type, *after, count + 1))
            found = [((row[5], row[0]), stored_version(row[1:])) for row in rows]
        else:
            first = (_NEWEST, 0, "", 0)
            after = first if cursor is None else decode_cursor(question, cursor, (int, int, str, int))
            rows = self._rows(_HISTORY_OF_ONE, (type, id, *after, count + 1))
            found = [((row[0], row[1], row[4], row[5]), stored_version(row[2:])) for row in rows]
        more = len(found) > count
        versions = tuple(version for _, version in found[:count])
        return Page(versions, encode_cursor(question, found[count - 1][0]) if more and count else None)

    def search(self, query: SearchQuery) -> Page:
        """See the port."""
        with translated():
            return search(self._cursor, query)

    def compartment(self, patient_id: str) -> Iterator[StoredVersion]:
        """See the port."""
        patient = self.read("Patient", patient_id)
        if patient is not None and not patient.deleted:
            yield patient
        keys = self._rows("SELECT compartment_key FROM compartment WHERE name = ?", (f"Patient/{patient_id}",))
        for (key,) in keys:
            first = key << SEQUENCE_BITS
            for row in self._stream(_COMPARTMENT, (first, first + (1 << SEQUENCE_BITS), patient_id)):
                yield stored_version(row)

    def positions(self) -> dict[str, Position]:
        """See the port."""
        rows = self._rows("SELECT name, entries, last_leaf_hash FROM origin ORDER BY name", ())
        return {name: Position(entries, leaf_hash) for name, entries, leaf_hash in rows}

    def entry_for_key(self, idempotency_key: str) -> tuple[str, int] | None:
        """See the port."""
        rows = self._rows(
            "SELECT o.name, k.entry_index FROM idempotency k JOIN origin o ON o.origin_key = k.origin_key"
            " WHERE k.key = ?",
            (idempotency_key,),
        )
        return (rows[0][0], rows[0][1]) if rows else None

    def counts(self) -> dict[str, int]:
        """See the port. Counted anew: no counter is kept that could be wrong."""
        rows = self._rows(
            "SELECT t.name, c.found FROM (SELECT type_key, count(*) AS found FROM resource WHERE deleted = 0"
            " GROUP BY type_key) c JOIN type t ON t.type_key = c.type_key ORDER BY t.name",
            (),
        )
        return dict(rows)

    def versions_before(self, origin: str, entries: int) -> int:
        """How many versions are here that the first `entries` entries of a log made."""
        sql = (
            "SELECT count(*) FROM version WHERE entry_index < ?"
            " AND origin_key = (SELECT origin_key FROM origin WHERE name = ?)"
        )
        return int(self._rows(sql, (entries, origin))[0][0])

    def highest_number(self, series: str, first: int, last: int) -> int | None:
        """See the port."""
        rows = self._rows(
            "SELECT value FROM number WHERE series = ? AND value >= ? AND value <= ? ORDER BY value DESC LIMIT 1",
            (series, first, last),
        )
        return rows[0][0] if rows else None

    def view_digest(self) -> bytes:
        """See the port."""
        with translated():
            return stored_digest(self._cursor)

    def settled_digest(self) -> bytes:
        """The view digest of the state in which the digest's tree was last brought up to date."""
        with translated():
            return settled_digest(self._cursor)

    def digest_proof(self, patient_id: str) -> DigestProof | None:
        """The proof that `digest_lines` are a patient's whole chart under `view_digest`; None if nothing is held."""
        with translated():
            return stored_proof(self._cursor, patient_id)

    def digest_lines(self, patient_id: str) -> tuple[str, ...]:
        """The lines of the patient's leaf (store/digest.py): every head in his compartment with its hash, sorted."""
        with translated():
            return tuple(subject_lines(self._cursor, f"Patient/{patient_id}"))

    def computed_view_digest(self) -> bytes:
        """The view digest from the rows of all versions alone: no stored hash is trusted."""
        with translated():
            return computed_digest(self._cursor)

    def check_rows(self) -> Iterator[Finding]:
        """Whatever in this state does not follow from its versions' bytes: see sqlite_checking."""
        return check_rows(self._connection)

    def compare(self, fresh: SqliteReader) -> Iterator[Finding]:
        """Where this state differs from one freshly folded from the same journals: see sqlite_checking."""
        with translated():
            yield from compare(self._connection, fresh._connection)

    def unfolded(self) -> Iterator[tuple[str, int, str]]:
        """See the port."""
        yield from self._stream(
            "SELECT o.name, u.entry_index, u.why FROM unfolded u JOIN origin o ON o.origin_key = u.origin_key"
            " ORDER BY o.name, u.entry_index"
        )
