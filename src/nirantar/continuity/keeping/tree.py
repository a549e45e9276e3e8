"""The tree of one log as far as a keeper has had it proven: leaf hashes from 0 on, out of which it makes the tiles.

Full tiles are objects of the vault; the hashes of each level that fill no tile yet are the edge, kept in the records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from nirantar.errors import Damaged
from nirantar.tlog.merkle import HASH_BYTES, range_root, root
from nirantar.tlog.tiles import TILE_WIDTH, TileHashReader
from nirantar.vault.keys import TileKey

_TILE_BYTES = TILE_WIDTH * HASH_BYTES


@dataclass(frozen=True)
class KnownTree:
    """`size` leaf hashes of `node`'s log; `edges` are the incomplete tile of each level, `full_tile` reads the others
    by level and index."""

    node: str
    size: int
    edges: Mapping[int, bytes]
    full_tile: Callable[[int, int], bytes]

    @cached_property
    def hashes(self) -> TileHashReader:
        """The hashes of its complete subtrees."""
        return TileHashReader(self.size, self._tile)

    def root_at(self, tree_size: int) -> bytes:
        """The root over the first `tree_size` leaves, at most `size`."""
        return range_root(0, tree_size, self.hashes)

    def leaves(self, start: int, stop: int) -> list[bytes]:
        """Leaf hashes [start, stop), all of them known."""
        return [self.hashes.subtree_hash(0, index) for index in range(start, stop)]

    def grown(self, leaves: Sequence[bytes]) -> tuple[KnownTree, list[tuple[TileKey, bytes]]]:
        """The tree with more leaves, and the tiles that they complete, lower ones first."""
        edges = dict(self.edges)
        tiles: list[tuple[TileKey, bytes]] = []
        level, fresh = 0, b"".join(leaves)
        while fresh:
            index = (self.size >> 8 * level) // TILE_WIDTH
            data, fresh = edges.get(level, b"") + fresh, b""
            while len(data) >= _TILE_BYTES:
                tile, data = data[:_TILE_BYTES], data[_TILE_BYTES:]
                tiles.append((TileKey(self.node, level, index), tile))
                fresh += root(tile[at : at + HASH_BYTES] for at in range(0, _TILE_BYTES, HASH_BYTES))
                index += 1
            edges[level] = data
            level += 1
        return KnownTree(self.node, self.size + len(leaves), edges, self.full_tile), tiles

    def _tile(self, level: int, index: int, width: int) -> bytes:
        if width == TILE_WIDTH:
            return self.full_tile(level, index)
        edge = self.edges.get(level, b"")
        if len(edge) != width * HASH_BYTES:
            raise Damaged(f"The records of {self.node} hold {len(edge)} bytes of level {level}, not {32 * width}.")
        return edge
