"""What SQLite says of the disk, said in Nirantar's words, decided once for the whole view."""

from __future__ import annotations

from types import TracebackType
from typing import Final

import apsw

from nirantar.errors import Damaged, DiskFull, FsyncFailed, NirantarError, Overloaded

_BROKEN_PROMISES: Final = frozenset(
    {
        apsw.SQLITE_IOERR_FSYNC,
        apsw.SQLITE_IOERR_DIR_FSYNC,
        apsw.SQLITE_IOERR_WRITE,
        apsw.SQLITE_IOERR_TRUNCATE,
    }
)


def translated() -> _Translation:
    """Inside this context an error of SQLite that speaks of the disk leaves as one of errors.py.

    A full disk is DiskFull; a write or fsync that failed is FsyncFailed, after which the process must exit; bytes
    that are no database are Damaged. Any other error is a mistake of ours and leaves as it is.
    """
    return _TRANSLATION


class _Translation:
    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, apsw.Error) and (meaning := meaning_of(error)) is not None:
            raise meaning from error


_TRANSLATION: Final = _Translation()


def meaning_of(error: apsw.Error) -> NirantarError | None:
    """The error of errors.py that says what `error` says of the disk; None when it says nothing of it."""
    extended = getattr(error, "extendedresult", 0)  # absent on errors that APSW itself raises
    if isinstance(error, apsw.FullError) or extended == apsw.SQLITE_IOERR_SHMSIZE:
        return DiskFull("The disk of the view is full. Free some space: nothing was half written, reading goes on.")
    if isinstance(error, apsw.IOError):
        if extended in _BROKEN_PROMISES:
            return FsyncFailed("The disk of the view refused a write. This process must exit; the view is rebuilt.")
        return Damaged(f"The view's file cannot be read (SQLite I/O error {extended}); rebuild the view.")
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
        return Damaged("The view's file is not what SQLite wrote; rebuild it from the journals.")
    if isinstance(error, apsw.BusyError):
        return Overloaded("The view is locked by another connection; try again in a moment.")
    return None
