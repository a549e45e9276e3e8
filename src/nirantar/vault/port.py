"""A vault as a port: write-once objects. Backends are `directory.py` and `s3.py`; one contract suite runs on all.

Keys are relative POSIX paths of `[a-z0-9._-]` parts. Nothing here can overwrite or delete (invariant 10).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable


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


@runtime_checkable
class WitnessingVault(Vault, Protocol):
    """A vault that is a witness, too (C2SP tlog-witness): it takes only what a checkpoint covers that it cosigned, and
    makes the hash tiles itself."""

    def cosigned(self, origin: str) -> bytes | None:
        """The newest checkpoint of a log that it cosigned, as a note with its cosignatures; None where there is none.
        Nothing of it is verified. Raises VaultUnavailable."""

    def cosign(self, note: bytes, old_size: int, proof: Sequence[bytes]) -> bytes:
        """Have the checkpoint in `note` cosigned: the note with the cosignatures added.

        `old_size` is what it cosigned last (0: nothing), `proof` the consistency proof from there. Raises
        WitnessConflict when it last cosigned another size, ProofInvalid when the proof does not lead there or the
        log's signature is bad, NotFound for a log that it does not know, Forbidden for one that is closed,
        VaultUnavailable."""
