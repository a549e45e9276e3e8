"""The machine as it is: the operating system's clock, randomness, disk, locks and SQLite."""

from __future__ import annotations

import hmac
import os
import secrets
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

import apsw

from nirantar.host.lazy_file import LazyFile
from nirantar.host.page_source import PageSource
from nirantar.host.real_database import open_database
from nirantar.host.real_files import RealFiles
from nirantar.host.watching import DirectoryWatch

EXIT_BROKEN_PROMISE: Final = 70
"""The exit code of `RealHost.exit`: sysexits' EX_SOFTWARE, which a service manager restarts."""

_MACHINE_ID: Final = Path("/etc/machine-id")
_MACHINE_ID_LABEL: Final = b"nirantar machine id v1"


class RealHost:
    """This machine. One instance a process is enough; it holds no state that needs closing."""

    def __init__(self) -> None:
        self._files = RealFiles()
        self._machine_id = _read_machine_id(_MACHINE_ID)

    @property
    def files(self) -> RealFiles:
        """The disk."""
        return self._files

    @property
    def machine_id(self) -> str:
        """/etc/machine-id under a label of ours, as its manual asks (the id itself is confidential); "" if unset."""
        return self._machine_id

    @property
    def exclusive_databases(self) -> bool:
        """False: any number of connections may be open on one database."""
        return False

    def now_us(self) -> int:
        """Microseconds since 1970 UTC."""
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        """Microseconds since some fixed moment."""
        return time.monotonic_ns() // 1000

    def random_bytes(self, count: int) -> bytes:
        """From the kernel's generator."""
        return secrets.token_bytes(count)

    def database(self, path: Path, *, read_only: bool = False) -> apsw.Connection:
        """See open_database."""
        return open_database(self._files, path, read_only=read_only)

    def lazy_database(self, path: Path, source: PageSource, source_name: str) -> LazyFile:
        """Begin a lazily filled database, or go on with it."""
        return LazyFile(self._files, path, source, source_name)

    def watch(self, directory: Path) -> DirectoryWatch:
        """By fanotify. Raises SetupError where the kernel or the file system has none."""
        return DirectoryWatch(directory)

    def exit(self, reason: str) -> NoReturn:
        """Write `reason` to standard error and end with EXIT_BROKEN_PROMISE: no handlers, no flushing of files."""
        with suppress(OSError):
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"nirantar: {reason}\n".encode())
        os._exit(EXIT_BROKEN_PROMISE)


def _read_machine_id(path: Path) -> str:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    if not text or text == "uninitialized":
        return ""
    return hmac.digest(text.encode("ascii"), _MACHINE_ID_LABEL, "sha256").hex()
