"""SQLite settings that are checked, not hoped for.

SQLite ignores a pragma it does not know or cannot apply, without an error; and several pragmas in one `execute` stop
at the first that returns a row. So each is set alone and read back.
"""

from __future__ import annotations

from typing import Final

import apsw

from nirantar.errors import SetupError
from nirantar.limits import DATABASE_BUSY_MILLISECONDS

PAGE_BYTES: Final = 4096


def set_pragma(connection: apsw.Connection, name: str, value: int | str) -> None:
    """Set one pragma and read it back. Raises SetupError, naming file and pragma, when SQLite did not take it.

    Numbers for those that SQLite reports as numbers (`synchronous` FULL is 2, NORMAL 1), lower-case words for others.
    """
    connection.pragma(name, value)
    taken = connection.pragma(name)
    if taken != value:
        raise SetupError(
            f"SQLite did not accept {name}={value} for {connection.filename}: it stays {taken}. "
            f"If this file was not made by Nirantar, move it away."
        )


def set_common(connection: apsw.Connection, *, read_only: bool) -> None:
    """What every database of Nirantar has: a bounded wait for locks, 4 KiB pages, no enforced foreign keys, plans that
    do not depend on bound values.

    The page size is SQLite's to choose only while the file is empty, so a reader does not touch it. Without the
    planner's stability guarantee a SQLite built with STAT4 prepares every join again at every call, in case the new
    values suit another plan: measured, 25 µs in place of 2 for a look-up by key.
    """
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    connection.set_busy_timeout(DATABASE_BUSY_MILLISECONDS)
    set_pragma(connection, "foreign_keys", 0)
    if not read_only:
        set_pragma(connection, "page_size", PAGE_BYTES)
        # Savepoints keep what they may have to undo in a temporary file, unless it is told to be in memory.
        set_pragma(connection, "temp_store", 2)
