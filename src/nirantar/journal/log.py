"""The append-only logs of a node on disk: its own, and verified copies of others', in one SQLite database.

One writer appends (invariant 4 of ARCHITECTURE.md); `reader.py` reads on connections of its own. The database is in WAL
mode with synchronous FULL: a returned `commit` means that the bytes were fsynced. Hashes of complete subtrees are
kept at every eighth level, which are exactly C2SP's tile slots, so that a root or proof costs a few reads at any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

import apsw

from nirantar import limits
from nirantar.errors import Damaged
from nirantar.host.disk_errors import DiskErrors
from nirantar.host.port import Host
from nirantar.host.pragmas import set_pragma
from nirantar.host.write_ahead_log import WriteAheadLog
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.compact_range import subtrees
from nirantar.tlog.merkle import HASH_BYTES, Frontier, leaf_hash, root
from nirantar.tlog.note import Signer, Verifier
from nirantar.tlog.tiles import TILE_HEIGHT, TILE_WIDTH

JOURNAL_FILE: Final = "journal.db"
FORMAT: Final = 1
SYNCHRONOUS_FULL: Final = 2
GAP_LEVEL: Final = -1
"""The level under which `slot` keeps, at a size, the tree's frontier there: the leaf hashes before it were lost."""
ORIGIN_BITS: Final = 40
"""An entry's row id is its log's key shifted by this many bits, plus its index: a log holds up to 2**40 entries."""

_SCHEMA: Final = (
    "CREATE TABLE log (log_key INTEGER PRIMARY KEY, origin TEXT NOT NULL UNIQUE, vkey TEXT NOT NULL) STRICT",
    "CREATE TABLE entry (row INTEGER PRIMARY KEY, leaf_hash BLOB NOT NULL, data BLOB NOT NULL) STRICT",
    "CREATE TABLE slot (log_key INTEGER NOT NULL, level INTEGER NOT NULL, slot INTEGER NOT NULL, hash BLOB NOT NULL,"
    " PRIMARY KEY (log_key, level, slot)) STRICT, WITHOUT ROWID",
    "CREATE TABLE checkpoint (log_key INTEGER NOT NULL, tree_size INTEGER NOT NULL, signed_at_us INTEGER NOT NULL,"
    " note BLOB NOT NULL, PRIMARY KEY (log_key, tree_size)) STRICT, WITHOUT ROWID",
)


_OF_THE_JOURNAL: Final = DiskErrors(
    "the journal", "what is lost is in the vault: nirantar verify names it, nirantar recover brings it back"
)


def translated() -> DiskErrors:
    """Inside this context an error of SQLite that speaks of the journal's disk leaves as one of errors.py."""
    return _OF_THE_JOURNAL


def blob(value: apsw.SQLiteValue) -> bytes:
    """The bytes of a column that always holds some. Raises Damaged where it does not."""
    if not isinstance(value, bytes):
        raise Damaged("A row of the journal lacks its bytes: its file is not what SQLite wrote.")
    return value


@dataclass(frozen=True, slots=True)
class Appended:
    """Where an entry now stands."""

    origin: str
    entry_index: int
    leaf_hash: bytes


@dataclass(slots=True)
class _Log:
    """One log as the writer holds it: `frontier` covers what is in the open transaction; `gap` is the tree's frontier
    behind the last entries whose leaf hashes were lost, empty where none were."""

    key: int
    origin: str
    verifier: Verifier
    frontier: Frontier
    gap: Frontier
    signed_at_us: int

    @property
    def size(self) -> int:
        return self.frontier.size


