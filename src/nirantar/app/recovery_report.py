"""What the two ways to recover end with: attachments brought, what was found named, and what was done signed and left
where it can be found, in the new node's directory and in each vault."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from nirantar import __version__
from nirantar.app.founding import Founded
from nirantar.continuity.log_reading import LogReading
from nirantar.continuity.recovery_record import RecordedFinding, RecordedLog, RecoveryRecord
from nirantar.continuity.vault_reading import read_attachment
from nirantar.errors import Finding, NirantarError
from nirantar.fold.grants import Grant
from nirantar.host.port import Host
from nirantar.host.times import instant
from nirantar.journal.attachments import Attachments
from nirantar.tlog.checkpoint import open_checkpoint
from nirantar.tlog.note import Signer
from nirantar.vault.keys import RecoveryKey
from nirantar.vault.port import Vault

REPORT_FILE: Final = "recovery-report.json"
REPORT_NOTE_FILE: Final = "recovery-report.note"
_NOT_ALTERED: Final = frozenset({"lost", "closed"})


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a recovery gave: the lost logs, how many of their entries a signature proves, current resources by type,
    findings, and times in microseconds."""

    logs: Sequence[RecordedLog]
    verified: int
    resources: Mapping[str, int]
    findings: Sequence[Finding]
    as_of: str | None
    ok: bool
    started_us: int
    finished_us: int


def write_report(
    host: Host, directory: Path, vaults: Sequence[Vault], founded: Founded, authority: Signer, recovered: Recovered
) -> tuple[str, ...]:
    """Write `recovery-report.json` and the signed note; the vaults that did not take the note, which is then safe in
    the directory alone. A note that is there already stays, and goes to the vaults. Raises what files raise."""
    try:
        note = host.files.read(directory / REPORT_NOTE_FILE)
    except FileNotFoundError:
        record = _record(founded, authority, vaults, recovered)
        note = record.sign(founded.signer, authority)
        host.files.replace(directory / REPORT_FILE, record.document(), mode=0o640)
        host.files.put_new(directory / REPORT_NOTE_FILE, note, mode=0o640)
    lacking = []
    for vault in vaults:
        try:
            vault.put_new(str(RecoveryKey(founded.configuration.node)), note)
        except NirantarError as failure:
            lacking.append(f"{vault.location}: {failure}")
    return tuple(lacking)


def _record(
    founded: Founded, authority: Signer, vaults: Sequence[Vault], recovered: Recovered
) -> RecoveryRecord:
    logs = tuple(recovered.logs)
    return RecoveryRecord(
        v=1, hospital=founded.document.name, node=founded.configuration.node, origin=founded.signer.name,
        vkey=founded.signer.vkey, authority=authority.vkey, program=__version__,
        started_at=instant(recovered.started_us), finished_at=instant(recovered.finished_us),
        seconds=(recovered.finished_us - recovered.started_us) / 1e6,
        vaults=tuple(vault.location for vault in vaults), as_of=recovered.as_of,
        entries=sum(log.promised for log in logs), recovered=sum(log.recovered for log in logs),
        verified=recovered.verified, altered=_altered(recovered.findings),
        missing=sum(log.missing for log in logs), ok=recovered.ok, logs=logs, resources=dict(recovered.resources),
        findings=tuple(RecordedFinding(each.where, each.what, each.kind) for each in recovered.findings),
        handovers=tuple(each.note.decode() for each in founded.handovers) or msgspec.UNSET,
    )


def recorded(reading: LogReading, grant: Grant, lacking: int) -> RecordedLog:
    """A log as the report has it; `lacking` of its entries have no bytes."""
    root = b""
    if reading.head_note:
        root = open_checkpoint(reading.head_note, reading.verifier).root_hash
    promised = max(reading.promised_size, reading.size)
    shown = grant.last_size or 0
    return RecordedLog(
        reading.origin, promised, reading.size - lacking, promised - reading.size + lacking,
        reading.head_size, root.hex(), shown if grant.as_of_size is None else min(shown, grant.as_of_size),
    )


def verified(reading: LogReading) -> int:
    """How many entries of a log that was read as a whole have their bytes here and are proven by a signature."""
    return reading.proven_size - sum(1 for entry_index in reading.lost if entry_index < reading.proven_size)


def sealed_after_closing(grant: Grant, reading: LogReading) -> Iterator[Finding]:
    """Entries that a node signed after an earlier recovery had closed its log: its own, or a thief's."""
    if grant.last_size is not None and reading.proven_size > grant.last_size:
        yield Finding(
            f"{grant.origin} entries {grant.last_size} to {reading.proven_size - 1}",
            "they were sealed after a recovery had closed this log: kept as evidence, not folded. If that node was "
            "still in use, accept them with nirantar salvage", "closed",
        )


def fetch_attachments(
    vaults: Sequence[Vault], attachments: Attachments, reading: LogReading, entry_index: int, digests: Iterable[str]
) -> None:
    """Bring an entry's attachments along; what no vault can give is named."""
    for digest in digests:
        sealed = read_attachment(vaults, reading.origin.rpartition("/")[2], digest)
        if sealed is None:
            reading.findings.append(Finding(
                f"{reading.origin} entry {entry_index}", f"no vault holds its attachment {digest} undamaged", "lost",
            ))
        else:
            attachments.keep(digest, sealed)


def _altered(findings: Iterable[Finding]) -> int:
    return sum(1 for each in findings if each.kind not in _NOT_ALTERED)
