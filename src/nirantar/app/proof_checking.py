"""What a file that proves something proves: a chart's proof, or the signed report of a recovery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from nirantar.continuity import recovery_record
from nirantar.errors import ProofInvalid
from nirantar.interactions import verify_proof
from nirantar.interactions.plain_zip import SIGNATURE
from nirantar.tlog.cosignature import CosignatureVerifier
from nirantar.tlog.note import Verifier

CHART: Final = "chart"
RECOVERY: Final = "recovery"


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that holds. `ok` is false for the report of a recovery that was not complete; `facts` are what the
    sentences say, by name."""

    kind: str
    ok: bool
    sentences: list[str]
    facts: dict[str, Any]


def check_proof(
    data: bytes, authority: Verifier | None, witnesses: Sequence[CosignatureVerifier] = ()
) -> Checked:
    """What the file proves. Raises ProofInvalid when it is neither kind, or something in it does not hold."""
    if recovery_record.is_recovery_note(data):
        record = recovery_record.open_recovery_note(data, authority)
        said = recovery_record.sentences(record, authority_was_given=authority is not None)
        return Checked(RECOVERY, record.ok, said, {"report": msgspec.to_builtins(record)})
    if data.startswith(SIGNATURE):
        verdict = verify_proof.verify_chart_proof(data, authority, witnesses)
        return Checked(CHART, True, verify_proof.sentences(verdict), {"proof": msgspec.to_builtins(verdict)})
    raise ProofInvalid("The file is neither the proof of a chart nor a signed recovery report, or it was changed.")
