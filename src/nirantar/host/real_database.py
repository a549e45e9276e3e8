"""Opening a SQLite database on the real disk, with what every database of Nirantar has."""

from __future__ import annotations

import os
from pathlib import Path

import apsw

from nirantar.errors import Damaged
from nirantar.host.pragmas import set_common, set_pragma
from nirantar.host.real_files import RealFiles


def open_database(files: RealFiles, path: Path, *, read_only: bool = False, vfs: str | None = None) -> apsw.Connection:
    """Open `path`: writers in WAL mode with 4 KiB pages, the file readable by its owner only.

    `synchronous` is left to the caller. Raises FileNotFoundError for a reader of a missing file, Damaged if the
    file is not a database, SetupError if it is one of another shape, and SQLite's own apsw errors.
    """
    if read_only:
        path.stat()
        flags = apsw.SQLITE_OPEN_READONLY
    else:
        files.create_empty(path)
        flags = apsw.SQLITE_OPEN_READWRITE
    connection = apsw.Connection(os.fspath(path), flags=flags, vfs=vfs)
    try:
        set_common(connection, read_only=read_only)
        if not read_only:
            set_pragma(connection, "journal_mode", "wal")
    except apsw.NotADBError:
        connection.close()
        raise Damaged(f"{path} is not a SQLite database: its first bytes were changed") from None
    except BaseException:
        connection.close()
        raise
    return connection
