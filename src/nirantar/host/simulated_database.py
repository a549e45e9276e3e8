"""Real SQLite on a simulated disk: an APSW VFS whose files are SimulatedFiles.

It has no shared memory, so WAL works in exclusive locking mode only: one connection to a database at a time, readers
included. SQLite draws WAL salts from its own process-wide generator, so bytes of two runs with one seed may differ
there; the sequence of disk operations does not.
"""

from __future__ import annotations

import errno
import itertools
import types
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

import apsw

from nirantar.host.simulated_disk import SimulatedDisk, SimulatedFile

if TYPE_CHECKING:
    from typing_extensions import Buffer

_names: Final = itertools.count()
_JOURNALS: Final = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL
_UNIX_EPOCH_JULIAN_MS: Final = 210_866_760_000_000
_SECTOR_BYTES: Final = 4096


class SimulatedVfs(apsw.VFS):
    """Registered under a name of its own until `unregister`. `advance` is called with microseconds that SQLite wants
    to sleep."""

    def __init__(
        self, disk: SimulatedDisk, random: Random, now_us: Callable[[], int], advance: Callable[[int], None]
    ) -> None:
        self.name: Final = f"simulated-{next(_names)}"
        self._disk = disk
        self._random = random
        self._now_us = now_us
        self._advance = advance
        self._locked: dict[SimulatedFile, SimulatedVfsFile] = {}
        super().__init__(self.name, base="")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> SimulatedVfsFile:
        """Open or create; a file without a name is SQLite's scratch space and not on the disk."""
        flags[1] = flags[0]
        if name is None:
            return SimulatedVfsFile(SimulatedDisk(self._random), Path("/"), SimulatedFile(), self._locked, False)
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name)
        created = False
        if self._disk.node(path) is None and flags[0] & apsw.SQLITE_OPEN_CREATE:
            self._disk.create(path, SimulatedFile())
            created = True
        try:
            file = self._disk.file(path)
        except OSError as reason:
            raise apsw.CantOpenError(str(reason)) from None
        return SimulatedVfsFile(self._disk, path, file, self._locked, created and bool(flags[0] & _JOURNALS))

    def xAccess(self, pathname: str, flags: int) -> bool:
        """Whether a file is there; all are readable and writable."""
        return isinstance(self._disk.node(Path(pathname)), SimulatedFile)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """Remove a journal."""
        path = Path(filename)
        if self._disk.node(path) is None:
            raise apsw.exception_for(apsw.SQLITE_IOERR_DELETE_NOENT)
        self._disk.unlink(path)
        if syncdir:
            self._disk.sync_directory(path.parent)

    def xFullPathname(self, name: str) -> str:
        """Paths are absolute already."""
        return name

    def xRandomness(self, numbytes: int) -> bytes:
        """Seeded."""
        return self._random.randbytes(numbytes)

    def xSleep(self, microseconds: int) -> int:
        """Sleep by moving the clock."""
        self._advance(microseconds)
        return microseconds

    def xCurrentTimeInt64(self) -> int:
        """The simulated wall clock as a Julian day in milliseconds."""
        return self._now_us() // 1000 + _UNIX_EPOCH_JULIAN_MS

    def xCurrentTime(self) -> float:
        """The simulated wall clock as a Julian day."""
        return self.xCurrentTimeInt64() / 86_400_000

    def excepthook(
        self,
        etype: type[BaseException] | None,
        evalue: BaseException | None,
        etraceback: types.TracebackType | None,
    ) -> bool:
        """An error that SQLite has no way to hand on: it is in SQLite's result code already."""
        return True


class SimulatedVfsFile(apsw.VFSFile):
    """One open file. `syncs_directory`: the first sync of a journal that was just created makes its name durable too,
    as SQLite's own unix VFS does."""

    def __init__(
        self,
        disk: SimulatedDisk,
        path: Path,
        file: SimulatedFile,
        locked: dict[SimulatedFile, SimulatedVfsFile],
        syncs_directory: bool,
    ) -> None:
        self._disk = disk
        self._path = path
        self._file = file
        self._locked = locked
        self._syncs_directory = syncs_directory
        self._level = apsw.SQLITE_LOCK_NONE

    def xRead(self, amount: int, offset: int) -> bytes:
        """Up to `amount` bytes."""
        return bytes(self._file.content[offset : offset + amount])

    def xWrite(self, data: Buffer, offset: int) -> None:
        """Write, not durably. SQLITE_FULL when the disk has no room."""
        try:
            self._disk.write(self._file, bytes(data), offset)
        except OSError as reason:
            raise _sqlite_error(reason, apsw.SQLITE_IOERR_WRITE) from None

    def xTruncate(self, newsize: int) -> None:
        """Cut, not durably."""
        self._disk.truncate(self._file, newsize)

    def xSync(self, flags: int) -> None:
        """fsync. SQLITE_IOERR_FSYNC when the disk fails it."""
        try:
            self._disk.sync(self._path, self._file)
            if self._syncs_directory:
                self._disk.sync_directory(self._path.parent)
                self._syncs_directory = False
        except OSError as reason:
            raise _sqlite_error(reason, apsw.SQLITE_IOERR_FSYNC) from None

    def xFileSize(self) -> int:
        """Bytes."""
        return len(self._file.content)

    def xLock(self, level: int) -> None:
        """Any lock excludes every other connection."""
        if level > apsw.SQLITE_LOCK_NONE and self._locked.setdefault(self._file, self) is not self:
            raise apsw.BusyError("a simulated database takes one connection at a time")
        self._level = level

    def xUnlock(self, level: int) -> None:
        """Let go of the file when no lock is left."""
        self._level = level
        if level == apsw.SQLITE_LOCK_NONE and self._locked.get(self._file) is self:
            del self._locked[self._file]

    def xCheckReservedLock(self) -> bool:
        """Whether anybody is writing. A reader's own lock must not count: SQLite would take a dead writer's journal
        for a living one's and not roll it back."""
        holder = self._locked.get(self._file)
        return holder is not None and holder._level >= apsw.SQLITE_LOCK_RESERVED

    def xFileControl(self, op: int, ptr: int) -> bool:
        """None are understood."""
        return False

    def xSectorSize(self) -> int:
        """What SQLite's unix VFS says."""
        return _SECTOR_BYTES

    def xDeviceCharacteristics(self) -> int:
        """A torn write leaves bytes beside it alone, as SQLite's unix VFS says."""
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE

    def xClose(self) -> None:
        """Let go."""
        self.xUnlock(apsw.SQLITE_LOCK_NONE)

    def excepthook(
        self,
        etype: type[BaseException] | None,
        evalue: BaseException | None,
        etraceback: types.TracebackType | None,
    ) -> bool:
        """An error that SQLite has no way to hand on: it is in SQLite's result code already."""
        return True


def _sqlite_error(reason: OSError, otherwise: int) -> Exception:
    code = apsw.SQLITE_FULL if reason.errno == errno.ENOSPC else otherwise
    return apsw.exception_for(code)
