"""The signed report of a recovery: what was promised, what came back, what was wrong (docs/format.md, Recovery report).

A note over four lines, signed by the new node and by the authority, which is at hand during a recovery: so neither a
node that says of itself that it is whole, nor a stolen authority alone, makes one.
"""

from __future__ import annotations

from typing import Final

import msgspec

from nirantar.errors import InvalidInput, ProofInvalid
from nirantar.fold.custody import handovers
from nirantar.tlog.note import Note, Signer, Verifier, sign_note

TITLE: Final = "nirantar-recovery/v1"
_LINES: Final = 4


class RecordedLog(msgspec.Struct, frozen=True):
    """One lost node's log. `promised` is the largest size that its vaults speak of, `signed` that of the newest
    checkpoint to which the entries hash, with its root in hex; `recovered` entries have their bytes; `missing` do not;
    `shown` are folded."""

    origin: str
    promised: int
    recovered: int
    missing: int
    signed: int
    root: str
    shown: int


class RecordedFinding(msgspec.Struct, frozen=True):
    """Something that was wrong: where, what, and its kind."""

    where: str
    what: str
    kind: str


class RecoveryRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The report. Times are instants. `entries` are those at the newest signed checkpoints, `recovered` those with
    their bytes, `verified` those of them that a signature covers; `altered` counts findings of altered objects.
    `handovers` are the custody notes by which the founding document's authority was replaced, absent where it was not.
    """

    v: int
    hospital: str
    node: str
    origin: str
    vkey: str
    authority: str
    program: str
    started_at: str
    finished_at: str
    seconds: float
    vaults: tuple[str, ...]
    as_of: str | None
    entries: int
    recovered: int
    verified: int
    altered: int
    missing: int
    ok: bool
    logs: tuple[RecordedLog, ...]
    resources: dict[str, int]
    findings: tuple[RecordedFinding, ...]
    handovers: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET

    def document(self) -> bytes:
        """The report to be read by people and programs, unsigned."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def sign(self, node: Signer, authority: Signer) -> bytes:
        """The signed note. Raises InvalidInput where a key is not the one that the report names."""
        if (node.vkey, authority.vkey) != (self.vkey, self.authority):
            raise InvalidInput("A recovery report is signed by the node and the authority that it names.")
        return sign_note(f"{TITLE}\n{self.hospital}\n{self.origin}\n{_line(self)}\n", node, authority)


def is_recovery_note(data: bytes) -> bool:
    """Whether a file is meant as a signed recovery report."""
    return data.startswith(f"{TITLE}\n".encode())


def open_recovery_note(data: bytes, authority: Verifier | None) -> RecoveryRecord:
    """The report in a note that both signed, and nobody else. Without `authority` the key in it is used.

    Raises ProofInvalid.
    """
    note = Note.parse(data)
    lines = note.text.splitlines()
    if len(lines) != _LINES or lines[0] != TITLE:
        raise ProofInvalid("The file is not a signed recovery report.")
    try:
        record = msgspec.json.decode(lines[3], type=RecoveryRecord)
        keys = (Verifier.parse(record.vkey), Verifier.parse(record.authority))
    except (msgspec.MsgspecError, UnicodeError, RecursionError, InvalidInput) as reason:
        raise ProofInvalid(f"The recovery report cannot be read ({type(reason).__name__}).") from None
    if authority is not None:
        _require_follows(record, authority, keys[1])
    if lines[1:] != [record.hospital, record.origin, _line(record)] or keys[0].name != record.origin:
        raise ProofInvalid("The recovery report is not written in the one way that it may be.")
    signed = note.verified_by(keys)
    if [(each.name, each.key_id) for each in note.signatures] != [(key.name, key.key_id) for key in keys]:
        raise ProofInvalid("A recovery report is signed by the new node and by the authority, and by nobody else.")
    assert len(signed) == len(keys), "every signature is of a known key"
    return record


def _require_follows(record: RecoveryRecord, trusted: Verifier, signed: Verifier) -> None:
    """Raise ProofInvalid unless the key that is trusted signed, or its handovers lead to the one that did."""
    notes = () if record.handovers is msgspec.UNSET else record.handovers
    slug = record.origin.rpartition("/")[0].removeprefix("nirantar.")
    try:
        handovers((note.encode() for note in notes), trusted, signed, slug)
    except ProofInvalid:
        raise ProofInvalid(f"The report is of a hospital with another authority: {record.authority}.") from None


def sentences(record: RecoveryRecord, *, authority_was_given: bool) -> list[str]:
    """What a report says, for whoever was handed it."""
    shown = "" if record.as_of is None else f" It shows the hospital as of {record.as_of}."
    said = [
        f"{record.hospital} was recovered from {', '.join(record.vaults)} as {record.origin}, from {record.started_at} "
        f"to {record.finished_at}, by Nirantar {record.program}.{shown}",
        f"Entries at the newest signed checkpoints: {record.entries}. Recovered: {record.recovered}. Verified: "
        f"{record.verified}. Altered: {record.altered}. Missing: {record.missing}.",
    ]
    said += [
        f"{log.origin}: {log.recovered} of {log.promised} entries, of which its node signed {log.signed} under the "
        f"root {log.root or 'of nothing'}." for log in record.logs
    ]
    said += [f"Found: {finding.where}: {finding.what}" for finding in record.findings]
    said.append(
        "The new node and the hospital's authority signed this. No witness has confirmed that the newest checkpoint in "
        "the vault was the newest there ever was."
    )
    if record.handovers is not msgspec.UNSET:
        said.append(
            "The authority's key was replaced before this recovery, by notes that the old key and the new one signed; "
            f"the report is signed by the one that followed: {record.authority}"
        )
    if not authority_was_given:
        said.append(
            "The authority's key was taken from the report itself: compare it with the one that the hospital "
            f"publishes: {record.authority}"
        )
    return said


def _line(record: RecoveryRecord) -> str:
    return msgspec.json.encode(record).decode()
