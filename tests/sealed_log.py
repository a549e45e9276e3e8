"""One node's log of invented entries, and segments of any stretch of it in a vault, as its node would seal them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from nirantar.host.simulated import SimulatedHost
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.compact_range import range_proof
from nirantar.tlog.merkle import MemoryHashReader, leaf_hash, range_root
from nirantar.tlog.note import Signer
from nirantar.vault.directory import DirectoryVault
from nirantar.vault.encryption import new_identity
from nirantar.vault.keys import SegmentKey, TileKey
from nirantar.vault.port import Vault
from nirantar.vault.segments import SegmentWriter

ORIGIN: Final = "nirantar.test/opd-1"
NODE: Final = "opd-1"
PAGE_KEYS: Final = 1_000


class SealedLog:
    """A log of `size` entries under a key of its own. `twist` gives another log under the same key."""

    def __init__(self, size: int, *, twist: str = "") -> None:
        self.entries = [f'{{"n":{number},"twist":"{twist}"}}'.encode() for number in range(size)]
        self.leaves = [leaf_hash(entry) for entry in self.entries]
        self.signer = Signer(ORIGIN, bytes(range(32)))
        self.identity, self.recipient = new_identity()
        self.hashes = MemoryHashReader(self.leaves)

    def note(self, size: int) -> str:
        """The signed checkpoint at `size`."""
        return Checkpoint(ORIGIN, size, range_root(0, size, self.hashes)).sign(self.signer).decode()

    def segment(
        self, first: int, stop: int, *, level: str = "live", size: int | None = None, recipient: str | None = None
    ) -> tuple[str, bytes]:
        """Key and bytes of the segment of entries [first, stop), under the checkpoint at `size` (`stop` by default)."""
        size = stop if size is None else size
        writer = SegmentWriter(ORIGIN, first, merged=level != "live")
        for index in range(first, stop):
            writer.add(self.entries[index], self.leaves[index])
        data = writer.finish(
            proof=range_proof(first, stop, size, self.hashes), checkpoint_note=self.note(size),
            recipients=[recipient or self.recipient],
        )
        return str(SegmentKey(NODE, level, first, stop - first)), data

    def seal(self, vault: Vault, *bounds: int, level: str = "live") -> list[str]:
        """Store the segments between these bounds; their keys."""
        keys = []
        for first, stop in pairwise(bounds):
            key, data = self.segment(first, stop, level=level)
            vault.put_new(key, data)
            keys.append(key)
        return keys

    def tile(self, vault: Vault, number: int) -> None:
        """Store a full tile of leaf hashes."""
        vault.put_new(str(TileKey(NODE, 0, number)), b"".join(self.leaves[number * 256 : number * 256 + 256]))


class CountingVault:
    """A vault that counts what is asked of it: `requests` are gets, and lists by pages of 1,000 keys, as S3 counts."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self.gets: list[str] = []
        self.lists: list[str] = []
        self.pages = 0

    @property
    def requests(self) -> int:
        """Gets and pages of lists."""
        return len(self.gets) + self.pages

    @property
    def location(self) -> str:
        """See the port."""
        return self._vault.location

    @property
    def warning(self) -> str | None:
        """See the port."""
        return self._vault.warning

    def require_protection(self) -> str | None:
        """See the port."""
        return self._vault.require_protection()

    def put_new(self, key: str, data: bytes) -> None:
        """See the port."""
        self._vault.put_new(key, data)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """See the port."""
        self.gets.append(key)
        return self._vault.get(key, start, length)

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """See the port."""
        self.lists.append(prefix)
        self.pages += 1
        for number, key in enumerate(self._vault.list(prefix, after=after)):
            if number and number % PAGE_KEYS == 0:
                self.pages += 1
            yield key

    def reset(self) -> None:
        """Count from nothing again."""
        self.gets.clear()
        self.lists.clear()
        self.pages = 0


def empty_vault(host: SimulatedHost, name: str = "vault") -> DirectoryVault:
    """A new vault on a simulated disk."""
    return DirectoryVault.create(host, Path("/") / name)


def without(host: SimulatedHost, vault: DirectoryVault, keys: Sequence[str]) -> None:
    """Take objects out of the vault, as its administrator can."""
    for key in keys:
        host.files.remove(Path(vault.location.removeprefix("file://")) / key)
