"""Reading the logs of a directory, on connections of its own: never in the writer's way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import apsw

from nirantar.errors import Damaged, EntryDamaged, NotFound, NotHereYet, ProofInvalid
from nirantar.host.port import Host
from nirantar.journal.log import GAP_LEVEL, ORIGIN_BITS, blob, check_schema, gap_frontier, translated
from nirantar.tlog.checkpoint import Checkpoint, open_checkpoint
from nirantar.tlog.compact_range import RangeProof, range_proof
from nirantar.tlog.merkle import Frontier, leaf_hash, range_root, root
from nirantar.tlog.note import Verifier
from nirantar.tlog.tiles import TileHashReader

_PAGE_ENTRIES = 64


class JournalReader:
    """Reads of every log in a directory. Safe to share between threads: calls take turns on one connection."""

    def __init__(self, host: Host, path: Path, connection: apsw.Connection | None = None) -> None:
        """Open the database read-only, or read through `connection` on hosts that allow only one.

        Here and in every method, Damaged is raised where SQLite finds its pages damaged.
        """
        self._turn = Lock()
        self._expected: Mapping[str, int] = {}
        self._owned = connection is None
        if connection is not None:
            self._connection = connection
            return
        with translated():
            self._connection = host.database(path, read_only=True)
        try:
            check_schema(self._connection, path)
        except BaseException:
            self._connection.close()
            raise

    def expect(self, sizes: Mapping[str, int]) -> None:
        """So many entries of these logs are still on their way: until one is here, asking for it is NotHereYet."""
        self._expected = dict(sizes)

    def origins(self) -> dict[str, str]:
        """Every log held here: origin to the vkey that verifies its checkpoints."""
        return {str(origin): str(vkey) for origin, vkey in self._rows("SELECT origin, vkey FROM log ORDER BY origin")}

    def size(self, origin: str) -> int:
        """Committed entries of a log; 0 when it is not held."""
        low = self._low(origin)
        if low is None:
            return 0
        rows = self._rows("SELECT max(row) FROM entry WHERE row >= ? AND row < ?", low, low + (1 << ORIGIN_BITS))
        return 0 if rows[0][0] is None else int(rows[0][0]) - low + 1

    def entry(self, origin: str, entry_index: int) -> bytes:
        """One entry's exact bytes, checked against its leaf hash. Raises NotFound, NotHereYet, EntryDamaged."""
        for found, data, leaf in self.entries(origin, entry_index, entry_index + 1):
            if found != entry_index:
                # SQLite trusts the keys that lead it to a page, and does not compare again.
                raise EntryDamaged(origin, entry_index, f"the journal leads to entry {found} in its place")
            if leaf_hash(data) != leaf:
                raise EntryDamaged(origin, entry_index, "its bytes differ from its leaf hash")
            return data
        if entry_index < self._expected.get(origin, 0):
            raise NotHereYet(
                f"Entry {entry_index} of {origin} is not here yet: the recovery is still bringing the old logs back."
            )
        raise NotFound(f"{origin} has no entry {entry_index}.")

    def entries(self, origin: str, start: int, stop: int) -> Iterator[tuple[int, bytes, bytes]]:
        """(index, exact bytes, stored leaf hash) of entries [start, stop), in order, in bounded memory.

        Nothing is checked here: that is for `entry`, `fsck` and whoever hashes anyway. Missing rows are missing.
        """
        low = self._low(origin)
        while low is not None and start < stop:
            rows = self._rows(
                "SELECT row, data, leaf_hash FROM entry WHERE row >= ? AND row < ? ORDER BY row LIMIT ?",
                low + start, low + stop, _PAGE_ENTRIES,
            )
            for row, data, leaf in rows:
                yield row - low, blob(data), blob(leaf)
            if len(rows) < _PAGE_ENTRIES:
                return
            start = rows[-1][0] - low + 1

    def leaf_hashes(self, origin: str, start: int, stop: int) -> list[bytes]:
        """Stored leaf hashes of entries [start, stop)."""
        low = self._low(origin)
        if low is None:
            return []
        rows = self._rows(
            "SELECT leaf_hash FROM entry WHERE row >= ? AND row < ? ORDER BY row", low + start, low + stop
        )
        return [blob(row[0]) for row in rows]

    def tile(self, origin: str, level: int, tile: int, width: int) -> bytes:
        """`width` hashes (32 bytes each) of a C2SP tile. Raises NotFound when the log is not that long."""
        if level == 0:
            hashes = self.leaf_hashes(origin, tile * 256, tile * 256 + width)
        else:
            rows = self._rows(
                "SELECT hash FROM slot JOIN log USING (log_key) WHERE origin = ? AND level = ?"
                " AND slot >= ? AND slot < ? ORDER BY slot",
                origin, level, tile * 256, tile * 256 + width,
            )
            hashes = [blob(row[0]) for row in rows]
        if len(hashes) != width or not all(hashes):
            raise NotFound(f"{origin} holds no tile {level}/{tile} of width {width}.")
        return b"".join(hashes)

    def gaps(self, origin: str) -> dict[int, Frontier]:
        """Where leaf hashes of a log were lost before a recovery: the tree's frontier behind each such stretch, by its
        size. Entries in them have an empty leaf hash."""
        rows = self._rows(
            "SELECT slot, hash FROM slot JOIN log USING (log_key) WHERE origin = ? AND level = ? ORDER BY slot",
            origin, GAP_LEVEL,
        )
        return {frontier.size: frontier for frontier in (gap_frontier(size, hashes) for size, hashes in rows)}

    def next_readable(self, origin: str, entry_index: int) -> int:
        """The first entry from this one on whose bytes are here; the log's size where there is none."""
        low = self._low(origin)
        rows = [] if low is None else self._rows(
            "SELECT row FROM entry WHERE row >= ? AND row < ? AND length(data) > 0 ORDER BY row LIMIT 1",
            low + entry_index, low + (1 << ORIGIN_BITS),
        )
        return int(rows[0][0]) - (low or 0) if rows else max(entry_index, self.size(origin))

    def lacking(self, origin: str, stop: int) -> int:
        """How many entries [0, stop) have no bytes, since a recovery found them lost."""
        low = self._low(origin)
        if low is None:
            return 0
        return int(self._rows(
            "SELECT count(*) FROM entry WHERE row >= ? AND row < ? AND length(data) = 0", low, low + stop
        )[0][0])

    def plain_bytes(self, origin: str, start: int, stop: int) -> int:
        """How many bytes entries [start, stop) are as lines; only their lengths are read."""
        low = self._low(origin)
        rows = [] if low is None else self._rows(
            "SELECT total(length(data) + 1) FROM entry WHERE row >= ? AND row < ?", low + start, low + stop
        )
        return int(rows[0][0]) if rows else 0

    def root(self, origin: str, tree_size: int) -> bytes:
        """The root over the first `tree_size` entries, by the kept hashes. Raises NotFound when the log is shorter."""
        tiles = TileHashReader(tree_size, partial(self.tile, origin))
        return range_root(0, tree_size, tiles)

    def range_proof(self, origin: str, first: int, stop: int, tree_size: int) -> RangeProof:
        """What proves entries [first, stop) under the root at `tree_size`. Raises NotFound when the log is shorter."""
        return range_proof(first, stop, tree_size, TileHashReader(tree_size, partial(self.tile, origin)))

    def slot_is_right(self, origin: str, level: int, slot: int) -> bool:
        """Whether a kept tile hash is the root over the tile below it."""
        rows = self._rows(
            "SELECT hash FROM slot JOIN log USING (log_key) WHERE origin = ? AND level = ? AND slot = ?",
            origin, level, slot,
        )
        try:
            below = self.tile(origin, level - 1, slot, 256)
        except NotFound:
            return False
        hashes = [below[place : place + 32] for place in range(0, len(below), 32)]
        return bool(rows) and blob(rows[0][0]) == root(hashes)

    def checkpoint(self, origin: str) -> tuple[Checkpoint, bytes] | None:
        """The newest signed checkpoint of a log, verified, and the note's exact bytes. Raises ProofInvalid."""
        rows = self._rows(
            "SELECT note, vkey, tree_size FROM checkpoint JOIN log USING (log_key) WHERE origin = ?"
            " ORDER BY tree_size DESC LIMIT 1",
            origin,
        )
        if not rows:
            return None
        note = blob(rows[0][0])
        checkpoint = open_checkpoint(note, Verifier.parse(str(rows[0][1])))
        if checkpoint.tree_size != rows[0][2]:
            raise ProofInvalid(f"The newest checkpoint of {origin} is kept under another size than it says.")
        return checkpoint, note

    def signed(self, origin: str) -> tuple[int, list[tuple[int, bytes]]]:
        """The size of a log and (tree size, note) of every checkpoint kept, smallest first, all as of one moment."""
        low = self._low(origin)
        if low is None:
            return 0, []
        rows = self._rows(
            "SELECT (SELECT max(row) FROM entry WHERE row >= ? AND row < ?), tree_size, note"
            " FROM log LEFT JOIN checkpoint USING (log_key) WHERE origin = ? ORDER BY tree_size",
            low, low + (1 << ORIGIN_BITS), origin,
        )
        top = rows[0][0]
        notes = [(int(str(size)), blob(note)) for _, size, note in rows if size is not None]
        return 0 if top is None else int(str(top)) - low + 1, notes

    def page_damage(self) -> list[str]:
        """What SQLite's own check finds in the pages of the database: also keys that lead to rows, which no walk
        through all of them would miss."""
        try:
            lines = [str(line) for (line,) in self._rows("PRAGMA integrity_check(20)")]
        except Damaged as damage:
            return [str(damage)]
        return [] if lines == ["ok"] else lines

    def close(self) -> None:
        """Release the database; a connection that was given is its giver's to close."""
        if self._owned:
            self._connection.close()

    def _low(self, origin: str) -> int | None:
        rows = self._rows("SELECT log_key FROM log WHERE origin = ?", origin)
        return int(rows[0][0]) << ORIGIN_BITS if rows else None

    def _rows(self, sql: str, *bindings: apsw.SQLiteValue) -> list[tuple[Any, ...]]:
        with self._turn, translated():
            return list(self._connection.execute(sql, bindings))
