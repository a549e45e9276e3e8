"""Frames: what is sealed opens in its own place, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nirantar.errors import SnapshotDamaged
from nirantar.vault.packs import PackCipher
from nirantar.vault.page_map import Frame
from snapshots_at_hand import page

CIPHER = PackCipher(b"k" * 32, "city", "centre", "00000001-" + "0" * 32)
PAGES = {3: page(3), 9: page(9)}
SEALED = CIPHER.seal(4, PAGES)
FRAME = Frame(1, 4, 0, len(SEALED), (3, 9))


def test_a_frame_opens_to_its_pages() -> None:
    """Every page comes back under its number."""
    assert CIPHER.open(FRAME, SEALED) == PAGES


@pytest.mark.parametrize(
    "frame", [replace(FRAME, number=5), replace(FRAME, pages=(3, 8)), replace(FRAME, pages=(9, 3))],
    ids=["another frame", "other pages", "swapped pages"],
)
def test_a_frame_does_not_open_in_another_place(frame: Frame) -> None:
    """Frame number and pages are authenticated."""
    with pytest.raises(SnapshotDamaged, match="not of this place"):
        CIPHER.open(frame, SEALED)


@pytest.mark.parametrize(
    "other",
    [
        PackCipher(b"l" * 32, "city", "centre", "00000001-" + "0" * 32),
        PackCipher(b"k" * 32, "town", "centre", "00000001-" + "0" * 32),
        PackCipher(b"k" * 32, "city", "ward", "00000001-" + "0" * 32),
        PackCipher(b"k" * 32, "city", "centre", "00000002-" + "0" * 32),
    ],
    ids=["key", "hospital", "node", "pack"],
)
def test_a_frame_does_not_open_elsewhere(other: PackCipher) -> None:
    """Neither under another key, nor for another hospital, node or pack."""
    with pytest.raises(SnapshotDamaged, match="not of this place"):
        other.open(FRAME, SEALED)


def test_no_two_frames_share_a_nonce_and_key() -> None:
    """The same pages in two frames of a pack, or in two packs, give unrelated ciphertexts."""
    sealed = {CIPHER.seal(number, PAGES) for number in range(3)}
    sealed.add(PackCipher(b"k" * 32, "city", "centre", "00000001-" + "1" * 32).seal(0, PAGES))
    assert len({each[:16] for each in sealed}) == 4


def test_a_frame_takes_whole_pages_only() -> None:
    """No page, more than 16, or half a page is a mistake of the caller's."""
    for pages in ({}, {0: b"short"}, {number: page(number) for number in range(17)}):
        with pytest.raises(ValueError, match="whole pages"):
            CIPHER.seal(0, pages)
    with pytest.raises(SnapshotDamaged):
        CIPHER.open(FRAME, b"")
