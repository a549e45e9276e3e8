"""A view's file as of one moment: a read transaction holds the moment, the pages are read beside SQLite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import apsw

from nirantar.errors import NirantarError
from nirantar.host.database_pages import HeldPages
from nirantar.host.write_ahead_log import WriteAheadLog
from nirantar.store.disk_errors import translated
from nirantar.store.sqlite_reading import SqliteReader
from nirantar.store.sqlite_rows import one_row

_MOMENT: Final = "SELECT count(*) FROM origin"
"""Any read of the file: SQLite begins its read transaction with the first one."""


class FrozenSqliteView:
    """See the port's FrozenView. `connection` is a reader's, for this alone; `settle_digest` is the writer's."""

    def __init__(
        self, connection: apsw.Connection, settle_digest: Callable[[], bytes], write_ahead_log: WriteAheadLog
    ) -> None:
        self._connection = connection
        self._settle_digest = settle_digest
        self._write_ahead_log = write_ahead_log
        self._reader = SqliteReader(connection)
        self._held: HeldPages | None = None
        self._changed: bytes | None = None

    def freeze(self) -> None:
        """See the port."""
        log = self._write_ahead_log
        if log.pages is None:
            raise AssertionError("a view whose pages are not watched cannot be frozen")
        self._settle_digest()
        with translated():
            self._connection.execute("BEGIN")
            one_row(self._connection.cursor(), _MOMENT)
            page_count: int = self._connection.pragma("page_count")
        self._held = log.hold(page_count)
        self._changed = log.pages.take_changed()

    @property
    def page_count(self) -> int:
        """See the port."""
        return self._held_pages().page_count

    @property
    def changed(self) -> bytes | None:
        """See the port."""
        return self._changed

    @property
    def held_pages(self) -> int:
        """See the port."""
        return self._write_ahead_log.frames

    def read_page(self, page: int) -> bytes:
        """See the port."""
        return self._held_pages().read(page)

    def require_held(self) -> None:
        """See the port."""
        self._held_pages().require_held()

    def state(self) -> SqliteReader:
        """See the port."""
        return self._reader

    def close(self, *, kept: bool) -> None:
        """See the port. Without `kept` this belongs to the writer's thread, as `freeze` does."""
        if self._held is not None and not kept and self._write_ahead_log.pages is not None:
            self._write_ahead_log.pages.give_back(self._changed)
        self._held = None
        self._reader.close_connection()

    def _held_pages(self) -> HeldPages:
        if self._held is None:
            raise NirantarError("This view is not frozen.")
        return self._held
