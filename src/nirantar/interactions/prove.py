"""The proof of one version: its entry's place in the log, up to a checkpoint that the node signed.

The proof is a C2SP tlog-proof file: with it, the entry's bytes and the node's verification key anybody can check,
without this program, that the entry is in the log that was signed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from nirantar.errors import NotFound
from nirantar.interactions.authorize import Caller
from nirantar.interactions.read import Read
from nirantar.journal.reader import JournalReader
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.merkle import inclusion_proof, leaf_hash
from nirantar.tlog.note import Verifier
from nirantar.tlog.proof import PROOF_SUFFIX, LogProof
from nirantar.tlog.tiles import TileHashReader


@dataclass(frozen=True, slots=True)
class ProvenVersion:
    """A version and its proof, verified here before it is given out. `proof` is the tlog-proof file."""

    origin: str
    entry_index: int
    leaf_hash: bytes
    checkpoint: Checkpoint
    vkey: str
    proof: bytes

    @property
    def file_name(self) -> str:
        """What to call the file: node, entry, and the suffix that tlog-proof gives."""
        return f"{self.origin.rpartition('/')[2]}-{self.entry_index}{PROOF_SUFFIX}"


class Prove:
    """Proofs for those who may read what is proven."""

    def __init__(self, read: Read, journal: JournalReader) -> None:
        self._read = read
        self._journal = journal

    def version(self, caller: Caller, resource_type: str, id: str) -> ProvenVersion:
        """The proof of a resource's current version. Raises NotFound, Gone, Forbidden; EntryDamaged and ProofInvalid
        when the journal no longer holds what was signed."""
        shown = self._read.read(caller, resource_type, id)
        origin, entry_index = shown.origin, shown.entry_index
        leaf = leaf_hash(self._journal.entry(origin, entry_index))
        signed = self._journal.checkpoint(origin)
        if signed is None or signed[0].tree_size <= entry_index:
            raise NotFound(f"No signed checkpoint of {origin} covers entry {entry_index}: verify the journal.")
        checkpoint, note = signed
        hashes = inclusion_proof(
            entry_index, checkpoint.tree_size,
            TileHashReader(checkpoint.tree_size, partial(self._journal.tile, origin)),
        )
        proof = LogProof(entry_index, hashes, note)
        vkey = self._journal.origins()[origin]
        proof.verify(leaf, Verifier.parse(vkey))
        return ProvenVersion(origin, entry_index, leaf, checkpoint, vkey, proof.write())
