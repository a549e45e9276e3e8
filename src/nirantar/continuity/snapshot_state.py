"""What a node keeps of its last snapshot, to write the next one as a difference (docs/format.md, A node's directory).

One file, replaced whole: either the old snapshot or the new one is the last, never something between. If it is lost or
damaged the next snapshot is a full one. Packs that no vault has yet lie beside it.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Final

import msgspec

from nirantar.errors import DiskFull, SnapshotDamaged
from nirantar.host.port import Host
from nirantar.limits import SNAPSHOT_FREE_BYTES_MIN
from nirantar.tlog.note import Verifier
from nirantar.vault.keys import PackKey, parse
from nirantar.vault.manifests import Manifest
from nirantar.vault.snapshot_writing import StoredChunk, read_chunk, stored_chunk

STATE_FILE: Final = "last.state"
SPOOL_DIRECTORY: Final = "packs"
PAGE_HASH_BYTES: Final = 8
_VERSION: Final = 1
_HASH_BYTES: Final = 32
_PAGE_HASH_LABEL: Final = b"nirantar-page-hash/v1"


class _Kept(msgspec.Struct, frozen=True):
    v: int
    serial: int
    note: bytes
    data_key: bytes
    recipients: tuple[str, ...]
    map: list[bytes]
    page_hashes: bytes


class LastSnapshot(msgspec.Struct, frozen=True):
    """The last snapshot: its signed note, the data key of its epoch and to whom that is wrapped, its map, and a hash
    of each page."""

    manifest: Manifest
    note: bytes
    data_key: bytes
    recipients: tuple[str, ...]
    chunks: list[StoredChunk]
    page_hashes: bytes

    def encode(self) -> bytes:
        """The file: MessagePack, then its SHA-256."""
        kept = _Kept(
            _VERSION, self.manifest.serial, self.note, self.data_key, self.recipients,
            [chunk.data for chunk in self.chunks], self.page_hashes,
        )
        data = msgspec.msgpack.encode(kept)
        return data + sha256(data).digest()


def page_hasher(data_key: bytes) -> blake2b:
    """What to copy for each page's hash: keyed, so that nobody can make a changed page look unchanged."""
    return blake2b(digest_size=PAGE_HASH_BYTES, key=hmac.digest(data_key, _PAGE_HASH_LABEL, "sha256"))


class SnapshotFiles:
    """The directory of a node that holds `STATE_FILE` and the packs that wait for a vault."""

    def __init__(self, host: Host, directory: Path) -> None:
        self._host = host
        self._directory = directory
        self._spool = directory / SPOOL_DIRECTORY

    def read_last(self, verifier: Verifier, *, slug: str, node: str) -> LastSnapshot | None:
        """The last snapshot; None where there is none, or its file is damaged or another node's."""
        try:
            data = self._host.files.read(self._directory / STATE_FILE)
        except FileNotFoundError:
            return None
        whole, checksum = data[:-_HASH_BYTES], data[-_HASH_BYTES:]
        if sha256(whole).digest() != checksum:
            return None
        try:
            kept = msgspec.msgpack.decode(whole, type=_Kept)
            manifest = Manifest.open(kept.note, verifier, slug=slug, node=node, serial=kept.serial)
            pages = manifest.contents.page_count
            chunks = [
                stored_chunk(read_chunk(data, number, pages, node), data) for number, data in enumerate(kept.map)
            ]
        except (msgspec.MsgspecError, SnapshotDamaged):
            return None
        if kept.v != _VERSION or [chunk.digest for chunk in chunks] != manifest.contents.map:
            return None
        return LastSnapshot(manifest, kept.note, kept.data_key, kept.recipients, chunks, kept.page_hashes)

    def keep_last(self, last: LastSnapshot) -> None:
        """Make this the last snapshot. Raises DiskFull, FsyncFailed."""
        self._host.files.make_directory(self._directory)
        self._host.files.replace(self._directory / STATE_FILE, last.encode())

    def keep_pack(self, name: str, data: bytes) -> None:
        """Keep a pack until a vault has it. Raises DiskFull before the disk is so full that the journal would be next,
        and FsyncFailed."""
        self._host.files.make_directory(self._spool)
        if self._host.files.free_bytes(self._spool) < SNAPSHOT_FREE_BYTES_MIN:
            raise DiskFull(
                f"The disk has less than {SNAPSHOT_FREE_BYTES_MIN // 1024 // 1024} MB left "
                "(SNAPSHOT_FREE_BYTES_MIN), so the snapshot was given up. Free some space."
            )
        self._host.files.put_new(self._spool / name, data)

    def pack(self, name: str) -> bytes | None:
        """A pack that still waits; None where it is not here (any more)."""
        try:
            return self._host.files.read(self._spool / name)
        except FileNotFoundError:
            return None

    def drop_packs(self, *, but: frozenset[str] = frozenset()) -> None:
        """Remove the packs that wait, save those named, and what an attempt that was killed left half written. Not
        while one is under way."""
        self._host.files.sweep(self._spool)
        for path in list(self._packs()):
            if path.name not in but:
                self._host.files.remove(path)

    def _packs(self) -> Iterator[Path]:
        for path in self._host.files.walk(self._spool):
            if isinstance(parse(f"any/pack/{path.name}"), PackKey):
                yield path
