"""A vault in a directory: `file:///path`. Its objects are ordinary read-only files.

What it protects against is the loss of the node's own directory. Whoever administers the machine can delete it, so it
says so wherever it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from nirantar.errors import Conflict, FsyncFailed, NotFound, VaultUnavailable
from nirantar.host.port import Host
from nirantar.vault.keys import check_key, is_key

WARNING: Final = "not safe from this machine's administrator"

_OBJECT_MODE: Final = 0o440
_DIRECTORY_MODE: Final = 0o750


class DirectoryVault:
    """Objects below `path`, which must exist: a disk that is not mounted must not be mistaken for an empty vault.

    Write-once by this class and by file mode; not enforced against root, hence `warning`.
    """

    def __init__(self, host: Host, path: Path) -> None:
        """Use the vault at `path` (absolute). Nothing is read or written yet."""
        if not path.is_absolute():
            raise ValueError(f"a vault's path is absolute, not {path}")
        self._files = host.files
        self._path = path
        self._durable_directories: set[Path] = {path}
        self._refusal: str | None = None

    @classmethod
    def create(cls, host: Host, path: Path) -> Self:
        """Make the directory of a new vault, if it is not there, and use it."""
        host.files.make_directory(path, mode=_DIRECTORY_MODE)
        return cls(host, path)

    @property
    def location(self) -> str:
        """`file:///path`."""
        return self._path.as_uri()

    @property
    def warning(self) -> str:
        """What to print beside `location`."""
        return WARNING

    def require_protection(self) -> None:
        """Nothing to ask: what it does not protect from is its `warning`."""

    def put_new(self, key: str, data: bytes) -> None:
        """Store a new object durably; see the port.

        After a failed fsync this instance refuses to store: a second attempt could be told "durable" without it
        being true. The node goes on without its vault, which its pages show as lag.
        """
        check_key(key)
        if self._refusal is not None:
            raise VaultUnavailable(self._refusal)
        path = self._path / key
        try:
            self._make_parents(path.parent)
            self._files.put_new(path, data, mode=_OBJECT_MODE)
        except FileExistsError:
            if not self._holds(path, data):
                raise Conflict(
                    f"{self.location} already holds other bytes under {key}; vault objects are never overwritten"
                ) from None
        except FsyncFailed as reason:
            self._refusal = f"{reason}. Check the disk of the vault, then start the node again"
            raise VaultUnavailable(self._refusal) from None
        except OSError as reason:
            self._durable_directories = {self._path}
            raise self._unavailable(key, reason) from None

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes of an object, or of a range of it; see the port."""
        check_key(key)
        try:
            return self._files.read(self._path / key, start, length)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            self._require_root(key)
            raise NotFound(f"{self.location} has no object {key}") from None
        except OSError as reason:
            raise self._unavailable(key, reason) from None

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Keys in order; see the port. Opens only directories that can hold what is asked for, as they are reached.

        Files whose names cannot be keys (a file system's own, half-written ones) are not listed.
        """
        self._require_root(prefix)
        folder, _, _ = prefix.rpartition("/")
        if folder:
            check_key(folder)
        try:
            for path in self._files.walk(self._path / folder, after=self._path / after if after else None):
                key = path.relative_to(self._path).as_posix()
                if key.startswith(prefix):
                    if is_key(key):
                        yield key
                elif key > prefix:
                    return
        except OSError as reason:
            raise self._unavailable(prefix, reason) from None

    def _holds(self, path: Path, data: bytes) -> bool:
        try:
            return self._files.read(path) == data
        except (IsADirectoryError, NotADirectoryError):
            return False

    def _make_parents(self, directory: Path) -> None:
        """Each directory is made durable once a process: one that exists may come from a process that was killed."""
        self._require_root("")
        if directory not in self._durable_directories:
            self._make_parents(directory.parent)
            self._files.make_directory(directory, mode=_DIRECTORY_MODE)
            self._durable_directories.add(directory)

    def _require_root(self, key: str) -> None:
        try:
            there = self._files.exists(self._path)
        except OSError as reason:
            raise self._unavailable(key, reason) from None
        if not there:
            raise VaultUnavailable(f"The vault directory {self._path} is not there; is its disk mounted?")

    def _unavailable(self, key: str, reason: OSError) -> VaultUnavailable:
        return VaultUnavailable(f"{self.location} cannot be used for {key or 'listing'}: {reason.strerror}")
