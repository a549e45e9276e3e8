"""Reading snapshots of a view out of vaults: listed newest first, opened with the recovery identity, page by page.

Every byte that is handed out is authenticated: the manifest by the node's key, which the roster names; map chunks by
their SHA-256 in the manifest; pages by AES-GCM. Of several vaults another is asked where one lacks, damaged or delays
something; what none can give is told, so that the caller can take an older snapshot.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from threading import Lock
from typing import Final, TypeVar

from nirantar import limits
from nirantar.errors import IdentityWrong, NotFound, SnapshotDamaged, VaultUnavailable
from nirantar.tlog.note import Verifier
from nirantar.vault.keys import ManifestKey, MapKey, PackKey, manifests_prefix, parse
from nirantar.vault.manifests import Manifest
from nirantar.vault.packs import PackCipher
from nirantar.vault.page_map import Frame, MapChunk, decode_chunk, pages_in_chunk
from nirantar.vault.port import Vault

_GAP_BYTES_MAX: Final = 64 * 1024
"""Frames of a pack that lie so near are fetched by one request: what lies between costs less than another one."""
_RANKS: Final = (VaultUnavailable, SnapshotDamaged, NotFound)
"""What is told where several vaults failed differently: the first of these."""

T = TypeVar("T")


def snapshot_serials(vaults: Sequence[Vault], node: str) -> list[int]:
    """The serials of all snapshots of a node that any vault lists, newest first.

    Raises VaultUnavailable only where no vault answers.
    """
    serials: set[int] = set()
    failures: list[VaultUnavailable] = []
    for vault in vaults:
        try:
            serials.update(
                key.serial for text in vault.list(manifests_prefix(node))
                if isinstance(key := parse(text), ManifestKey)
            )
        except VaultUnavailable as failure:
            failures.append(failure)
    if failures and len(failures) == len(vaults):
        raise failures[0]
    return sorted(serials, reverse=True)


def read_manifest(vaults: Sequence[Vault], verifier: Verifier, *, slug: str, node: str, serial: int) -> Manifest:
    """The manifest of one snapshot from the first vault whose copy is good.

    `verifier` is the node's key by the roster. Raises SnapshotDamaged, NotFound or VaultUnavailable.
    """
    return read_manifest_note(vaults, verifier, slug=slug, node=node, serial=serial)[0]


def read_manifest_note(
    vaults: Sequence[Vault], verifier: Verifier, *, slug: str, node: str, serial: int
) -> tuple[Manifest, bytes]:
    """The same with the signed note's bytes."""
    key = str(ManifestKey(node, serial))

    def read(vault: Vault) -> tuple[Manifest, bytes]:
        note = vault.get(key, 0, limits.NOTE_BYTES_MAX + 1)
        return Manifest.open(note, verifier, slug=slug, node=node, serial=serial), note

    return _Vaults(vaults).first(read)


def open_snapshot(vaults: Sequence[Vault], manifest: Manifest, identities: Sequence[str]) -> SnapshotPages:
    """The pages of a snapshot, by age identities. Raises IdentityWrong, SnapshotDamaged."""
    return open_with_keys(vaults, manifest, manifest.data_keys(identities))


def open_with_keys(vaults: Sequence[Vault], manifest: Manifest, data_keys: Mapping[int, bytes]) -> SnapshotPages:
    """The same by the data keys that `Manifest.data_keys` gave before. Raises IdentityWrong where one is missing."""
    if not {each.epoch for each in manifest.contents.keys} <= set(data_keys):
        raise IdentityWrong(f"The data keys kept here do not open {manifest.key}: give the recovery identity again.")
    return SnapshotPages(vaults, manifest, data_keys)


