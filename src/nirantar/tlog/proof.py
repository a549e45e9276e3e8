"""Proof files: one entry is in a log, checkable offline with nothing but the log's key (C2SP tlog-proof).

The file for an auditor or a court: `c2sp.org/tlog-proof@v1`, the entry's index, the sibling hashes, a blank
line, and the signed checkpoint as the log published it. Its suffix is `.tlog-proof`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from nirantar.errors import InvalidInput, ProofInvalid
from nirantar.limits import PROOF_FILE_BYTES_MAX, PROOF_HASHES_MAX, TREE_SIZE_MAX
from nirantar.tlog.checkpoint import Checkpoint, open_checkpoint
from nirantar.tlog.merkle import HASH_BYTES, verify_inclusion
from nirantar.tlog.note import Verifier
from nirantar.tlog.strict_base64 import decode_base64, encode_base64

PROOF_SUFFIX: Final = ".tlog-proof"
_FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"
_INDEX_LINE: Final = re.compile(r"index (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class LogProof:
    """A proof file's content; nothing is verified until `verify`.

    Raises InvalidInput for values no file can hold. `hashes` go from the leaf's sibling upwards; `note` is
    the signed checkpoint with any cosignatures; `extra` is not covered by any signature and must not be
    trusted.
    """

    entry_index: int
    hashes: tuple[bytes, ...]
    note: bytes
    extra: bytes = b""

    def __post_init__(self) -> None:
        """Refuse what no proof can be."""
        if not 0 <= self.entry_index < TREE_SIZE_MAX or len(self.hashes) > PROOF_HASHES_MAX:
            raise InvalidInput("The index or the number of hashes of a log proof is out of range.")
        if any(len(hash_) != HASH_BYTES for hash_ in self.hashes):
            raise InvalidInput(f"A hash of a log proof is not {HASH_BYTES} bytes long.")

    def write(self) -> bytes:
        """The file's bytes. Raises InvalidInput when a reader would refuse them for their size."""
        lines = [_FIRST_LINE]
        if self.extra:
            lines.append(f"extra {encode_base64(self.extra)}")
        lines.append(f"index {self.entry_index}")
        lines += [encode_base64(hash_) for hash_ in self.hashes]
        data = "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.note
        if len(data) > PROOF_FILE_BYTES_MAX:
            raise InvalidInput(f"A log proof is over PROOF_FILE_BYTES_MAX = {PROOF_FILE_BYTES_MAX} bytes.")
        return data

    @classmethod
    def parse(cls, data: bytes) -> LogProof:
        """Read a proof file. Raises ProofInvalid for every content but one that `write` gives."""
        if len(data) > PROOF_FILE_BYTES_MAX:
            raise ProofInvalid(f"A log proof is over PROOF_FILE_BYTES_MAX = {PROOF_FILE_BYTES_MAX} bytes.")
        head, blank, note = data.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            lines = []
        if not blank or lines[:1] != [_FIRST_LINE]:
            raise ProofInvalid(f"A file is not a log proof: it does not begin with {_FIRST_LINE}.")
        del lines[0]
        extra: bytes | None = b""
        if lines and lines[0].startswith("extra "):
            extra = decode_base64(lines.pop(0).removeprefix("extra ")) or None
        index = _INDEX_LINE.fullmatch(lines[0]) if lines else None
        decoded = [decode_base64(line) for line in lines[1:]]
        hashes = tuple(hash_ for hash_ in decoded if hash_ is not None)
        if extra is None or index is None or len(hashes) != len(decoded):
            raise ProofInvalid("The extra, index or hash lines of a log proof are malformed.")
        try:
            return cls(int(index[1]), hashes, note, extra)
        except InvalidInput as reason:
            raise ProofInvalid(str(reason)) from None

    def verify(self, leaf: bytes, verifier: Verifier) -> Checkpoint:
        """The checkpoint under which leaf hash `leaf` is proven to be at `entry_index`. Raises ProofInvalid.

        For the cosigners' statements, open `note` with cosignature.open_cosigned_checkpoint.
        """
        checkpoint = open_checkpoint(self.note, verifier)
        verify_inclusion(leaf, self.entry_index, checkpoint.tree_size, self.hashes, checkpoint.root_hash)
        return checkpoint
