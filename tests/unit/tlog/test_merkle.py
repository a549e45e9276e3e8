"""Hashing, growing and proving against published and worked values (RFC 6962, transparency-dev/merkle)."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import pytest

from nirantar.errors import Damaged, InvalidInput, ProofInvalid
from nirantar.tlog.merkle import (
    EMPTY_ROOT,
    Frontier,
    MemoryHashReader,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    range_inclusion_proof,
    range_root,
    root,
    verify_consistency,
    verify_inclusion,
)

REFERENCE_ENTRIES = (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)  # fmt: skip
REFERENCE_LEAVES = [leaf_hash(bytes.fromhex(entry)) for entry in REFERENCE_ENTRIES]
REFERENCE = MemoryHashReader(REFERENCE_LEAVES)
REFERENCE_ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
INCLUSION = {
    (0, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (5, 8): (
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 3): ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",),
}
CONSISTENCY = {
    (1, 8): INCLUSION[(0, 8)],
    (6, 8): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 5): (
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
    (3, 7): (
        "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7",
        "07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "837dbb152e9b079010717e84e865da4ebc0fa198a806d59d31bf15accef22d0e",
    ),
}
DECIMAL_ROOTS = {
    255: "32f85bcaa87d7bcd05728f09e9aeba350ba6a2f733830087f0597682848be5cb",
    256: "828515d033c19d8c901f37eccb8aed919667703486f8d2fff1cf7040321c5db1",
    257: "1eda049a4351d86f76252bd7ec0b7746ad75b7fa0316ad5f541dbda458a312c4",
    1000: "638afa98022925bacfddadb15ef22fd0199c1ac99c2973b6158243d13fce05c2",
}


def _hashes(proof: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(hash_) for hash_ in proof)


def test_single_hashes() -> None:
    """Leaf, node and empty-tree hashes use RFC 6962's prefixes."""
    assert EMPTY_ROOT.hex() == REFERENCE_ROOTS[0]
    assert leaf_hash(b"").hex() == REFERENCE_ROOTS[1]
    assert leaf_hash(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    joined = node_hash(b"N123", b"N456")
    assert joined.hex() == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"


@pytest.mark.parametrize("size", range(9))
def test_reference_roots(size: int) -> None:
    """The reference tree has its published root at every size, by all three ways to compute one."""
    frontier = Frontier()
    for leaf in REFERENCE_LEAVES[:size]:
        frontier.append(leaf)
    assert root(REFERENCE_LEAVES[:size]).hex() == REFERENCE_ROOTS[size]
    assert frontier.root().hex() == REFERENCE_ROOTS[size]
    assert range_root(0, size, REFERENCE).hex() == REFERENCE_ROOTS[size]


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_reference_inclusion_proofs(index: int, size: int) -> None:
    """Published inclusion proofs are made and verified."""
    proof = _hashes(INCLUSION[(index, size)])
    assert inclusion_proof(index, size, REFERENCE) == proof
    verify_inclusion(REFERENCE_LEAVES[index], index, size, proof, bytes.fromhex(REFERENCE_ROOTS[size]))


@pytest.mark.parametrize(("old_size", "new_size"), CONSISTENCY)
def test_reference_consistency_proofs(old_size: int, new_size: int) -> None:
    """Published consistency proofs are made and verified."""
    proof = _hashes(CONSISTENCY[(old_size, new_size)])
    assert consistency_proof(old_size, new_size, REFERENCE) == proof
    old_root, new_root = bytes.fromhex(REFERENCE_ROOTS[old_size]), bytes.fromhex(REFERENCE_ROOTS[new_size])
    verify_consistency(old_size, new_size, proof, old_root, new_root)


@pytest.mark.parametrize("size", DECIMAL_ROOTS)
def test_roots_around_a_tile(size: int) -> None:
    """Trees of decimal numbers have their known roots just below, at and above a tile's width."""
    leaves = [leaf_hash(str(number).encode()) for number in range(size)]
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    assert root(leaves).hex() == frontier.root().hex() == DECIMAL_ROOTS[size]


def _subtrees() -> Iterator[tuple[int, int]]:
    for end in range(131):
        for start in range(end + 1):
            span = end - start
            if span == 0 or start % (1 << (span - 1).bit_length()) == 0:
                yield start, end


SMALL = MemoryHashReader([leaf_hash(bytes([number])) for number in range(130)])


def test_every_subtree_root() -> None:
    """All subtree roots up to 130 leaves hash to the published digest, and other ranges are refused."""
    digest, valid = sha256(), set(_subtrees())
    for end in range(131):
        for start in range(end + 1):
            if (start, end) in valid:
                digest.update(f"[{start}, {end}) {range_root(start, end, SMALL).hex()}\n".encode())
            else:
                with pytest.raises(InvalidInput, match="not a subtree"):
                    range_root(start, end, SMALL)
    assert digest.hexdigest() == "b82806ad4265bb151c1119c0f4db437bb4d1a1f887b3a7fba1cd4ebf552e3e81"


def test_every_subtree_inclusion_proof() -> None:
    """All inclusion proofs in all subtrees up to 130 leaves hash to the published digest."""
    digest, reader = sha256(), _Remembering(SMALL)
    for start, end in _subtrees():
        for index in range(start, end):
            proof = range_inclusion_proof(index, start, end, reader)
            line = "".join(f" {hash_.hex()}" for hash_ in proof)
            digest.update(f"{index} [{start}, {end}){line}\n".encode())
    assert digest.hexdigest() == "ac2a8f989e44d99e399db448050ff5f19757df53cfb716aa81015d3955d8163f"


class _Remembering:
    """A reader that asks another one only once for each hash."""

    def __init__(self, source: MemoryHashReader) -> None:
        self._source = source
        self._known: dict[tuple[int, int], bytes] = {}

    def subtree_hash(self, level: int, index: int) -> bytes:
        if (level, index) not in self._known:
            self._known[level, index] = self._source.subtree_hash(level, index)
        return self._known[level, index]


def test_every_pair_of_sizes_is_consistent() -> None:
    """Consistency proofs between all sizes up to 70 verify, and fail against a neighbouring size's root."""
    reader, leaves = _Remembering(SMALL), [leaf_hash(bytes([number])) for number in range(71)]
    roots = [root(leaves[:size]) for size in range(71)]
    for new_size in range(1, 71):
        for old_size in range(1, new_size + 1):
            proof = consistency_proof(old_size, new_size, reader)
            verify_consistency(old_size, new_size, proof, roots[old_size], roots[new_size])
            with pytest.raises(ProofInvalid):
                verify_consistency(old_size, new_size, proof, roots[old_size - 1], roots[new_size])


@pytest.mark.parametrize(("new_size", "proof"), [(0, ()), (5, ()), (8, _hashes(INCLUSION[(0, 8)]))])
def test_consistency_from_nothing_is_refused(new_size: int, proof: tuple[bytes, ...]) -> None:
    """No proof from size 0 verifies, not even to 0, and none is made: it would say nothing."""
    with pytest.raises(ProofInvalid):
        verify_consistency(0, new_size, proof, EMPTY_ROOT, bytes.fromhex(REFERENCE_ROOTS[new_size]))
    with pytest.raises(InvalidInput):
        consistency_proof(0, new_size, REFERENCE)


def test_equal_sizes_need_equal_roots_and_no_proof() -> None:
    """Between equal sizes only the empty proof and equal roots pass."""
    seven, eight = bytes.fromhex(REFERENCE_ROOTS[7]), bytes.fromhex(REFERENCE_ROOTS[8])
    verify_consistency(8, 8, (), eight, eight)
    with pytest.raises(ProofInvalid):
        verify_consistency(8, 8, (), seven, eight)
    with pytest.raises(ProofInvalid):
        verify_consistency(8, 8, (eight,), eight, eight)


def test_a_proof_has_the_length_of_its_tree() -> None:
    """Hashes that lead to the right root are refused when the claimed sizes need more or fewer of them."""
    roots = [bytes.fromhex(top) for top in REFERENCE_ROOTS]
    first, last = inclusion_proof(0, 8, REFERENCE), inclusion_proof(7, 8, REFERENCE)
    for leaf, index, size, proof in ((0, 0, 16, first), (7, 3, 4, last)):
        with pytest.raises(ProofInvalid):
            verify_inclusion(REFERENCE_LEAVES[leaf], index, size, proof, roots[8])
    for sizes, claimed in (((1, 8), (1, 16)), ((7, 8), (3, 4))):
        proof = consistency_proof(*sizes, REFERENCE)
        with pytest.raises(ProofInvalid):
            verify_consistency(*claimed, proof, roots[sizes[0]], roots[sizes[1]])


def test_verifiers_refuse_hashes_of_another_length() -> None:
    """A proof whose hashes are cut elsewhere but join to the same bytes does not verify."""
    top, (left, right) = bytes.fromhex(REFERENCE_ROOTS[2]), REFERENCE_LEAVES[:2]
    with pytest.raises(ProofInvalid, match="32 bytes"):
        verify_inclusion(left[:31], 0, 2, (left[31:] + right,), top)
    with pytest.raises(ProofInvalid, match="PROOF_HASHES_MAX"):
        verify_inclusion(top, 0, 2**63 - 1, (top,) * 64, top)


def test_proofs_out_of_range_are_not_made() -> None:
    """Asking for an entry or tree that is not there is the caller's error."""
    for index, size in ((8, 8), (-1, 8), (0, 0)):
        with pytest.raises(InvalidInput):
            inclusion_proof(index, size, REFERENCE)
        with pytest.raises(ProofInvalid):
            verify_inclusion(REFERENCE_LEAVES[0], index, size, (), REFERENCE_LEAVES[0])
    with pytest.raises(InvalidInput):
        consistency_proof(8, 7, REFERENCE)
    with pytest.raises(ProofInvalid):
        verify_consistency(8, 7, (), REFERENCE_LEAVES[0], REFERENCE_LEAVES[0])


def test_frontier_survives_storage() -> None:
    """An exported frontier, read back, grows into the same tree; one that does not fit its size is damage."""
    frontier = Frontier()
    for leaf in REFERENCE_LEAVES[:5]:
        frontier.append(leaf)
    again = Frontier.from_hashes(5, frontier.hashes)
    kept = again.copy()
    for leaf in REFERENCE_LEAVES[5:]:
        again.append(leaf)
    assert again.root().hex() == REFERENCE_ROOTS[8]
    assert (kept.size, kept.root().hex()) == (5, REFERENCE_ROOTS[5])
    for size, hashes in ((6, frontier.hashes[:1]), (7, frontier.hashes), (5, (b"short", b"short")), (-1, ())):
        with pytest.raises(Damaged):
            Frontier.from_hashes(size, hashes)


def test_frontier_takes_whole_subtrees() -> None:
    """Appending subtree hashes gives the root of their leaves; a subtree that is not aligned is refused."""
    frontier = Frontier()
    frontier.append_subtree(root(REFERENCE_LEAVES[:4]), 2)
    frontier.append_subtree(root(REFERENCE_LEAVES[4:6]), 1)
    frontier.append(REFERENCE_LEAVES[6])
    assert (frontier.size, frontier.root().hex()) == (7, REFERENCE_ROOTS[7])
    with pytest.raises(InvalidInput):
        frontier.append_subtree(REFERENCE_LEAVES[7], 1)
