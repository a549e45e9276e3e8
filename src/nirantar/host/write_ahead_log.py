"""Moving a database's write-ahead log into it, where the disk's answer is heard.

SQLite would do this by itself after a commit, but keeps to itself that an fsync of the database failed. What the disk
holds after that is unknown, so the process must not go on as if nothing had been.
"""

from __future__ import annotations

from contextlib import suppress

import apsw

from nirantar.errors import DiskFull, Overloaded
from nirantar.host.database_pages import DatabasePages, HeldPages
from nirantar.host.disk_errors import DiskErrors
from nirantar.host.pragmas import set_pragma


class WriteAheadLog:
    """The log of one writing connection; `pages_max` is how far it grows before it is moved. `pages`, if given, is
    told of every commit."""

    def __init__(
        self, connection: apsw.Connection, pages_max: int, errors: DiskErrors, pages: DatabasePages | None = None
    ) -> None:
        self.pages_max = pages_max
        self.pages = pages
        self._connection = connection
        self._errors = errors
        self.times_begun = 0
        self._frames = 0
        self._frames_when_moved = 0
        self._frames_moved = 0
        with errors:
            set_pragma(connection, "wal_autocheckpoint", 0)
        # After the pragma: it takes the hook away.
        connection.set_wal_hook(self._committed)

    @property
    def frames(self) -> int:
        """How many frames the log has since it was last begun anew."""
        return self._frames

    @property
    def frames_to_move(self) -> int:
        """How many of them are not known to be in the database, too."""
        return self._frames - self._frames_moved

    def settle(self) -> None:
        """After a commit: move the log if it has grown. Raises as `move`."""
        if self._frames - self._frames_when_moved >= self.pages_max:
            self.move()

    def move(self) -> None:
        """Move what can be moved without waiting; a full disk or another connection's lock leaves it for later.

        Raises FsyncFailed, after which the process must exit; what was committed stays in the log.
        """
        with suppress(DiskFull, Overloaded), self._errors:
            frames, moved = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._frames = self._frames_when_moved = max(0, frames)
            self._frames_moved = max(0, moved)

    def moved_beside(self, times_begun: int, frames: int, moved: int) -> None:
        """Another connection moved so much of the log when it had so many frames; in the writer's thread."""
        if times_begun == self.times_begun and frames <= self._frames:
            self._frames_when_moved = max(frames, self._frames_when_moved)
            self._frames_moved = max(moved, self._frames_moved)

    def watch(self) -> None:
        """Begin to tell `pages`: once, before the first commit. What a crash left in the log is moved and told, too.
        Raises as `move`."""
        self.move()
        if self.pages is not None and self._frames:
            self.pages.committed(self._frames)

    def hold(self, page_count: int) -> HeldPages:
        """See DatabasePages.hold; only where there are `pages`."""
        if self.pages is None:
            raise AssertionError("the pages of this database are not watched")
        return self.pages.hold(page_count, moved=self._frames_moved == self._frames)

    def _committed(self, _connection: apsw.Connection, _name: str, frames: int) -> int:
        if frames <= self._frames:  # begun anew
            self.times_begun += 1
            self._frames_when_moved = self._frames_moved = 0
        self._frames = frames
        if self.pages is not None:
            self.pages.committed(frames)
        return apsw.SQLITE_OK
