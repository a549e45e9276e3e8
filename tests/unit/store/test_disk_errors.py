"""What SQLite's errors mean here."""

from __future__ import annotations

import apsw
import pytest

from nirantar.errors import Damaged, DiskFull, FsyncFailed, NirantarError, Overloaded
from nirantar.store.disk_errors import translated

MEANINGS = {
    "SQLITE_FULL": DiskFull,
    "SQLITE_IOERR_SHMSIZE": DiskFull,
    "SQLITE_IOERR_FSYNC": FsyncFailed,
    "SQLITE_IOERR_DIR_FSYNC": FsyncFailed,
    "SQLITE_IOERR_WRITE": FsyncFailed,
    "SQLITE_IOERR_READ": Damaged,
    "SQLITE_IOERR_SHORT_READ": Damaged,
    "SQLITE_CORRUPT": Damaged,
    "SQLITE_CORRUPT_INDEX": Damaged,
    "SQLITE_NOTADB": Damaged,
    "SQLITE_BUSY": Overloaded,
    "SQLITE_CONSTRAINT": Damaged,
}


@pytest.mark.parametrize(("code", "meaning"), MEANINGS.items(), ids=MEANINGS.keys())
def test_disk_errors_have_one_meaning(code: str, meaning: type[NirantarError]) -> None:
    """Each result code that speaks of the disk leaves as its one class."""
    with pytest.raises(NirantarError) as caught, translated():
        raise apsw.exception_for(getattr(apsw, code))
    assert type(caught.value) is meaning


@pytest.mark.parametrize("error", [apsw.ThreadingViolationError("x"), KeyError()])
def test_our_own_mistakes_stay_what_they_are(error: Exception) -> None:
    """Misuse of a connection is no news of the disk."""
    with pytest.raises(type(error)), translated():
        raise error