class JournalWriter:
    """The single writer of a directory's logs. Not for threads: the sequencer owns it.

    `signer` signs the node's own checkpoints; every commit carries one, so no acknowledged entry is ever unsigned.
    Without `create` an empty file is Damaged: a node's journal is made once, with the node.
    """

    def __init__(self, host: Host, path: Path, origin: str, signer: Signer, *, create: bool = True) -> None:
        self._host = host
        self._signer = signer
        self._connection = open_for_writing(host, path, create=create)
        self.write_ahead_log = WriteAheadLog(self._connection, limits.JOURNAL_WAL_PAGES_MAX, _OF_THE_JOURNAL)
        self._logs: dict[str, _Log] = {}
        self._origin = origin
        self._saved = Frontier()
        try:
            self._reload()
            if origin not in self._logs:
                self._begin_own_log(path)
        except BaseException:
            self._connection.close()
            raise

    @property
    def connection(self) -> apsw.Connection:
        """The writer's connection, for readers on a host whose databases take only one."""
        return self._connection

    @property
    def origin(self) -> str:
        """The node's own origin: the only one it writes."""
        return self._origin

    def origins(self) -> tuple[str, ...]:
        """Every log held here."""
        return tuple(self._logs)

    def size(self, origin: str | None = None) -> int:
        """Entries in a log (the own one by default), the open transaction's included."""
        return self._logs[origin or self._origin].size

    def add_log(self, origin: str, vkey: str) -> None:
        """Begin to hold a log. `vkey` must come from the signed roster."""
        verifier = Verifier.parse(vkey)
        self._execute("INSERT INTO log (origin, vkey) VALUES (?, ?)", (origin, vkey))
        self._logs[origin] = _Log(self._connection.last_insert_rowid(), origin, verifier, Frontier(), Frontier(), 0)

    def begin(self) -> None:
        """Open the transaction of one commit batch."""
        self._execute("BEGIN IMMEDIATE")

    def savepoint(self) -> None:
        """Start one member's part of the batch."""
        self._execute("SAVEPOINT member")
        self._saved = self._logs[self._origin].frontier.copy()

    def release(self) -> None:
        """Keep the member's part."""
        self._execute("RELEASE member")

    def roll_back_member(self) -> None:
        """Undo the member's part."""
        self._execute("ROLLBACK TO member")
        self._execute("RELEASE member")
        self._logs[self._origin].frontier = self._saved

    def append(self, data: bytes, origin: str | None = None) -> Appended:
        """Append exact entry bytes to a log (the own one by default). Raises DiskFull."""
        log = self._logs[origin or self._origin]
        index, leaf = log.size, leaf_hash(data)
        self._execute("INSERT INTO entry (row, leaf_hash, data) VALUES (?, ?, ?)",
                      (log.key << ORIGIN_BITS | index, leaf, data))
        log.frontier.append(leaf)
        if log.size % TILE_WIDTH == 0:
            self._fill_slots(log)
        return Appended(log.origin, index, leaf)

    def append_missing(self, leaf: bytes, origin: str) -> None:
        """Keep the place of another log's entry whose bytes are lost but whose leaf hash is known."""
        log = self._logs[origin]
        self._execute("INSERT INTO entry (row, leaf_hash, data) VALUES (?, ?, x'')",
                      (log.key << ORIGIN_BITS | log.size, leaf))
        log.frontier.append(leaf)
        if log.size % TILE_WIDTH == 0:
            self._fill_slots(log)

    def append_copies(self, entries: Sequence[bytes], leaves: Sequence[bytes], origin: str) -> None:
        """Append entries of another log, each with its leaf hash, which the caller has compared; b"" for an entry whose
        bytes are lost. Raises DiskFull."""
        log, at = self._logs[origin], 0
        while at < len(leaves):
            stop = at + TILE_WIDTH - log.size % TILE_WIDTH
            row = log.key << ORIGIN_BITS | log.size
            with translated():
                self._connection.executemany(
                    "INSERT INTO entry (row, leaf_hash, data) VALUES (?, ?, ?)",
                    zip(count(row), leaves[at:stop], entries[at:stop], strict=False),
                )
            log.frontier.extend(leaves[at:stop])
            if log.size % TILE_WIDTH == 0:
                self._fill_slots(log)
            at = stop

    def append_gap(self, frontier: Frontier, origin: str) -> None:
        """Keep the places of another log's entries up to `frontier`, which is proven: of those entries themselves not
        even leaf hashes are known."""
        log = self._logs[origin]
        places = [(log.key << ORIGIN_BITS | index,) for index in range(log.size, frontier.size)]
        with translated():
            self._connection.executemany("INSERT INTO entry (row, leaf_hash, data) VALUES (?, x'', x'')", places)
        self._execute("INSERT INTO slot VALUES (?, ?, ?, ?)",
                      (log.key, GAP_LEVEL, frontier.size, b"".join(frontier.hashes)))
        log.frontier, log.gap = frontier.copy(), frontier.copy()

    def root_hash(self, origin: str) -> bytes:
        """The root of a log's tree, the open transaction included."""
        return self._logs[origin].frontier.root()

    def frontier(self, origin: str) -> Frontier:
        """The frontier of a log's tree, the open transaction included."""
        return self._logs[origin].frontier.copy()

    def keep(self) -> None:
        """Make a transaction that only copied others' entries durable, ahead of the checkpoint that proves them."""
        self._execute("COMMIT")
        self.write_ahead_log.settle()

    def commit(self) -> bytes:
        """Sign the own log's new head, make the batch durable, and return the signed checkpoint note.

        Raises DiskFull (nothing of the batch is kept) or FsyncFailed (the process must exit).
        """
        log = self._logs[self._origin]
        now_us = self._host.now_us()
        note = Checkpoint(log.origin, log.size, log.frontier.root()).sign(self._signer)
        # One checkpoint a second is kept for the record; within the second the newer replaces the older.
        if abs(now_us - log.signed_at_us) < 1_000_000:
            self._execute("DELETE FROM checkpoint WHERE log_key = ? AND signed_at_us = ?", (log.key, log.signed_at_us))
            now_us = log.signed_at_us
        self.put_checkpoint(log.origin, log.size, now_us, note)
        self._execute("COMMIT")
        log.signed_at_us = now_us
        self.write_ahead_log.settle()
        return note

    def put_checkpoint(self, origin: str, tree_size: int, signed_at_us: int, note: bytes) -> None:
        """Keep a signed checkpoint of a log. The caller verified it against that log's root."""
        self._execute("INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?, ?)",
                      (self._logs[origin].key, tree_size, signed_at_us, note))

    def roll_back(self) -> None:
        """Undo the whole batch; nothing to do where none was begun, or SQLite undid it by itself."""
        if self._connection.in_transaction:
            self._execute("ROLLBACK")
        self._reload()

    def data(self, origin: str, entry_index: int) -> bytes:
        """One entry's bytes, the open transaction's included; b"" when it is not there."""
        row = self._logs[origin].key << ORIGIN_BITS | entry_index
        with translated():
            found = self._connection.execute("SELECT data FROM entry WHERE row = ?", (row,)).get
        return b"" if found is None else blob(found)

    def close(self) -> None:
        """Release the database, with as little in its write-ahead log as the disk allows. Raises FsyncFailed."""
        try:
            self.write_ahead_log.move()
        finally:
            self._connection.close()

    def _execute(self, sql: str, bindings: tuple[apsw.SQLiteValue, ...] = ()) -> None:
        with translated():
            self._connection.execute(sql, bindings)

    def _begin_own_log(self, path: Path) -> None:
        """Begin the node's own log in a journal that was just made. In one that holds other logs, or entries without
        a log, it was there and is gone: beginning again would fork it."""
        with translated():
            lost = self._logs or self._connection.execute("SELECT max(row) FROM entry").get
        if lost:
            raise Damaged(f"{path} does not hold this node's own log {self._origin}: was a byte of its name changed?")
        self._execute("BEGIN IMMEDIATE")
        self.add_log(self._origin, self._signer.vkey)
        self._execute("COMMIT")

    def _fill_slots(self, log: _Log) -> None:
        """Keep the hash of every tile that this append completed and that is known, level by level upwards."""
        size, level = log.size, 0
        while size % TILE_WIDTH == 0:
            tile = size // TILE_WIDTH - 1
            hash_ = self._tile_root(log, level, tile)
            if hash_ is not None:
                self._execute("INSERT INTO slot VALUES (?, ?, ?, ?)", (log.key, level + 1, tile, hash_))
            size, level = size // TILE_WIDTH, level + 1

    def _tile_root(self, log: _Log, level: int, tile: int) -> bytes | None:
        """The root over a full tile: by its hashes, or where a gap ends in it, by the frontier there; None where a gap
        goes on past its end."""
        hashes = self._slot_hashes(log.key, level, tile * TILE_WIDTH, TILE_WIDTH)
        if len(hashes) == TILE_WIDTH and all(hashes):
            return root(hashes)
        behind, inside = divmod(log.gap.size, TILE_WIDTH)
        if level or not inside or behind != tile:
            return None
        part = Frontier.from_hashes(inside, log.gap.hashes[-inside.bit_count() :])
        part.extend(hashes[inside:])
        return part.root()

    def _load(self, key: int, origin: str, verifier: Verifier) -> _Log:
        """Build the frontier from the kept tile hashes and the entries after the last full tile, or after a gap."""
        low = key << ORIGIN_BITS
        top = self._connection.execute("SELECT max(row) FROM entry WHERE row >= ? AND row < ?",
                                       (low, low + (1 << ORIGIN_BITS))).get
        size = 0 if top is None else top - low + 1
        gap = newest_gap(self._connection, key)
        frontier = gap.copy()
        for level, index in subtrees(gap.size, max(size, gap.size)):
            tile_level, above = divmod(level, TILE_HEIGHT)
            hashes = self._slot_hashes(key, tile_level, index << above, 1 << above)
            if len(hashes) != 1 << above:
                raise Damaged(f"The journal of {origin} has {size} entries but hashes for {frontier.size}: run fsck.")
            frontier.append_subtree(root(hashes), level)
        signed = self._connection.execute("SELECT max(signed_at_us) FROM checkpoint WHERE log_key = ?", (key,)).get
        return _Log(key, origin, verifier, frontier, gap, signed or 0)

    def _slot_hashes(self, key: int, level: int, first: int, count: int) -> list[bytes]:
        if level == 0:
            low = (key << ORIGIN_BITS) + first
            rows = self._connection.execute("SELECT leaf_hash FROM entry WHERE row >= ? AND row < ? ORDER BY row",
                                            (low, low + count))
        else:
            rows = self._connection.execute(
                "SELECT hash FROM slot WHERE log_key = ? AND level = ? AND slot >= ? AND slot < ? ORDER BY slot",
                (key, level, first, first + count))
        return [blob(row[0]) for row in rows]

    def _reload(self) -> None:
        """After an undo, hold again what the database holds."""
        with translated():
            rows = self._connection.execute("SELECT log_key, origin, vkey FROM log").fetchall()
            self._logs = {
                str(name): self._load(int(str(key)), str(name), Verifier.parse(str(vkey))) for key, name, vkey in rows
            }


