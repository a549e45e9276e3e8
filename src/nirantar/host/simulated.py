"""A machine made of one seed: its clock can be set, its disk crashes and lies, and every run can be had again.

    host = SimulatedHost(seed=7)
    host.disk.crash_at = 12
    with host.until_crash():
        ...                       # whatever takes a Host
    host = host.reboot()          # the same machine, with what its disk kept

One thread only. A database takes one connection at a time (`exclusive_databases`).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Final, NoReturn, Self

import apsw

from nirantar.errors import DirectoryInUse, DiskFull, FsyncFailed, SetupError
from nirantar.host.page_source import PageSource
from nirantar.host.port import LazyDatabase
from nirantar.host.pragmas import set_common, set_pragma
from nirantar.host.simulated_database import SimulatedVfs
from nirantar.host.simulated_disk import SimulatedCrash, SimulatedDirectory, SimulatedDisk, SimulatedFile
from nirantar.host.watching import Touched

__all__ = ["SimulatedCrash", "SimulatedExit", "SimulatedFiles", "SimulatedHost"]

START_US: Final = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z, where every simulation begins."""

_UNBOUNDED_FREE_BYTES: Final = 1 << 40
_PARTIAL: Final = ".partial"


class SimulatedExit(BaseException):
    """The program called `Host.exit`. Nothing of it may run any more; `reboot` starts the machine again."""


class SimulatedWatch:
    """A `Watch` over what the simulated machine's other processes did, as a test tells it."""

    def __init__(self, directory: Path, touched: list[tuple[Path, str]]) -> None:
        self._directory = directory
        self._touched = touched

    def wait(self, seconds: float) -> list[Touched]:
        """See the port; it does not wait."""
        found = [
            Touched(path.relative_to(self._directory).as_posix(), what)
            for path, what in self._touched if path.is_relative_to(self._directory)
        ]
        self._touched.clear()
        return found

    def close(self) -> None:
        """Nothing is held."""


