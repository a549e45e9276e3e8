"""SQLite's way to a lazily filled file: the operating system's VFS, with absent pages fetched before they are read.

Only the main file of the database is treated so; its write-ahead log, shared memory and locks are the operating
system's. An error of the page source leaves SQLite as itself: APSW hands it through the statement.
"""

from __future__ import annotations

import itertools
import types
from functools import partial
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

import apsw

from nirantar.host.lazy_pages import PAGE_BYTES, LazyPages

if TYPE_CHECKING:
    from typing_extensions import Buffer

_names: Final = itertools.count()


class LazyVfs(apsw.VFS):
    """Registered under a name of its own until `unregister`."""

    def __init__(self, pages: LazyPages) -> None:
        self.name: Final = f"lazy-{next(_names)}"
        self._pages = pages
        self._open: WeakSet[LazyVfsFile] = WeakSet()
        self._passing_through = False
        super().__init__(self.name, base="")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        """The main file with its absent pages; any other file as it is."""
        if not flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
            return super().xOpen(name, flags)
        file = LazyVfsFile(name, flags, self._pages)
        self._open.add(file)
        if self._passing_through:
            file.pass_through()
        return file

    def pass_through(self) -> None:
        """Nothing is absent any more: every open file becomes an ordinary one."""
        self._passing_through = True
        for file in list(self._open):
            file.pass_through()

    def excepthook(
        self,
        etype: type[BaseException] | None,
        evalue: BaseException | None,
        etraceback: types.TracebackType | None,
    ) -> bool:
        """An error that SQLite has no way to hand on: it is in SQLite's result code already."""
        return True


class LazyVfsFile(apsw.VFSFile):
    """The main file as one connection has it open."""

    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int], pages: LazyPages) -> None:
        self._pages = pages
        self._presence = pages.presence
        self._read_only = not flags[0] & apsw.SQLITE_OPEN_READWRITE
        super().__init__("", name, flags)

    def pass_through(self) -> None:
        """Let SQLite call the operating system's VFS again, without a detour."""
        # An attribute of the object stands before the method of its class.
        for name in ("xRead", "xWrite", "xTruncate", "xSync"):
            setattr(self, name, getattr(super(), name))

    def xRead(self, amount: int, offset: int) -> bytes:
        """Up to `amount` bytes, fetched first where they are absent. Raises NotHereYet."""
        page = offset // PAGE_BYTES
        if offset % PAGE_BYTES + amount <= PAGE_BYTES and page in self._presence:
            return super().xRead(amount, offset)
        end = (offset + amount + PAGE_BYTES - 1) // PAGE_BYTES
        brought = {each: data for each in range(page, end) if (data := self._pages.bring(each)) is not None}
        if not brought:
            return super().xRead(amount, offset)
        parts = [brought.get(each) or super(LazyVfsFile, self).xRead(PAGE_BYTES, each * PAGE_BYTES)
                 for each in range(page, end)]
        return b"".join(parts)[offset - page * PAGE_BYTES :][:amount]

    def xWrite(self, data: Buffer, offset: int) -> None:
        """Write; the pages are present from then on."""
        self._pages.write(offset, memoryview(data).nbytes, partial(super().xWrite, data, offset))

    def xTruncate(self, newsize: int) -> None:
        """Cut."""
        self._pages.cut(newsize, partial(super().xTruncate, newsize), partial(super().xSync, apsw.SQLITE_SYNC_NORMAL))

    def xSync(self, flags: int) -> None:
        """fsync, and then tell the bitmap on disk what was written before: SQLite empties its log only after this."""
        self._pages.sync(partial(super().xSync, flags))

    def xLock(self, level: int) -> None:
        """As the operating system's. A reader that is the last to close asks to be alone, which its descriptor cannot
        have: SQLite then leaves the log to the next writer, but the error would come out of `close`."""
        if self._read_only and level > apsw.SQLITE_LOCK_SHARED:
            raise apsw.BusyError("a reader is never alone")
        super().xLock(level)

    def excepthook(
        self,
        etype: type[BaseException] | None,
        evalue: BaseException | None,
        etraceback: types.TracebackType | None,
    ) -> bool:
        """An error that SQLite has no way to hand on: it is in SQLite's result code already."""
        return True
