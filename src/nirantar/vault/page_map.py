"""The page map of a snapshot, in chunks: which frame of which pack holds each page of the view (docs/format.md, Map).

A chunk covers SNAPSHOT_CHUNK_PAGES pages, the last one fewer. A frame belongs to one chunk alone, so a chunk says
everything that is needed to fetch its pages; a chunk of which no page changed is the same object as before. Pages are
counted from 0 here: page p lies at byte p × 4,096 of the database, where SQLite calls it p + 1.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import zstandard

from nirantar.errors import SnapshotDamaged
from nirantar.limits import SNAPSHOT_CHUNK_PAGES, SNAPSHOT_FRAME_PAGES_MAX, SNAPSHOT_MAP_BYTES_MAX

_MAGIC: Final = b"nirantar-map/v1\n"
_COUNTS: Final = struct.Struct("<III")
_ZSTD_LEVEL: Final = 3
_TWO_BYTES: Final = "H"
_FOUR_BYTES: Final = "I"


@dataclass(frozen=True, slots=True)
class Frame:
    """Up to SNAPSHOT_FRAME_PAGES_MAX pages that were compressed and encrypted together.

    `pack` is the pack's number in the manifest, `number` the frame's in its pack from 0, `offset` and `length` its
    bytes there, `pages` the pages in it, ascending, also those that a later frame replaced.
    """

    pack: int
    number: int
    offset: int
    length: int
    pages: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MapChunk:
    """The map of the pages [first_page, first_page + len(rows)): `rows` gives, page by page, a place in `frames`."""

    first_page: int
    rows: array[int]
    frames: tuple[Frame, ...]

    @property
    def page_count(self) -> int:
        """How many pages it maps."""
        return len(self.rows)

    def frame(self, page: int) -> Frame:
        """The frame that holds `page`, which must be one of the chunk's."""
        return self.frames[self.rows[page - self.first_page]]

    def current_pages(self, frame: Frame) -> tuple[int, ...]:
        """The pages of `frame` that no later frame replaced and that the view still has."""
        end = self.first_page + self.page_count
        return tuple(page for page in frame.pages if page < end and self.frame(page) == frame)

    def changed(self, page_count: int, frames: Iterable[Frame]) -> MapChunk:
        """The chunk with `page_count` pages and newer `frames` in it; frames without a current page are left out.

        Raises ValueError where a page would have no frame.
        """
        known = [*self.frames, *frames]
        rows = [*self.rows[:page_count], *([-1] * (page_count - self.page_count))]
        for row in range(len(self.frames), len(known)):
            for page in known[row].pages:
                rows[page - self.first_page] = row
        kept = sorted(set(rows))
        if kept and kept[0] < 0:
            raise ValueError("a page of the view is in no frame")
        new_row = {row: place for place, row in enumerate(kept)}
        return MapChunk(
            self.first_page, array(_TWO_BYTES, (new_row[row] for row in rows)), tuple(known[row] for row in kept)
        )


def empty_chunk(first_page: int) -> MapChunk:
    """A chunk that maps nothing yet."""
    return MapChunk(first_page, array(_TWO_BYTES), ())


def chunk_count(page_count: int) -> int:
    """How many chunks map so many pages."""
    return -(-page_count // SNAPSHOT_CHUNK_PAGES)


def pages_in_chunk(chunk: int, page_count: int) -> int:
    """How many of the view's `page_count` pages chunk number `chunk` maps."""
    return max(0, min(SNAPSHOT_CHUNK_PAGES, page_count - chunk * SNAPSHOT_CHUNK_PAGES))


def encode_chunk(chunk: MapChunk) -> bytes:
    """The object that is stored; the same chunk always gives the same bytes with the same zstd."""
    frames = chunk.frames
    parts = [
        _MAGIC, _COUNTS.pack(chunk.first_page, chunk.page_count, len(frames)), _little(chunk.rows),
        *(_little(array(_FOUR_BYTES, column)) for column in (
            [each.pack for each in frames], [each.number for each in frames],
            [each.offset for each in frames], [each.length for each in frames],
        )),
        bytes(len(each.pages) for each in frames),
        _little(array(_TWO_BYTES, (page - chunk.first_page for each in frames for page in each.pages))),
    ]
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(b"".join(parts))


def decode_chunk(data: bytes, first_page: int, page_count: int, *, key: str) -> MapChunk:
    """The chunk in a stored object that must map these pages. Raises SnapshotDamaged."""
    try:
        return _decode(decompressed(data, SNAPSHOT_MAP_BYTES_MAX), first_page, page_count)
    except (zstandard.ZstdError, struct.error, ValueError, IndexError) as reason:
        raise SnapshotDamaged(key, f"it is not a map of the pages from {first_page} on: {reason}") from None


def decompressed(data: bytes, bytes_max: int) -> bytes:
    """A zstd frame that tells its size. Raises ValueError or zstandard.ZstdError where it is larger, or is none."""
    if not 0 <= zstandard.frame_content_size(data) <= bytes_max:
        raise ValueError(f"it does not tell its size, or is longer than {bytes_max} bytes")
    return zstandard.ZstdDecompressor().decompress(data)


def _decode(plain: bytes, first_page: int, page_count: int) -> MapChunk:
    if not plain.startswith(_MAGIC):
        raise ValueError("it begins otherwise")
    first, count, frame_count = _COUNTS.unpack_from(plain, len(_MAGIC))
    if (first, count) != (first_page, page_count) or frame_count > count:
        raise ValueError("it is of other pages")
    place = len(_MAGIC) + _COUNTS.size
    columns: list[array[int]] = []
    for kind, items in ((_TWO_BYTES, count), *((_FOUR_BYTES, frame_count),) * 4):
        columns.append(_array(kind, plain, place, items))
        place += columns[-1].itemsize * items
    rows, packs, numbers, offsets, lengths = columns
    sizes = plain[place : place + frame_count]
    pages = _array(_TWO_BYTES, plain, place + frame_count, sum(sizes))
    if len(plain) != place + frame_count + 2 * len(pages):
        raise ValueError("it has another length")
    frames, taken = [], 0
    for row, size in enumerate(sizes):
        held = pages[taken : taken + size]
        taken += size
        _check_pages(held)
        frames.append(Frame(
            packs[row], numbers[row], offsets[row], lengths[row], tuple(first_page + page for page in held)
        ))
    for page, row in enumerate(rows, first_page):
        if page not in frames[row].pages:
            raise ValueError("a page is not in its frame")
    return MapChunk(first_page, rows, tuple(frames))


def _check_pages(held: array[int]) -> None:
    if not 1 <= len(held) <= SNAPSHOT_FRAME_PAGES_MAX or held[-1] >= SNAPSHOT_CHUNK_PAGES:
        raise ValueError("a frame has no pages, too many, or those of another chunk")
    if any(before >= after for before, after in pairwise(held)):
        raise ValueError("a frame's pages are out of order")


def _array(kind: str, plain: bytes, start: int, items: int) -> array[int]:
    found: array[int] = array(kind)
    end = start + items * found.itemsize
    if len(plain) < end:
        raise ValueError("it is cut off")
    found.frombytes(plain[start:end])
    if sys.byteorder == "big":
        found.byteswap()
    return found


def _little(values: array[int]) -> bytes:
    if sys.byteorder == "big":
        values = values[:]
        values.byteswap()
    return values.tobytes()
