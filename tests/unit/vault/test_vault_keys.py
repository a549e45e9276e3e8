"""Vault keys: written as documented, read back exactly, and nothing else taken for one."""

from __future__ import annotations

import pytest

from nirantar.vault.keys import (
    AttachmentKey,
    ManifestKey,
    MapKey,
    PackKey,
    RosterKey,
    SegmentKey,
    TileKey,
    VaultKey,
    is_key,
    pack_name,
    parse,
    segments_from,
    segments_prefix,
)

EXAMPLES: list[tuple[VaultKey, str]] = [
    (SegmentKey("opd-1", "live", 0, 3), "opd-1/live/000000000000-3.segment"),
    (SegmentKey("a", "day", 123456789012, 4096), "a/day/123456789012-4096.segment"),
    (TileKey("opd-1", 0, 0), "opd-1/tile/0/000"),
    (TileKey("opd-1", 1, 1234067), "opd-1/tile/1/x001/x234/067"),
    (TileKey("opd-1", 63, 123456789), "opd-1/tile/63/x123/x456/789"),
    (AttachmentKey("opd-1", "ab" * 32), "opd-1/attachment/" + "ab" * 32),
    (RosterKey(7), "roster/00000007.note"),
    (ManifestKey("opd-1", 12), "opd-1/snapshot/00000012.manifest"),
    (MapKey("opd-1", "cd" * 32), "opd-1/map/" + "cd" * 32),
    (PackKey("opd-1", pack_name(3, b"\xef" * 16)), "opd-1/pack/00000003-" + "ef" * 16),
]


@pytest.mark.parametrize(("key", "text"), EXAMPLES)
def test_keys_are_written_and_read_back(key: VaultKey, text: str) -> None:
    """Each kind of key has the documented spelling, is valid in a vault, and parses to itself."""
    assert str(key) == text
    assert parse(text) == key
    assert is_key(text)


@pytest.mark.parametrize(
    "text",
    [
        "hospital.json",
        "opd-1/live/0-3.segment",
        "opd-1/live/000000000000-0.segment",
        "opd-1/live/000000000000-03.segment",
        "opd-1/live/000000000000-3.segment.locked",
        "opd-1/week/000000000000-3.segment",
        "Opd/live/000000000000-3.segment",
        "1pd/live/000000000000-3.segment",
        "a" * 25 + "/live/000000000000-3.segment",
        "opd-1/tile/64/000",
        "opd-1/tile/01/000",
        "opd-1/tile/0/x000/001",
        "opd-1/tile/0/001.p/1",
        "opd-1/attachment/" + "AB" * 32,
        "opd-1/attachment/ab",
        "roster/7.note",
        "",
    ],
)
def test_other_spellings_are_not_keys_of_ours(text: str) -> None:
    """One object has one key: other spellings, unknown levels and what an attacker renamed parse to None."""
    assert parse(text) is None


def test_segments_sort_by_their_first_entry() -> None:
    """Listing a level gives entries in order, and `segments_from` is the place to go on from."""
    keys = [str(SegmentKey("opd-1", "live", first, 5)) for first in (0, 5, 99, 100, 1000, 999_999_999_999)]
    assert keys == sorted(keys)
    assert all(key.startswith(segments_prefix("opd-1")) for key in keys)
    assert [key for key in keys if key > segments_from("opd-1", 100)] == keys[3:]


def test_a_segment_key_knows_its_end() -> None:
    """The end is the tree size that the segment reaches."""
    assert SegmentKey("opd-1", "live", 10, 5).end == 15
