"""A vault as a witness: how long a node's log was, and with which entries, according to what it holds."""

from __future__ import annotations

from dataclasses import dataclass

from nirantar.errors import NotFound, ProofInvalid, SegmentDamaged
from nirantar.limits import SEGMENT_HEADER_BYTES_MAX
from nirantar.tlog.checkpoint import open_checkpoint
from nirantar.tlog.note import Verifier
from nirantar.vault.keys import SegmentKey, parse, segments_prefix
from nirantar.vault.port import Vault
from nirantar.vault.segments import read_header


@dataclass(frozen=True, slots=True)
class VaultWitness:
    """A vault, asked as guard.Witness about the log that `verifier` verifies."""

    vault: Vault
    verifier: Verifier

    def largest_size(self, origin: str) -> int:
        """Entries of `origin` that the vault holds without a gap."""
        return covered(self.vault, origin.rpartition("/")[2])

    def newest_head(self, origin: str) -> tuple[int, bytes] | None:
        """Tree size and root of the checkpoint that the node signed into the newest segment; None where that cannot be
        read or verified, which is verification's to find."""
        newest = newest_segment(self.vault, origin.rpartition("/")[2])
        if newest is None:
            return None
        try:
            header = read_header(self.vault.get(str(newest), 0, SEGMENT_HEADER_BYTES_MAX), key=str(newest))
            checkpoint = open_checkpoint(header.checkpoint.encode(), self.verifier)
        except (SegmentDamaged, ProofInvalid, NotFound):
            return None
        return checkpoint.tree_size, checkpoint.root_hash


def covered(vault: Vault, node: str) -> int:
    """How many entries of a node's log a vault holds without a gap, by the keys of its segments."""
    newest = newest_segment(vault, node)
    return 0 if newest is None else newest.end


def newest_segment(vault: Vault, node: str) -> SegmentKey | None:
    """The segment that reaches furthest without a gap before it; None where there is none."""
    newest: SegmentKey | None = None
    for key in vault.list(segments_prefix(node)):
        segment = parse(key)
        size = 0 if newest is None else newest.end
        if isinstance(segment, SegmentKey) and segment.first <= size < segment.end:
            newest = segment
    return newest
