"""Tile paths, widths and proofs from tiles against C2SP tlog-tiles and tessera's examples."""

from __future__ import annotations

from hashlib import sha256

import pytest

from nirantar.errors import Damaged, InvalidInput, LimitExceeded
from nirantar.limits import ENTRY_BUNDLE_ENTRY_BYTES_MAX
from nirantar.tlog.entry_bundle import read_entry_bundle, write_entry_bundle
from nirantar.tlog.merkle import MemoryHashReader, inclusion_proof, leaf_hash, root
from nirantar.tlog.tiles import Tile, TileHashReader, partial_width, tile_width, tiles

PATHS = {
    "tile/0/000": Tile(0, 0),
    "tile/0/x001/x234/067": Tile(0, 1_234_067),
    "tile/0/x123/x456/789": Tile(0, 123_456_789),
    "tile/0/273.p/112": Tile(0, 273, 112),
    "tile/15/x455/667": Tile(15, 455_667),
    "tile/15/x123/x456/789.p/41": Tile(15, 123_456_789, 41),
    "tile/63/999.p/1": Tile(63, 999, 1),
    "tile/entries/000": Tile(None, 0),
    "tile/entries/000.p/255": Tile(None, 0, 255),
    "tile/entries/x001/000": Tile(None, 1000),
}
LEAVES = [leaf_hash(str(number).encode()) for number in range(70_000)]


def _stored_tiles(size: int) -> dict[tuple[int, int], bytes]:
    """Every tile of a tree of decimal numbers, made level by level as a writer does."""
    stored, hashes, level = {}, LEAVES[:size], 0
    while hashes:
        for at in range(0, len(hashes), 256):
            stored[level, at // 256] = b"".join(hashes[at : at + 256])
        hashes = [root(hashes[at : at + 256]) for at in range(0, len(hashes) - 255, 256)]
        level += 1
    return stored


@pytest.mark.parametrize("path", PATHS)
def test_paths(path: str) -> None:
    """Paths have the published spelling and read back."""
    assert PATHS[path].path == path
    assert Tile.parse(path) == PATHS[path]


@pytest.mark.parametrize(
    "path",
    [
        "", "tile/0/0", "tile/0/0000", "tile/00/000", "tile/01/000", "tile/64/000", "tile/-1/000",
        "tile/0/x000/001",
        "tile/0/001/x234",
        "tile/0/1/234", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01",
        "tile/0/000.p/", "tile/0/000/", "/tile/0/000", "tile/0/000\n", "tile/0/\u0660\u0660\u0660",
        "tile/data/000",
        "tile/entries/000.p/300",
        "tile/0/" + "x999/" * 6 + "999",
    ],
)  # fmt: skip
def test_other_spellings_are_refused(path: str) -> None:
    """A path that a writer would never give is not taken, so each tile has one address."""
    with pytest.raises(InvalidInput):
        Tile.parse(path)


@pytest.mark.parametrize(
    ("level", "index", "width"), [(64, 0, 1), (-1, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)]
)
def test_impossible_tiles(level: int, index: int, width: int) -> None:
    """A tile out of range cannot be named."""
    with pytest.raises(InvalidInput):
        Tile(level, index, width)


def test_tiles_of_a_size() -> None:
    """The published example: which tiles sizes 256 and 70,000 have, and none of width zero."""
    found = list(tiles(70_000))
    assert [tile.index for tile in found if tile.level == 0] == list(range(274))
    assert [tile for tile in found if tile.width < 256 or tile.level] == [
        Tile(0, 273, 112), Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1),
    ]  # fmt: skip
    assert [tile.path for tile in tiles(256)] == ["tile/0/000", "tile/1/000.p/1"]
    assert [tile.path for tile in tiles(257)] == ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]
    assert list(tiles(0)) == []
    assert [partial_width(level, 70_000) for level in range(4)] == [112, 17, 1, 0]
    assert [tile_width(0, index, 257) for index in range(3)] == [256, 1, 0]


def test_tiles_of_a_growth() -> None:
    """Growing from one size to the next names exactly the tiles that are new or wider."""
    for old_size, new_size in ((0, 257), (255, 256), (256, 257), (256, 512), (65_535, 65_536), (300, 70_000)):
        before = set(tiles(old_size))
        assert list(tiles(new_size, old_size)) == [tile for tile in tiles(new_size) if tile not in before]
    assert list(tiles(300, 300)) == []


