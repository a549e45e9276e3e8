"""`nirantar verify-proof`: what a proof file or a recovery report proves, anywhere, without a node."""

from __future__ import annotations

from pathlib import Path

from nirantar.app.proof_checking import check_proof
from nirantar.cli import terminal
from nirantar.errors import ProofInvalid
from nirantar.host.real import RealHost
from nirantar.limits import CHART_PROOF_BYTES_MAX, NOTE_BYTES_MAX
from nirantar.tlog.cosignature import CosignatureVerifier
from nirantar.tlog.note import Verifier


def verify_proof(
    file: Path, /, *, authority: str | None = None, witness: list[str] | None = None, json: bool = False
) -> None:
    """Verify a file of `nirantar prove`, or the signed report of a recovery. Needs nothing but the file.

    Says in sentences what is proven, and what is not. Exit code 1 when anything does not hold: then nothing is proven.

    Parameters
    ----------
    file
        What was handed to you.
    authority
        The verification key of the hospital's authority, `name+id+key`, had from the hospital and not from the file.
        Without it the key in the file is used, and the answer says so.
    witness
        A cosigner's verification key; may be repeated. Their cosignatures are then verified and told.
    json
        Report as one JSON object.
    """
    key = None if authority is None else Verifier.parse(authority.strip())
    witnesses = [CosignatureVerifier.parse(each.strip()) for each in witness or ()]
    # No more than a proof can have, and a little, so that a longer file is seen to be longer.
    data = RealHost().files.read(file.absolute(), 0, CHART_PROOF_BYTES_MAX + NOTE_BYTES_MAX)
    try:
        checked = check_proof(data, key, witnesses)
    except ProofInvalid as reason:
        if not json:
            raise
        terminal.print_json({"ok": False, "finding": str(reason)})
        raise SystemExit(terminal.EXIT_DAMAGE) from None
    if json:
        terminal.print_json({"ok": checked.ok, "kind": checked.kind, "sentences": checked.sentences, **checked.facts})
    else:
        for sentence in checked.sentences:
            terminal.note(sentence)
        if checked.ok:
            terminal.good("Everything in the file holds.")
        else:
            terminal.bad("The signatures hold, but what they say is that the recovery was not complete.")
    if not checked.ok:
        raise SystemExit(terminal.EXIT_DAMAGE)