class SimulatedHost:
    """One start of a simulated machine. Close it, or use it as a context, so that SQLite forgets its disk."""

    def __init__(self, seed: int, *, machine_id: str = "") -> None:
        """Equal seeds behave equally. Without a `machine_id` the seed names the machine."""
        self._start(seed, 0, machine_id or f"simulated-{seed}", SimulatedDisk(Random(f"{seed}/disk/0")), START_US, 0)

    def _start(
        self, seed: int, boots: int, machine_id: str, disk: SimulatedDisk, wall_us: int, monotonic_us: int
    ) -> None:
        self._seed = seed
        self._boots = boots
        self._machine_id = machine_id
        self._wall_us = wall_us
        self._monotonic_us = monotonic_us
        self._random = Random(f"{seed}/bytes/{boots}")
        self._closed = False
        self._connections: list[apsw.Connection] = []
        self._touched: list[tuple[Path, str]] = []
        self._disk = disk
        self._files = SimulatedFiles(disk, Random(f"{seed}/names/{boots}"))
        self._vfs = SimulatedVfs(disk, Random(f"{seed}/sqlite/{boots}"), lambda: self._wall_us, self.advance)

    def reboot(self) -> SimulatedHost:
        """Cut the power if it is still on, and start the machine with what its disk kept. This host is then closed."""
        boots = self._boots + 1
        survivors = self._disk.survivors(Random(f"{self._seed}/disk/{boots}"))
        self.close()
        host = SimulatedHost.__new__(SimulatedHost)
        host._start(self._seed, boots, self._machine_id, survivors, self._wall_us + 1_000_000, 0)
        return host

    def close(self) -> None:
        """Forget the machine: its connections are closed and nothing of it can be used."""
        self._disk.discard()
        while self._connections:
            self._connections.pop().close(True)
        if not self._closed:
            self._closed = True
            self._vfs.unregister()

    @contextmanager
    def until_crash(self) -> Iterator[None]:
        """Run a block up to the crash or exit, whatever it looks like there: APSW's own `with connection` answers a
        SimulatedCrash in COMMIT with an error of its own. Errors of a machine that has power pass."""
        try:
            yield
        except BaseException:
            if not self._disk.dead:
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def disk(self) -> SimulatedDisk:
        """The disk and everything that can go wrong with it."""
        return self._disk

    @property
    def files(self) -> SimulatedFiles:
        """The disk as the port has it."""
        return self._files

    @property
    def machine_id(self) -> str:
        """Given or made from the seed."""
        return self._machine_id

    @property
    def exclusive_databases(self) -> bool:
        """True: there is no shared memory between connections."""
        return True

    def now_us(self) -> int:
        """The wall clock; reading it takes a microsecond."""
        self.advance(1)
        return self._wall_us

    def monotonic_us(self) -> int:
        """Microseconds since the machine was started; reading takes one."""
        self.advance(1)
        return self._monotonic_us

    def advance(self, duration_us: int) -> None:
        """Let time pass on both clocks."""
        self._wall_us += duration_us
        self._monotonic_us += duration_us

    def set_wall_us(self, wall_us: int) -> None:
        """Set the wall clock, forward or back, as a person or a time server does."""
        self._wall_us = wall_us

    def watch(self, directory: Path) -> SimulatedWatch:
        """A watch that sees what `touch` says. (On this machine there are no other processes.)"""
        return SimulatedWatch(directory, self._touched)

    def touch(self, path: Path, what: str) -> None:
        """Let every watch see that another process did this to a file."""
        self._touched.append((path, what))

    def random_bytes(self, count: int) -> bytes:
        """Seeded, so worthless as a secret."""
        return self._random.randbytes(count)

    def database(self, path: Path, *, read_only: bool = False) -> apsw.Connection:
        """Open `path` for the only connection it can have; a reader gets `query_only` on a database that exists."""
        if read_only:
            self._disk.file(path)
        elif not self._files.exists(path):
            self._files.create_empty(path)
        connection = _Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=self._vfs.name)
        self._connections.append(connection)
        set_common(connection, read_only=read_only)
        set_pragma(connection, "locking_mode", "exclusive")
        if read_only:
            set_pragma(connection, "query_only", 1)
        else:
            set_pragma(connection, "journal_mode", "wal")
        return connection

    def lazy_database(self, path: Path, source: PageSource, source_name: str) -> LazyDatabase:
        """Refused: SQLite here has its own VFS already, and no shared memory for several connections."""
        raise SetupError(f"A simulated machine does not fetch {path.name} page by page.")

    def exit(self, reason: str) -> NoReturn:
        """End the program: SimulatedExit, and the disk takes nothing more from it."""
        self._disk.die()
        raise SimulatedExit(reason)


class _Connection(apsw.Connection):
    """What SQLite cannot move into the database when it closes stays in the write-ahead log, without a word: APSW alone
    would tell, because the disk is written in Python."""

    def close(self, force: bool = False) -> None:
        """Close, whatever the disk says."""
        with suppress(apsw.FullError, apsw.IOError):
            super().close(force)


