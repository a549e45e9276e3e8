"""Recovery: a hospital from a vault and the recovery identity alone, on a clean directory, under a new node name.

This is the full replay: every segment is read, decrypted, hashed and compared with what the nodes signed, then folded.
(recovering_instantly.py serves from a snapshot first, and comes here where none is good.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import msgspec

from nirantar import limits
from nirantar.app.configuration import Configuration, check
from nirantar.app.founding import (
    free_serial,
    name_node,
    new_signer,
    publish,
    read_published,
    require_empty,
    write_directory,
)
from nirantar.app.node import VIEW_FILE, open_view, read_papers
from nirantar.app.recovery_report import (
    Recovered,
    fetch_attachments,
    recorded,
    sealed_after_closing,
    verified,
    write_report,
)
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.continuity.log_reading import Gap, LogReading
from nirantar.continuity.replay import Progress, bring_forward, no_progress
from nirantar.continuity.vault_reading import read_log
from nirantar.continuity.witnessing import NOBODY, Witnesses, claims, unvouched
from nirantar.errors import EntryDamaged, Finding, NotFound, SetupError
from nirantar.fold.grants import Grant
from nirantar.fold.roster import Roster
from nirantar.host.port import Host
from nirantar.host.times import from_instant
from nirantar.interactions.transaction import Durability
from nirantar.journal.attachments import ATTACHMENTS_DIRECTORY, Attachments
from nirantar.journal.entry import decode
from nirantar.journal.log import JOURNAL_FILE, JournalWriter
from nirantar.journal.reader import JournalReader
from nirantar.tlog.note import Signer, Verifier
from nirantar.vault.keys import ROSTER_PREFIX
from nirantar.vault.port import Vault
from nirantar.workflows.patient_resource import number_system_of

_PROGRESS_ENTRIES = 256


@dataclass(slots=True)
class RecoveredLog:
    """One node's log after recovery. `folded` is smaller than `entries` when `--at` looked back in time."""

    origin: str
    entries: int
    proven: int
    lost: int
    folded: int


@dataclass(slots=True)
class RecoveryReport:
    """What recovery did and found. `ok` means: everything that the vault ever promised is here and proven. The signed
    report is in the directory and in all vaults but `vaults_without_report`, each with the reason.

    With a `snapshot` the node serves before everything is here: `seconds_opening` until it could be opened,
    `tail_entries` are folded on top when it is, and `coming` says what still comes. `ok` then speaks of what was read.
    """

    hospital: str
    node: str
    origin: str
    vaults: tuple[str, ...]
    at: str | None
    logs: list[RecoveredLog]
    resources: dict[str, int]
    findings: list[Finding]
    seconds_reading: float
    seconds_folding: float
    ok: bool
    vaults_without_report: tuple[str, ...] = ()
    snapshot: str | None = None
    seconds_opening: float = 0.0
    tail_entries: int = 0
    coming: str = ""


