"""Snapshots of made-up pages in a vault on a simulated disk: what the reading side is tried on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from nirantar.host.simulated import SimulatedHost
from nirantar.tlog.note import Signer
from nirantar.vault.directory import DirectoryVault
from nirantar.vault.encryption import new_identity
from nirantar.vault.keys import MapKey, PackKey
from nirantar.vault.manifests import Contents, LogPosition, Manifest, Pack, wrap_data_key
from nirantar.vault.snapshot_writing import PackWriter, StoredChunk, packs_in_use, write_pages

SLUG, NODE = "city-hospital", "centre"
ORIGIN = f"nirantar.{SLUG}/{NODE}"
SIGNER = Signer(ORIGIN, b"s" * 32)
IDENTITY, RECIPIENT = new_identity()


def page(number: int, version: int = 0) -> bytes:
    """4,096 bytes that tell page and version, and compress as a database's do."""
    return f"page {number} version {version}; ".encode().ljust(64, b".") * 64


@dataclass
class SnapshotMaker:
    """Writes snapshot after snapshot of a growing and shrinking list of pages into one vault."""

    host: SimulatedHost
    vault: DirectoryVault
    data_key: bytes = b"k" * 32
    slug: str = SLUG
    signer: Signer = SIGNER
    serial: int = 0
    pages: list[bytes] = field(default_factory=list)
    chunks: list[StoredChunk] = field(default_factory=list)
    packs: dict[int, Pack] = field(default_factory=dict)
    random: Random = field(default_factory=lambda: Random(5))

    def write(self, changed: Mapping[int, bytes], page_count: int) -> Manifest:
        """Store the next snapshot, of `page_count` pages with these changes, and return its manifest."""
        self.serial += 1
        before = len(self.pages)
        self.pages = [changed.get(each) or self.pages[each] for each in range(page_count)]
        writer = PackWriter(
            self.data_key, self.slug, NODE, serial=self.serial, epoch=1, first_number=max(self.packs, default=0) + 1,
            random_bytes=self.random.randbytes,
            keep=lambda name, data: self.vault.put_new(str(PackKey(NODE, name)), data),
        )
        self.chunks = write_pages(
            self.chunks, before, page_count, ((each, changed[each]) for each in sorted(changed)), writer, node=NODE
        )
        self.packs.update((pack.number, pack) for pack in writer.packs)
        for chunk in self.chunks:
            self.vault.put_new(str(MapKey(NODE, chunk.digest)), chunk.data)
        used = packs_in_use(self.chunks)
        manifest = Manifest(self.slug, NODE, self.serial, Contents(
            created="2025-11-30T08:00:00.000Z", layout=1, page_bytes=4096, page_count=page_count, chunk_pages=16_384,
            view_digest="00" * 32, positions={ORIGIN: LogPosition(2, "11" * 32)}, epoch=1,
            epoch_began="2025-11-30T08:00:00.000Z", keys=[wrap_data_key(1, self.data_key, [RECIPIENT])],
            packs=[self.packs[number] for number in sorted(used)], map=[chunk.digest for chunk in self.chunks],
            new_bytes=sum(pack.size for pack in writer.packs),
        ))
        self.vault.put_new(manifest.key, manifest.sign(self.signer))
        return manifest


def made(host: SimulatedHost, name: str = "vault", **how: object) -> SnapshotMaker:
    """A maker with a vault of its own on this host's disk."""
    return SnapshotMaker(host, DirectoryVault.create(host, Path("/") / name), **how)  # type: ignore[arg-type]
