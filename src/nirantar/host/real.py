"""The machine as it is: the operating system's clock, randomness, disk, locks and SQLite."""

from __future__ import annotations

import errno
import fcntl
import hmac
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NoReturn

import apsw

from nirantar.errors import Damaged, DirectoryInUse, DiskFull, FsyncFailed, SetupError
from nirantar.host.pragmas import set_common, set_pragma

EXIT_BROKEN_PROMISE: Final = 70
"""The exit code of `RealHost.exit`: sysexits' EX_SOFTWARE, which a service manager restarts."""

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_PARTIAL: Final = ".partial"
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
        """Open `path`: writers in WAL mode with 4 KiB pages, the file readable by its owner only.

        `synchronous` is left to the caller. Raises FileNotFoundError for a reader of a missing file, Damaged if the
        file is not a database, SetupError if it is one of another shape, and SQLite's own apsw errors.
        """
        if read_only:
            os.stat(path)
            flags = apsw.SQLITE_OPEN_READONLY
        else:
            _create_empty(path)
            flags = apsw.SQLITE_OPEN_READWRITE
        connection = apsw.Connection(os.fspath(path), flags=flags)
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

    def exit(self, reason: str) -> NoReturn:
        """Write `reason` to standard error and end with EXIT_BROKEN_PROMISE: no handlers, no flushing of files."""
        with suppress(OSError):
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"nirantar: {reason}\n".encode())
        os._exit(EXIT_BROKEN_PROMISE)


class RealFiles:
    """The disk by way of POSIX: temporary file, fsync, link or rename, fsync of the directory.

    A crash may leave a `.<name>.<hex>.partial` behind; `walk` does not show those.
    """

    def put_new(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        """Create `path`; a hard link makes it appear whole or not at all and never replaces anything."""
        with _named(path):
            made = not os.path.lexists(path)
            if made:
                with _temporary(path, data, mode) as temporary:
                    made = _link(temporary, path)
            # Also for a file that was there: whoever made it may have died before this line.
            _sync_directory(path.parent)
            if not made:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(path))

    def replace(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        """Create or replace `path` by a rename."""
        with _named(path):
            with _temporary(path, data, mode) as temporary:
                os.rename(temporary, path)
            _sync_directory(path.parent)

    def append(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        """Add `data` at the end; what does not fit whole is cut off again."""
        with _named(path):
            made = not os.path.lexists(path)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, mode)
            try:
                size = os.fstat(descriptor).st_size
                try:
                    _write_all(descriptor, data)
                except OSError:
                    os.ftruncate(descriptor, size)
                    raise
                _sync(descriptor, path, room_matters=False)
            finally:
                os.close(descriptor)
            if made:
                _sync_directory(path.parent)

    def identity(self, path: Path) -> str:
        """The inode: a copy gets another one, a rename keeps it. The device is left out, it may change at a reboot."""
        return str(os.stat(path).st_ino)

    def read(self, path: Path, start: int = 0, length: int | None = None) -> bytes:
        """`length` bytes (or all) from `start`."""
        with open(path, "rb", buffering=0) as file:
            file.seek(start)
            if length is None:
                return file.readall()
            parts: list[bytes] = []
            while length > 0 and (part := file.read(length)):
                parts.append(part)
                length -= len(part)
            return b"".join(parts)

    def size(self, path: Path) -> int:
        """The file's size in bytes."""
        return os.stat(path).st_size

    def exists(self, path: Path) -> bool:
        """Whether a file or directory is there."""
        return path.exists()

    def make_directory(self, path: Path, *, mode: int = 0o700) -> None:
        """Create a directory and its missing parents, all with `mode`, durably. FileExistsError if a file is there.

        A directory that was there is made durable too: whoever made it may have died before that.
        """
        with _named(path):
            missing = []
            place = path
            while not place.is_dir():
                missing.append(place)
                place = place.parent
            for directory in reversed(missing):
                try:
                    os.mkdir(directory)
                except FileExistsError:
                    if not directory.is_dir():
                        raise
                    continue
                os.chmod(directory, mode)
                _sync_directory(directory.parent)
            if not missing:
                _sync_directory(path.parent)

    def walk(self, path: Path, *, after: Path | None = None) -> Iterator[Path]:
        """Every regular file below `path` in the order of `str(path)`; directories that lie wholly before `after`
        are not opened. Symbolic links are not followed and not shown."""
        return _walk(os.fspath(path), "" if after is None else os.fspath(after))

    def remove(self, path: Path) -> None:
        """Delete one file, durably."""
        with _named(path):
            os.unlink(path)
            _sync_directory(path.parent)

    @contextmanager
    def lock(self, path: Path) -> Iterator[None]:
        """Hold `path` by flock(2): the kernel lets go when the process ends, however it ends."""
        with open(path, "a+b", opener=_private_opener) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DirectoryInUse(
                    f"{path.parent} is in use by another process; stop that one first, or choose another directory"
                ) from None
            yield

    def free_bytes(self, path: Path) -> int:
        """What statvfs leaves to ordinary users on the disk of `path`, or of its nearest parent that exists."""
        while not path.exists():
            path = path.parent
        disk = os.statvfs(path)
        return disk.f_bavail * disk.f_frsize


def _read_machine_id(path: Path) -> str:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    if not text or text == "uninitialized":
        return ""
    return hmac.digest(text.encode("ascii"), _MACHINE_ID_LABEL, "sha256").hex()


def _private_opener(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _create_empty(path: Path) -> None:
    """Make the database file before SQLite does: SQLite would take the umask's mode, and its WAL copies this one's."""
    with _named(path), suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        _sync_directory(path.parent)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn "no room" into DiskFull; everything else stays the operating system's own error."""
    try:
        yield
    except OSError as reason:
        if reason.errno not in _NO_ROOM:
            raise
        raise DiskFull(
            f"No room on the disk of {path} ({reason.strerror}); free some space and try again"
        ) from None


@contextmanager
def _temporary(path: Path, data: bytes, mode: int) -> Iterator[Path]:
    """A durable file with `data` beside `path`, gone afterwards unless it was renamed."""
    temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}{_PARTIAL}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            _write_all(descriptor, data)
            os.fchmod(descriptor, mode)
            _sync(descriptor, path, room_matters=True)
        finally:
            os.close(descriptor)
        yield temporary
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)


