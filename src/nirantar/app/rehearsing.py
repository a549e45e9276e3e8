"""A rehearsed recovery: from a vault to a hospital that works, on an isolated machine, with nothing published.

A recovery takes the lost node's place (RFD 0006). A rehearsal must not: it has no authority's key, and builds its node
under an authority that it makes up, in a directory that is deleted at the end, with no vault in its settings. All that
leaves it is a certificate, signed by a key of the rehearsing machine's own (RFD 0019).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

import msgspec

from nirantar import __version__, limits
from nirantar.app.configuration import Configuration
from nirantar.app.founding import Published, name_node, new_signer, read_published, write_directory
from nirantar.app.node import VIEW_FILE, Node, open_view, read_papers
from nirantar.app.recovering import close_grant, fill_journal, number_system
from nirantar.app.rehearsal_work import check_registrations, replay_peak
from nirantar.app.snapshot_rehearsal import SnapshotRehearsal
from nirantar.app.verifying import verify_node
from nirantar.continuity.certificate import Certificate, PeakWork, RestoredLog, RestoredSnapshot, machine_name
from nirantar.continuity.identity import Identity, RecoveryIdentity
from nirantar.continuity.log_reading import LogReading
from nirantar.continuity.recovery_record import RecordedFinding
from nirantar.continuity.replay import Progress, bring_forward, no_progress
from nirantar.continuity.vault_reading import SEALED
from nirantar.errors import Damaged, Finding, IdentityWrong, InvalidInput, NirantarError, NotFound, SetupError
from nirantar.fold.founding import authority_name
from nirantar.fold.roster import Roster
from nirantar.host.port import Host
from nirantar.host.times import instant
from nirantar.journal.log import JOURNAL_FILE
from nirantar.journal.reader import JournalReader
from nirantar.store.port import ViewReader
from nirantar.tlog.checkpoint import open_checkpoint
from nirantar.tlog.note import Signer
from nirantar.vault.keys import LEVELS, RehearsalKey, SegmentKey, parse, segments_prefix
from nirantar.vault.port import Vault
from nirantar.vault.segments import open_segment

KEY_FILE: Final = "rehearsal.key"
OPENED_FILE: Final = "opened"
LOCK_FILE: Final = "lock"
SCRATCH: Final = "scratch-"
NODE: Final = "rehearsed"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What came of it: the certificate, its signed note, the vaults that did not take it, each with the reason, and
    the entries that are not of this identity's time."""

    certificate: Certificate
    note: bytes
    vaults_without_it: tuple[str, ...]


@dataclass(slots=True)
class _Restored:
    """What is known so far."""

    readings: dict[str, LogReading]
    findings: list[Finding]
    sealed_before: dict[str, int]
    first_patient_us: int | None = None
    resources: dict[str, int] = field(default_factory=dict)
    digest: str = ""
    by: str = "log"
    work: PeakWork | None = None
    segments: int = 0


def rehearse(
    host: Host, vaults: Sequence[Vault], identity: Identity, work: Path,
    *, registrations: int = limits.REHEARSAL_REGISTRATIONS, custodian_minutes: float | None = None,
    reading: Progress = no_progress, folding: Progress = no_progress,
) -> Rehearsal:
    """Restore everything below `work`, verify it, work on it, delete it, and leave a signed certificate in each vault.

    `work` keeps the machine's key and what was opened already. Raises InvalidInput, DirectoryInUse, and what
    `read_published` raises, before anything is restored; VaultUnavailable also later. All damage is in the certificate.
    """
    check_registrations(registrations)
    if custodian_minutes is not None and not 0 <= custodian_minutes < 100_000:
        raise InvalidInput("--custodian-minutes is how long it took to have the key in hand: 0 or more.")
    started_us, began_us = host.now_us(), host.monotonic_us()
    published = read_published(vaults, identity)
    host.files.make_directory(work)
    with host.files.lock(work / LOCK_FILE):
        machine = _machine(host, work, published.document.slug)
        with _scratch(host, work) as scratch:
            restored, snapshot = _restore(host, vaults, published, scratch, reading, folding)
            restored.segments = _open_new_segments(host, vaults, published, work, restored)
            full_us = host.monotonic_us()
            if registrations:
                _work(host, scratch, restored, registrations)
        finished_us = started_us + host.monotonic_us() - began_us
        certificate = _certificate(
            published, identity, vaults, machine, restored, snapshot.found, custodian_minutes=custodian_minutes,
            began_us=began_us, full_us=full_us, times=(instant(started_us), instant(finished_us)),
        )
        note = certificate.sign(machine)
        return Rehearsal(certificate, note, _leave(vaults, note, finished_us))


