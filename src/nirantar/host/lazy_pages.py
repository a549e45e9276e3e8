"""The pages of a lazily filled file: fetched once, never over something newer, and claimed only once they are durable.

Two rules keep the file right (a naive hole-filling file corrupted a database when SQLite reused free pages):

* A page is stored under the same lock under which SQLite's own write marks it, and only while it is absent: an old page
  that was on its way when SQLite wrote a newer one is dropped.
* The bitmap on disk names a page only after an fsync of the file that came after the page was stored. SQLite syncs the
  file before it forgets the write-ahead log, so a crash leaves each page either claimed and durable, or still in the
  log, or as the source has it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Lock
from typing import Final

import apsw

from nirantar.errors import NirantarError, NotHereYet
from nirantar.host.page_presence import BLOCK_BYTES, PagePresence
from nirantar.host.page_source import PageSource

PAGE_BYTES: Final = 4096
_SHIFT: Final = 12
_RUN_PAGES_MAX: Final = 64


class LazyPages:
    """The absent and present pages of one file in this process, shared by all its connections."""

    def __init__(
        self, file: apsw.VFSFile, bitmap: int, bitmap_start: int, presence: PagePresence, source: PageSource
    ) -> None:
        """`file` is open for writing; `bitmap` is a descriptor whose blocks begin at `bitmap_start`."""
        self.presence: Final = presence
        self._file = file
        self._bitmap = bitmap
        self._bitmap_start = bitmap_start
        self._source = source
        self._lock = Lock()
        self._syncing = Lock()
        self._coming: dict[int, Future[dict[int, bytes]]] = {}

    def bring(self, page: int) -> bytes | None:
        """Have a page here. Its bytes are returned only where the disk did not take them: reading goes on without.

        Raises NotHereYet when the source cannot give it.
        """
        while page not in self.presence:
            with _told():
                frame = self._source.frame_of(page)[0]
            with self._lock:
                coming = self._coming.get(frame)
                mine = coming is None
                if coming is None:
                    coming = self._coming[frame] = Future()
            if mine:
                self._fetch(page, frame, coming)
            not_stored = coming.result()
            if page in not_stored:
                return not_stored[page]
        return None

    def bring_many(self, pages: Iterable[int]) -> bool:
        """Have all these pages here, in as few requests as their places allow. Otherwise as `bring`; False where the
        disk did not take one."""
        whole = True
        with _told():
            for fetched in self._source.fetch_many([page for page in pages if page not in self.presence]):
                whole = not self._store(fetched) and whole
        return whole

    def write(self, offset: int, size: int, write: Callable[[], None]) -> None:
        """Let SQLite write `size` bytes at `offset`. What it writes only in part is fetched first."""
        first, end = offset >> _SHIFT, (offset + size + PAGE_BYTES - 1) >> _SHIFT
        if offset % PAGE_BYTES:
            self._bring_stored(first)
        if (offset + size) % PAGE_BYTES:
            self._bring_stored(end - 1)
        with self._lock:
            write()
            for page in range(first, end):
                self.presence.add(page)

    def cut(self, size: int, cut: Callable[[], None], sync: Callable[[], None]) -> None:
        """Let SQLite shorten the file to `size` bytes. What lay behind is not fetched any more, also not after a crash:
        SQLite does so only once its write-ahead log says that the database ends there."""
        if size < self.presence.page_count * PAGE_BYTES:
            if size % PAGE_BYTES:
                self._bring_stored(size >> _SHIFT)
            with self._lock:
                for page in range((size + PAGE_BYTES - 1) >> _SHIFT, self.presence.page_count):
                    self.presence.add(page)
            self.sync(sync)
        cut()

    def sync(self, sync: Callable[[], None]) -> None:
        """Make durable first the file, by `sync`, then the bitmap with what was present before that began."""
        with self._syncing:
            with self._lock:
                blocks = self.presence.take_changed()
            try:
                sync()
                for number, block in blocks.items():
                    os.pwrite(self._bitmap, block, self._bitmap_start + number * BLOCK_BYTES)
                if blocks:
                    os.fdatasync(self._bitmap)
            except BaseException as failure:
                with self._lock:
                    self.presence.changed_again(set(blocks))
                if isinstance(failure, OSError):
                    raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC) from failure
                raise

    def sync_fetched(self) -> None:
        """`sync` when it is not SQLite that asks."""
        self.sync(lambda: self._file.xSync(apsw.SQLITE_SYNC_NORMAL))

    def _bring_stored(self, page: int) -> None:
        if self.bring(page) is not None:
            raise apsw.exception_for(apsw.SQLITE_FULL)

    def _fetch(self, page: int, frame: int, coming: Future[dict[int, bytes]]) -> None:
        try:
            with _told():
                fetched = self._source.fetch(page)
            if len(fetched.get(page, b"")) != PAGE_BYTES:
                raise AssertionError(f"page {page} was fetched, and something else came")
            coming.set_result(self._store(fetched))
        except BaseException as failure:  # noqa: BLE001 - whoever waits for the same frame hears it, and so does the caller
            coming.set_exception(failure)
        finally:
            with self._lock:
                del self._coming[frame]

    def _store(self, fetched: Mapping[int, bytes]) -> dict[int, bytes]:
        """Store what is still absent; what the disk did not take is returned."""
        not_stored: dict[int, bytes] = {}
        for run in _runs(sorted(fetched)):
            with self._lock:
                for pages in _runs([page for page in run if page not in self.presence]):
                    data = b"".join([fetched[page] for page in pages])
                    try:
                        self._file.xWrite(data, pages[0] * PAGE_BYTES)
                    except (apsw.FullError, apsw.IOError):
                        not_stored.update((page, fetched[page]) for page in pages)
                    else:
                        for page in pages:
                            self.presence.add(page)
        return not_stored


def _runs(pages: Sequence[int]) -> Iterator[Sequence[int]]:
    """Ascending pages in stretches without a gap, none longer than _RUN_PAGES_MAX: the lock is held for one write."""
    start = 0
    for place in range(1, len(pages) + 1):
        if place == len(pages) or pages[place] != pages[place - 1] + 1 or place - start == _RUN_PAGES_MAX:
            yield pages[start:place]
            start = place


@contextmanager
def _told() -> Iterator[None]:
    """Whatever the source says becomes NotHereYet, with its reason."""
    try:
        yield
    except NirantarError as reason:
        raise NotHereYet(
            f"This part of the records is not here yet, and could not be fetched: {reason} "
            "Try again in a moment; what is here stays in use."
        ) from reason
