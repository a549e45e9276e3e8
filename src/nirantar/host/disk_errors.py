"""What SQLite says of the disk, said in Nirantar's words, decided once for every database."""

from __future__ import annotations

from types import TracebackType
from typing import Final

import apsw

from nirantar.errors import Damaged, DiskFull, FsyncFailed, NirantarError, Overloaded, ReadOnly

_BROKEN_PROMISES: Final = frozenset(
    {
        apsw.SQLITE_IOERR_FSYNC,
        apsw.SQLITE_IOERR_DIR_FSYNC,
        apsw.SQLITE_IOERR_WRITE,
        apsw.SQLITE_IOERR_TRUNCATE,
    }
)


class DiskErrors:
    """A context for the statements of one kind of database, `name` ("the journal"): inside it an error of SQLite that
    speaks of the disk leaves as one of errors.py.

    A full disk is DiskFull; a write or fsync that failed is FsyncFailed, after which the process must exit; bytes that
    are no database, no text or rows that contradict each other are Damaged, with `advice` on what to do; a disk that
    became read-only is ReadOnly. Any other error is a mistake of ours and leaves as it is.
    """

    __slots__ = ("_advice", "_name")

    def __init__(self, name: str, advice: str) -> None:
        self._name = name
        self._advice = advice

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, UnicodeDecodeError):
            raise Damaged(f"A text in the file of {self._name} is not UTF-8; {self._advice}.") from None
        if isinstance(error, apsw.Error) and (meaning := self.meaning_of(error)) is not None:
            raise meaning from error

    def meaning_of(self, error: apsw.Error) -> NirantarError | None:
        """The error of errors.py that says what `error` says of the disk; None when it says nothing of it."""
        extended = getattr(error, "extendedresult", 0)  # absent on errors that APSW itself raises
        if isinstance(error, apsw.FullError) or extended == apsw.SQLITE_IOERR_SHMSIZE:
            return DiskFull(
                f"The disk of {self._name} is full. Free some space: nothing was half written, reading goes on."
            )
        if isinstance(error, apsw.IOError):
            if extended in _BROKEN_PROMISES:
                return FsyncFailed(f"The disk of {self._name} refused a write (SQLite error {extended}).")
            return Damaged(f"The file of {self._name} cannot be read (SQLite I/O error {extended}); {self._advice}.")
        if isinstance(error, (apsw.CorruptError, apsw.NotADBError, apsw.FormatError)):
            return Damaged(f"The file of {self._name} is not what SQLite wrote; {self._advice}.")
        if isinstance(error, apsw.ConstraintError):
            # Whoever writes checks first, so what is in the way is not what its readers saw.
            return Damaged(f"Rows of {self._name} contradict each other ({error}); {self._advice}.")
        if isinstance(error, (apsw.ReadOnlyError, apsw.CantOpenError, apsw.PermissionsError)):
            return ReadOnly(f"The file of {self._name} cannot be written ({type(error).__name__}): who owns its disk?")
        if isinstance(error, (apsw.BusyError, apsw.LockedError)):
            return Overloaded(f"{self._name.capitalize()} is locked by another connection; try again in a moment.")
        return None
