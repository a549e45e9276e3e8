"""For random stretches of random trees: the proof by left and right hashes verifies, and nothing changed does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirantar.errors import ProofInvalid
from nirantar.tlog.compact_range import RangeProof, hashes_in, range_proof, subtrees, verify_range
from nirantar.tlog.merkle import Frontier, MemoryHashReader, leaf_hash, root

LEAVES = [leaf_hash(number.to_bytes(4, "big")) for number in range(700)]
READER = MemoryHashReader(LEAVES)
STRANGERS = [leaf_hash(b"another"), bytes(32), LEAVES[0]]

Stretch = tuple[int, int, int]


@st.composite
def stretches(draw: st.DrawFn) -> Stretch:
    """First entry, one after the last, and tree size."""
    size = draw(st.one_of(st.integers(1, 40), st.integers(1, len(LEAVES)), st.sampled_from((256, 512, 513))))
    first = draw(st.integers(0, size - 1))
    return first, draw(st.integers(first + 1, size)), size


def proof(stretch: Stretch) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Left hashes, leaf hashes and right hashes."""
    first, stop, size = stretch
    found = range_proof(first, stop, size, READER)
    return list(found.left), LEAVES[first:stop], list(found.right)


def naive_cover(start: int, stop: int) -> list[tuple[int, int]]:
    """The definition, by trying: the largest complete subtree that begins at `start` and fits, then the rest."""
    found = []
    while start < stop:
        level = max(each for each in range(12) if start % 2**each == 0 and start + 2**each <= stop)
        found.append((level, start // 2**level))
        start += 2**level
    return found


@given(stretch=stretches())
@settings(derandomize=True, max_examples=300, deadline=None)
def test_a_stretch_proves_itself(stretch: Stretch) -> None:
    """Left, leaves and right lead to the naive root over all leaves, and give the frontier that appending gives."""
    first, stop, size = stretch
    left, leaves, right = proof(stretch)
    frontier = verify_range(first, leaves, size, RangeProof(left, right), root(LEAVES[:size]))
    grown = Frontier()
    for leaf in LEAVES[:stop]:
        grown.append(leaf)
    assert (frontier.size, frontier.hashes) == (grown.size, grown.hashes)


@given(stretch=stretches())
@settings(derandomize=True, max_examples=300, deadline=None)
def test_the_cover_is_the_naive_one(stretch: Stretch) -> None:
    """The subtrees are those that the definition gives, adjacent and complete, and on the left the frontier's."""
    first, stop, size = stretch
    for start, end in ((0, first), (first, stop), (stop, size)):
        assert list(subtrees(start, end)) == naive_cover(start, end)
        assert hashes_in(start, end) == len(naive_cover(start, end)) <= 126
    assert hashes_in(0, first) == first.bit_count()


@given(stretch=stretches(), data=st.data())
@settings(derandomize=True, max_examples=500, deadline=None)
def test_nothing_changed_verifies(stretch: Stretch, data: st.DataObject) -> None:
    """A hash altered, exchanged, added, left out or cut in any of the three parts, or another place: refused. (That a root is of this
    size and no other is the signature's to say: it covers both.)"""
    first, _, size = stretch
    parts = proof(stretch)
    signed = root(LEAVES[:size])
    kind = data.draw(st.sampled_from(("bit", "add", "drop", "cut", "swap", "first", "root")))
    part = data.draw(st.sampled_from([each for each in parts if each or kind == "add"]))
    at = data.draw(st.integers(0, max(0, len(part) - 1)))
    before = [list(each) for each in parts]
    if kind == "bit":
        part[at] = (int.from_bytes(part[at], "big") ^ 1 << data.draw(st.integers(0, 255))).to_bytes(32, "big")
    elif kind == "add":
        part.insert(at, data.draw(st.sampled_from([*STRANGERS, *part])))
    elif kind == "drop":
        del part[at]
    elif kind == "cut":
        part[at] = part[at][:-1]
    elif kind == "swap":
        other = data.draw(st.integers(0, len(part) - 1))
        part[at], part[other] = part[other], part[at]
        if [list(each) for each in parts] == before:
            return
    elif kind == "first":
        first += data.draw(st.sampled_from((-1, 1, 2**40, -first - 1)))
    else:
        signed = data.draw(st.sampled_from([*STRANGERS[:2], root(LEAVES)[:31], root([*LEAVES, LEAVES[0]])]))
    left, leaves, right = parts
    try:
        verify_range(first, leaves, size, RangeProof(left, right), signed)
    except ProofInvalid:
        return
    pytest.fail(f"{kind} of {stretch} went unseen")
