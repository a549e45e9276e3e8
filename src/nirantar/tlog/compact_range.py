"""Any stretch of a log, proven by itself: the subtrees to its left and right, and a root that all of it hashes to.

A compact range of leaves [start, stop) is the list of the largest complete subtrees that cover it, from left to right.
With the hashes of [0, first) and [stop, tree_size), the leaf hashes of [first, stop) give the root at `tree_size`;
nothing else does, unless SHA-256 breaks. It is the range proof that an inclusion proof (RFC 6962 s2.1.1) is for one
leaf, at most 63 hashes on either side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nirantar.errors import Damaged, InvalidInput, ProofInvalid
from nirantar.limits import TREE_SIZE_MAX
from nirantar.tlog.merkle import HASH_BYTES, Frontier, HashReader


@dataclass(frozen=True, slots=True)
class RangeProof:
    """What leads from leaves [first, stop) to a root: the hashes of the compact ranges before and after them."""

    left: Sequence[bytes] = ()
    right: Sequence[bytes] = ()


def subtrees(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """(level, index) of each subtree of the compact range [start, stop): it covers the leaves [index * 2**level,
    (index + 1) * 2**level). Raises InvalidInput for a range that no tree has."""
    if not 0 <= start <= stop <= TREE_SIZE_MAX:
        raise InvalidInput(f"Entries {start} to {stop} (exclusive) are not a range of a log.")
    while start < stop:
        fits = (stop - start).bit_length() - 1
        level = min(fits, (start & -start).bit_length() - 1) if start else fits
        yield level, start >> level
        start += 1 << level


def hashes_in(start: int, stop: int) -> int:
    """How many subtrees the compact range [start, stop) has."""
    return sum(1 for _ in subtrees(start, stop))


def range_hashes(start: int, stop: int, reader: HashReader) -> tuple[bytes, ...]:
    """The hashes of a compact range, from left to right. Raises InvalidInput where the reader's tree is shorter."""
    return tuple(reader.subtree_hash(level, index) for level, index in subtrees(start, stop))


def range_proof(first: int, stop: int, tree_size: int, reader: HashReader) -> RangeProof:
    """The proof of leaves [first, stop) under the root at `tree_size`. Raises InvalidInput out of range."""
    return RangeProof(range_hashes(0, first, reader), range_hashes(stop, tree_size, reader))


def verify_range(
    first: int, leaf_hashes: Sequence[bytes], tree_size: int, proof: RangeProof, root_hash: bytes
) -> Frontier:
    """The frontier after these leaves, if they stand at `first` in the tree of `tree_size` under `root_hash`.

    Raises ProofInvalid in every other case.
    """
    stop = first + len(leaf_hashes)
    try:
        after = list(subtrees(stop, tree_size))
        frontier = Frontier.from_hashes(first, proof.left)
    except (InvalidInput, Damaged) as reason:
        raise ProofInvalid(f"The proof of entries {first} to {stop - 1} does not fit a log: {reason}") from None
    hashes = (*leaf_hashes, *proof.right, root_hash)
    if len(after) != len(proof.right) or any(len(each) != HASH_BYTES for each in hashes):
        raise ProofInvalid(f"The proof of entries {first} to {stop - 1} has the wrong number or length of hashes.")
    frontier.extend(leaf_hashes)
    whole = frontier.copy()
    for (level, _), subtree in zip(after, proof.right, strict=True):
        whole.append_subtree(subtree, level)
    if whole.root() != root_hash:
        raise ProofInvalid(f"Entries {first} to {stop - 1} do not lead to the root of the tree of size {tree_size}.")
    return frontier