def newest_gap(connection: apsw.Connection, key: int) -> Frontier:
    """The tree's frontier behind the last entries whose leaf hashes were lost; the empty one where none were."""
    found = connection.execute(
        "SELECT slot, hash FROM slot WHERE log_key = ? AND level = ? ORDER BY slot DESC LIMIT 1", (key, GAP_LEVEL)
    ).fetchall()
    return gap_frontier(*found[0]) if found else Frontier()


def gap_frontier(size: apsw.SQLiteValue, hashes: apsw.SQLiteValue) -> Frontier:
    """A kept frontier, from its row. Raises Damaged where it is none."""
    joined = blob(hashes)
    places = range(0, len(joined), HASH_BYTES)
    return Frontier.from_hashes(int(str(size)), [joined[place : place + HASH_BYTES] for place in places])


def open_for_writing(host: Host, path: Path, *, create: bool = True) -> apsw.Connection:
    """Open or, with `create`, make the journal's database with the promises that the sequencer relies on.

    Raises Damaged where the file is no journal, DiskFull and FsyncFailed as the disk does.
    """
    with translated():
        connection = host.database(path)
    try:
        with translated():
            set_pragma(connection, "synchronous", SYNCHRONOUS_FULL)
            if create and not connection.execute("SELECT count(*) FROM sqlite_schema").get:
                with connection:
                    for statement in _SCHEMA:
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {FORMAT}")
        check_schema(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def check_schema(connection: apsw.Connection, path: Path) -> None:
    """Raise Damaged unless the database has exactly the tables of this format: SQLite reads a changed schema as it
    stands, and what it then gives is no journal."""
    with translated():
        version = connection.pragma("user_version")
        found = connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid").fetchall()
    if version != FORMAT:
        raise Damaged(f"{path} has journal format {version}; this program reads {FORMAT}.")
    if tuple(statement for (statement,) in found) != _SCHEMA:
        raise Damaged(f"{path} does not have a journal's tables: its schema was changed.")
