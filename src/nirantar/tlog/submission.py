"""What a log sends to a witness to have a checkpoint cosigned (C2SP tlog-witness v1.0.0).

POST /add-checkpoint        old <size>
<consistency proof, a base64 hash a line, at most 63>
<empty line>
<the checkpoint, a signed note>
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from nirantar.errors import InvalidInput
from nirantar.limits import KEEPER_CHECKPOINT_BYTES_MAX, PROOF_HASHES_MAX, TREE_SIZE_MAX
from nirantar.tlog.merkle import HASH_BYTES
from nirantar.tlog.strict_base64 import decode_base64, encode_base64

_OLD: Final = re.compile(rb"old (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Submission:
    """What a log submits: the size that it thinks was cosigned last, the proof from there, its signed checkpoint."""

    old_size: int
    proof: tuple[bytes, ...]
    note: bytes

    @property
    def origin(self) -> str:
        """The log that the note names; nothing is verified."""
        return self.note.partition(b"\n")[0].decode("utf-8", "replace")


def parse_submission(body: bytes) -> Submission:
    """Read the body of add-checkpoint. Raises InvalidInput."""
    if len(body) > KEEPER_CHECKPOINT_BYTES_MAX:
        raise InvalidInput(f"A submission is longer than KEEPER_CHECKPOINT_BYTES_MAX = {KEEPER_CHECKPOINT_BYTES_MAX}.")
    head, blank, note = body.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    old = _OLD.fullmatch(first)
    if not blank or not old or int(old[1]) > TREE_SIZE_MAX:
        raise InvalidInput("A submission begins with 'old <size>' and has an empty line before its checkpoint.")
    if len(lines) > PROOF_HASHES_MAX:
        raise InvalidInput(f"A consistency proof has more than PROOF_HASHES_MAX = {PROOF_HASHES_MAX} hashes.")
    proof = tuple(decode_base64(line.decode("utf-8", "replace")) or b"" for line in lines)
    if any(len(each) != HASH_BYTES for each in proof):
        raise InvalidInput("A line of the consistency proof is not the base64 of a hash.")
    return Submission(int(old[1]), proof, note)


def encode_submission(old_size: int, proof: Sequence[bytes], note: bytes) -> bytes:
    """The body of add-checkpoint."""
    return "\n".join((f"old {old_size}", *map(encode_base64, proof), "", "")).encode() + note
