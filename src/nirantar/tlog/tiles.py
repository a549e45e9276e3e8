"""The hash tiles of a log: where they lie, how wide they are, proofs read from them (C2SP tlog-tiles v0.1.0).

A tile is up to 256 hashes of 32 bytes. Level 0 holds leaf hashes; a hash of level l + 1 covers one full tile
of level l. Hashes between tile levels are not stored: a reader computes them from the tile below.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from nirantar.errors import Damaged, InvalidInput
from nirantar.limits import TILE_CACHE_TILES_MAX, TREE_SIZE_MAX
from nirantar.tlog.merkle import HASH_BYTES, root

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
LEVEL_MAX: Final = 63

_PATH: Final = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<groups>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True)
class Tile:
    """The place of one tile: level (None for the entries under level 0), index in the level, hashes in it.

    Raises InvalidInput when one of them is out of range.
    """

    level: int | None
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        """Refuse a place that no tree can have."""
        level_fits = self.level is None or 0 <= self.level <= LEVEL_MAX
        if not (level_fits and 0 <= self.index <= TREE_SIZE_MAX and 1 <= self.width <= TILE_WIDTH):
            raise InvalidInput("The level, index or width of a tile is out of range.")

    @property
    def path(self) -> str:
        """Where the tile lies under its log's prefix: `tile/0/x001/x234/067`, `tile/0/273.p/112`."""
        digits = str(self.index)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        name = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{'entries' if self.level is None else self.level}/{name}{partial}"

    @classmethod
    def parse(cls, path: str) -> Tile:
        """The tile at `path`. Raises InvalidInput for every spelling but the one that `path` gives."""
        found = _PATH.fullmatch(path)
        if found:
            level = None if found["level"] == "entries" else int(found["level"])
            tile = cls(
                level,
                int(found["groups"].replace("x", "").replace("/", "")),
                int(found["width"] or TILE_WIDTH),
            )
            if tile.path == path:
                return tile
        raise InvalidInput("A path does not name a tile.")


def partial_width(level: int, tree_size: int) -> int:
    """Hashes in the last, partial tile of a level; 0 when there is none."""
    return (tree_size >> TILE_HEIGHT * level) % TILE_WIDTH


def tile_width(level: int, index: int, tree_size: int) -> int:
    """Hashes that a tree of `tree_size` has in one tile: 256 when full, 0 when the tile must not exist."""
    return max(0, min(TILE_WIDTH, (tree_size >> TILE_HEIGHT * level) - index * TILE_WIDTH))


def tiles(tree_size: int, grown_from: int = 0) -> Iterator[Tile]:
    """Every hash tile of a tree, partial ones included, from the leaves up and from left to right.

    With `grown_from`, only those that the smaller tree of that size did not have, or had narrower.
    """
    level = 0
    while tree_size >> TILE_HEIGHT * level:
        hashes, known = tree_size >> TILE_HEIGHT * level, grown_from >> TILE_HEIGHT * level
        first = known // TILE_WIDTH
        if hashes > known:
            for index in range(first, -(-hashes // TILE_WIDTH)):
                yield Tile(level, index, tile_width(level, index, tree_size))
        level += 1


class TileHashReader:
    """A merkle.HashReader over the tiles of a tree of `tree_size`.

    `read_tile(level, index, width)` gives at least `width` hashes of a tile; it may give the full tile
    instead of a partial one. The latest limits.TILE_CACHE_TILES_MAX tiles are kept. Not for threads.
    """

    def __init__(self, tree_size: int, read_tile: Callable[[int, int, int], bytes]) -> None:
        """Read through `read_tile`, whose errors pass through."""
        self._tree_size = tree_size
        self._read_tile = read_tile
        self._tiles: OrderedDict[tuple[int, int], bytes] = OrderedDict()

    def subtree_hash(self, level: int, index: int) -> bytes:
        """The root over leaves [index * 2**level, (index + 1) * 2**level).

        Raises InvalidInput when the tree has not all of them, Damaged when a tile has the wrong length.
        """
        if index < 0 or (index + 1) << level > self._tree_size:
            raise InvalidInput(
                f"A tree of size {self._tree_size} has no complete subtree {index} of level {level}."
            )
        tile_level, above = divmod(level, TILE_HEIGHT)
        first, count = index << above, 1 << above
        data = self._tile(tile_level, first // TILE_WIDTH)
        at = first % TILE_WIDTH * HASH_BYTES
        return root(data[slot : slot + HASH_BYTES] for slot in range(at, at + count * HASH_BYTES, HASH_BYTES))

    def _tile(self, level: int, index: int) -> bytes:
        known = self._tiles.get((level, index))
        if known is not None:
            self._tiles.move_to_end((level, index))
            return known
        width = tile_width(level, index, self._tree_size)
        data = self._read_tile(level, index, width)
        if len(data) % HASH_BYTES or not width <= len(data) // HASH_BYTES <= TILE_WIDTH:
            raise Damaged(
                f"{Tile(level, index, width).path} has {len(data)} bytes instead of {width * HASH_BYTES}."
            )
        self._tiles[level, index] = data
        if len(self._tiles) > TILE_CACHE_TILES_MAX:
            self._tiles.popitem(last=False)
        return data
