"""For random trees: every made proof verifies, and no changed one does."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nirantar.errors import ProofInvalid
from nirantar.tlog.merkle import (
    Frontier,
    MemoryHashReader,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    range_root,
    root,
    verify_consistency,
    verify_inclusion,
)
from nirantar.tlog.tiles import TileHashReader, tiles

LEAVES = [leaf_hash(number.to_bytes(4, "big")) for number in range(1200)]
ROOTS = [Frontier().root()]
_GROWING = Frontier()
for _leaf in LEAVES:
    _GROWING.append(_leaf)
    ROOTS.append(_GROWING.root())
READER = MemoryHashReader(LEAVES)

sizes = st.one_of(
    st.integers(1, 20), st.integers(1, len(LEAVES)), st.sampled_from((255, 256, 257, 512, 1024))
)
CHANGES = ("bit", "drop", "add", "swap", "double", "cut", "grow")


def _changed(draw: st.DrawFn, proof: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Another sequence of hashes than `proof`."""
    kind, hashes = draw(st.sampled_from(CHANGES)), list(proof)
    at = draw(st.integers(0, max(0, len(hashes) - 1)))
    if kind == "add" or not hashes:
        hashes.insert(
            draw(st.integers(0, len(hashes))), draw(st.sampled_from([*LEAVES[:3], *ROOTS[:3], *proof]))
        )
    elif kind == "bit":
        bit = draw(st.integers(0, 255))
        hashes[at] = (int.from_bytes(hashes[at], "big") ^ (1 << bit)).to_bytes(32, "big")
    elif kind == "drop":
        del hashes[at]
    elif kind == "swap":
        other = draw(st.integers(0, len(hashes) - 1))
        hashes[at], hashes[other] = hashes[other], hashes[at]
    elif kind == "double":
        hashes.insert(at, hashes[at])
    else:
        hashes[at] = hashes[at][:-1] if kind == "cut" else hashes[at] + b"\0"
    assume(tuple(hashes) != proof)
    return tuple(hashes)


def _flipped(draw: st.DrawFn, hash_: bytes) -> bytes:
    return (int.from_bytes(hash_, "big") ^ (1 << draw(st.integers(0, 255)))).to_bytes(32, "big")


@st.composite
def inclusions(draw: st.DrawFn) -> tuple[int, int]:
    """An entry index and a tree size that has it."""
    size = draw(sizes)
    return draw(st.integers(0, size - 1)), size


@st.composite
def changed_inclusions(draw: st.DrawFn) -> tuple[bytes, int, int, tuple[bytes, ...], bytes]:
    """A good inclusion proof with one thing changed, as arguments of the verifier."""
    index, size = draw(inclusions())
    leaf, proof, top = LEAVES[index], inclusion_proof(index, size, READER), ROOTS[size]
    what = draw(st.sampled_from(("leaf", "index", "proof", "root", "root of another size")))
    if what == "leaf":
        leaf = _flipped(draw, leaf)
    elif what == "index":
        index += draw(st.sampled_from([step for step in range(-3, 4) if step]))
    elif what == "proof":
        proof = _changed(draw, proof)
    elif what == "root":
        top = _flipped(draw, top)
    else:
        top = ROOTS[size + 1 if size < len(LEAVES) else size - 1]
    return leaf, index, size, proof, top


@st.composite
def growths(draw: st.DrawFn) -> tuple[int, int]:
    """An older and a newer tree size."""
    new_size = draw(sizes)
    return draw(st.integers(1, new_size)), new_size


@st.composite
def changed_growths(draw: st.DrawFn) -> tuple[int, int, tuple[bytes, ...], bytes, bytes]:
    """A good consistency proof with one thing changed, as arguments of the verifier."""
    old_size, new_size = draw(growths())
    proof, old, new = consistency_proof(old_size, new_size, READER), ROOTS[old_size], ROOTS[new_size]
    what = draw(
        st.sampled_from(("proof", "old root", "new root", "swapped roots", "old size", "no old size"))
    )
    if what == "proof":
        proof = _changed(draw, proof)
    elif what == "old root":
        old = _flipped(draw, old)
    elif what == "new root":
        new = _flipped(draw, new)
    elif what == "swapped roots":
        assume(old_size != new_size)
        old, new = new, old
    elif what == "old size":
        old = ROOTS[old_size - 1]
    else:
        old_size = 0
    return old_size, new_size, proof, old, new