def _machine(host: Host, work: Path, slug: str) -> Signer:
    """The rehearsing machine's own key, made at the first rehearsal and readable by its user only."""
    path = work / KEY_FILE
    name = machine_name(slug)
    if not host.files.exists(path):
        host.files.put_new(path, Signer(name, host.random_bytes(32)).skey.encode() + b"\n", mode=0o600)
    try:
        machine = Signer.parse(host.files.read(path).decode("utf-8", "replace").strip())
    except InvalidInput:
        raise SetupError(f"{path} is damaged. Put it back, or delete it and register the new key.") from None
    if machine.name != name:
        raise SetupError(f"{work} is where another hospital is rehearsed. Name another directory.")
    return machine


@contextmanager
def _scratch(host: Host, work: Path) -> Iterator[Path]:
    """A directory for what is restored, deleted whatever happens; what a killed rehearsal left goes first."""
    for left in work.glob(f"{SCRATCH}*"):
        shutil.rmtree(left)
    scratch = work / f"{SCRATCH}{host.random_bytes(6).hex()}"
    scratch.mkdir(mode=0o700)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch)


def _restore(
    host: Host, vaults: Sequence[Vault], published: Published, scratch: Path, reading: Progress, folding: Progress
) -> tuple[_Restored, SnapshotRehearsal]:
    """The log, proven; the view, folded where the whole log opens, else from the snapshot; the snapshot, compared."""
    before = published.roster
    authority = Signer(authority_name(before.slug), host.random_bytes(32))
    document = msgspec.structs.replace(published.document, authority=authority.vkey)
    taken = {each.node for each in before.grants}
    node = next(name for number in count(1) if (name := f"{NODE}-{number}") not in taken)
    settings = Configuration(node=node, vaults=[], uhid_system=f"urn:nirantar:{before.slug}:uhid", snapshot_seconds=0)
    signer = new_signer(host, document, before, node)
    readings, _ = fill_journal(
        host, vaults, published.identities, scratch, before, signer, stop_us=None, progress=reading, must_open=False
    )
    settings = msgspec.structs.replace(settings, uhid_system=number_system(host, scratch, before, settings))
    after = Roster(before.slug, before.serial, tuple(close_grant(each, readings, {}) for each in before.grants))
    write_directory(host, scratch, name_node(document, after, authority, settings, signer))

    restored = _Restored(readings, list(published.findings), {})
    for each in readings.values():
        restored.sealed_before[each.origin] = old = _sealed_before(each)
        restored.findings += _findings(each, old)
    snapshot = SnapshotRehearsal(host, vaults, published, scratch)
    with closing(JournalReader(host, scratch / JOURNAL_FILE)) as journal:
        try:
            if any(restored.sealed_before.values()):
                restored.by = "snapshot"
                snapshot.put_together(journal)
                snapshot.require_covers(restored.sealed_before)
                snapshot.move_to(scratch / VIEW_FILE)
                _fold(host, scratch, journal, restored, folding)
            else:
                _fold(host, scratch, journal, restored, folding)
                snapshot.put_together(journal)
                snapshot.compare_with(journal, restored.digest)
        except Damaged as damage:
            restored.findings.append(Finding("view", str(damage)))
    restored.findings += snapshot.findings
    return restored, snapshot


def _fold(host: Host, scratch: Path, journal: JournalReader, restored: _Restored, folding: Progress) -> None:
    """Bring the view to the end of the log and read the first patient from it."""
    with closing(open_view(host, read_papers(host, scratch), scratch / VIEW_FILE)) as view:
        bring_forward(journal, view, progress=folding)
        with view.reader() as state:
            if _first_patient(state):
                restored.first_patient_us = host.monotonic_us()
            restored.resources = {
                kind: count for kind, count in state.counts().items() if not kind.startswith("Nirantar")
            }
            restored.digest = state.computed_view_digest().hex()


def _first_patient(state: ViewReader) -> bool:
    """Whether a patient's chart can be read."""
    newest = state.history("Patient", None, count=limits.HISTORY_COUNT_DEFAULT, cursor=None).versions
    return any(True for each in newest for _ in state.compartment(each.id))


def _sealed_before(reading: LogReading) -> int:
    """How many entries at the log's beginning are older than this identity: whole, proven, and sealed to others. What
    does not open after one that did is no such entry."""
    if reading.unknown or not any(each.kind == SEALED for each in reading.findings):
        return 0
    lost = set(reading.lost)
    return next((index for index in range(reading.size) if index not in lost), reading.size)


def _findings(reading: LogReading, sealed_before: int) -> Iterator[Finding]:
    """What reading a log found, without what is only older than the identity."""
    for each in reading.findings:
        key = parse(each.where.rpartition(" ")[2])
        if each.kind == SEALED and isinstance(key, SegmentKey) and key.first < sealed_before:
            continue
        if each.kind == "lost" and sealed_before and "attachment" not in each.what:
            continue
        yield each
    later = [index for index in reading.lost if index >= sealed_before]
    if sealed_before and later:
        yield Finding(reading.origin, f"{len(later)} entries from {later[0]} on are missing or do not open", "lost")
    if sealed_before and reading.promised_size > reading.size:
        yield Finding(
            f"{reading.origin} entries {reading.size} to {reading.promised_size - 1}",
            "the node signed that they exist, but they cannot be read from any vault", "lost",
        )


