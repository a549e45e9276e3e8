"""What the rest of Nirantar may ask of the machine it runs on, and nothing more.

`real.py` answers with the operating system, `simulated.py` with a seeded machine that crashes, tears writes and lies
about fsync. Whoever needs time, randomness, files, a database or a way out takes a `Host`; pure packages never do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NoReturn, Protocol

import apsw

from nirantar.host.page_source import PageSource
from nirantar.host.watching import Watch


class Files(Protocol):
    """Whole-file operations with the durability that each name promises. Paths are absolute.

    All raise errors.DiskFull when the disk takes no more, errors.FsyncFailed when it cannot promise durability.
    """

    def put_new(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        """Create `path` with `data`, durably and all at once; FileExistsError if it exists (it is not touched, but
        its name is made durable)."""

    def replace(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        """Create or replace `path` with `data`, durably and all at once."""

    def append(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        """Add `data` at the end of `path` (created if it is not there) and make it durable."""

    def identity(self, path: Path) -> str:
        """What tells this file from a copy of it on the same machine (its inode). FileNotFoundError if none."""

    def read(self, path: Path, start: int = 0, length: int | None = None) -> bytes:
        """`length` bytes (or all) from `start`; fewer at the end of the file. FileNotFoundError if there is none."""

    def size(self, path: Path) -> int:
        """The file's size in bytes. FileNotFoundError if there is none."""

    def exists(self, path: Path) -> bool:
        """Whether a file or directory is there."""

    def make_directory(self, path: Path, *, mode: int = 0o700) -> None:
        """Create a directory and its parents; no error if it exists."""

    def walk(self, path: Path, *, after: Path | None = None) -> Iterator[Path]:
        """Every regular file below `path` that sorts after `after`, in the order of `str(path)`; nothing if `path` is
        not there. Directories are read as they are reached, so a caller that stops early pays for what it saw."""

    def sweep(self, path: Path) -> None:
        """Delete what a process that was killed left half written directly below `path`; nothing if that is not there.
        Only where nobody else writes: what is being written now would go, too."""

    def remove(self, path: Path) -> None:
        """Delete one file. FileNotFoundError if there is none."""

    def lock(self, path: Path) -> AbstractContextManager[None]:
        """Hold `path` exclusively until the context ends or the process dies; errors.DirectoryInUse if it is held."""

    def free_bytes(self, path: Path) -> int:
        """Bytes that an ordinary user could still write on the disk of `path`."""


class LazyDatabase(Protocol):
    """A SQLite database that is used before all of it is here: pages come from a PageSource as they are needed."""

    @property
    def complete(self) -> bool:
        """Whether every page is here: then it is an ordinary database."""

    @property
    def absent(self) -> int:
        """How many pages are not here."""

    def next_absent(self, start: int) -> int | None:
        """The first page from `start` on (counted from 0) that is not here."""

    def bring(self, page: int) -> bool:
        """Fetch a page and what comes with it; False where the disk did not take it. Raises errors.NotHereYet."""

    def bring_many(self, pages: Iterable[int]) -> bool:
        """`bring` for several pages, in as few requests as their places allow."""

    def settle(self) -> None:
        """Make durable what was fetched so far; once nothing is absent, the database is complete. Raises apsw's errors
        of the disk."""

    def connect(self, *, read_only: bool = False) -> apsw.Connection:
        """A connection as `Host.database` gives it. It, and whatever is read by it, may raise errors.NotHereYet."""

    def close(self) -> None:
        """Release the files, once every connection is closed."""


class Host(Protocol):
    """One machine."""

    @property
    def files(self) -> Files:
        """The disk."""

    @property
    def machine_id(self) -> str:
        """A name that a copy of the disk in another machine would not have; "" where the machine has none."""

    @property
    def exclusive_databases(self) -> bool:
        """Whether a database takes only one connection at a time, so that readers must go through the writer's."""

    def now_us(self) -> int:
        """The wall clock: microseconds since 1970 UTC. It may jump in either direction."""

    def monotonic_us(self) -> int:
        """Microseconds of a clock that only goes forward, for durations."""

    def random_bytes(self, count: int) -> bytes:
        """`count` bytes that nobody can guess."""

    def database(self, path: Path, *, read_only: bool = False) -> apsw.Connection:
        """Open a SQLite database on this machine's disk (created unless `read_only`)."""

    def lazy_database(self, path: Path, source: PageSource, source_name: str) -> LazyDatabase:
        """Begin a database whose pages come from `source`, or go on with it; `source_name` tells one image from
        another. Raises errors.Damaged where the file was begun from another image, errors.SetupError on a host that
        cannot."""
    def watch(self, directory: Path) -> Watch:
        """Watch `directory` and those in it for changes by other processes. Raises errors.SetupError, with the reason,
        where this machine cannot."""

    def exit(self, reason: str) -> NoReturn:
        """End the process at once, without clean-up: a promise can no longer be kept. `reason` goes to the log."""
