"""The witness's decision, pure: may this checkpoint be cosigned after the last one (C2SP tlog-witness v1.0.0)?

    POST /add-checkpoint        old <size>
                                <consistency proof, a base64 hash a line, at most 63>
                                <empty line>
                                <the checkpoint, a signed note>

The error says the status: InvalidInput 400, NotFound 404, Forbidden 403, WitnessConflict 409, ProofInvalid 422.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from nirantar.continuity.keeping.records import Head
from nirantar.errors import Forbidden, InvalidInput, ProofInvalid, WitnessConflict
from nirantar.limits import KEEPER_CHECKPOINT_BYTES_MAX, PROOF_HASHES_MAX, TREE_SIZE_MAX
from nirantar.tlog.checkpoint import Checkpoint, open_checkpoint
from nirantar.tlog.merkle import EMPTY_ROOT, HASH_BYTES, verify_consistency
from nirantar.tlog.note import Note, Verifier
from nirantar.tlog.strict_base64 import decode_base64

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


def encode_submission(old_size: int, proof: Sequence[str], note: bytes) -> bytes:
    """The body of add-checkpoint; `proof` in base64."""
    return "\n".join((f"old {old_size}", *proof, "", "")).encode() + note


def open_submitted(submission: Submission, log: Verifier) -> tuple[Checkpoint, bytes]:
    """The checkpoint that the log itself signed, and its note with the log's signature alone.

    Raises Forbidden where the log's signature is missing or bad, InvalidInput for what is no checkpoint.
    """
    try:
        Checkpoint.parse(Note.parse(submission.note).text)
    except ProofInvalid as reason:
        raise InvalidInput(str(reason)) from None
    try:
        checkpoint = open_checkpoint(submission.note, log)
    except ProofInvalid as reason:
        raise Forbidden(f"{log.name} did not sign this checkpoint: {reason}") from None
    if checkpoint.extensions:
        raise InvalidInput("This checkpoint has extension lines; no log of this hospital writes any.")
    own = next(
        each for each in Note.parse(submission.note).signatures if (each.name, each.key_id) == (log.name, log.key_id)
    )
    return checkpoint, f"{checkpoint.text}\n{own.line}\n".encode()


def require_extends(held: Head | None, submission: Submission, offered: Checkpoint) -> None:
    """Return when `offered` may be cosigned after `held`; raises InvalidInput, WitnessConflict or ProofInvalid."""
    last = 0 if held is None else held.tree_size
    if submission.old_size > offered.tree_size:
        raise InvalidInput(f"The old size {submission.old_size} is beyond the checkpoint's {offered.tree_size}.")
    if submission.old_size != last:
        raise WitnessConflict(last)
    if held is None or last == 0:
        if submission.proof:
            raise ProofInvalid("A consistency proof from size 0 has no hashes.")
        if offered.tree_size == 0 and offered.root_hash != EMPTY_ROOT:
            raise ProofInvalid("A checkpoint of size 0 has another root than the empty tree's.")
        return
    verify_consistency(last, offered.tree_size, submission.proof, held.root_hash, offered.root_hash)