def _open_new_segments(
    host: Host, vaults: Sequence[Vault], published: Published, work: Path, restored: _Restored
) -> int:
    """Decrypt every segment of every level that was not opened by an earlier rehearsal; how many. What was sealed after
    the first that opens must open: a node that seals to somebody else is found here, while its segments can still be
    sealed again."""
    path = work / OPENED_FILE
    known = set(host.files.read(path).decode().splitlines()) if host.files.exists(path) else set()
    told = {each.where for each in restored.findings}
    listed, opened = set[str](), set[str]()
    for vault, key in _segments(vaults, published):
        name = f"{vault.location} {key}"
        listed.add(name)
        if name in known:
            continue
        try:
            open_segment(vault.get(str(key)), published.identities, key=str(key))
            opened.add(name)
        except NotFound:
            continue
        except IdentityWrong:
            if name not in told and key.first >= restored.sealed_before[published.document.origin(key.node)]:
                restored.findings.append(Finding(name, "it is sealed to others than this identity", SEALED))
        except Damaged as damage:
            if name not in told:
                restored.findings.append(Finding(name, str(damage)))
    host.files.replace(path, "".join(f"{each}\n" for each in sorted((known & listed) | opened)).encode(), mode=0o600)
    return len(opened)


def _segments(vaults: Sequence[Vault], published: Published) -> Iterator[tuple[Vault, SegmentKey]]:
    """Every segment of every node in every vault."""
    for vault in vaults:
        for grant in published.roster.grants:
            for level in LEVELS:
                for text in vault.list(segments_prefix(grant.node, level=level)):
                    key = parse(text)
                    if isinstance(key, SegmentKey):
                        yield vault, key


def _work(host: Host, scratch: Path, restored: _Restored, registrations: int) -> None:
    """Replay peak work on the restored node, and verify journal and view afterwards where the whole log is here."""
    try:
        node = Node(host, scratch)
        try:
            restored.work = replay_peak(host, node, registrations)
        finally:
            node.close()
        if restored.by == "log":
            verified = verify_node(host, scratch)
            if not restored.findings:  # else it would only tell the same again
                restored.findings += verified.findings
    except NirantarError as refused:
        restored.findings.append(Finding("peak work", f"the restored node did not do it: {refused}"))


def _certificate(
    published: Published, identity: Identity, vaults: Sequence[Vault], machine: Signer, restored: _Restored,
    found: RestoredSnapshot | None, *, custodian_minutes: float | None, began_us: int, full_us: int,
    times: tuple[str, str],
) -> Certificate:
    readings = restored.readings
    logs = tuple(_log(each, restored.sealed_before[each.origin]) for each in readings.values())
    incomplete = [
        Finding(each.origin, f"only {each.proven_size} of {each.size} entries are under a signature that was found")
        for each in readings.values() if each.proven_size < each.size
    ]
    findings = [*restored.findings, *incomplete]
    if restored.first_patient_us is None and not findings:
        findings.append(Finding("view", "no patient could be read: there is none yet, or none was restored"))
    told = findings[: limits.REHEARSAL_FINDINGS_MAX]
    first = restored.first_patient_us
    return Certificate(
        v=1, hospital=published.document.name, slug=published.document.slug, machine=machine.vkey,
        program=__version__, identity="recovery" if isinstance(identity, RecoveryIdentity) else "rehearsal",
        vaults=tuple(each.location for each in vaults), started_at=times[0], finished_at=times[1],
        proven=not findings, restored_by=restored.by, custodian_minutes=custodian_minutes,
        seconds_to_first_patient=None if first is None else round((first - began_us) / 1e6, 3),
        seconds_to_full=round((full_us - began_us) / 1e6, 3), entries=sum(each.entries for each in logs),
        opened=sum(each.opened for each in logs), segments_opened=restored.segments, resources=restored.resources,
        view_digest=restored.digest, logs=logs, snapshot=found, work=restored.work,
        findings=tuple(RecordedFinding(each.where, each.what, each.kind) for each in told),
    )


def _log(reading: LogReading, sealed_before: int) -> RestoredLog:
    root = open_checkpoint(reading.head_note, reading.verifier).root_hash.hex() if reading.head_note else ""
    promised = max(reading.promised_size, reading.size)
    opened = reading.size - len(reading.lost)
    return RestoredLog(
        reading.origin, promised, opened, sealed_before, promised - opened - sealed_before, reading.head_size, root
    )


def _leave(vaults: Sequence[Vault], note: bytes, finished_us: int) -> tuple[str, ...]:
    """Store the certificate; which vaults did not take it, and why."""
    lacking = []
    for vault in vaults:
        try:
            vault.put_new(str(RehearsalKey(finished_us)), note)
        except NirantarError as failure:
            lacking.append(f"{vault.location}: {failure}")
    return tuple(lacking)
