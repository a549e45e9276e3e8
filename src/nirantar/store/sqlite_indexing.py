"""The index rows of shown heads, and the names that tables keep as integers."""

from __future__ import annotations

from typing import Any, Final

import apsw

from nirantar.fhir.index_rows import DateRow, IndexRow, ReferenceRow, StringRow, TokenRow
from nirantar.fhir.outline import Outline, outline_of
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
        self._params: dict[int, dict[str, int]] = {}

    def forget(self) -> None:
        """Drop the cache."""
        self._cache.clear()
        self._params.clear()

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
        if not name:
            return 0
        return self._cache.get(("system", name)) or self._key(
            "SELECT system_key FROM code_system WHERE name = ?",
            "INSERT INTO code_system (name) VALUES (?) RETURNING system_key",
            ("system", name),
            (name,),
        )

    def params(self, type_key: int) -> dict[str, int]:
        """The keys of a type's search parameters, as far as they were used since the cache was emptied."""
        return self._params.setdefault(type_key, {})

    def param_key(self, type_key: int, name: str) -> int:
        """The key of a search parameter of a type. R4 bounds how many there are."""
        key = self.params(type_key).get(name)
        if key is None:
            values = (type_key, name)
            find = "SELECT param_key FROM search_param WHERE type_key = ? AND name = ?"
            make = "INSERT INTO search_param (type_key, name) VALUES (?, ?) RETURNING param_key"
            row = first_row(self._cursor, find, values) or one_row(self._cursor, make, values)
            key = self.params(type_key)[name] = int(row[0])
        return key

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

    def replace(self, type_key: int, resource_key: int, old: bytes | None, new: Outline | None) -> None:
        """Make the index say of the resource what `new` says, where until now it said what the bytes `old` said.

        What `old` said is found by reading it again: no second index has to remember it.
        """
        before = outlined(old)
        if before is not None:
            kept = set(before.rows()) & set(() if new is None else new.rows())
            self._write(_REMOVE, type_key, resource_key, before.without(kept))
            new = None if new is None else new.without(kept)
        if new is not None:
            self._write(_ADD, type_key, resource_key, new)

    def _write(
        self, statements: dict[type[IndexRow], str], type_key: int, resource_key: int, rows: Outline
    ) -> None:
        """Run the statements for these rows, all of one kind together. The hot loop of the fold."""
        interned, params, run = self._interned, self._interned.params(type_key), self._cursor.executemany
        param_key, system_key = interned.param_key, interned.system_key
        if rows.tokens:
            run(statements[TokenRow], [
                (params.get(param) or param_key(type_key, param), code, system_key(system), resource_key)
                for param, system, code in rows.tokens
            ])
        if rows.strings:
            run(statements[StringRow], [
                (params.get(param) or param_key(type_key, param), value, resource_key) for param, value in rows.strings
            ])
        if rows.dates:
            run(statements[DateRow], [
                (params.get(param) or param_key(type_key, param), span_of(low_us, high_us), low_us, high_us,
                 resource_key)
                for param, low_us, high_us in rows.dates
            ])
        if rows.references:
            run(statements[ReferenceRow], [
                (params.get(param) or param_key(type_key, param), target, resource_key)
                for param, target in rows.references
            ])


class LookUp:
    """Asks the index tables for single rows, making no names."""

    def __init__(self, cursor: apsw.Cursor) -> None:
        self._cursor = cursor

    @staticmethod
    def table_of(row: IndexRow) -> str:
        """The table that holds such a row."""
        return _REMOVE[type(row)].split()[2]

    @staticmethod
    def statement_for(row: IndexRow) -> str:
        """What finds such a row by all its columns."""
        return _REMOVE[type(row)].replace("DELETE", "SELECT 1", 1)

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
        return first_row(self._cursor, self.statement_for(row), (param[0], *columns, resource_key)) is not None


def outlined(resource: bytes | None) -> Outline | None:
    """The outline of a resource's bytes; None for a deletion."""
    document = None if resource is None else parse_resource(resource)
    return None if document is None else outline_of(document)
