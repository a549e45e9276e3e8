"""The index rows of shown heads, and the names that tables keep as integers."""

from __future__ import annotations

from typing import Any, Final

import apsw

from nirantar.fhir.index_rows import DateRow, IndexRow, ReferenceRow, StringRow, TokenRow
from nirantar.fhir.search_parameters import extract
from nirantar.store.projector import parse_resource
from nirantar.store.schema import span_of
from nirantar.store.sqlite_rows import first_row, one_row

_NAMES_CACHED_MAX: Final = 4_096

_ADD: Final = {
    TokenRow: "INSERT INTO token_index (param_key, code, system_key, resource_key) VALUES (?, ?, ?, ?)",
    StringRow: "INSERT INTO string_index (param_key, value, resource_key) VALUES (?, ?, ?)",
    DateRow: "INSERT INTO date_index (param_key, span, low_us, high_us, resource_key) VALUES (?, ?, ?, ?, ?)",
    ReferenceRow: "INSERT INTO reference_index (param_key, target, resource_key) VALUES (?, ?, ?)",
}
_REMOVE: Final = {
    TokenRow: "DELETE FROM token_index WHERE param_key = ? AND code = ? AND system_key = ? AND resource_key = ?",
    StringRow: "DELETE FROM string_index WHERE param_key = ? AND value = ? AND resource_key = ?",
    DateRow: "DELETE FROM date_index WHERE param_key = ? AND span = ? AND low_us = ? AND high_us = ?"
    " AND resource_key = ?",
    ReferenceRow: "DELETE FROM reference_index WHERE param_key = ? AND target = ? AND resource_key = ?",
}

Columns = tuple[int | str, ...]


class Interned:
    """Names as integers, made on first use. The cache is bounded; after a rollback it must be forgotten."""

    def __init__(self, cursor: apsw.Cursor) -> None:
        self._cursor = cursor
        self._cache: dict[tuple[str, ...] | int, Any] = {}

    def forget(self) -> None:
        """Drop the cache."""
        self._cache.clear()

    def _keep(self, name: tuple[str, ...] | int, value: Any) -> Any:
        if len(self._cache) >= _NAMES_CACHED_MAX:
            self._cache.clear()
        self._cache[name] = value
        return value

    def _key(self, find: str, make: str, name: tuple[str, ...], values: tuple[str | int, ...]) -> int:
        row = first_row(self._cursor, find, values) or one_row(self._cursor, make, values)
        return int(self._keep(name, row[0]))

    def type_key(self, name: str) -> int:
        """The key of a resource type."""
        return self._cache.get(("type", name)) or self._key(
            "SELECT type_key FROM type WHERE name = ?",
            "INSERT INTO type (name) VALUES (?) RETURNING type_key",
            ("type", name),
            (name,),
        )

    def compartment_key(self, name: str) -> int:
        """The key of a compartment."""
        return self._cache.get(("compartment", name)) or self._key(
            "SELECT compartment_key FROM compartment WHERE name = ?",
            "INSERT INTO compartment (name) VALUES (?) RETURNING compartment_key",
            ("compartment", name),
            (name,),
        )

    def system_key(self, name: str) -> int:
        """The key of a code system; 0 for none ("")."""
        return (
            0
            if not name
            else self._cache.get(("system", name))
            or self._key(
                "SELECT system_key FROM code_system WHERE name = ?",
                "INSERT INTO code_system (name) VALUES (?) RETURNING system_key",
                ("system", name),
                (name,),
            )
        )

    def param_key(self, resource_type: str, type_key: int, name: str) -> int:
        """The key of a search parameter of a type."""
        return self._cache.get((resource_type, name, "")) or self._key(
            "SELECT param_key FROM search_param WHERE type_key = ? AND name = ?",
            "INSERT INTO search_param (type_key, name) VALUES (?, ?) RETURNING param_key",
            (resource_type, name, ""),
            (type_key, name),
        )

    def node(self, origin_key: int) -> str:
        """The node name of an origin that is known to be there."""
        node = self._cache.get(origin_key)
        if node is None:
            found = one_row(self._cursor, "SELECT node FROM origin WHERE origin_key = ?", (origin_key,))
            node = self._keep(origin_key, found[0])
        return str(node)


class Indexer:
    """Writes index rows: for a resource newly shown its rows, for one replaced only the difference."""

    def __init__(self, cursor: apsw.Cursor, interned: Interned) -> None:
        self._cursor = cursor
        self._interned = interned

    def replace(
        self,
        resource_type: str,
        type_key: int,
        resource_key: int,
        old: bytes | None,
        new: bytes | dict[str, Any] | None,
    ) -> None:
        """Make the index say of the resource what `new` says, where until now it said what `old` said.

        What `old` said is found by reading its bytes again: no second index has to remember it.
        """
        before, after = rows_of(old), rows_of(new)
        self._write(_REMOVE, resource_type, type_key, resource_key, before - after)
        self._write(_ADD, resource_type, type_key, resource_key, after - before)

    def _write(
        self,
        statements: dict[type[IndexRow], str],
        resource_type: str,
        type_key: int,
        resource_key: int,
        rows: frozenset[IndexRow],
    ) -> None:
        by_kind: dict[type[IndexRow], list[Columns]] = {}
        for row in rows:
            columns = (*self.columns(resource_type, type_key, row), resource_key)
            by_kind.setdefault(type(row), []).append(columns)
        for kind, found in by_kind.items():
            self._cursor.executemany(statements[kind], found)

    def columns(self, resource_type: str, type_key: int, row: IndexRow) -> Columns:
        """The row as its table's columns, all but the resource's key."""
        param_key = self._interned.param_key(resource_type, type_key, row.param)
        if isinstance(row, TokenRow):
            return param_key, row.code, self._interned.system_key(row.system)
        if isinstance(row, DateRow):
            return param_key, span_of(row.low_us, row.high_us), row.low_us, row.high_us
        return (param_key, row[1])


class LookUp:
    """Asks the index tables for single rows, making no names."""

    def __init__(self, cursor: apsw.Cursor) -> None:
        self._cursor = cursor

    @staticmethod
    def table_of(row: IndexRow) -> str:
        """The table that holds such a row."""
        return _REMOVE[type(row)].split()[2]

    def holds(self, type_key: int, resource_key: int, row: IndexRow) -> bool:
        """Whether the row is there for this resource."""
        find = "SELECT param_key FROM search_param WHERE type_key = ? AND name = ?"
        param = first_row(self._cursor, find, (type_key, row.param))
        if param is None:
            return False
        columns: Columns
        if isinstance(row, TokenRow):
            system = (0,) if row.system == "" else first_row(
                self._cursor, "SELECT system_key FROM code_system WHERE name = ?", (row.system,)
            )
            if system is None:
                return False
            columns = (row.code, system[0])
        elif isinstance(row, DateRow):
            columns = (span_of(row.low_us, row.high_us), row.low_us, row.high_us)
        else:
            columns = (row[1],)
        found = _REMOVE[type(row)].replace("DELETE", "SELECT 1", 1)
        return first_row(self._cursor, found, (param[0], *columns, resource_key)) is not None


def rows_of(resource: bytes | dict[str, Any] | None) -> frozenset[IndexRow]:
    """Every index row of a resource, given as bytes or parsed; none for a deletion.

    `_id` is left out: the table of resources answers it, and its rows would be as many again as the resources.
    """
    document = parse_resource(resource) if isinstance(resource, bytes) else resource
    return frozenset() if document is None else frozenset(row for row in extract(document) if row.param != "_id")