@settings(derandomize=True, deadline=None, max_examples=150)
@given(inclusions())
def test_inclusion_proofs_verify(entry: tuple[int, int]) -> None:
    """Any entry of any tree is proven by the proof made for it."""
    index, size = entry
    verify_inclusion(LEAVES[index], index, size, inclusion_proof(index, size, READER), ROOTS[size])


@settings(derandomize=True, deadline=None, max_examples=400)
@given(changed_inclusions())
def test_changed_inclusion_proofs_do_not_verify(
    arguments: tuple[bytes, int, int, tuple[bytes, ...], bytes],
) -> None:
    """No inclusion proof with a changed leaf, index, hash or root verifies."""
    with pytest.raises(ProofInvalid):
        verify_inclusion(*arguments)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(inclusions(), st.integers(1, 2000))
def test_changed_sizes_do_not_move_an_entry(entry: tuple[int, int], other: int) -> None:
    """Under a wrong tree size a proof at most says what is true: this leaf, at this index.

    The verifier cannot see every wrong size (several have the same shape above a leaf), so the size must come
    from the signed checkpoint; but no size makes the proof good for another leaf.
    """
    index, size = entry
    proof = inclusion_proof(index, size, READER)
    for leaf in (LEAVES[index - 1], LEAVES[(index + 1) % len(LEAVES)]):
        with pytest.raises(ProofInvalid):
            verify_inclusion(leaf, index, other, proof, ROOTS[size])


@settings(derandomize=True, deadline=None, max_examples=150)
@given(growths())
def test_consistency_proofs_verify(growth: tuple[int, int]) -> None:
    """Any tree is proven to extend any smaller one."""
    old_size, new_size = growth
    verify_consistency(
        old_size, new_size, consistency_proof(old_size, new_size, READER), ROOTS[old_size], ROOTS[new_size]
    )


@settings(derandomize=True, deadline=None, max_examples=400)
@given(changed_growths())
def test_changed_consistency_proofs_do_not_verify(
    arguments: tuple[int, int, tuple[bytes, ...], bytes, bytes],
) -> None:
    """No consistency proof with a changed hash, root or older size verifies."""
    with pytest.raises(ProofInvalid):
        verify_consistency(*arguments)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(sizes, st.data())
def test_rewritten_history_is_not_consistent(size: int, data: st.DataObject) -> None:
    """A tree with one old entry replaced does not pass as an extension, even with its own honest proof."""
    old_size = data.draw(st.integers(1, size))
    changed = list(LEAVES[:size])
    changed[data.draw(st.integers(0, old_size - 1))] = leaf_hash(b"rewritten")
    proof = consistency_proof(old_size, size, MemoryHashReader(changed))
    with pytest.raises(ProofInvalid):
        verify_consistency(old_size, size, proof, ROOTS[old_size], root(changed))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 9), max_size=40), st.integers(0, 40))
def test_frontier_is_the_tree(levels: list[int], stored_after: int) -> None:
    """A frontier grown by leaves and subtrees, stored and read back midway, has the tree's root."""
    frontier = Frontier()
    for step, level in enumerate(levels):
        span = 1 << level
        if frontier.size % span or frontier.size + span > len(LEAVES):
            frontier.append(LEAVES[frontier.size])
        else:
            frontier.append_subtree(root(LEAVES[frontier.size : frontier.size + span]), level)
        if step == stored_after:
            frontier = Frontier.from_hashes(frontier.size, frontier.hashes)
    assert frontier.root() == ROOTS[frontier.size] == range_root(0, frontier.size, READER)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(inclusions(), st.data())
def test_tiles_serve_every_proof(entry: tuple[int, int], data: st.DataObject) -> None:
    """Proofs read from exactly the tiles that must exist are those of the tree."""
    index, size = entry
    stored = {}
    for tile in tiles(size):
        assert tile.level is not None
        span = 256**tile.level
        slots = range(tile.index * 256, tile.index * 256 + tile.width)
        stored[tile.level, tile.index, tile.width] = b"".join(
            root(LEAVES[slot * span : (slot + 1) * span]) for slot in slots
        )
    reader = TileHashReader(size, lambda *place: stored[place])
    assert inclusion_proof(index, size, reader) == inclusion_proof(index, size, READER)
    old_size = data.draw(st.integers(1, size))
    assert consistency_proof(old_size, size, reader) == consistency_proof(old_size, size, READER)
