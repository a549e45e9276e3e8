"""Writing packs and map: frames of sixteen pages, bounded packs, chunks that are the same while nothing changes."""

from __future__ import annotations

from hashlib import sha256
from random import Random

from nirantar.limits import SNAPSHOT_PACK_BYTES_MAX
from nirantar.vault.snapshot_writing import (
    PackWriter,
    packs_in_use,
    packs_to_empty,
    pages_in_packs,
    read_chunk,
    stored_chunk,
    write_pages,
)
from snapshots_at_hand import page

CHUNK = 16_384


class Written:
    """A pack writer and what came out of it."""

    def __init__(self, first_number: int = 1) -> None:
        self.packs: dict[str, bytes] = {}
        random = Random(first_number)
        self.writer = PackWriter(
            b"k" * 32, "city", "centre", serial=3, epoch=1, first_number=first_number, random_bytes=random.randbytes,
            keep=self.packs.__setitem__,
        )


def test_frames_have_sixteen_pages_and_never_cross_a_chunk() -> None:
    """Twenty pages around a chunk's end: two frames, and one in the next chunk."""
    made = Written()
    chunks = write_pages(
        [], 0, CHUNK + 2, ((number, page(number)) for number in range(CHUNK + 2)), made.writer, node="centre"
    )
    last, after = (read_chunk(each.data, number, CHUNK + 2, "centre") for number, each in enumerate(chunks))
    assert {len(frame.pages) for frame in last.frames} == {16}
    assert [frame.pages for frame in after.frames] == [(CHUNK, CHUNK + 1)]
    (pack,) = made.writer.packs
    assert pack.sha256 == sha256(made.packs[pack.name]).hexdigest()
    assert pack.size == len(made.packs[pack.name])
    assert packs_in_use(chunks) == {1: CHUNK + 2}


def test_a_chunk_without_a_change_is_the_same_object() -> None:
    """One page of the second chunk changes: the first is not even read."""
    made = Written()
    before = write_pages(
        [], 0, CHUNK + 2, ((number, page(number)) for number in range(CHUNK + 2)), made.writer, node="centre"
    )
    more = Written(2)
    after = write_pages(before, CHUNK + 2, CHUNK + 2, [(CHUNK, page(CHUNK, 1))], more.writer, node="centre")
    assert after[0] is before[0]
    assert after[1].digest != before[1].digest
    assert packs_in_use(after) == {1: CHUNK + 1, 2: 1}
    assert list(pages_in_packs(after, CHUNK + 2, frozenset({2}), "centre")) == [CHUNK]
    shorter = write_pages(after, CHUNK + 2, CHUNK, [], Written(3).writer, node="centre")
    assert shorter == [after[0]]


def test_packs_are_bounded() -> None:
    """Pages that do not compress fill one pack after another, none over its bound, and every name is new."""
    made, random = Written(), Random(1)
    pages = 2 * SNAPSHOT_PACK_BYTES_MAX // 4096
    write_pages([], 0, pages, ((number, random.randbytes(4096)) for number in range(pages)), made.writer, node="n")
    assert [pack.number for pack in made.writer.packs] == [1, 2, 3]
    assert all(len(data) <= SNAPSHOT_PACK_BYTES_MAX for data in made.packs.values())
    assert len(made.packs) == 3


def test_the_emptiest_packs_go_when_there_are_too_many() -> None:
    """128 are left alone; one more, and the emptiest are written again."""
    use = {number: 1_000 - number for number in range(128)}
    assert packs_to_empty(use, 1) == frozenset()
    chosen = packs_to_empty({**use, 128: 5_000}, 1)
    assert chosen == frozenset(range(128 - 33, 128))


def test_what_is_known_of_a_chunk_follows_from_its_bytes() -> None:
    """Read back from the state file, a chunk has the same name and use."""
    made = Written()
    (chunk,) = write_pages([], 0, 3, ((number, page(number)) for number in range(3)), made.writer, node="centre")
    assert stored_chunk(read_chunk(chunk.data, 0, 3, "centre"), chunk.data) == chunk
