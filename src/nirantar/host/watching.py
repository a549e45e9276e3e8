"""Who else writes in a directory: Linux's fanotify, by which the kernel says of each change which process made it.

Without privileges (Linux 5.13 and later) it names the own process and says 0 for every other, which is the very
difference that is wanted; as root it names all. What a process writes through shared memory (mmap) is not told by the
kernel, and neither is what the administrator of the machine does below the file system.
Sources: fanotify(7), fanotify_init(2), fanotify_mark(2), name_to_handle_at(2).
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from nirantar.errors import SetupError
from nirantar.limits import WATCHED_DIRECTORIES_MAX

_INIT_FLAGS: Final = 0x1 | 0x2 | 0xC00
"""FAN_CLOEXEC, FAN_NONBLOCK, FAN_REPORT_DFID_NAME; the class is FAN_CLASS_NOTIF, 0."""
_MARK_ADD_DIRECTORY: Final = 0x1 | 0x8
_MODIFY: Final = 0x2
_MOVED_FROM: Final = 0x40
_MOVED_TO: Final = 0x80
_CREATE: Final = 0x100
_DELETE: Final = 0x200
_DELETE_SELF: Final = 0x400
_MOVE_SELF: Final = 0x800
_QUEUE_OVERFLOW: Final = 0x4000
_ON_CHILD: Final = 0x0800_0000
_ON_DIRECTORY: Final = 0x4000_0000
_MASK: Final = (
    _MODIFY | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF | _ON_CHILD | _ON_DIRECTORY
)
_WORDS: Final = (
    (_DELETE | _DELETE_SELF, "deleted"), (_MOVED_FROM | _MOVED_TO | _MOVE_SELF, "renamed"), (_MODIFY, "modified"),
    (_CREATE, "created"),
)
_METADATA: Final = struct.Struct("=IBBHQii")
_INFO: Final = struct.Struct("=BBH")
_HANDLE: Final = struct.Struct("=Ii")
_FSID_BYTES: Final = 8
_INFO_WITH_NAME: Final = 2
_HANDLE_BYTES_MAX: Final = 128
_AT_FDCWD: Final = -100
_READ_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Touched:
    """A change that another process made: the file's path below the watched directory (`.` for the directory itself),
    and `created`, `modified`, `renamed` or `deleted`. An empty path: the kernel had too much to tell and lost some."""

    path: str
    what: str


class Watch(Protocol):
    """Tells of others' changes, in order, each as soon as it is asked for."""

    def wait(self, seconds: float) -> list[Touched]:
        """What others changed since the last call; waits at most so long for the first. One thread at a time."""

    def close(self) -> None:
        """Stop watching."""


class DirectoryWatch:
    """A `Watch` over a directory and those in it. Raises SetupError, with the reason, where this machine cannot."""

    def __init__(self, directory: Path) -> None:
        self._own = os.getpid()
        self._root = directory
        self._names: dict[bytes, str] = {}
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.fanotify_init(ctypes.c_uint(_INIT_FLAGS), ctypes.c_uint(os.O_RDONLY))
        if self._descriptor < 0:
            raise SetupError(f"This machine's kernel cannot tell who writes: {os.strerror(ctypes.get_errno())}.")
        try:
            for each in (directory, *(path for path in sorted(directory.rglob("*")) if path.is_dir())):
                self._mark(each)
        except BaseException:
            self.close()
            raise

    def wait(self, seconds: float) -> list[Touched]:
        """See the port."""
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return []
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return []
        return list(self._foreign(data))

    def close(self) -> None:
        """See the port."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _foreign(self, data: bytes) -> Iterator[Touched]:
        place = 0
        while place < len(data):
            length, _, _, start, mask, descriptor, process = _METADATA.unpack_from(data, place)
            if descriptor >= 0:
                os.close(descriptor)
            if mask & _QUEUE_OVERFLOW:
                yield Touched("", "lost")
            else:
                path = self._path(data[place + start : place + length])
                if mask & _CREATE and mask & _ON_DIRECTORY:
                    # It may be gone again, or there may be too many: then only what is in it stays unseen.
                    with suppress(SetupError):
                        self._mark(self._root / path)
                if process != self._own:
                    yield from (Touched(path, word) for bits, word in _WORDS if mask & bits)
            place += length

    def _path(self, infos: bytes) -> str:
        """The path that an event speaks of: the known directory's, and the name in it."""
        kind, _, length = _INFO.unpack_from(infos, 0)
        start = _INFO.size + _FSID_BYTES
        handle_bytes, _ = _HANDLE.unpack_from(infos, start)
        end = start + _HANDLE.size + handle_bytes
        directory = self._names.get(infos[start:end], "?")
        name = infos[end:length].split(b"\0")[0].decode("utf-8", "replace") if kind == _INFO_WITH_NAME else "."
        return directory if name == "." else (name if directory == "." else f"{directory}/{name}")

    def _mark(self, directory: Path) -> None:
        if len(self._names) >= WATCHED_DIRECTORIES_MAX:
            raise SetupError(f"More than WATCHED_DIRECTORIES_MAX ({WATCHED_DIRECTORIES_MAX}) directories to watch.")
        name = os.fsencode(directory)
        marked = self._libc.fanotify_mark(
            self._descriptor, ctypes.c_uint(_MARK_ADD_DIRECTORY), ctypes.c_uint64(_MASK), ctypes.c_int(_AT_FDCWD), name
        )
        handle = ctypes.create_string_buffer(_HANDLE.size + _HANDLE_BYTES_MAX)
        _HANDLE.pack_into(handle, 0, _HANDLE_BYTES_MAX, 0)
        if marked < 0 or self._libc.name_to_handle_at(_AT_FDCWD, name, handle, ctypes.byref(ctypes.c_int()), 0) < 0:
            raise SetupError(f"The file system of {directory} cannot be watched: {os.strerror(ctypes.get_errno())}.")
        used = _HANDLE.unpack_from(handle, 0)[0]
        self._names[handle.raw[: _HANDLE.size + used]] = directory.relative_to(self._root).as_posix()


