"""What a keeper remembers beside the objects it keeps: tokens, cosigned heads, the right edge of each tree, accounts.

One SQLite database. Every change that an answer rests on is committed with a full fsync before the answer; after a
failed one the process ends, for nobody knows then what the disk holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any, Final, Literal

import apsw

from nirantar import limits
from nirantar.errors import FsyncFailed, SetupError
from nirantar.host.disk_errors import DiskErrors
from nirantar.host.port import Host
from nirantar.host.pragmas import set_pragma

RECORDS_FILE: Final = "keeper.db"
RECORDS_VERSION: Final = 1
SYNCHRONOUS_FULL: Final = 2

TokenKind = Literal["node", "recovery"]

_DISK: Final = DiskErrors(
    "the keeper's records", "what it keeps is whole all the same: read it with a file:// vault, and set up a new keeper"
)
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS token (hash BLOB PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL,"
    " issued_us INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS head (origin TEXT NOT NULL, tree_size INTEGER NOT NULL, root_hash BLOB NOT NULL,"
    " PRIMARY KEY (origin, tree_size)) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS newest (origin TEXT PRIMARY KEY, note BLOB NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS edge (origin TEXT NOT NULL, level INTEGER NOT NULL, hashes BLOB NOT NULL,"
    " PRIMARY KEY (origin, level)) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS known (origin TEXT PRIMARY KEY, tree_size INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS account (name TEXT PRIMARY KEY, bytes INTEGER NOT NULL, objects INTEGER NOT NULL)"
    " STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS heard (name TEXT PRIMARY KEY, at_us INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS segment (node TEXT NOT NULL, key TEXT NOT NULL, bytes INTEGER NOT NULL,"
    " stored_us INTEGER NOT NULL, PRIMARY KEY (node, key)) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS mirror (location TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS unmirrored (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE,"
    " noted_us INTEGER NOT NULL) STRICT",
)


@dataclass(frozen=True, slots=True)
class Head:
    """A tree that was cosigned."""

    tree_size: int
    root_hash: bytes


@dataclass(frozen=True, slots=True)
class Account:
    """What one token's bearer has stored: bytes and objects, from the beginning."""

    bytes: int
    objects: int