class SimulatedFiles:
    """The port's files in the steps that the real host takes, so that a crash falls between the same ones."""

    def __init__(self, disk: SimulatedDisk, random: Random) -> None:
        self._disk = disk
        self._random = random
        self._locked: set[Path] = set()

    def put_new(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        """Create by temporary file, fsync, link, fsync of the directory."""
        with _promises(path):
            existing = self._disk.node(path)
            if existing is None:
                temporary, file = self._temporary(path, data, mode)
                self._disk.create(path, file)
                self._disk.unlink(temporary)
            self._disk.sync_directory(path.parent)
            if existing is not None:
                raise FileExistsError(errno.EEXIST, "File exists", str(path))

    def replace(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        """Create or replace by temporary file, fsync, rename, fsync of the directory."""
        with _promises(path):
            temporary, _ = self._temporary(path, data, mode)
            self._disk.rename(temporary, path)
            self._disk.sync_directory(path.parent)

    def append(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        """Add at the end, fsync, and fsync of the directory for a new file."""
        with _promises(path):
            made = self._disk.node(path) is None
            if made:
                self._disk.create(path, SimulatedFile(mode=mode))
            file = self._disk.file(path)
            self._disk.write(file, data, len(file.content))
            self._disk.sync(path, file)
            if made:
                self._disk.sync_directory(path.parent)

    def identity(self, path: Path) -> str:
        """The inode's number."""
        return str(self._disk.file(path).inode)

    def read(self, path: Path, start: int = 0, length: int | None = None) -> bytes:
        """`length` bytes (or all) from `start`."""
        content = self._disk.file(path).content
        return bytes(content[start : None if length is None else start + length])

    def size(self, path: Path) -> int:
        """The file's size in bytes."""
        return len(self._disk.file(path).content)

    def exists(self, path: Path) -> bool:
        """Whether a file or directory is there."""
        return self._disk.node(path) is not None

    def make_directory(self, path: Path, *, mode: int = 0o700) -> None:
        """Create a directory and its missing parents, durably. FileExistsError if a file is there."""
        node = self._disk.node(path)
        if isinstance(node, SimulatedFile):
            raise FileExistsError(errno.EEXIST, "File exists", str(path))
        if node is None:
            if self._disk.node(path.parent) is None:
                self.make_directory(path.parent, mode=mode)
            self._disk.create(path, SimulatedDirectory())
        with _promises(path):
            self._disk.sync_directory(path.parent)

    def walk(self, path: Path, *, after: Path | None = None) -> Iterator[Path]:
        """Every file below `path` after `after`, in the order of `str(path)`."""
        first = "" if after is None else str(after)
        for found in self._disk.paths(path):
            if str(found) > first and not found.name.endswith(_PARTIAL):
                yield found

    def sweep(self, path: Path) -> None:
        """Delete half-written files directly below `path`."""
        for found in list(self._disk.paths(path)):
            if found.parent == path and found.name.endswith(_PARTIAL):
                self._disk.unlink(found)

    def remove(self, path: Path) -> None:
        """Delete one file, durably."""
        with _promises(path):
            self._disk.unlink(path)
            self._disk.sync_directory(path.parent)

    @contextmanager
    def lock(self, path: Path) -> Iterator[None]:
        """Hold `path`; a reboot lets go of every lock."""
        if self._disk.node(path) is None:
            self._disk.create(path, SimulatedFile())
        if path in self._locked:
            raise DirectoryInUse(f"{path.parent} is in use by another process")
        self._locked.add(path)
        try:
            yield
        finally:
            self._locked.discard(path)

    def free_bytes(self, path: Path) -> int:
        """Room to `disk.capacity_bytes`, or a tebibyte where that is not set."""
        if self._disk.capacity_bytes is None:
            return _UNBOUNDED_FREE_BYTES
        return max(0, self._disk.capacity_bytes - self._disk.used_bytes)

    def create_empty(self, path: Path) -> None:
        """A file without bytes whose name is durable: what a database starts from."""
        with _promises(path):
            self._disk.create(path, SimulatedFile())
            self._disk.sync_directory(path.parent)

    def _temporary(self, path: Path, data: bytes, mode: int) -> tuple[Path, SimulatedFile]:
        temporary = path.parent / f".{path.name}.{self._random.randbytes(8).hex()}{_PARTIAL}"
        file = SimulatedFile(mode=mode)
        self._disk.create(temporary, file)
        try:
            self._disk.write(file, data, 0)
            self._disk.sync(temporary, file)
        except OSError:
            self._disk.unlink(temporary)
            raise
        return temporary, file


@contextmanager
def _promises(path: Path) -> Iterator[None]:
    """No room is DiskFull, a failed fsync FsyncFailed; everything else is the operating system's own error."""
    try:
        yield
    except OSError as reason:
        if reason.errno == errno.ENOSPC:
            raise DiskFull(f"No room on the simulated disk of {path}") from None
        if reason.errno == errno.EIO:
            raise FsyncFailed(f"The simulated disk did not confirm {path}; what it holds is unknown") from None
        raise