class SnapshotPages:
    """A host.page_source.PageSource over vaults. Map chunks are fetched when first needed; so many are kept."""

    def __init__(self, vaults: Sequence[Vault], manifest: Manifest, data_keys: Mapping[int, bytes]) -> None:
        self.manifest = manifest
        self._vaults = _Vaults(vaults)
        self._packs = {each.number: each for each in manifest.contents.packs}
        self._ciphers = {
            each.number: PackCipher(data_keys[each.epoch], manifest.slug, manifest.node, each.name)
            for each in manifest.contents.packs
        }
        self._chunks: OrderedDict[int, MapChunk] = OrderedDict()
        self._turn = Lock()

    @property
    def page_size(self) -> int:
        """See PageSource."""
        return self.manifest.contents.page_bytes

    @property
    def page_count(self) -> int:
        """See PageSource."""
        return self.manifest.contents.page_count

    def frame_of(self, page: int) -> tuple[int, ...]:
        """See PageSource."""
        chunk = self._chunk_of(page)
        return chunk.current_pages(chunk.frame(page))

    def fetch(self, page: int) -> Mapping[int, bytes]:
        """See PageSource."""
        chunk = self._chunk_of(page)
        frame = chunk.frame(page)
        (pages,) = self._vaults.first(lambda vault: self._open_stretch(vault, (frame,)))
        return {each: pages[each] for each in chunk.current_pages(frame)}

    def fetch_many(self, pages: Iterable[int]) -> Iterator[Mapping[int, bytes]]:
        """See PageSource. One request covers at most SNAPSHOT_FETCH_BYTES_MAX."""
        wanted: dict[Frame, MapChunk] = {}
        for page in pages:
            chunk = self._chunk_of(page)
            wanted[chunk.frame(page)] = chunk
        ordered = sorted(wanted, key=lambda frame: (frame.pack, frame.offset))
        for stretch in _stretches(ordered):
            opened = self._vaults.first(lambda vault, stretch=stretch: self._open_stretch(vault, stretch))  # type: ignore[misc]
            for frame, found in zip(stretch, opened, strict=True):
                yield {each: found[each] for each in wanted[frame].current_pages(frame)}

    def _open_stretch(self, vault: Vault, stretch: Sequence[Frame]) -> list[dict[int, bytes]]:
        start = stretch[0].offset
        key = str(PackKey(self.manifest.node, self._packs[stretch[0].pack].name))
        data = memoryview(vault.get(key, start, stretch[-1].offset + stretch[-1].length - start))
        cipher = self._ciphers[stretch[0].pack]
        return [
            cipher.open(frame, bytes(data[frame.offset - start : frame.offset - start + frame.length]))
            for frame in stretch
        ]

    def _chunk_of(self, page: int) -> MapChunk:
        """The map chunk of a page; two threads may fetch the same one at the same time, which does no harm."""
        if not 0 <= page < self.page_count:
            raise IndexError(f"the snapshot has the pages 0 to {self.page_count - 1}, not {page}")
        number = page // limits.SNAPSHOT_CHUNK_PAGES
        with self._turn:
            if number in self._chunks:
                self._chunks.move_to_end(number)
                return self._chunks[number]
        chunk = self._vaults.first(lambda vault: self._read_chunk(vault, number))
        with self._turn:
            self._chunks[number] = chunk
            self._chunks.move_to_end(number)
            if len(self._chunks) > limits.SNAPSHOT_CHUNKS_CACHED_MAX:
                self._chunks.popitem(last=False)
        return chunk

    def _read_chunk(self, vault: Vault, number: int) -> MapChunk:
        digest = self.manifest.contents.map[number]
        key = str(MapKey(self.manifest.node, digest))
        data = vault.get(key, 0, limits.SNAPSHOT_MAP_BYTES_MAX + 1)
        if sha256(data).hexdigest() != digest:
            raise SnapshotDamaged(key, "it is not the map chunk that its name says")
        chunk = decode_chunk(
            data, number * limits.SNAPSHOT_CHUNK_PAGES, pages_in_chunk(number, self.page_count), key=key
        )
        if any(frame.pack not in self._packs for frame in chunk.frames):
            raise SnapshotDamaged(key, "it refers to a pack that the manifest does not name")
        return chunk


class _Vaults:
    """Several vaults as one: the one that answered well last is asked first."""

    def __init__(self, vaults: Sequence[Vault]) -> None:
        if not vaults:
            raise ValueError("a snapshot is read from at least one vault")
        self._order = list(vaults)

    def first(self, ask: Callable[[Vault], T]) -> T:
        """What the first vault that can gives. Where none can: VaultUnavailable if one could perhaps later, else
        SnapshotDamaged if one has it damaged, else NotFound."""
        failures: list[SnapshotDamaged | VaultUnavailable | NotFound] = []
        for vault in tuple(self._order):
            try:
                answer = ask(vault)
            except (SnapshotDamaged, VaultUnavailable, NotFound) as failure:
                failures.append(failure)
                continue
            if failures:
                self._order = [vault, *(each for each in self._order if each is not vault)]
            return answer
        raise min(failures, key=_rank)


def _rank(failure: SnapshotDamaged | VaultUnavailable | NotFound) -> int:
    return next(rank for rank, kind in enumerate(_RANKS) if isinstance(failure, kind))


def _stretches(frames: Sequence[Frame]) -> Iterator[list[Frame]]:
    """Frames in order of pack and offset, in stretches that one request each fetches."""
    stretch: list[Frame] = []
    for frame in frames:
        if stretch and (
            frame.pack != stretch[0].pack
            or frame.offset - (stretch[-1].offset + stretch[-1].length) > _GAP_BYTES_MAX
            or frame.offset + frame.length - stretch[0].offset > limits.SNAPSHOT_FETCH_BYTES_MAX
        ):
            yield stretch
            stretch = []
        stretch.append(frame)
    if stretch:
        yield stretch
