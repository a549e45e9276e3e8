"""Moving a database's write-ahead log into it, where the disk's answer is heard.

SQLite would do this by itself after a commit, but keeps to itself that an fsync of the database failed. What the disk
holds after that is unknown, so the process must not go on as if nothing had been.
"""

from __future__ import annotations

from contextlib import suppress

import apsw

from nirantar.errors import DiskFull, Overloaded
from nirantar.host.disk_errors import DiskErrors
from nirantar.host.pragmas import set_pragma


class WriteAheadLog:
    """The log of one writing connection; `pages_max` is how far it grows before it is moved."""

    def __init__(self, connection: apsw.Connection, pages_max: int, errors: DiskErrors) -> None:
        self.pages_max = pages_max
        self._connection = connection
        self._errors = errors
        self._pages = 0
        with errors:
            set_pragma(connection, "wal_autocheckpoint", 0)
        # After the pragma: it takes the hook away.
        connection.set_wal_hook(self._committed)

    def settle(self) -> None:
        """After a commit: move the log if it has grown. Raises as `move`."""
        if self._pages >= self.pages_max:
            self.move()

    def move(self) -> None:
        """Move what can be moved without waiting; a full disk or another connection's lock leaves it for later.

        Raises FsyncFailed, after which the process must exit; what was committed stays in the log.
        """
        with suppress(DiskFull, Overloaded), self._errors:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._pages = 0

    def _committed(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._pages = pages
        return apsw.SQLITE_OK
