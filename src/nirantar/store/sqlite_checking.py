"""Checking a SQLite view: against itself, trusting no counter, hash or index, and against another view.

`check_rows` finds what damage or a bug left inconsistent. An attacker who rewrites rows *and* everything derived from
them leaves a view that agrees with itself; that one is found by `compare` with a view freshly folded from the journal.
Findings name resources by type and id, and quote no contents.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Final

import apsw

from nirantar.errors import Damaged, Finding
from nirantar.fold.version_graph import GraphNode, heads, rank, version_id
from nirantar.store.disk_errors import translated
from nirantar.store.port import VIEW_KIND
from nirantar.store.schema import INDEX_TABLES, SEQUENCE_BITS
from nirantar.store.sqlite_digest import IS_HEAD, stored_tree_is_right
from nirantar.store.sqlite_indexing import LookUp, outlined
from nirantar.store.sqlite_rows import Row, all_rows, each_row, one_row

_RESOURCES: Final = (
    "SELECT r.resource_key, t.type_key, t.name, r.id, r.shown, r.heads, r.deleted FROM resource r"
    " LEFT JOIN type t ON t.type_key = r.type_key ORDER BY r.shown"
)
_VERSIONS: Final = (
    "SELECT v.version_row, o.name, v.entry_index, v.hlc_wall_us, v.hlc_counter, v.recorded_at_us, v.parents, v.resource"
    " FROM version v LEFT JOIN origin o ON o.origin_key = v.origin_key WHERE v.resource_key = ?"
)
_HEADS: Final = "SELECT version_row FROM head WHERE resource_key = ?"

_COMPARED: Final = (
    "SELECT t.name, r.id, o.name, v.entry_index, c.name, v.hlc_wall_us, v.hlc_counter, v.recorded_at_us, v.parents,"
    f" {IS_HEAD}, v.resource, r.shown = v.version_row, r.heads FROM compartment c"
    f" JOIN version v ON v.version_row >= c.compartment_key << {SEQUENCE_BITS}"
    f" AND v.version_row < (c.compartment_key + 1) << {SEQUENCE_BITS}"
    " JOIN resource r ON r.resource_key = v.resource_key JOIN type t ON t.type_key = r.type_key"
    " JOIN origin o ON o.origin_key = v.origin_key WHERE c.name = ?"
    " ORDER BY t.name, r.id, o.name, v.entry_index"
)
_SMALL_TABLES: Final = (
    ("numbers", "SELECT series, value FROM number ORDER BY series, value"),
    ("idempotency keys", "SELECT key FROM idempotency ORDER BY key"),
    (
        "unfolded entries",
        "SELECT o.name, u.entry_index FROM unfolded u JOIN origin o ON o.origin_key = u.origin_key"
        " ORDER BY o.name, u.entry_index",
    ),
    ("positions", "SELECT name, entries, last_leaf_hash FROM origin ORDER BY name"),
)

Compared = tuple[tuple[object, ...], tuple[object, ...]]
"""(what names a row, in the order of the walk; what else must be equal)."""


def check_rows(connection: apsw.Connection) -> Iterator[Finding]:
    """Everything in the view that does not follow from its versions' bytes, inside one read transaction of the
    caller. Ends with a single finding where the file itself is damaged so far that it cannot be read on."""
    try:
        with translated():
            yield from _check_file(connection)
            index_rows = dict.fromkeys(INDEX_TABLES, 0)
            yield from _check_resources(connection, index_rows)
            yield from _check_totals(connection, index_rows)
    except Damaged as damage:
        yield Finding("view", str(damage), VIEW_KIND)


def _check_file(connection: apsw.Connection) -> Iterator[Finding]:
    """SQLite's own check of pages, cells and indexes."""
    for (line,) in all_rows(connection.cursor(), "PRAGMA integrity_check(20)"):
        if line != "ok":
            yield Finding("view", f"SQLite's integrity check: {line}", VIEW_KIND)