@pytest.mark.parametrize("size", [1, 255, 256, 257, 1000, 65_537, 70_000])
def test_proofs_from_tiles(size: int) -> None:
    """Proofs read from tiles alone are those made from all leaves."""
    stored = _stored_tiles(size)
    reader = TileHashReader(size, lambda level, index, width: stored[level, index][: width * 32])
    memory = MemoryHashReader(LEAVES[:size])
    for index in {0, size // 3, size - 1}:
        assert inclusion_proof(index, size, reader) == inclusion_proof(index, size, memory)


def test_a_full_tile_serves_for_a_partial_one() -> None:
    """A store that kept only the full tile of a grown log still serves an older size."""
    stored = _stored_tiles(512)
    reader = TileHashReader(300, lambda level, index, _width: stored[level, index])
    assert inclusion_proof(299, 300, reader) == inclusion_proof(299, 300, MemoryHashReader(LEAVES[:300]))


def test_tiles_are_read_once_and_checked() -> None:
    """A tile is read once for many hashes, must have its length, and is never read beyond the tree."""
    stored, asked = _stored_tiles(300), []

    def read(level: int, index: int, width: int) -> bytes:
        asked.append((level, index, width))
        return stored[level, index]

    reader = TileHashReader(300, read)
    assert [reader.subtree_hash(0, index) for index in range(300)] == LEAVES[:300]
    assert asked == [(0, 0, 256), (0, 1, 44)]
    for level, index in ((0, 300), (8, 1), (9, 0), (0, -1)):
        with pytest.raises(InvalidInput):
            reader.subtree_hash(level, index)
    with pytest.raises(Damaged, match=r"tile/0/001\.p/44 has 1376 bytes instead of 1408"):
        TileHashReader(300, lambda *_: bytes(43 * 32)).subtree_hash(0, 256)


def test_entry_bundle_example() -> None:
    """The published bundle of two entries, both ways."""
    data = bytes.fromhex("00036f6e65000374776f")
    assert write_entry_bundle([b"one", b"two"]) == data
    assert read_entry_bundle(data) == (b"one", b"two")
    assert read_entry_bundle(b"") == ()


@pytest.mark.parametrize("cut", range(1, 10))
def test_cut_entry_bundle(cut: int) -> None:
    """A bundle cut anywhere but between entries is damage."""
    data = bytes.fromhex("00036f6e65000374776f")[:cut]
    if cut == 5:
        assert read_entry_bundle(data) == (b"one",)
    else:
        with pytest.raises(Damaged):
            read_entry_bundle(data)


def test_entry_bundle_limits() -> None:
    """A longer entry than 16 bits can say, or a 257th entry, is refused by writer and reader."""
    longest = bytes(ENTRY_BUNDLE_ENTRY_BYTES_MAX)
    assert read_entry_bundle(write_entry_bundle([longest])) == (longest,)
    with pytest.raises(LimitExceeded):
        write_entry_bundle([longest + b"x"])
    with pytest.raises(LimitExceeded):
        write_entry_bundle([b""] * 257)
    with pytest.raises(Damaged):
        read_entry_bundle(bytes(2 * 257))


def test_worked_log_files() -> None:
    """The 257-entry example's files have their known contents."""
    stored = _stored_tiles(257)
    entries = write_entry_bundle(str(number).encode() for number in range(256))
    assert (
        sha256(stored[0, 0]).hexdigest() == "b9704a8bfbee2c61185ceb38904a49f3f703c81e194b5b2ccdc254c2bdaaa62b"
    )
    assert stored[0, 1].hex() == "42ae86a77cad11f2565e05cffb735f46025d40a379a52eba4209c26273138008"
    assert stored[1, 0].hex() == "828515d033c19d8c901f37eccb8aed919667703486f8d2fff1cf7040321c5db1"
    assert len(entries) == 1170
    assert sha256(entries).hexdigest() == "94693d5c6d6a0355ec07bac8214516c1ce6a5100b0588f226fd95f26571157d7"
