"""The real disk: what POSIX needs so that a file is there after a power cut, or was refused."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from nirantar.errors import DirectoryInUse, DiskFull, FsyncFailed, SetupError

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_PARTIAL: Final = ".partial"
_GET_GENERATION: Final = 0x80087601
"""FS_IOC_GETVERSION of linux/fs.h on 64-bit machines."""


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
                temporary.rename(path)
            _sync_directory(path.parent)

    def append(self, path: Path, data: bytes, *, mode: int = 0o600) -> None:
        """Add `data` at the end, durably. Without room for all of it nothing is added."""
        with _named(path):
            made = not path.exists()
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
        """The inode's number and, where the file system has one, its generation: a restored file often gets the
        number of the one that it replaces, never its generation."""
        with path.open("rb", buffering=0) as file:
            number = os.fstat(file.fileno()).st_ino
            try:
                found = fcntl.ioctl(file, _GET_GENERATION, bytes(8))
            except OSError:
                return str(number)
            return f"{number}.{int.from_bytes(found[:4], sys.byteorder)}"

    def read(self, path: Path, start: int = 0, length: int | None = None) -> bytes:
        """`length` bytes (or all) from `start`."""
        with path.open("rb", buffering=0) as file:
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
        return path.stat().st_size

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
                    directory.mkdir()
                except FileExistsError:
                    if not directory.is_dir():
                        raise
                    continue
                directory.chmod(mode)
                _sync_directory(directory.parent)
            if not missing:
                _sync_directory(path.parent)

    def walk(self, path: Path, *, after: Path | None = None) -> Iterator[Path]:
        """Every regular file below `path` in the order of `str(path)`; directories that lie wholly before `after`
        are not opened. Symbolic links are not followed and not shown."""
        return _walk(os.fspath(path), "" if after is None else os.fspath(after))

    def sweep(self, path: Path) -> None:
        """Delete half-written files directly below `path`."""
        with _named(path):
            for left in path.glob(f".*{_PARTIAL}"):
                left.unlink()

    def remove(self, path: Path) -> None:
        """Delete one file, durably."""
        with _named(path):
            path.unlink()
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

    def create_empty(self, path: Path) -> None:
        """Make the file of a database, durably, if it is not there. SQLite itself would take the umask's mode, and
        its WAL copies this file's."""
        with _named(path), suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            _sync_directory(path.parent)


def _private_opener(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn "no room" into DiskFull; everything else stays the operating system's own error."""
    try:
        yield
    except OSError as reason:
        if reason.errno not in _NO_ROOM:
            raise
        raise DiskFull(f"No room on the disk of {path} ({reason.strerror}); free some space and try again") from None


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
            temporary.unlink()


def _link(temporary: Path, path: Path) -> bool:
    """Whether `path` was free and is now the file."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    except PermissionError:
        raise SetupError(f"The file system of {path.parent} has no hard links: use ext4, xfs or btrfs") from None
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
        raise FsyncFailed(f"The disk did not confirm {path} ({reason.strerror}); what it holds is unknown") from None


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
