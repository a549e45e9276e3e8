"""The tables of the SQLite view, and how a connection to it is set up.

Keys are integers in order of arrival, so that new rows dirty few pages (docs/rfd/0007-view-clustering-and-digest.md).
A version's key is its compartment's key followed by its sequence in that compartment, so that one patient's chart lies
together. Long names (types, parameters, systems, compartments) are interned.
Index tables hold the shown heads only and end with the resource's key: a search is a range of one of them.
Nothing here is authoritative: a view of another layout is emptied and folded again.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import apsw

from nirantar.errors import Damaged
from nirantar.host.pragmas import set_pragma
from nirantar.store.disk_errors import translated

LAYOUT: Final = 1
"""Raised with every change of the tables below; kept in SQLite's user_version."""

_APPLICATION_ID: Final = 0x4E697261
_WAL_BYTES_KEPT: Final = 64 * 1024 * 1024

SEQUENCE_BITS: Final = 28
"""version_row = compartment_key << SEQUENCE_BITS | sequence: 268 million versions a compartment."""

SPAN_WIDTHS_US: Final = (2 * 86_400_000_000, 32 * 86_400_000_000, 400 * 86_400_000_000, 2**63 - 1)
"""Dates are kept in classes by how long a time they span, at most so much in each class: a search for what ends
after a moment then need not look at whatever began long before it, save in the last class (open periods)."""

TABLES: Final = """
CREATE TABLE origin (
    origin_key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, node TEXT NOT NULL,
    entries INTEGER NOT NULL, last_leaf_hash BLOB NOT NULL) STRICT;
CREATE TABLE type (type_key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE search_param (
    param_key INTEGER PRIMARY KEY, type_key INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (type_key, name)) STRICT;
CREATE TABLE code_system (system_key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE compartment (compartment_key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

-- shown: the version_row of the head that is shown; heads: how many current versions there are.
CREATE TABLE resource (
    resource_key INTEGER PRIMARY KEY, type_key INTEGER NOT NULL, id TEXT NOT NULL,
    shown INTEGER NOT NULL, heads INTEGER NOT NULL, deleted INTEGER NOT NULL, UNIQUE (type_key, id)) STRICT;
CREATE INDEX resource_by_type ON resource (type_key) WHERE deleted = 0;

-- parents: version ids with spaces between; resource: exact JSON, NULL where this version deletes it.
CREATE TABLE version (
    version_row INTEGER PRIMARY KEY, resource_key INTEGER NOT NULL, type_key INTEGER NOT NULL,
    origin_key INTEGER NOT NULL, entry_index INTEGER NOT NULL, hlc_wall_us INTEGER NOT NULL,
    hlc_counter INTEGER NOT NULL, recorded_at_us INTEGER NOT NULL, parents TEXT NOT NULL, resource BLOB) STRICT;
CREATE UNIQUE INDEX version_by_resource ON version (resource_key, origin_key, entry_index);
CREATE INDEX version_by_time ON version (type_key, recorded_at_us);

-- All heads of a resource, where it has several.
CREATE TABLE head (
    resource_key INTEGER NOT NULL, version_row INTEGER NOT NULL,
    PRIMARY KEY (resource_key, version_row)) STRICT, WITHOUT ROWID;
-- Parents that were named before they arrived.
CREATE TABLE awaited (
    resource_key INTEGER NOT NULL, version_id TEXT NOT NULL,
    PRIMARY KEY (resource_key, version_id)) STRICT, WITHOUT ROWID;

CREATE TABLE token_index (
    param_key INTEGER NOT NULL, code TEXT NOT NULL, system_key INTEGER NOT NULL, resource_key INTEGER NOT NULL,
    PRIMARY KEY (param_key, code, system_key, resource_key)) STRICT, WITHOUT ROWID;
CREATE TABLE string_index (
    param_key INTEGER NOT NULL, value TEXT NOT NULL, resource_key INTEGER NOT NULL,
    PRIMARY KEY (param_key, value, resource_key)) STRICT, WITHOUT ROWID;
CREATE TABLE date_index (
    param_key INTEGER NOT NULL, span INTEGER NOT NULL, low_us INTEGER NOT NULL, high_us INTEGER NOT NULL,
    resource_key INTEGER NOT NULL, PRIMARY KEY (param_key, span, low_us, high_us, resource_key)) STRICT, WITHOUT ROWID;
CREATE TABLE reference_index (
    param_key INTEGER NOT NULL, target TEXT NOT NULL, resource_key INTEGER NOT NULL,
    PRIMARY KEY (param_key, target, resource_key)) STRICT, WITHOUT ROWID;

CREATE TABLE number (
    series TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (series, value)) STRICT, WITHOUT ROWID;
CREATE TABLE idempotency (
    key TEXT NOT NULL PRIMARY KEY, origin_key INTEGER NOT NULL, entry_index INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE unfolded (
    origin_key INTEGER NOT NULL, entry_index INTEGER NOT NULL, why TEXT NOT NULL,
    PRIMARY KEY (origin_key, entry_index)) STRICT, WITHOUT ROWID;

-- The digest's tree (digest.py) as far as it is up to date, and the subjects that changed since.
CREATE TABLE digest_leaf (
    bucket INTEGER NOT NULL, subject TEXT NOT NULL, hash BLOB NOT NULL,
    PRIMARY KEY (bucket, subject)) STRICT, WITHOUT ROWID;
CREATE TABLE digest_node (position INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT;
CREATE TABLE digest_stale (subject TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
"""

INDEX_TABLES: Final = ("token_index", "string_index", "date_index", "reference_index")


def span_of(low_us: int, high_us: int) -> int:
    """The class of SPAN_WIDTHS_US that a date range belongs to."""
    width = high_us - low_us
    return next(span for span, widest in enumerate(SPAN_WIDTHS_US) if width <= widest or span == 3)


def set_up(connection: apsw.Connection, cache_bytes: int, *, writer: bool) -> None:
    """Set what a connection to a view needs beyond what its host set; the writer's also makes missing tables.

    Raises Damaged where the file is not a database and SetupError where a setting does not hold.
    """
    with translated():
        if writer:
            set_pragma(connection, "synchronous", 1)
            set_pragma(connection, "journal_size_limit", _WAL_BYTES_KEPT)
        set_pragma(connection, "cache_size", -(cache_bytes // 1024))
        set_pragma(connection, "cell_size_check", 1)
        set_pragma(connection, "trusted_schema", 0)
        if writer and connection.pragma("user_version") != LAYOUT:
            with connection:
                empty(connection)
                connection.pragma("application_id", _APPLICATION_ID)
                connection.pragma("user_version", LAYOUT)
        _check_tables(connection)


def _check_tables(connection: apsw.Connection) -> None:
    """Raise Damaged unless the tables are those above: SQLite reads a changed schema as it stands."""
    if _statements(connection) != _own_statements():
        raise Damaged(f"{connection.filename} does not have a view's tables: its schema was changed; rebuild it.")


@cache
def _own_statements() -> tuple[str, ...]:
    connection = apsw.Connection(":memory:")
    connection.execute(TABLES)
    return _statements(connection)


def _statements(connection: apsw.Connection) -> tuple[str, ...]:
    found = connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").fetchall()
    return tuple(str(statement) for (statement,) in found)


def empty(connection: apsw.Connection) -> None:
    """Drop every table and make them new, inside the caller's transaction."""
    for name in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        connection.execute(f'DROP TABLE "{name[0]}"')
    connection.execute(TABLES)
