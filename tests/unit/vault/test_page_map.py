"""The page map: what is encoded comes back, newer frames replace older ones, and a map of other pages is refused."""

from __future__ import annotations

from array import array

import pytest

from nirantar.errors import SnapshotDamaged
from nirantar.vault.page_map import (
    Frame,
    MapChunk,
    chunk_count,
    decode_chunk,
    empty_chunk,
    encode_chunk,
    pages_in_chunk,
)

FIRST = 16_384
BASE = empty_chunk(FIRST).changed(
    5, [Frame(1, 0, 0, 100, (FIRST, FIRST + 1, FIRST + 2)), Frame(1, 1, 100, 90, (FIRST + 3, FIRST + 4))]
)


def test_a_chunk_comes_back_as_it_was() -> None:
    """Pages, frames and places survive encoding, also after pages were replaced."""
    newer = BASE.changed(5, [Frame(2, 0, 0, 40, (FIRST + 1,))])
    for chunk in (BASE, newer):
        assert decode_chunk(encode_chunk(chunk), FIRST, 5, key="k") == chunk


def test_newer_frames_replace_older_ones() -> None:
    """A page is in its newest frame, its old companions stay where they are, and a frame without pages is dropped."""
    newer = BASE.changed(5, [Frame(2, 0, 0, 40, (FIRST + 1, FIRST + 3, FIRST + 4))])
    assert newer.frame(FIRST + 1).pack == 2
    assert newer.current_pages(newer.frame(FIRST)) == (FIRST, FIRST + 2)
    assert [(each.pack, each.number) for each in newer.frames] == [(1, 0), (2, 0)]


def test_a_map_shrinks_and_grows_with_the_view() -> None:
    """Pages beyond the end are no longer current; a page that comes back must be written again."""
    shorter = BASE.changed(1, [])
    assert shorter.current_pages(shorter.frame(FIRST)) == (FIRST,)
    with pytest.raises(ValueError, match="in no frame"):
        shorter.changed(2, [])
    longer = shorter.changed(2, [Frame(3, 0, 0, 50, (FIRST + 1,))])
    assert longer.current_pages(longer.frame(FIRST)) == (FIRST,)


def test_chunks_cover_the_pages() -> None:
    """So many chunks as the pages need, the last one with what is left."""
    assert [chunk_count(count) for count in (0, 1, 16_384, 16_385)] == [0, 1, 1, 2]
    assert [pages_in_chunk(number, 16_385) for number in (0, 1, 2)] == [16_384, 1, 0]


@pytest.mark.parametrize(
    "chunk",
    [
        MapChunk(FIRST, array("H", [0]), (Frame(1, 0, 0, 9, (FIRST + 1,)),)),
        MapChunk(FIRST, array("H", [0]), (Frame(1, 0, 0, 9, (FIRST + 1, FIRST)),)),
        MapChunk(FIRST, array("H", [1]), (Frame(1, 0, 0, 9, (FIRST,)),)),
        MapChunk(FIRST, array("H", [0]), (Frame(1, 0, 0, 9, tuple(range(FIRST, FIRST + 17))),)),
    ],
    ids=["page elsewhere", "out of order", "no such frame", "too many pages"],
)
def test_a_map_that_contradicts_itself_is_refused(chunk: MapChunk) -> None:
    """Every page must be in the frame that it names, and frames have 1 to 16 pages in order."""
    with pytest.raises(SnapshotDamaged, match="not a map"):
        decode_chunk(encode_chunk(chunk), FIRST, 1, key="centre/map/00")


def test_a_map_of_other_pages_or_cut_off_is_refused() -> None:
    """A chunk is read for its own place only, and whole."""
    data = encode_chunk(BASE)
    for first, count in ((0, 5), (FIRST, 4), (FIRST, 6)):
        with pytest.raises(SnapshotDamaged, match="other pages"):
            decode_chunk(data, first, count, key="k")
    for broken in (data[:-1], b"", b"x" * 40):
        with pytest.raises(SnapshotDamaged, match="not a map"):
            decode_chunk(broken, FIRST, 5, key="k")