def recover(  # noqa: PLR0913 - each is an option of the command, or what the instant way leaves to this one
    host: Host, vaults: Sequence[Vault], vault_uris: Sequence[str], identity: RecoveryIdentity, directory: Path,
    *, node: str | None = None, at: str | None = None, durability: Durability = "node", witnesses: Witnesses = NOBODY,
    reading: Progress = no_progress, folding: Progress = no_progress, found: Sequence[Finding] = (),
) -> RecoveryReport:
    """Build a node in the empty `directory` and report, with what was `found` before. `witnesses` are further keepers
    that are only asked how far each log had come, and keys of which one must vouch for it; keepers among `vaults` are
    asked anyway.

    With `at` (an ISO time) the view shows each log as of that time; later entries are kept as evidence, not folded.
    Raises SetupError, IdentityWrong, NotFound or VaultUnavailable before anything is written; damage is reported,
    never raised.
    """
    require_empty(host, directory)
    stop_us = None if at is None else parse_time(at)
    published = read_published(vaults, identity)
    document, before = published.document, published.roster
    began_us, started_us = host.now_us(), host.monotonic_us()
    settings = Configuration(
        node=node or new_name(before), vaults=list(vault_uris), durability=durability,
        uhid_system=f"urn:nirantar:{document.slug}:uhid", witnesses=[each.vkey for each in witnesses.pinned],
    )
    check(settings)
    signer = new_signer(host, document, before, settings.node)
    host.files.make_directory(directory)
    try:
        readings, stops = _fill_journal(
            host, vaults, published.identities, directory, before, signer, stop_us=stop_us, progress=reading
        )
        # The new roster's place is the next that is free in every vault.
        serial = free_serial(vaults, ROSTER_PREFIX, before.serial) - 1
        after = Roster(before.slug, serial, tuple(revoked(each, readings, stops) for each in before.grants))
        with closing(JournalReader(host, directory / JOURNAL_FILE)) as reader:
            told = ask_witnesses(vaults, witnesses, before, readings, partial(_root, reader))
        settings = msgspec.structs.replace(settings, uhid_system=_number_system(host, directory, before, settings))
        founded = name_node(document, after, identity.authority, settings, signer, published.custody)
        for vault in vaults:
            publish(vault, document, founded.roster, founded.roster_note, founded.custody)
    except BaseException:
        # Nothing half done: the next attempt wants an empty directory.
        for left in list(host.files.walk(directory)):
            host.files.remove(left)
        raise
    write_directory(host, directory, founded)
    read_us = host.monotonic_us()
    resources = _fold(host, directory, folding)
    done_us = host.monotonic_us()
    findings = [
        *found, *published.findings, *told, *(finding for each in readings.values() for finding in each.findings)
    ]
    for grant in before.grants:
        findings += sealed_after_closing(grant, readings[grant.origin])
    grants = founded.roster.by_origin()
    complete = not findings and all(
        each.proven_size == each.size >= each.promised_size and not each.lost for each in readings.values()
    )
    lacking = write_report(host, directory, vaults, founded, identity.authority, Recovered(
        [recorded(reading, grants[origin], len(reading.lost)) for origin, reading in readings.items()],
        sum(map(verified, readings.values())), resources, findings, at, complete, began_us,
        began_us + done_us - started_us,
    ))
    return RecoveryReport(
        hospital=document.name, node=settings.node, origin=document.origin(settings.node),
        vaults=tuple(vault.location for vault in vaults), at=at,
        logs=[
            RecoveredLog(origin, each.size, each.proven_size, len(each.lost), folded_entries(grants[origin]))
            for origin, each in readings.items()
        ],
        resources=resources, findings=findings, seconds_reading=(read_us - started_us) / 1e6,
        seconds_folding=(done_us - read_us) / 1e6, ok=complete,
        vaults_without_report=lacking,
    )


def _number_system(host: Host, directory: Path, roster: Roster, settings: Configuration) -> str:
    """The identifier system of the hospital's numbers: the lost settings are in no vault, but the newest registration
    bears it. With another one every number issued so far would look like a stranger's."""
    with closing(JournalReader(host, directory / JOURNAL_FILE)) as reader:
        for grant in reversed(roster.grants):
            for stop in range(reader.size(grant.origin), 0, -_PROGRESS_ENTRIES):
                page = list(reader.entries(grant.origin, max(0, stop - _PROGRESS_ENTRIES), stop))
                for entry_index, data, _ in reversed(page):
                    if b'"register"' in data and (system := _numbered_under(data, grant.origin, entry_index)):
                        return system
    return settings.uhid_system


def _numbered_under(data: bytes, origin: str, entry_index: int) -> str:
    """The system in which an entry numbered its patient; "" for an entry that registers nobody."""
    try:
        entry = decode(data, origin, entry_index)
    except EntryDamaged:
        return ""
    if entry is None or entry.action != "register":
        return ""
    patients = (each.resource for each in entry.changes if each.type == "Patient")
    return next((number_system_of(msgspec.json.decode(each)) for each in patients if each is not None), "")


def parse_time(text: str) -> int:
    """`--at` as microseconds. Raises SetupError with an example."""
    try:
        return from_instant(text)
    except ValueError as reason:
        raise SetupError(f"--at {text}: {reason}. For example 2026-11-23T07:00:00+05:30.") from None


def new_name(before: Roster) -> str:
    """A name for the recovered node: the oldest node's with -r and the number of the recovery."""
    first = re.sub(r"-r[0-9]+$", "", before.grants[0].node)
    taken = {grant.node for grant in before.grants}
    names = (f"{first[:18]}-r{number}" for number in count(len(before.grants)))
    return next(name for name in names if name not in taken)


def revoked(grant: Grant, readings: Mapping[str, LogReading], stops: Mapping[str, int]) -> Grant:
    """Close a node's log at what its signature proves: its key is presumed stolen, and whoever can add to a vault can
    add a segment. What lies beyond is kept as evidence and named, not folded. A look back in time is for this node
    alone: the next recovery without one shows everything again."""
    closed = readings[grant.origin].proven_size
    if grant.last_size is not None:
        closed = min(closed, grant.last_size)
    return msgspec.structs.replace(grant, last_size=closed, as_of_size=stops.get(grant.origin))


