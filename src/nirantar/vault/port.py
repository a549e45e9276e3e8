"""A vault as a port: write-once objects. Backends are `directory.py` and `s3.py`; one contract suite runs on all.

Keys are relative POSIX paths of `[a-z0-9._-]` parts. Nothing here can overwrite or delete (invariant 10).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Vault(Protocol):
    """Write-once storage of encrypted or public objects."""

    @property
    def location(self) -> str:
        """Its URI without credentials, for pages and reports."""

    @property
    def warning(self) -> str | None:
        """A sentence on what this vault does not protect against (a `file://` vault: this machine's
        administrator), or None."""

    def require_protection(self) -> str | None:
        """Ask whether what is stored is protected as this vault claims, and say so in a sentence; None for a backend
        that claims nothing (see `warning`). Asked before a node first relies on it, and by `nirantar doctor`.

        Raises SetupError where it is not: a bucket without its lock, credentials that could delete. Raises
        VaultUnavailable."""

    def put_new(self, key: str, data: bytes) -> None:
        """Store a new object durably. Storing the same bytes again is no error; other bytes under an existing key
        raise errors.Conflict and change nothing. Raises DiskFull or VaultUnavailable."""

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Bytes of an object, or of a range of it. Raises NotFound, VaultUnavailable."""

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """Keys that begin with `prefix` and sort after `after`, in order."""
