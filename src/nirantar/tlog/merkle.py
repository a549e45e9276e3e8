"""The Merkle tree of a log: hashing, growing it, proving and checking (RFC 6962 s2.1, RFC 9162 s2.1).

A tree over n > 1 leaves splits at the largest power of two below n; both sides are trees by the same rule.
Leaves and inner nodes are hashed under different prefixes, so neither can pass for the other. A hash is 32
bytes everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final, Protocol

from nirantar.errors import Damaged, InvalidInput, ProofInvalid
from nirantar.limits import PROOF_HASHES_MAX, TREE_SIZE_MAX

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
_BLOCK: Final = 256


def leaf_hash(data: bytes) -> bytes:
    """The hash that stands for one entry's exact bytes in the tree."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node over its two children."""
    return sha256(b"\x01" + left + right).digest()


def root(leaf_hashes: Iterable[bytes]) -> bytes:
    """The root over all of `leaf_hashes`, in order; EMPTY_ROOT over none. Memory grows with their number."""
    level = list(leaf_hashes)
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        lone = level[len(level) & ~1 :]
        level = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(level[::2], level[1::2], strict=False)
        ]
        level += lone
    return level[0]


class Frontier:
    """The right edge of a growing tree: one hash for each complete subtree, as many as `size` has one-bits.

    Enough to append and to give the root in O(log n), and small enough to store beside a snapshot.
    """

    __slots__ = ("_hashes", "size")

    def __init__(self) -> None:
        """The frontier of an empty tree."""
        self.size = 0
        self._hashes: list[bytes] = []

    @classmethod
    def from_hashes(cls, size: int, hashes: Sequence[bytes]) -> Frontier:
        """The frontier that once gave `hashes` at `size`. Raises Damaged when the two do not fit together."""
        if not 0 <= size <= TREE_SIZE_MAX or len(hashes) != size.bit_count() or not _all_hashes(hashes):
            raise Damaged(f"A stored frontier of tree size {size} has the wrong number or length of hashes.")
        frontier = cls()
        frontier.size = size
        frontier._hashes = list(hashes)
        return frontier

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The subtrees' hashes, largest subtree first: what `from_hashes` takes."""
        return tuple(self._hashes)

    def copy(self) -> Frontier:
        """An independent frontier of the same tree."""
        frontier = Frontier()
        frontier.size = self.size
        frontier._hashes = self._hashes.copy()
        return frontier

    def append(self, leaf: bytes) -> None:
        """Add the next leaf hash."""
        # Every one-bit that the addition carries through is a pair of equal subtrees to join.
        hashes, size = self._hashes, self.size
        while size & 1:
            leaf = sha256(b"\x01" + hashes.pop() + leaf).digest()
            size >>= 1
        hashes.append(leaf)
        self.size += 1

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add many leaf hashes, in order; whole blocks of them cost half of what `append` costs."""
        at = 0
        while at < len(leaves):
            if self.size & _BLOCK - 1 or len(leaves) - at < _BLOCK:
                self.append(leaves[at])
                at += 1
            else:
                self.append_subtree(root(leaves[at : at + _BLOCK]), _BLOCK.bit_length() - 1)
                at += _BLOCK

    def append_subtree(self, subtree: bytes, level: int) -> None:
        """Add the next 2**level leaves by the hash of their complete subtree.

        Raises InvalidInput unless the tree's size is a multiple of 2**level.
        """
        if self.size & ((1 << level) - 1):
            raise InvalidInput(f"A subtree of level {level} cannot follow {self.size} leaves.")
        hashes, size = self._hashes, self.size >> level
        while size & 1:
            subtree = sha256(b"\x01" + hashes.pop() + subtree).digest()
            size >>= 1
        hashes.append(subtree)
        self.size += 1 << level

    def root(self) -> bytes:
        """The root of the tree so far."""
        if not self._hashes:
            return EMPTY_ROOT
        return _join(self._hashes)


class HashReader(Protocol):
    """A store of the hashes of complete subtrees, from which every proof is made."""

    def subtree_hash(self, level: int, index: int) -> bytes:
        """The root over leaves [index * 2**level, (index + 1) * 2**level), all of which are in the tree."""


class MemoryHashReader:
    """A HashReader over leaf hashes in memory, for small trees (a patient's heads, a test)."""

    def __init__(self, leaf_hashes: Sequence[bytes]) -> None:
        """Read from `leaf_hashes`; later appends to that sequence are seen."""
        self._leaves = leaf_hashes

    def subtree_hash(self, level: int, index: int) -> bytes:
        """The root over 2**level leaves, computed at each call."""
        return root(self._leaves[index << level : (index + 1) << level])


def range_root(start: int, end: int, reader: HashReader) -> bytes:
    """The root over leaves [start, end) alone.

    The range must be a subtree: it starts at 0, or at a multiple of the smallest power of two that is not
    below its length (draft-ietf-plants-merkle-tree-certs, subtrees). Raises InvalidInput otherwise. The empty
    range has EMPTY_ROOT.
    """
    _check_range(start, end)
    if start == end:
        return EMPTY_ROOT
    complete = []
    while start < end:
        level = (end - start).bit_length() - 1
        complete.append(reader.subtree_hash(level, start >> level))
        start += 1 << level
    return _join(complete)


def inclusion_proof(entry_index: int, tree_size: int, reader: HashReader) -> tuple[bytes, ...]:
    """The siblings from a leaf up to the root's child (RFC 6962 s2.1.1). Raises InvalidInput out of range."""
    return range_inclusion_proof(entry_index, 0, tree_size, reader)


def range_inclusion_proof(entry_index: int, start: int, end: int, reader: HashReader) -> tuple[bytes, ...]:
    """The proof that a leaf is in the subtree [start, end); `range_root` says which ranges are subtrees.

    Verify it with index `entry_index - start` and size `end - start`. Raises InvalidInput out of range.
    """
    _check_range(start, end)
    if not start <= entry_index < end:
        raise InvalidInput(f"There is no entry {entry_index} among entries {start} to {end} (exclusive).")
    siblings = []
    while end - start > 1:
        middle = start + _split(end - start)
        if entry_index < middle:
            siblings.append(range_root(middle, end, reader))
            end = middle
        else:
            siblings.append(range_root(start, middle, reader))
            start = middle
    return tuple(reversed(siblings))


def consistency_proof(old_size: int, new_size: int, reader: HashReader) -> tuple[bytes, ...]:
    """The proof that the first `old_size` leaves of the larger tree are the smaller tree (RFC 6962 s2.1.2).

    Empty when the sizes are equal. Raises InvalidInput unless 0 < old_size <= new_size: every tree extends
    the empty one, so there is nothing to prove from 0.
    """
    if not 0 < old_size <= new_size <= TREE_SIZE_MAX:
        raise InvalidInput(f"There is no consistency proof from tree size {old_size} to {new_size}.")
    start, end, known, hashes = 0, new_size, True, []
    while end != old_size:
        middle = start + _split(end - start)
        if old_size <= middle:
            hashes.append(range_root(middle, end, reader))
            end = middle
        else:
            hashes.append(range_root(start, middle, reader))
            start, known = middle, False
    if not known:
        hashes.append(range_root(start, end, reader))
    return tuple(reversed(hashes))


def verify_inclusion(
    leaf: bytes, entry_index: int, tree_size: int, proof: Sequence[bytes], root_hash: bytes
) -> None:
    """Return when `proof` shows that leaf hash `leaf` is at `entry_index` under `root_hash`.

    By RFC 9162 s2.1.3.2. Raises ProofInvalid in every other case.
    """
    _check_proof((leaf, root_hash), proof)
    if not 0 <= entry_index < tree_size <= TREE_SIZE_MAX:
        raise ProofInvalid(f"An inclusion proof is for entry {entry_index} of a tree of size {tree_size}.")
    node, last, found = entry_index, tree_size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofInvalid("An inclusion proof has more hashes than its tree has levels.")
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    if last or found != root_hash:
        raise ProofInvalid(f"The inclusion proof of entry {entry_index} does not lead to the root hash.")


def verify_consistency(
    old_size: int, new_size: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> None:
    """Return when `proof` shows that the newer tree only appended to the older (RFC 9162 s2.1.4.2).

    Raises ProofInvalid in every other case, and always from size 0: a caller that knows no older tree has
    nothing to compare with and must decide so itself.
    """
    _check_proof((old_root, new_root), proof)
    if not 0 < old_size <= new_size <= TREE_SIZE_MAX:
        raise ProofInvalid(f"A consistency proof is from tree size {old_size} to {new_size}.")
    if old_size == new_size:
        if proof or old_root != new_root:
            raise ProofInvalid(f"Two trees of size {old_size} differ, or come with a proof that none needs.")
        return
    if not proof:
        raise ProofInvalid("A consistency proof between different sizes is empty.")
    # A complete older tree is itself a node of the newer one, and is left out of the proof.
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else proof
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old, new = path[0], path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofInvalid("A consistency proof has more hashes than its tree has levels.")
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    if last or old != old_root or new != new_root:
        raise ProofInvalid(f"The tree of size {new_size} does not extend the tree of size {old_size}.")


def _split(count: int) -> int:
    """The largest power of two strictly below `count`, which is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)


def _join(complete: Sequence[bytes]) -> bytes:
    """The root over adjacent complete subtrees, given largest first."""
    joined = complete[-1]
    for left in reversed(complete[:-1]):
        joined = node_hash(left, joined)
    return joined


def _all_hashes(hashes: Sequence[bytes]) -> bool:
    return all(len(hash_) == HASH_BYTES for hash_ in hashes)


def _check_proof(ends: Sequence[bytes], proof: Sequence[bytes]) -> None:
    if len(proof) > PROOF_HASHES_MAX:
        raise ProofInvalid(f"A Merkle proof has more than PROOF_HASHES_MAX = {PROOF_HASHES_MAX} hashes.")
    if not _all_hashes(ends) or not _all_hashes(proof):
        raise ProofInvalid(f"A hash of a Merkle proof is not {HASH_BYTES} bytes long.")


def _check_range(start: int, end: int) -> None:
    length = end - start
    if not 0 <= start <= end <= TREE_SIZE_MAX or (length and start % (1 << (length - 1).bit_length())):
        raise InvalidInput(f"Entries {start} to {end} (exclusive) are not a subtree of a log.")
