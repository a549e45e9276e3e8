"""The kinds of vault on which a drill can be run. A keeper gets its place here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

from nirantar.app.bench.object_store import ObjectStore, object_store
from nirantar.app.drill.scratch import Bucket, Scratch
from nirantar.app.drill.vault_attack import attack_bucket, attack_directory
from nirantar.app.vaults import S3_CREDENTIALS_FILE, open_vault
from nirantar.continuity.drill.accounting import Attempt
from nirantar.host.real import RealHost
from nirantar.vault.port import Vault

VaultKind = Literal["directory", "s3"]
_BUCKET = "drill"


class VaultGround(Protocol):
    """A scratch vault of one kind."""

    @property
    def bucket(self) -> Bucket | None:
        """Where it lies, if not in the scratch directory."""

    def opened(self, place: Scratch) -> Vault:
        """The vault as the drill looks into it."""

    def attack(self, place: Scratch, node: str) -> list[Attempt]:
        """Everything that the attacker tries on it with the node's credentials."""


class _Directory:
    """A directory of the same user: nothing in it is safe from him."""

    bucket = None

    def opened(self, place: Scratch) -> Vault:
        """See VaultGround."""
        return open_vault(RealHost(), place.vault_uri)

    def attack(self, place: Scratch, node: str) -> list[Attempt]:
        """See VaultGround."""
        return attack_directory(place.vault, node)


class _S3:
    """A bucket with Object Lock of a real server that the drill started."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        store.make_bucket(_BUCKET)
        self.bucket: Bucket | None = Bucket(store.uri(_BUCKET), store.node.environment)

    def opened(self, place: Scratch) -> Vault:
        """See VaultGround."""
        home = place.root / "stolen"
        path = home / S3_CREDENTIALS_FILE
        if not path.exists():
            path.parent.mkdir(parents=True)
            path.touch(mode=0o600)
            path.write_text(self._store.node.credentials_file, "utf-8")
        return open_vault(RealHost(), place.vault_uri, home=home)

    def attack(self, place: Scratch, node: str) -> list[Attempt]:
        """See VaultGround."""
        return attack_bucket(self._store, _BUCKET, lambda: self.opened(place), node)


@contextmanager
def vault_ground(kind: VaultKind) -> Iterator[VaultGround]:
    """A scratch vault of this kind, gone afterwards. Raises SetupError where the S3 server is not installed."""
    if kind == "directory":
        yield _Directory()
        return
    with object_store() as store:
        yield _S3(store)