def _link(temporary: Path, path: Path) -> bool:
    """Whether `path` was free and is now the file."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except PermissionError:
        raise SetupError(
            f"The file system of {path.parent} has no hard links: use ext4, xfs or btrfs"
        ) from None
    return True


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync(descriptor: int, path: Path, *, room_matters: bool) -> None:
    """fsync, or FsyncFailed. A new file that only lacked room (delayed allocation) is removed by the caller and may be
    tried again, so that stays "no room" where `room_matters`."""
    try:
        os.fsync(descriptor)
    except OSError as reason:
        if room_matters and reason.errno in _NO_ROOM:
            raise
        raise FsyncFailed(
            f"The disk did not confirm {path} ({reason.strerror}); what it holds is unknown"
        ) from None


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _sync(descriptor, path, room_matters=False)
    finally:
        os.close(descriptor)


def _walk(directory: str, after: str) -> Iterator[Path]:
    """Depth first. A directory sorts by its name with the slash that its files' paths have, so that the order of
    whole paths comes out without collecting them ("a-b" before "a/x")."""
    try:
        with os.scandir(directory) as found:
            names = sorted(
                entry.path + "/" if entry.is_dir(follow_symlinks=False) else entry.path
                for entry in found
                if entry.is_dir(follow_symlinks=False)
                or (entry.is_file(follow_symlinks=False) and not entry.name.endswith(_PARTIAL))
            )
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if name.endswith("/"):
            if name > after or after.startswith(name):
                yield from _walk(name[:-1], after)
        elif name > after:
            yield Path(name)
