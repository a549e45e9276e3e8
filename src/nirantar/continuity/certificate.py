"""The certificate of a rehearsed recovery: what a machine that is no node restored, and what it found.

A note over four lines, signed by the rehearsing machine alone (docs/format.md, Rehearsal certificate). One that says
`proven` is made only where nothing was found; one that does not is signed too, so that silence and failure differ.
"""

from __future__ import annotations

from typing import Final

import msgspec

from nirantar.continuity.recovery_record import RecordedFinding
from nirantar.errors import InvalidInput, ProofInvalid
from nirantar.tlog.note import Note, Signer, Verifier, sign_note

TITLE: Final = "nirantar-rehearsal/v1"
_LINES: Final = 4


class RestoredLog(msgspec.Struct, frozen=True):
    """One node's log. `opened` entries were decrypted and hashed; `sealed_before` are older than this identity, and
    proven by their hashes alone; the node signed the first `signed` under `root` (hex)."""

    origin: str
    entries: int
    opened: int
    sealed_before: int
    missing: int
    signed: int
    root: str


class RestoredSnapshot(msgspec.Struct, frozen=True):
    """A snapshot that was put together: its digest, computed afresh, is the one that the node's log states.
    `folded_too`: a fold of the entries from the first on gave the same digest at its positions."""

    node: str
    serial: int
    pages: int
    view_digest: str
    positions: dict[str, int]
    folded_too: bool


class PeakWork(msgspec.Struct, frozen=True):
    """Work that was replayed on the restored node: so many registrations, all of them acknowledged and then verified in
    its log and view, in so many seconds, each answered within `p99_milliseconds` but one in a hundred."""

    registrations: int
    seconds: float
    p50_milliseconds: float
    p99_milliseconds: float


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Times are instants. The clock starts with the key in hand; `custodian_minutes` is what it took to bring the key
    together, as it was told, null where it was not. `restored_by`: "log", as `nirantar recover` does it, or "snapshot"
    where entries are older than the identity."""

    v: int
    hospital: str
    slug: str
    machine: str
    program: str
    identity: str
    vaults: tuple[str, ...]
    started_at: str
    finished_at: str
    proven: bool
    restored_by: str
    custodian_minutes: float | None
    seconds_to_first_patient: float | None
    seconds_to_full: float
    entries: int
    opened: int
    segments_opened: int
    resources: dict[str, int]
    view_digest: str
    logs: tuple[RestoredLog, ...]
    snapshot: RestoredSnapshot | None
    work: PeakWork | None
    findings: tuple[RecordedFinding, ...]

    def document(self) -> bytes:
        """The certificate to be read by people and programs, unsigned."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def sign(self, machine: Signer) -> bytes:
        """The signed note. Raises InvalidInput for another key than the one it names, or where it calls itself proven
        and names findings."""
        if machine.vkey != self.machine or machine.name != machine_name(self.slug):
            raise InvalidInput("A certificate is signed by the machine that it names.")
        if self.proven and self.findings:
            raise InvalidInput("Nothing with findings is signed as proven.")
        return sign_note(f"{TITLE}\n{self.slug}\n{self.finished_at}\n{_line(self)}\n", machine)


def machine_name(slug: str) -> str:
    """The name of the key of a hospital's rehearsing machine; no node can have it."""
    return f"nirantar.{slug}/rehearsal"


def open_certificate(data: bytes, machine: Verifier, slug: str) -> Certificate:
    """The certificate of this hospital's machine. Raises ProofInvalid for anything else."""
    note = Note.parse(data)
    note.verified_by((machine,))
    lines = note.text.splitlines()
    if len(lines) != _LINES or lines[0] != TITLE:
        raise ProofInvalid("What the rehearsing machine signed is not a certificate.")
    try:
        found = msgspec.json.decode(lines[3], type=Certificate)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as reason:
        raise ProofInvalid(f"The certificate cannot be read ({type(reason).__name__}).") from None
    if lines[1:] != [slug, found.finished_at, _line(found)] or (found.slug, found.machine) != (slug, machine.vkey):
        raise ProofInvalid("The certificate is another hospital's, or not written in the one way that it may be.")
    if found.proven and found.findings:
        raise ProofInvalid("The certificate calls itself proven and names findings.")
    return found


def sentences(found: Certificate) -> list[str]:
    """What a certificate says, for people."""
    first = found.seconds_to_first_patient
    said = [
        f"{found.hospital} was restored on a machine of its own from {', '.join(found.vaults)}, from "
        f"{found.started_at} to {found.finished_at}, by Nirantar {found.program}.",
        f"{found.opened:,} of {found.entries:,} entries were opened and hashed, {found.segments_opened:,} new segments "
        f"decrypted; the view's digest is {found.view_digest or 'not known'}.",
        f"With the key in hand the first patient could be read after {_seconds(first)}, and everything was verified "
        f"after {_seconds(found.seconds_to_full)}.",
        "How long custodians need for the key was not told." if found.custodian_minutes is None else
        f"Custodians needed {found.custodian_minutes:g} minutes for the key before that.",
    ]
    old = sum(each.sealed_before for each in found.logs)
    if old:
        said.append(
            f"{old:,} entries are older than this identity: their hashes are proven and a snapshot shows what they "
            "made, but this machine cannot open them."
        )
    if found.snapshot is None:
        said.append("No snapshot was there to be put together.")
    else:
        more = ", and folding every entry gives it, too" if found.snapshot.folded_too else ""
        said.append(
            f"Snapshot {found.snapshot.serial} of {found.snapshot.node}, put together, has the digest that the log "
            f"states{more}."
        )
    if found.work is not None:
        said.append(
            f"{found.work.registrations:,} registrations were replayed on it in {found.work.seconds:.1f} s, 99 of 100 "
            f"answered within {found.work.p99_milliseconds:.0f} ms."
        )
    said += [f"Found: {each.where}: {each.what}" for each in found.findings]
    return said


def _seconds(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f} s"


def _line(found: Certificate) -> str:
    return msgspec.json.encode(found).decode()
