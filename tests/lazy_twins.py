"""A lazily filled database beside an ordinary one that does the same, for tests that compare them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import apsw

from frozen_pages import FrozenPages
from nirantar.host.port import LazyDatabase
from nirantar.host.real import RealHost

ROWS = 400


@cache
def frozen_image(seed: int = 1) -> bytes:
    """A database with rows that overflow their pages, an index, and a third of its pages free."""
    with TemporaryDirectory() as place:
        _make(Path(place) / "frozen.db", Random(seed))
        return (Path(place) / "frozen.db").read_bytes()


def _make(path: Path, random: Random) -> None:
    connection = RealHost().database(path)
    connection.execute("CREATE TABLE chart (id INTEGER PRIMARY KEY, note BLOB)")
    connection.execute("CREATE TABLE step (number INTEGER)")
    connection.execute("INSERT INTO step VALUES (0)")
    connection.execute("CREATE INDEX by_size ON chart (length(note), id)")
    with connection:
        for number in range(ROWS):
            connection.execute("INSERT INTO chart VALUES (?, ?)", (number, random.randbytes(random.randrange(6_000))))
    with connection:
        connection.execute("DELETE FROM chart WHERE id % 3 = 1")
    connection.close()


class Twins:
    """Both databases. `step` does one thing to both; a step that the lazy one cannot do is done to neither."""

    def __init__(self, place: Path, image: bytes, frame_pages: int) -> None:
        self.host = RealHost()
        self.place = place
        self.source = FrozenPages(image, frame_pages)
        (place / "ordinary.db").write_bytes(image)
        self.open()

    def open(self) -> None:
        """Open the ordinary file; begin the lazy one, or go on with it."""
        self.ordinary = prepared(self.host.database(self.place / "ordinary.db"))
        self.file: LazyDatabase = self.host.lazy_database(self.place / "lazy.db", self.source, "frozen")
        self.lazy = prepared(self.file.connect())

    def reopen(self) -> None:
        """End and go on, as a node that is stopped and started."""
        self.close()
        self.open()

    def both(self) -> tuple[apsw.Connection, apsw.Connection]:
        """The lazy one first."""
        return self.lazy, self.ordinary

    def close(self) -> None:
        """Close both."""
        for connection in self.both():
            connection.close()
        self.file.close()


def prepared(connection: apsw.Connection) -> apsw.Connection:
    """As the view sets its connection: the log is moved when the test says so, and little stays in memory."""
    connection.pragma("synchronous", 1)
    connection.pragma("wal_autocheckpoint", 0)
    connection.pragma("cache_size", 5)
    return connection


def change(connection: apsw.Connection, random: Random, number: int) -> None:
    """One transaction, the same for equal `random`: rows appear, grow, shrink and go; freed pages are used again."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE step SET number = ?", (number,))
    for _ in range(random.randrange(1, 6)):
        kind, key, size = random.randrange(5), random.randrange(2 * ROWS), random.randrange(20_000)
        if kind == 0:
            connection.execute("DELETE FROM chart WHERE id BETWEEN ? AND ?", (key, key + 20))
        elif kind == 1:
            connection.execute("UPDATE chart SET note = substr(note, 1, 10) WHERE id = ?", (key,))
        elif kind == 2:
            connection.execute("INSERT INTO chart SELECT max(id) + 1, zeroblob(?) FROM chart", (size,))
        else:
            connection.execute("INSERT OR REPLACE INTO chart VALUES (?, ?)", (key, random.randbytes(size)))
    connection.execute("COMMIT")


def content(connection: apsw.Connection) -> list[tuple[object, ...]]:
    """Every row, and what SQLite's own check of the whole file says."""
    rows: list[tuple[object, ...]] = list(connection.execute("SELECT * FROM step"))
    rows += connection.execute("SELECT * FROM chart ORDER BY id").fetchall()
    rows += connection.execute("SELECT id FROM chart INDEXED BY by_size ORDER BY length(note), id").fetchall()
    return [*rows, *connection.execute("PRAGMA integrity_check")]
