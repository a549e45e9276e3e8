"""Compact ranges by hand on a small tree, and what is refused."""

from __future__ import annotations

import pytest

from nirantar.errors import InvalidInput, ProofInvalid
from nirantar.limits import TREE_SIZE_MAX
from nirantar.tlog.compact_range import RangeProof, hashes_in, range_hashes, subtrees, verify_range
from nirantar.tlog.merkle import Frontier, MemoryHashReader, leaf_hash, node_hash, root

LEAVES = [leaf_hash(bytes([number])) for number in range(7)]
READER = MemoryHashReader(LEAVES)


def test_the_subtrees_of_a_range_by_hand() -> None:
    """[1, 7) is a leaf, the pair behind it, the pair behind that, and a leaf; from 0 it is what a frontier holds."""
    assert list(subtrees(1, 7)) == [(0, 1), (1, 1), (1, 2), (0, 6)]
    assert list(subtrees(0, 7)) == [(2, 0), (1, 2), (0, 6)]
    assert list(subtrees(3, 3)) == []
    assert hashes_in(1, TREE_SIZE_MAX) == 2 * 62
    frontier = Frontier()
    frontier.extend(LEAVES)
    assert range_hashes(0, 7, READER) == frontier.hashes


def test_a_proof_by_hand() -> None:
    """Entries 2 and 3 of 7: one hash to the left, the pair and the leaf to the right."""
    left, right = [node_hash(*LEAVES[:2])], [node_hash(*LEAVES[4:6]), LEAVES[6]]
    frontier = verify_range(2, LEAVES[2:4], 7, RangeProof(left, right), root(LEAVES))
    assert frontier.hashes == (root(LEAVES[:4]),)


def test_no_entry_at_all_proves_the_head() -> None:
    """The empty stretch at the end of a tree: its frontier leads to the root."""
    assert verify_range(7, [], 7, RangeProof(range_hashes(0, 7, READER)), root(LEAVES)).size == 7


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, TREE_SIZE_MAX + 1)])
def test_what_no_tree_has_is_refused(start: int, stop: int) -> None:
    """Ranges out of order or out of every tree."""
    with pytest.raises(InvalidInput, match="not a range of a log"):
        list(subtrees(start, stop))


def test_a_stretch_past_the_end_is_refused() -> None:
    """A proof whose tree ends before its entries do is none."""
    with pytest.raises(ProofInvalid, match="does not fit a log"):
        verify_range(5, LEAVES[:4], 7, RangeProof(range_hashes(0, 5, READER)), root(LEAVES))


def test_extending_by_many_is_appending_each() -> None:
    """Whole blocks and what is before and after them give the tree that one append after another gives."""
    leaves = [leaf_hash(number.to_bytes(2, "big")) for number in range(1300)]
    for start in (0, 1, 255, 256):
        one, many = Frontier(), Frontier()
        for leaf in leaves:
            one.append(leaf)
        many.extend(leaves[:start])
        many.extend(leaves[start:])
        assert (many.size, many.hashes) == (one.size, one.hashes)
