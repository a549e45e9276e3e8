"""A database's pages beside SQLite: which ones changed since they were last asked for, and what they hold as of one
commit while others go on.

Both come from the write-ahead log, whose form SQLite documents (sqlite.org/walformat.html): a header of 32 bytes whose
salts change whenever the log is begun anew, then frames of 24 + 4,096 bytes that begin with the page's number. After
each commit the numbers of its frames are noted; that costs a read of what was just written (docs/rfd/0013).

The files are opened once and closed with the database: POSIX drops every lock that the process holds on a file, those
of SQLite included, when any of its descriptors is closed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from nirantar.errors import Damaged
from nirantar.host.pragmas import PAGE_BYTES

_HEADER_BYTES: Final = 32
_SALTS_AT: Final = 16
_SALTS_BYTES: Final = 8
_FRAME_HEADER_BYTES: Final = 24
_FRAME_BYTES: Final = _FRAME_HEADER_BYTES + PAGE_BYTES
_FRAMES_AT_ONCE: Final = 256


class DatabasePages:
    """The pages of the database at `path`, which is open in WAL mode with one writer. `committed`, `hold`,
    `take_changed` and `give_back` belong to the writer's thread. Pages are counted from 0."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log_path = path.with_name(path.name + "-wal")
        self._database = -1
        self._log = -1
        self._salts = b""
        self._seen = 0
        self._places: dict[int, int] = {}
        self._changed = bytearray()
        # What changed before this process opened the file is not known.
        self._known = False

    def committed(self, frames: int) -> None:
        """Note the pages of a commit after which the log has so many frames. Never raises: what cannot be read makes
        the next `take_changed` say that it does not know."""
        try:
            self._note(frames)
        except OSError:
            self._known = False
            self._salts = b""

    def take_changed(self) -> bytes | None:
        """One byte a page, not 0 where it may have changed since the last call; pages beyond its end have not.
        None where that is not known: on the first call, and after trouble."""
        changed = bytes(self._changed) if self._known else None
        self._changed = bytearray()
        self._known = True
        return changed

    def give_back(self, changed: bytes | None) -> None:
        """Undo `take_changed`: what it said is to be said again."""
        if changed is None:
            self._known = False
            return
        # As one number each: a loop over a million pages would hold up the writer.
        both = int.from_bytes(changed, "little") | int.from_bytes(self._changed, "little")
        self._changed = bytearray(both.to_bytes(max(len(changed), len(self._changed)), "little"))

    def hold(self, page_count: int, *, moved: bool) -> HeldPages:
        """The pages as of the last commit. A read transaction that began at it must be open until the last read: it
        keeps newer pages out of the database and the log from being begun anew. `moved`: everything that is in the
        log is in the database, too, so the log is not needed (and may be begun anew all the same)."""
        self._open()
        return HeldPages(self, page_count, {} if moved else dict(self._places))

    def page(self, number: int, frame: int | None) -> bytes:
        """A page from a frame of the log, or from the database. Any thread. Raises Damaged where it is not there."""
        if frame is None:
            data = os.pread(self._database, PAGE_BYTES, number * PAGE_BYTES)
        else:
            data = os.pread(self._log, PAGE_BYTES, _place(frame) + _FRAME_HEADER_BYTES)
        if len(data) != PAGE_BYTES:
            raise Damaged(f"{self._path} ends before page {number}.")
        return data

    def salts(self) -> bytes:
        """What tells the log from the one that it was before it was last begun anew."""
        return os.pread(self._log, _SALTS_BYTES, _SALTS_AT)

    def close(self) -> None:
        """Close the files. Only after SQLite has closed them."""
        for descriptor in (self._database, self._log):
            if descriptor >= 0:
                os.close(descriptor)
        self._database = self._log = -1

    def _open(self) -> None:
        if self._database < 0:
            self._database = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        if self._log < 0:
            self._log = os.open(self._log_path, os.O_RDONLY | os.O_CLOEXEC)

    def _note(self, frames: int) -> None:
        self._open()
        salts = self.salts()
        if salts != self._salts:
            self._salts, self._seen = salts, 0
            self._places.clear()
        while self._seen < frames:
            count = min(frames - self._seen, _FRAMES_AT_ONCE)
            # The pages themselves are not needed, but one read of all costs less than one for each header.
            data = os.pread(self._log, count * _FRAME_BYTES, _place(self._seen + 1))
            if len(data) != count * _FRAME_BYTES:
                raise OSError("the log ends before its last commit")
            for start in range(0, len(data), _FRAME_BYTES):
                self._seen += 1
                self._note_page(int.from_bytes(data[start : start + 4], "big") - 1, self._seen)

    def _note_page(self, page: int, frame: int) -> None:
        self._places[page] = frame
        if page >= len(self._changed):
            self._changed.extend(bytes(page + 1 - len(self._changed)))
        self._changed[page] = 1


class HeldPages:
    """The pages of a database as of one commit. Any thread, one at a time."""

    def __init__(self, pages: DatabasePages, page_count: int, places: Mapping[int, int]) -> None:
        self.page_count: Final = page_count
        self._pages = pages
        self._places = places
        self._salts = pages.salts()

    def read(self, page: int) -> bytes:
        """4,096 bytes. Raises Damaged where the file has no such page."""
        return self._pages.page(page, self._places.get(page))

    def require_held(self) -> None:
        """Raise Damaged if the log was begun anew meanwhile, so that what was read may be of a later commit."""
        if self._places and self._pages.salts() != self._salts:
            raise Damaged("The view's log was begun anew while its pages were read: they are not of one moment.")


def _place(frame: int) -> int:
    return _HEADER_BYTES + (frame - 1) * _FRAME_BYTES
