"""Writing a snapshot's packs and map: changed pages go into new packs, the map's chunks that they touch are new.

Nothing here knows a view or a vault: pages come as an iterator in ascending order, packs leave by a callable, one in
memory at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from typing import Final

from nirantar.limits import (
    SNAPSHOT_CHUNK_PAGES,
    SNAPSHOT_FRAME_PAGES_MAX,
    SNAPSHOT_PACK_BYTES_MAX,
    SNAPSHOT_PACKS_MAX,
    SNAPSHOT_PACKS_UNDISTURBED,
    SNAPSHOT_PAGE_BYTES,
)
from nirantar.vault.keys import MapKey, pack_name
from nirantar.vault.manifests import Pack
from nirantar.vault.packs import PackCipher
from nirantar.vault.page_map import (
    Frame,
    MapChunk,
    chunk_count,
    decode_chunk,
    empty_chunk,
    encode_chunk,
    pages_in_chunk,
)

_NAME_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk as it is stored, its SHA-256 in hex, and how many current pages it has in each pack, by number."""

    data: bytes
    digest: str
    use: Mapping[int, int]


def stored_chunk(chunk: MapChunk, data: bytes | None = None) -> StoredChunk:
    """What there is to know of a chunk; `data` where it is encoded already."""
    data = encode_chunk(chunk) if data is None else data
    packs = [frame.pack for frame in chunk.frames]
    return StoredChunk(data, sha256(data).hexdigest(), Counter(packs[row] for row in chunk.rows))


def read_chunk(data: bytes, number: int, page_count: int, node: str) -> MapChunk:
    """Chunk `number` of a map of `page_count` pages. Raises SnapshotDamaged."""
    key = str(MapKey(node, sha256(data).hexdigest()))
    return decode_chunk(data, number * SNAPSHOT_CHUNK_PAGES, pages_in_chunk(number, page_count), key=key)


class PackWriter:
    """Seals frames into packs and hands each full one to `keep` by its name.

    `first_number` is the number of the first pack; `random_bytes` draws their names.
    """

    def __init__(
        self, data_key: bytes, slug: str, node: str, *, serial: int, epoch: int, first_number: int,
        random_bytes: Callable[[int], bytes], keep: Callable[[str, bytes], None],
    ) -> None:
        self._data_key, self._slug, self._node = data_key, slug, node
        self._serial, self._epoch = serial, epoch
        self._number = first_number
        self._random_bytes = random_bytes
        self._keep = keep
        self._name = ""
        self._cipher: PackCipher | None = None
        self._data = bytearray()
        self._frames = 0
        self.packs: list[Pack] = []

    def add(self, pages: Mapping[int, bytes]) -> Frame:
        """Seal pages (ascending, of one chunk) as a frame; where it lies."""
        if self._cipher is None:
            self._name = pack_name(self._serial, self._random_bytes(_NAME_BYTES))
            self._cipher = PackCipher(self._data_key, self._slug, self._node, self._name)
        sealed = self._cipher.seal(self._frames, pages)
        frame = Frame(self._number, self._frames, len(self._data), len(sealed), tuple(pages))
        self._data += sealed
        self._frames += 1
        if len(self._data) >= SNAPSHOT_PACK_BYTES_MAX - SNAPSHOT_FRAME_PAGES_MAX * SNAPSHOT_PAGE_BYTES * 2:
            self.finish()
        return frame

    def finish(self) -> None:
        """Hand on the last pack, if there is one that is not full."""
        if self._cipher is None:
            return
        data = bytes(self._data)
        self._keep(self._name, data)
        self.packs.append(Pack(self._number, self._name, self._epoch, len(data), sha256(data).hexdigest()))
        self._cipher, self._data, self._frames = None, bytearray(), 0
        self._number += 1


def write_pages(
    before: Sequence[StoredChunk], pages_before: int, page_count: int, changed: Iterable[tuple[int, bytes]],
    packs: PackWriter, *, node: str,
) -> list[StoredChunk]:
    """The map after `changed` (page and bytes, ascending) was added to the map `before`. Every page that `before`
    does not map must be among them. The last pack is finished."""
    groups = groupby(changed, key=lambda item: item[0] // SNAPSHOT_CHUNK_PAGES)
    group = next(groups, None)
    chunks: list[StoredChunk] = []
    for number in range(chunk_count(page_count)):
        now, then = pages_in_chunk(number, page_count), pages_in_chunk(number, pages_before)
        frames: list[Frame] = []
        if group is not None and group[0] == number:
            frames = [packs.add(pages) for pages in _in_frames(group[1])]
            group = next(groups, None)
        if not frames and now == then:
            chunks.append(before[number])
            continue
        if then:
            chunk = read_chunk(before[number].data, number, pages_before, node)
        else:
            chunk = empty_chunk(number * SNAPSHOT_CHUNK_PAGES)
        chunks.append(stored_chunk(chunk.changed(now, frames)))
    packs.finish()
    return chunks


def packs_in_use(chunks: Iterable[StoredChunk]) -> Counter[int]:
    """How many current pages each pack has, by number; packs without one are not named."""
    total: Counter[int] = Counter()
    for chunk in chunks:
        total.update(chunk.use)
    return total


def packs_to_empty(use: Mapping[int, int], page_count: int) -> frozenset[int]:
    """The packs whose pages the next snapshot should write again, so that the manifest stays small.

    So many packs may be: SNAPSHOT_PACKS_UNDISTURBED and one for each 16 MiB of pages, SNAPSHOT_PACKS_MAX at most.
    Beyond it the emptiest go, until a quarter of the places is free: writing them again costs least.
    """
    room = SNAPSHOT_PACKS_UNDISTURBED + page_count * SNAPSHOT_PAGE_BYTES // SNAPSHOT_PACK_BYTES_MAX
    room = min(room, SNAPSHOT_PACKS_MAX * 3 // 4)
    if len(use) <= room:
        return frozenset()
    emptiest = sorted(use, key=lambda pack: (use[pack], pack))
    return frozenset(emptiest[: len(use) - room * 3 // 4])


def pages_in_packs(
    chunks: Sequence[StoredChunk], page_count: int, packs: frozenset[int], node: str
) -> Iterator[int]:
    """The pages, ascending, that lie in any of these packs."""
    for number, stored in enumerate(chunks):
        if packs.isdisjoint(stored.use):
            continue
        chunk = read_chunk(stored.data, number, page_count, node)
        for place, row in enumerate(chunk.rows):
            if chunk.frames[row].pack in packs:
                yield chunk.first_page + place


def _in_frames(pages: Iterable[tuple[int, bytes]]) -> Iterator[dict[int, bytes]]:
    frame: dict[int, bytes] = {}
    for page, data in pages:
        frame[page] = data
        if len(frame) == SNAPSHOT_FRAME_PAGES_MAX:
            yield frame
            frame = {}
    if frame:
        yield frame