def folded_entries(grant: Grant) -> int:
    """How many entries of a log the recovered hospital shows."""
    closed = grant.last_size or 0
    return closed if grant.as_of_size is None else min(closed, grant.as_of_size)


def ask_witnesses(
    vaults: Sequence[Vault], witnesses: Witnesses, before: Roster, readings: Mapping[str, LogReading],
    root: Callable[[str, int], bytes | None],
) -> list[Finding]:
    """What witnesses say against what was read: entries beyond what could be proven, cut off or never sealed, and
    another log than the one that they cosigned. Of a log that an earlier recovery closed, that was told then. `root`
    gives the root of what was read of an origin at a size, None where it is not known."""
    findings: list[Finding] = []
    for grant in before.grants:
        proven, verifier = readings[grant.origin].proven_size, readings[grant.origin].verifier
        claimed = claims((*vaults, *witnesses.vaults), verifier, proven, witnesses.pinned)
        if grant.last_size is None:
            findings += unvouched(claimed, grant.origin, witnesses)
        for where, claim in ((each.where, each.checkpoint) for each in claimed):
            size = claim.tree_size
            if size > proven and grant.last_size is None:
                findings.append(Finding(
                    f"{grant.origin} entries {proven} to {size - 1}",
                    f"they were there: {where} has a checkpoint of {size} entries, signed by the node; no vault gives "
                    "what it proves", "lost",
                ))
            elif size <= proven and root(grant.origin, size) not in (None, claim.root_hash):
                findings.append(Finding(
                    f"{grant.origin} entries 0 to {size - 1}",
                    f"{where} has another checkpoint of {size} entries, signed by the node: entries were exchanged",
                    "altered",
                ))
    return findings


def _root(reader: JournalReader, origin: str, size: int) -> bytes | None:
    """The root of what was read; None where a stretch of it is unknown."""
    try:
        return reader.root(origin, size)
    except NotFound:
        return None


def _fill_journal(
    host: Host, vaults: Sequence[Vault], identities: Sequence[str], directory: Path, before: Roster, signer: Signer,
    *, stop_us: int | None, progress: Progress,
) -> tuple[dict[str, LogReading], dict[str, int]]:
    """Copy every log of the roster into the new journal; also where each stood at `stop_us`."""
    readings: dict[str, LogReading] = {}
    stops: dict[str, int] = {}
    attachments = Attachments(host, directory / ATTACHMENTS_DIRECTORY)
    with closing(JournalWriter(host, directory / JOURNAL_FILE, signer.name, signer)) as journal:
        for grant in before.grants:
            one = readings[grant.origin] = LogReading(grant.origin, Verifier.parse(grant.vkey))
            journal.begin()
            journal.add_log(grant.origin, grant.vkey)
            waiting_bytes = 0
            for step in read_log(vaults, identities, one):
                if isinstance(step, Gap):
                    journal.append_gap(step.frontier, grant.origin)
                elif step.data is None:
                    journal.append_missing(step.leaf_hash, grant.origin)
                else:
                    journal.append(step.data, grant.origin)
                    fetch_attachments(vaults, attachments, one, step)
                    waiting_bytes += len(step.data)
                    if stop_us is not None and grant.origin not in stops:
                        recorded_us = _recorded_us(step.data, grant.origin, step.entry_index)
                        if recorded_us is not None and recorded_us > stop_us:
                            stops[grant.origin] = step.entry_index
                if waiting_bytes > limits.BATCH_BYTES_MAX:
                    journal.keep()
                    journal.begin()
                    waiting_bytes = 0
                if one.size % _PROGRESS_ENTRIES == 0:
                    progress(one.size, max(one.size, one.promised_size))
            if one.head_note:
                journal.put_checkpoint(grant.origin, one.head_size, host.now_us(), one.head_note)
            journal.keep()
            progress(one.size, one.size)
    return readings, stops


def _recorded_us(data: bytes, origin: str, entry_index: int) -> int | None:
    """When an entry was recorded; None when it does not tell. Such an entry is not folded anyway."""
    try:
        entry = decode(data, origin, entry_index)
        return None if entry is None else from_instant(entry.recorded_at)
    except (EntryDamaged, ValueError):
        return None


def _fold(host: Host, directory: Path, progress: Progress) -> dict[str, int]:
    """Build the view of the new node; counts of current resources by type."""
    papers = read_papers(host, directory)
    with closing(JournalReader(host, directory / JOURNAL_FILE)) as reader, closing(
        open_view(host, papers, directory / VIEW_FILE)
    ) as view:
        bring_forward(reader, view, progress=progress)
        with view.reader() as state:
            return state.counts()
