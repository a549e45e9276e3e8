"""Instant recovery: a node that serves from the newest good snapshot, before the rest of it is here.

What it takes does not grow with the hospital: the papers, one manifest, the entries that followed the snapshot, and the
pages that are read. The order is that of the full replay (recovering.py): what closes the old logs is published before
the node exists. Where no snapshot is good, the full replay is what is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from nirantar.app.configuration import Configuration, check
from nirantar.app.founding import (
    Published,
    free_serial,
    name_node,
    new_signer,
    publish,
    read_published,
    require_empty,
    write_directory,
)
from nirantar.app.node import VIEW_FILE
from nirantar.app.recovering import (
    RecoveredLog,
    RecoveryReport,
    ask_witnesses,
    close_grant,
    folded_entries,
    new_name,
    recover,
)
from nirantar.app.recovery_report import sealed_after_closing
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.continuity.log_reading import LogReading
from nirantar.continuity.recovery_state import RecoveryFiles, begun
from nirantar.continuity.replay import Progress, no_progress
from nirantar.continuity.snapshot_choice import UsableSnapshot, bear_out, candidates
from nirantar.continuity.witnessing import NOBODY, Witnesses
from nirantar.errors import Damaged, Finding, NotHereYet, SnapshotDamaged, Unavailable
from nirantar.fold.roster import Roster
from nirantar.host.port import Host
from nirantar.interactions.transaction import Durability
from nirantar.journal.log import JOURNAL_FILE, JournalWriter
from nirantar.store.port import ViewReader
from nirantar.store.schema import LAYOUT
from nirantar.store.sqlite import SqliteView
from nirantar.tlog.checkpoint import open_checkpoint
from nirantar.tlog.note import Signer
from nirantar.vault.keys import ROSTER_PREFIX
from nirantar.vault.port import Vault
from nirantar.vault.snapshots import open_with_keys
from nirantar.workflows.patient_resource import number_system_of

_PATIENTS_LOOKED_AT: Final = 100


def recover_instantly(
    host: Host, vaults: Sequence[Vault], vault_uris: Sequence[str], identity: RecoveryIdentity, directory: Path,
    *, node: str | None = None, durability: Durability = "node", witnesses: Witnesses = NOBODY,
    reading: Progress = no_progress, folding: Progress = no_progress,
) -> RecoveryReport:
    """Make a node in the empty `directory` that can be served at once, and report. `witnesses` as in `recover`.

    Snapshots that are damaged, or that the logs do not bear out, are named in the findings and the next older one is
    taken; without any, this is `recover`. Raises as that does.
    """
    require_empty(host, directory)
    started_us = host.monotonic_us()
    published = read_published(vaults, identity)
    settings = Configuration(
        node=node or new_name(published.roster), vaults=list(vault_uris), durability=durability,
        uhid_system=f"urn:nirantar:{published.document.slug}:uhid",
        witnesses=[each.vkey for each in witnesses.pinned],
    )
    check(settings)
    signer = new_signer(host, published.document, published.roster, settings.node)
    findings: list[Finding] = []
    attempt = _Attempt(host, vaults, identity, directory, published)
    try:
        snapshot = attempt.first_good(findings)
        if snapshot is not None:
            settings = msgspec.structs.replace(settings, uhid_system=attempt.number_system or settings.uhid_system)
            read_us = host.monotonic_us()
            report = attempt.settle(snapshot, settings, signer, findings, witnesses)
            report.seconds_reading = (read_us - started_us) / 1e6
            report.seconds_opening = (host.monotonic_us() - started_us) / 1e6
            return report
    except BaseException:
        _clear(host, directory)
        raise
    return recover(
        host, vaults, vault_uris, identity, directory, node=node, durability=durability, witnesses=witnesses,
        reading=reading, folding=folding, found=findings,
    )


class _Attempt:
    """One recovery, as far as it is the same for every snapshot that is tried."""

    def __init__(
        self, host: Host, vaults: Sequence[Vault], identity: RecoveryIdentity, directory: Path, published: Published
    ) -> None:
        self._host = host
        self._vaults = vaults
        self._identity = identity
        self._directory = directory
        self._before: Roster = published.roster
        self._published = published
        self._files = RecoveryFiles(host, directory)
        self.number_system = ""

    def first_good(self, findings: list[Finding]) -> UsableSnapshot | None:
        """The best snapshot whose pages open and that the logs bear out, its tail and state kept in the directory."""
        identities = self._published.identities
        began_us = self._host.now_us()
        for manifest, note in candidates(self._vaults, self._before, LAYOUT, findings):
            try:
                snapshot = bear_out(
                    self._vaults, identities, self._before, manifest, note, self._files.keep_tail
                )
                self._host.files.make_directory(self._directory)
                self._files.keep(begun(snapshot, manifest.data_keys(identities), began_us))
                self._open(snapshot)
            except Damaged as damage:
                findings.append(Finding(f"snapshot {manifest.serial} of {manifest.node}", str(damage), "snapshot"))
                _clear(self._host, self._directory)
            else:
                return snapshot
        return None

    def _open(self, snapshot: UsableSnapshot) -> None:
        """Open the view once and compare what it says of itself with the manifest. Raises SnapshotDamaged."""
        state = self._files.read()
        if state is None:
            raise AssertionError("the state was kept just now")
        manifest, path = snapshot.manifest, self._directory / VIEW_FILE
        source = open_with_keys(self._vaults, manifest, state.keys())
        file = self._host.lazy_database(path, source, state.snapshot_name)
        try:
            with closing(SqliteView(self._host, path, number_series={}, lazy=file)) as view, view.reader() as reader:
                self.number_system = _number_system(reader)
                digest = reader.settled_digest().hex()
                positions = {
                    origin: (each.entries, each.last_leaf_hash.hex()) for origin, each in reader.positions().items()
                }
        except NotHereYet as failure:
            if isinstance(failure.__cause__, Unavailable):
                raise
            raise SnapshotDamaged(manifest.key, str(failure.__cause__)) from None
        finally:
            file.close()
        named = {origin: (each.entries, each.last_leaf_hash) for origin, each in manifest.contents.positions.items()}
        if digest != manifest.contents.view_digest or positions != named:
            raise SnapshotDamaged(manifest.key, "its pages are of another state than it says")

    def settle(
        self, snapshot: UsableSnapshot, settings: Configuration, signer: Signer, findings: list[Finding],
        witnesses: Witnesses,
    ) -> RecoveryReport:
        """Close the old logs, publish that, and write the node's directory."""
        host, directory, before = self._host, self._directory, self._before
        readings = {origin: tail.reading for origin, tail in snapshot.tails.items()}
        # Asked before anything is published: one that cannot be asked must not leave the hospital taken over by nobody.
        told = ask_witnesses(self._vaults, witnesses, before, readings, partial(_head, readings))
        serial = free_serial(self._vaults, ROSTER_PREFIX, before.serial) - 1
        after = Roster(before.slug, serial, tuple(close_grant(each, readings, {}) for each in before.grants))
        document, custody = self._published.document, self._published.custody
        founded = name_node(
            document, after, self._identity.authority, settings, signer, custody,
            handovers=self._published.handovers,
        )
        with closing(JournalWriter(host, directory / JOURNAL_FILE, signer.name, signer)) as journal:
            journal.begin()
            for grant in before.grants:
                journal.add_log(grant.origin, grant.vkey)
            journal.keep()
        for vault in self._vaults:
            publish(vault, document, founded.roster, founded.roster_note, founded.custody)
        write_directory(host, directory, founded)
        findings = [*self._published.findings, *findings, *told]
        self._files.keep_findings(findings)
        for grant in before.grants:
            findings += readings[grant.origin].findings
            findings += sealed_after_closing(grant, readings[grant.origin])
        grants = founded.roster.by_origin()
        whole = all(each.size >= each.promised_size and not each.lost for each in readings.values())
        return RecoveryReport(
            hospital=founded.document.name, node=settings.node, origin=signer.name,
            vaults=tuple(vault.location for vault in self._vaults), at=None,
            logs=[
                RecoveredLog(origin, each.size, each.proven_size, len(each.lost), folded_entries(grants[origin]))
                for origin, each in readings.items()
            ],
            resources={}, findings=findings, seconds_reading=0.0, seconds_folding=0.0, ok=whole and not findings,
            snapshot=f"{snapshot.manifest.serial} of {snapshot.manifest.node}, {snapshot.manifest.contents.created}",
            tail_entries=snapshot.tail_entries,
            coming=f"{snapshot.manifest.contents.page_count:,} pages of the view and "
                   f"{sum(each.size for each in readings.values()):,} entries of the old logs",
        )


def _head(readings: Mapping[str, LogReading], origin: str, size: int) -> bytes | None:
    """The root that the newest checkpoint of a log gives; of earlier sizes nothing is known until the log is here."""
    reading = readings[origin]
    if size != reading.head_size or not reading.head_note:
        return None
    return open_checkpoint(reading.head_note, reading.verifier).root_hash


def _number_system(state: ViewReader) -> str:
    """The identifier system of the hospital's numbers, as those who were registered last bear it; "" where none does.
    The lost settings are in no vault."""
    patients = state.history("Patient", None, count=_PATIENTS_LOOKED_AT, cursor=None).versions
    systems = (number_system_of(msgspec.json.decode(each.resource)) for each in patients if each.resource is not None)
    return next((system for system in systems if system), "")


def _clear(host: Host, directory: Path) -> None:
    """Nothing half done: the next attempt wants an empty directory."""
    for left in list(host.files.walk(directory)):
        host.files.remove(left)
