"""The path that the demo shows is the path that verification walks."""

from __future__ import annotations

from nirantar.app.demo.proof import path_to_root
from nirantar.tlog.merkle import MemoryHashReader, inclusion_proof, leaf_hash, root


def test_every_path_ends_at_the_root() -> None:
    """For every entry of every tree up to 40 entries, the last step is the tree's root, one step a sibling."""
    leaves = [leaf_hash(bytes([number])) for number in range(40)]
    for size in range(1, 41):
        for entry_index in range(size):
            siblings = inclusion_proof(entry_index, size, MemoryHashReader(leaves[:size]))
            steps = list(path_to_root(leaves[entry_index], entry_index, size, siblings))
            assert [step.sibling for step in steps] == list(siblings)
            assert (steps[-1].result if steps else leaves[entry_index]) == root(leaves[:size])