class Records:
    """The database. Safe between threads: statements take turns; `change` is one transaction."""

    def __init__(self, host: Host, path: Path) -> None:
        """Open or make it. Raises Damaged, DiskFull, SetupError for one of a later version."""
        self._host = host
        self._turn = RLock()
        with _DISK:
            self._connection = host.database(path)
        try:
            with _DISK:
                set_pragma(self._connection, "synchronous", SYNCHRONOUS_FULL)
                version = self._connection.pragma("user_version")
                if version not in (0, RECORDS_VERSION):
                    raise SetupError(f"{path} has format {version}; this program reads {RECORDS_VERSION}.")
                with self._connection:
                    for statement in _SCHEMA:
                        self._connection.execute(statement)
                    self._connection.pragma("user_version", RECORDS_VERSION)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Release the database."""
        self._connection.close()

    @contextmanager
    def change(self) -> Iterator[None]:
        """One transaction, durable when the context ends without an error, undone when it ends with one."""
        try:
            with self._turn, _DISK:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield
                    self._connection.execute("COMMIT")
                except BaseException:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
        except FsyncFailed as failure:
            self._host.exit(f"{failure} What the disk holds is unknown, so the keeper stops; start it again.")

    # --- tokens ---

    def add_token(self, hash: bytes, kind: TokenKind, name: str) -> None:
        """Remember the hash of a token; several may have one name."""
        with self.change():
            self._run("INSERT INTO token VALUES (?, ?, ?, ?)", hash, kind, name, self._host.now_us())

    def withdraw_tokens(self, kind: TokenKind, name: str) -> int:
        """Forget every token of a name; how many there were."""
        with self.change():
            self._run("DELETE FROM token WHERE kind = ? AND name = ?", kind, name)
            return int(self._connection.changes())

    def token(self, hash: bytes) -> tuple[str, str] | None:
        """Kind and name of a token's bearer."""
        rows = self._rows("SELECT kind, name FROM token WHERE hash = ?", hash)
        return (str(rows[0][0]), str(rows[0][1])) if rows else None

    def tokens(self) -> list[tuple[str, str, int]]:
        """(kind, name, issued) of every token."""
        rows = self._rows("SELECT kind, name, issued_us FROM token ORDER BY kind, name, issued_us")
        return [(str(kind), str(name), int(issued_us)) for kind, name, issued_us in rows]

    # --- cosigned heads ---

    def head(self, origin: str) -> Head | None:
        """The newest tree of a log that was cosigned."""
        rows = self._rows(
            "SELECT tree_size, root_hash FROM head WHERE origin = ? ORDER BY tree_size DESC LIMIT 1", origin
        )
        return Head(int(rows[0][0]), bytes(rows[0][1])) if rows else None

    def root_at(self, origin: str, tree_size: int) -> bytes | None:
        """The root that was cosigned at this size, where it is still remembered."""
        rows = self._rows("SELECT root_hash FROM head WHERE origin = ? AND tree_size = ?", origin, tree_size)
        return bytes(rows[0][0]) if rows else None

    def newest_note(self, origin: str) -> bytes | None:
        """The newest cosigned checkpoint, with its cosignatures."""
        rows = self._rows("SELECT note FROM newest WHERE origin = ?", origin)
        return bytes(rows[0][0]) if rows else None

    def put_head(self, origin: str, head: Head, note: bytes) -> None:
        """Make this the newest head; inside `change`. The oldest beyond KEEPER_HEADS_KEPT_MAX are forgotten."""
        self._run(
            "INSERT INTO head VALUES (?, ?, ?) ON CONFLICT (origin, tree_size) DO NOTHING",
            origin, head.tree_size, head.root_hash,
        )
        self._run(
            "INSERT INTO newest VALUES (?, ?) ON CONFLICT (origin) DO UPDATE SET note = excluded.note", origin, note
        )
        self._run(
            "DELETE FROM head WHERE origin = ? AND tree_size <="
            " (SELECT tree_size FROM head WHERE origin = ? ORDER BY tree_size DESC LIMIT 1 OFFSET ?)",
            origin, origin, limits.KEEPER_HEADS_KEPT_MAX,
        )

    # --- the known tree ---

    def known(self, origin: str) -> tuple[int, dict[int, bytes]]:
        """How many leaf hashes of a log are known, and the hashes of the tile that is not full yet, by level."""
        with self._turn:
            rows = self._rows("SELECT tree_size FROM known WHERE origin = ?", origin)
            edges = self._rows("SELECT level, hashes FROM edge WHERE origin = ?", origin)
        return int(rows[0][0]) if rows else 0, {int(level): bytes(hashes) for level, hashes in edges}

    def put_known(self, origin: str, tree_size: int, edges: Mapping[int, bytes]) -> None:
        """Replace what is known of a log's tree; inside `change`."""
        self._run(
            "INSERT INTO known VALUES (?, ?) ON CONFLICT (origin) DO UPDATE SET tree_size = excluded.tree_size",
            origin, tree_size,
        )
        for level, hashes in edges.items():
            self._run(
                "INSERT INTO edge VALUES (?, ?, ?) ON CONFLICT (origin, level) DO UPDATE SET hashes = excluded.hashes",
                origin, level, hashes,
            )

    # --- accounts and silence ---

    def account(self, name: str) -> Account:
        """What a bearer has stored."""
        rows = self._rows("SELECT bytes, objects FROM account WHERE name = ?", name)
        return Account(int(rows[0][0]), int(rows[0][1])) if rows else Account(0, 0)

    def charge(self, name: str, size: int) -> None:
        """Add one object of `size` bytes to an account; inside `change`."""
        self._run(
            "INSERT INTO account VALUES (?, ?, 1)"
            " ON CONFLICT (name) DO UPDATE SET bytes = bytes + excluded.bytes, objects = objects + 1",
            name, size,
        )

    def heard(self) -> dict[str, int]:
        """When each node was last heard, as last written down."""
        return {str(name): int(at_us) for name, at_us in self._rows("SELECT name, at_us FROM heard")}

    def put_heard(self, heard: Mapping[str, int]) -> None:
        """Write down when nodes were last heard."""
        with self.change():
            for name, at_us in heard.items():
                self._run(
                    "INSERT INTO heard VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET at_us = excluded.at_us",
                    name, at_us,
                )

    # --- segments ---

    def put_segment(self, node: str, key: str, size: int) -> None:
        """Note when a segment was taken; inside `change`."""
        self._run(
            "INSERT INTO segment VALUES (?, ?, ?, ?) ON CONFLICT (node, key) DO NOTHING",
            node, key, size, self._host.now_us(),
        )

    def segments(self, node: str) -> list[tuple[str, int, int]]:
        """(key, bytes, when it was taken) of every segment of a node that has not expired."""
        rows = self._rows("SELECT key, bytes, stored_us FROM segment WHERE node = ? ORDER BY key", node)
        return [(str(key), int(size), int(stored_us)) for key, size, stored_us in rows]

    def forget_segment(self, node: str, key: str, size: int) -> None:
        """A segment expired, and its space is the node's again."""
        with self.change():
            self._run("DELETE FROM segment WHERE node = ? AND key = ?", node, key)
            self._run(
                "UPDATE account SET bytes = max(0, bytes - ?), objects = max(0, objects - 1) WHERE name = ?", size, node
            )

    # --- the mirror ---

    def mirror(self) -> str | None:
        """Where the mirror is, whose lacking objects are noted here."""
        rows = self._rows("SELECT location FROM mirror")
        return str(rows[0][0]) if rows else None

    def begin_mirror(self, location: str, keys: Iterable[str]) -> None:
        """Note that a new mirror lacks all these."""
        with self.change():
            self._run("DELETE FROM mirror")
            self._run("INSERT INTO mirror VALUES (?)", location)
            for key in keys:
                self.note_unmirrored(key)

    def note_unmirrored(self, key: str) -> None:
        """Note that the mirror lacks an object; inside `change`."""
        self._run(
            "INSERT INTO unmirrored (key, noted_us) VALUES (?, ?) ON CONFLICT (key) DO NOTHING",
            key, self._host.now_us(),
        )

    def unmirrored(self, count: int) -> list[tuple[str, int]]:
        """(key, when it was noted) of the first objects that the mirror lacks, in the order in which they came."""
        rows = self._rows("SELECT key, noted_us FROM unmirrored ORDER BY number LIMIT ?", count)
        return [(str(key), int(noted_us)) for key, noted_us in rows]

    def mirror_lag(self) -> tuple[int, int]:
        """How many objects the mirror lacks, and when the first of them was noted."""
        (row,) = self._rows("SELECT count(*), coalesce(min(noted_us), 0) FROM unmirrored")
        return int(row[0]), int(row[1])

    def mirrored(self, key: str) -> None:
        """The mirror lacks this no more."""
        with self.change():
            self._run("DELETE FROM unmirrored WHERE key = ?", key)

    def _rows(self, sql: str, *bindings: apsw.SQLiteValue) -> list[tuple[Any, ...]]:
        with self._turn, _DISK:
            return list(self._connection.execute(sql, bindings))

    def _run(self, sql: str, *bindings: apsw.SQLiteValue) -> None:
        self._connection.execute(sql, bindings)