def _check_resources(connection: apsw.Connection, index_rows: dict[str, int]) -> Iterator[Finding]:
    """Each resource's heads, shown version, deletion mark and index rows, computed again from its versions.

    `index_rows` counts the rows that each index table should hold.
    """
    cursor = connection.cursor()
    look_up = LookUp(cursor)
    for key, type_key, type_name, resource_id, shown, head_count, deleted in each_row(connection.cursor(), _RESOURCES):
        where = f"{type_name}/{resource_id}"
        bodies: dict[int, bytes | None] = {}
        row_of: dict[str, int] = {}
        nodes = []
        for version_row, origin, entry_index, wall_us, counter, recorded_at_us, parents, body in all_rows(
            cursor, _VERSIONS, (key,)
        ):
            if origin is None:
                yield Finding(where, "a version's origin is missing", VIEW_KIND)
                continue
            name = version_id(origin, entry_index)
            bodies[version_row], row_of[name] = body, version_row
            ranked = rank(wall_us, counter, recorded_at_us, origin, entry_index)
            nodes.append(GraphNode(name, tuple(parents.split()), ranked))
        current = [row_of[node.version_id] for node in heads(nodes)]
        stored = [row for (row,) in all_rows(cursor, _HEADS, (key,))] or [shown]
        if not current or shown != current[0] or head_count != len(current) or sorted(stored) != sorted(current):
            yield Finding(where, "its current versions are not those that follow from its history", VIEW_KIND)
            continue
        body = bodies[shown]
        if bool(deleted) != (body is None):
            yield Finding(where, "its deletion mark is wrong", VIEW_KIND)
        outline = outlined(body)
        rows = [] if outline is None else list(outline.rows())
        for row in rows:
            index_rows[LookUp.table_of(row)] += 1
        if not all(look_up.holds(type_key, key, row) for row in rows):
            yield Finding(where, "a search row of it is missing", VIEW_KIND)


def _check_totals(connection: apsw.Connection, index_rows: dict[str, int]) -> Iterator[Finding]:
    """Rows that nothing accounts for, and the stored digest."""
    cursor = connection.cursor()
    for table, count in index_rows.items():
        if one_row(cursor, f"SELECT count(*) FROM {table}")[0] != count:
            yield Finding(f"view {table}", "it holds search rows that no resource gives, or lacks some", VIEW_KIND)
    lost = "SELECT count(*) FROM version WHERE resource_key NOT IN (SELECT resource_key FROM resource)"
    if one_row(cursor, lost)[0]:
        yield Finding("view version", "it holds versions of resources that are not there", VIEW_KIND)
    if not stored_tree_is_right(cursor):
        yield Finding("view digest", "a stored hash is not that of the rows", VIEW_KIND)


def compare(ours: apsw.Connection, fresh: apsw.Connection) -> Iterator[Finding]:
    """Where `ours` differs from a view freshly folded from the same journals, each in a read transaction.

    Every version is compared by its exact bytes, and what is known of it; findings come in order of compartment,
    type and id. What is derived from versions is `check_rows`'s part.
    """
    names = [_compartments(connection) for connection in (ours, fresh)]
    for name in sorted(set(names[0]) | set(names[1])):
        yield from _differences(_compared(ours, name), _compared(fresh, name))
    for what, sql in _SMALL_TABLES:
        walks = (((row, ()) for row in each_row(connection.cursor(), sql)) for connection in (ours, fresh))
        if any(_differences(*walks)):
            yield Finding(f"view {what}", "they are not those that the journal gives", VIEW_KIND)


def _compartments(connection: apsw.Connection) -> list[str]:
    return [name for (name,) in all_rows(connection.cursor(), "SELECT name FROM compartment")]


def _compared(connection: apsw.Connection, compartment: str) -> Iterator[Compared]:
    row: Row
    for row in each_row(connection.cursor(), _COMPARED, (compartment,)):
        body = row[10]
        yield row[:4], (*row[4:10], None if body is None else sha256(body).digest(), *row[11:])


def _differences(ours: Iterator[Compared], fresh: Iterator[Compared]) -> Iterator[Finding]:
    """Merge two walks that are in the same order."""
    mine, theirs = next(ours, None), next(fresh, None)
    while mine is not None or theirs is not None:
        if theirs is None or (mine is not None and mine[0] < theirs[0]):
            assert mine is not None
            yield Finding(_named(mine[0]), "the journal does not give this version", VIEW_KIND)
            mine = next(ours, None)
        elif mine is None or theirs[0] < mine[0]:
            yield Finding(_named(theirs[0]), "a version that the journal gives is missing", VIEW_KIND)
            theirs = next(fresh, None)
        else:
            if mine[1] != theirs[1]:
                yield Finding(_named(mine[0]), "it is not what the journal gives", VIEW_KIND)
            mine, theirs = next(ours, None), next(fresh, None)


def _named(key: tuple[object, ...]) -> str:
    return "/".join(str(part) for part in key[:2])
