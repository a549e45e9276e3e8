"""A database that is used before it is here: a sparse file, and a bitmap beside it that says which pages it holds.

The bitmap's file is there as long as a page is absent; without it the database is an ordinary one. Its format is in
docs/format.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw
import msgspec

from nirantar.errors import Damaged
from nirantar.host.database_files import BITMAP_SUFFIX, database_files
from nirantar.host.lazy_pages import PAGE_BYTES, LazyPages
from nirantar.host.lazy_vfs import LazyVfs
from nirantar.host.page_presence import BLOCK_BYTES, PagePresence
from nirantar.host.page_source import PageSource
from nirantar.host.real_database import open_database
from nirantar.host.real_files import RealFiles

_FORMAT: Final = 1


class _Header(msgspec.Struct, frozen=True):
    v: int
    page_count: int
    source: str


class LazyFile:
    """One database file that is being filled, and the way to its connections. Close those first.

    `source_name` names the image: a file that was begun from another one is refused with Damaged.
    """

    def __init__(self, files: RealFiles, path: Path, source: PageSource, source_name: str) -> None:
        """Begin the file, or go on with it. A file without a bitmap is complete."""
        if source.page_size != PAGE_BYTES:
            raise Damaged(f"The image of {path.name} has pages of {source.page_size} bytes; {PAGE_BYTES} are expected.")
        self._files = files
        self._path = path
        self._bitmap_path = path.with_name(path.name + BITMAP_SUFFIX)
        self._vfs: LazyVfs | None = None
        self._complete = path.exists() and not self._bitmap_path.exists()
        if not self._complete:
            self._open(source, _Header(_FORMAT, source.page_count, source_name))

    def _open(self, source: PageSource, header: _Header) -> None:
        if not self._path.exists():
            self._begin(header)
        kept = self._files.read(self._bitmap_path)
        if msgspec.json.decode(kept[:BLOCK_BYTES].rstrip(b"\0"), type=_Header) != header:
            raise Damaged(f"{self._path} was begun from another image than {header.source}: it cannot go on with it.")
        presence = PagePresence(header.page_count, kept[BLOCK_BYTES:])
        # By SQLite's own VFS, since closing any other descriptor of the file would let go of all its locks (fcntl(2)).
        self._file = apsw.VFSFile("", str(self._path), [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READWRITE, 0])
        if self._file.xFileSize() == 0:
            # Begun, and died before it had its size.
            self._file.xTruncate(header.page_count * PAGE_BYTES)
        self._bitmap = os.open(self._bitmap_path, os.O_WRONLY | os.O_CLOEXEC)
        self._pages = LazyPages(self._file, self._bitmap, BLOCK_BYTES, presence, source)
        self._vfs = LazyVfs(self._pages)
        self.settle()

    def _begin(self, header: _Header) -> None:
        """Make bitmap and file, in this order: a file without a bitmap counts as complete. What an earlier file left
        beside it must not be applied to this one."""
        for name in database_files(self._path):
            with suppress(FileNotFoundError):
                self._files.remove(name)
        presence = PagePresence(header.page_count)
        bits = b"".join(presence.block(number) for number in range(presence.blocks))
        self._files.put_new(self._bitmap_path, msgspec.json.encode(header).ljust(BLOCK_BYTES, b"\0") + bits)
        self._files.create_empty(self._path)

    @property
    def complete(self) -> bool:
        """Whether every page is here: the file is an ordinary database."""
        return self._complete

    @property
    def absent(self) -> int:
        """How many pages are not here."""
        return 0 if self._complete else self._pages.presence.absent

    def next_absent(self, start: int) -> int | None:
        """The first page from `start` on that is not here."""
        return None if self._complete else self._pages.presence.next_absent(start)

    def bring(self, page: int) -> bool:
        """Fetch a page and what comes with it; False where the disk did not take it. Raises NotHereYet."""
        return self._complete or self._pages.bring(page) is None

    def bring_many(self, pages: Iterable[int]) -> bool:
        """`bring` for several pages, in as few requests as their places allow."""
        return self._complete or self._pages.bring_many(pages)

    def settle(self) -> None:
        """Make durable what was fetched, so that it is not fetched again after a crash. When nothing is absent the
        bitmap goes, and the file is complete. Raises apsw's errors of the disk."""
        if self._complete:
            return
        self._pages.sync_fetched()
        if self._pages.presence.absent == 0 and self._vfs is not None:
            self._files.remove(self._bitmap_path)
            self._complete = True
            self._vfs.pass_through()

    def connect(self, *, read_only: bool = False) -> apsw.Connection:
        """A connection as `Host.database` gives it; it may raise NotHereYet."""
        vfs = None if self._complete or self._vfs is None else self._vfs.name
        return open_database(self._files, self._path, read_only=read_only, vfs=vfs)

    def close(self) -> None:
        """Keep what was fetched and release the file; its connections are closed already."""
        if self._vfs is None:
            return
        try:
            self.settle()
        finally:
            self._vfs.unregister()
            self._vfs = None
            os.close(self._bitmap)
            self._file.xClose()
