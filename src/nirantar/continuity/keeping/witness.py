"""The witness's decision, pure: may this checkpoint be cosigned after the last one (C2SP tlog-witness v1.0.0)?

The error says the status: InvalidInput 400, NotFound 404, Forbidden 403, WitnessConflict 409, ProofInvalid 422.
"""

from __future__ import annotations

from nirantar.continuity.keeping.records import Head
from nirantar.errors import Forbidden, InvalidInput, ProofInvalid, WitnessConflict
from nirantar.tlog.checkpoint import Checkpoint, open_checkpoint
from nirantar.tlog.merkle import EMPTY_ROOT, verify_consistency
from nirantar.tlog.note import Note, Verifier
from nirantar.tlog.submission import Submission


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
