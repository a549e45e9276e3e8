"""The bitmap of a lazily filled file."""

from __future__ import annotations

from random import Random

import pytest

from nirantar.host.page_presence import BLOCK_BYTES, PagePresence


@pytest.mark.parametrize("page_count", [1, 7, 8, 9, 32_767, 32_768, 32_769, 100_000])
def test_it_is_a_set_that_only_grows(page_count: int) -> None:
    """For any number of pages, what was added is present, nothing else is, and both ways to ask agree."""
    random = Random(page_count)
    presence, added = PagePresence(page_count), set[int]()
    assert presence.absent == page_count
    for _ in range(50):
        page = random.randrange(page_count)
        presence.add(page)
        added.add(page)
    assert presence.absent == page_count - len(added)
    for page in [*added, *(random.randrange(page_count) for _ in range(50))]:
        assert (page in presence) == (page in added)
        expected = next((each for each in range(page, page_count) if each not in added), None)
        assert presence.next_absent(page) == expected
    assert presence.next_absent(page_count) is None


def test_what_lies_behind_the_last_page_is_present() -> None:
    """SQLite may add pages: there is nothing to fetch for them, and they are no part of the count."""
    presence = PagePresence(10)
    presence.add(10)
    presence.add(1_000_000)
    assert 10 in presence
    assert 1_000_000 in presence
    assert presence.absent == 10
    assert presence.take_changed() == {}


def test_blocks_bring_the_bitmap_back() -> None:
    """The changed blocks, written one behind another, give an equal bitmap; unchanged ones are not told again."""
    presence = PagePresence(80_000)
    kept = bytearray(b"".join(presence.block(number) for number in range(presence.blocks)))
    for pages in ((0, 79_999), (40_000,), (40_001, 40_002)):
        for page in pages:
            presence.add(page)
        for number, block in presence.take_changed().items():
            kept[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES] = block
        assert presence.take_changed() == {}
    again = PagePresence(80_000, bytes(kept))
    assert again.absent == presence.absent == 80_000 - 5
    assert all(page in again for page in (0, 79_999, 40_000, 40_001, 40_002))
    presence.changed_again({1})
    assert list(presence.take_changed()) == [1]


def test_a_full_bitmap_has_nothing_absent() -> None:
    """When the last page came, nothing is absent, in a block that ends in the middle of a byte too."""
    presence = PagePresence(13)
    for page in range(13):
        assert presence.next_absent(0) == page
        presence.add(page)
    assert presence.absent == 0
    assert presence.next_absent(0) is None
    assert PagePresence(13, presence.block(0)).absent == 0
