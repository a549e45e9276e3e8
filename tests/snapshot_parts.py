"""What the tests of snapshotting share: a frozen view of made-up pages, and vaults that fail when they are told to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nirantar.continuity.snapshot_state import LastSnapshot, SnapshotFiles
from nirantar.continuity.snapshot_taking import Issuer, SnapshotTaker
from nirantar.errors import VaultUnavailable
from nirantar.host.simulated import SimulatedHost
from nirantar.store.port import Position
from nirantar.vault.directory import DirectoryVault
from nirantar.vault.keys import HOSPITAL_KEY
from nirantar.vault.manifests import Manifest
from nirantar.vault.snapshots import open_with_keys, read_manifest
from snapshots_at_hand import NODE, ORIGIN, RECIPIENT, SIGNER, SLUG

DIRECTORY = Path("/node/snapshot")
ISSUER = Issuer(SLUG, NODE, SIGNER, lambda: (RECIPIENT,), 1)


@dataclass
class MadeUpView:
    """A frozen view of these pages, that has folded so many entries; every reader's wish that a snapshot has."""

    pages: list[bytes]
    changed: bytes | None = None
    entries: int = 1
    held_pages: int = 0
    looked_at: list[int] = field(default_factory=list)

    @property
    def page_count(self) -> int:
        return len(self.pages)

    def freeze(self) -> None:
        """It always is."""

    def read_page(self, page: int) -> bytes:
        self.looked_at.append(page)
        return self.pages[page]

    def require_held(self) -> None:
        """It always holds."""

    def state(self) -> Any:
        return self

    def view_digest(self) -> bytes:
        return bytes([self.entries]) * 32

    def positions(self) -> dict[str, Position]:
        return {ORIGIN: Position(self.entries, b"\x11" * 32)}

    def close(self, *, kept: bool) -> None:
        """Nothing to let go."""


class Switched:
    """A vault that can be switched off, and that notes what is stored and read."""

    def __init__(self, host: SimulatedHost, name: str) -> None:
        self.vault = DirectoryVault.create(host, Path("/") / name)
        self.vault.put_new(HOSPITAL_KEY, b"{}")
        self.location, self.warning = self.vault.location, None
        self.away = False
        self.stored: list[str] = []
        self.read: list[str] = []

    def put_new(self, key: str, data: bytes) -> None:
        self._require_here()
        self.stored.append(key)
        self.vault.put_new(key, data)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self._require_here()
        self.read.append(key)
        return self.vault.get(key, start, length)

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        self._require_here()
        return self.vault.list(prefix, after=after)

    def _require_here(self) -> None:
        if self.away:
            raise VaultUnavailable(f"{self.location} does not answer.")


def taken(
    host: SimulatedHost, files: SnapshotFiles, view: MadeUpView, base: LastSnapshot | None = None, serial: int = 1
) -> LastSnapshot:
    """The next snapshot of these pages."""
    last = SnapshotTaker(host, files, ISSUER, lambda: None).take(view, base, serial)
    assert last is not None
    return last


def manifest_in(vault: Switched, serial: int) -> Manifest:
    """A manifest as the vault gives it."""
    return read_manifest([vault.vault], SIGNER.verifier, slug=SLUG, node=NODE, serial=serial)


def pages_in(vault: Switched, last: LastSnapshot) -> list[bytes]:
    """Every page of a snapshot, read back from one vault."""
    manifest = manifest_in(vault, last.manifest.serial)
    source = open_with_keys([vault.vault], manifest, {manifest.contents.epoch: last.data_key})
    return [source.fetch(page)[page] for page in range(source.page_count)]
