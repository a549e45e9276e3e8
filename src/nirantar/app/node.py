"""One node, composed: from its directory to the doors that edges use. The only place where concrete parts meet.

Long because what is opened, started and ended in which order is one thought.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Final

from nirantar import __version__
from nirantar.app import configuration
from nirantar.app.configuration import Configuration, witness_keys
from nirantar.app.custody_watch import CustodyWatch, authority_in_force
from nirantar.app.founding import (
    CUSTODY_FILE,
    FOUNDING_FILE,
    GENERATION_FILE,
    NODE_KEY_FILE,
    ROSTER_FILE,
    UHID,
    Founded,
)
from nirantar.app.preparing import PreparingProcess
from nirantar.app.recovery_under_way import RecoveryUnderWay, recovery_under_way
from nirantar.app.rehearsal_watch import RehearsalWatch
from nirantar.app.strays import require_no_identity
from nirantar.app.vaults import open_vaults
from nirantar.continuity import guard
from nirantar.continuity.alarm import Alarms
from nirantar.continuity.digests import AccessDigests, journalled
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.continuity.replay import Progress, bring_forward, no_progress
from nirantar.continuity.sealing import Sealer, witnesses_in
from nirantar.continuity.snapshot_state import SnapshotFiles
from nirantar.continuity.snapshot_storing import SnapshotStore
from nirantar.continuity.snapshot_taking import Issuer
from nirantar.continuity.snapshotting import Snapshotter
from nirantar.continuity.witnessing import COSIGNED_DIRECTORY, Witnessing
from nirantar.errors import Damaged, EntryDamaged, InvalidInput, NirantarError, ProofInvalid, SetupError, Unavailable
from nirantar.fhir import schema
from nirantar.fold.custody import Custody
from nirantar.fold.founding import FoundingDocument
from nirantar.fold.roster import Roster
from nirantar.host.database_files import remove_database
from nirantar.host.port import Host
from nirantar.interactions.access_log import AccessLog
from nirantar.interactions.accounts import Accounts
from nirantar.interactions.attach import Attach
from nirantar.interactions.authorize import Caller
from nirantar.interactions.credentials import CREDENTIALS_FILE, Credentials
from nirantar.interactions.disclose import Disclose, KnownBy
from nirantar.interactions.doors import Doors, NodeStatus
from nirantar.interactions.numbers import Numbers
from nirantar.interactions.prove import Prove
from nirantar.interactions.read import Read
from nirantar.interactions.transact import Transact
from nirantar.interactions.transaction import Purpose
from nirantar.journal.attachments import ATTACHMENTS_DIRECTORY, Attachments
from nirantar.journal.log import JOURNAL_FILE, JournalWriter
from nirantar.journal.reader import JournalReader
from nirantar.journal.sequencer import Sequencer
from nirantar.store.schema import LAYOUT
from nirantar.store.sqlite import SqliteView
from nirantar.tlog.note import Signer
from nirantar.vault.keys import ROSTER_PREFIX, RosterKey
from nirantar.vault.port import Vault

VIEW_FILE: Final = "view.db"
LOCK_FILE: Final = "lock"
ACCESS_LOG_DIRECTORY: Final = "access"
SNAPSHOT_DIRECTORY: Final = "snapshot"


@dataclass(frozen=True, slots=True)
class Papers:
    """What a directory says of its node, read and checked: no database is open yet."""

    directory: Path
    configuration: Configuration
    document: FoundingDocument
    roster: Roster
    roster_note: bytes
    custody: Custody | None
    signer: Signer

    @property
    def recipients(self) -> tuple[str, ...]:
        """The age recipients that vaults were sealed to when the papers were read."""
        return self.document.recipients if self.custody is None else self.custody.recipients

    @property
    def founded(self) -> Founded:
        """The same, as a directory is made of it."""
        return Founded(
            self.document, self.roster, self.roster_note, self.signer, self.configuration, self.custody
        )

    @property
    def origin(self) -> str:
        """The node's log origin."""
        return self.signer.name


def read_papers(host: Host, directory: Path) -> Papers:
    """Read a node's files. Raises ConfigInvalid, SetupError, ProofInvalid, each naming the file."""
    settings = configuration.read(host, directory)
    try:
        document = FoundingDocument.parse(host.files.read(directory / FOUNDING_FILE))
        note = host.files.read(directory / ROSTER_FILE)
        key = host.files.read(directory / NODE_KEY_FILE).decode("utf-8", "replace").strip()
    except FileNotFoundError as missing:
        raise SetupError(f"{directory} lacks {missing.filename}: it is not a whole node.") from None
    try:
        signer = Signer.parse(key)
    except InvalidInput as reason:
        raise SetupError(
            f"{directory / NODE_KEY_FILE} is damaged: {reason} Put the file back; if there is no copy, recover the "
            "hospital from its vault."
        ) from None
    custody = _read_custody(host, directory, document)
    roster = Roster.open(note, authority_in_force(document, custody))
    grant = roster.by_origin().get(document.origin(settings.node))
    if grant is None or grant.vkey != signer.vkey:
        raise SetupError(f"The roster does not name the node {settings.node} with the key in {NODE_KEY_FILE}.")
    return Papers(directory, settings, document, roster, note, custody, signer)


def _read_custody(host: Host, directory: Path, document: FoundingDocument) -> Custody | None:
    """The custody note beside the founding document; None at a hospital that was founded before there were any."""
    path = directory / CUSTODY_FILE
    try:
        custody = Custody.reopen(host.files.read(path))
    except FileNotFoundError:
        return None
    if not custody.is_of(document):
        raise ProofInvalid(f"{path} is of another hospital than {FOUNDING_FILE}, or that was changed.")
    return custody


def open_view(host: Host, papers: Papers, path: Path, recovery: RecoveryUnderWay | None = None) -> SqliteView:
    """A view of this node's hospital, with the roster's grants; made anew when its file is not usable. While a
    `recovery` is under way it comes from that one's file."""
    series = {papers.configuration.uhid_system: UHID}
    if recovery is not None:
        view = SqliteView(host, path, number_series=series, lazy=recovery.file)
        view.use_grants(papers.roster.by_origin())
        return view
    try:
        view = SqliteView(host, path, number_series=series)
    except Damaged:
        remove_database(host, path)
        view = SqliteView(host, path, number_series=series)
    view.use_grants(papers.roster.by_origin())
    return view


def open_credentials(host: Host, path: Path) -> Credentials:
    """The tokens and sessions of this node; none where their file was damaged: they are issued again, patients wait."""
    try:
        return Credentials(host, path)
    except Damaged:
        remove_database(host, path)
        return Credentials(host, path)


class Node:
    """A node that is open: its directory is locked until `close`."""

    def __init__(
        self, host: Host, directory: Path, *, progress: Progress = no_progress, identity: RecoveryIdentity | None = None
    ) -> None:
        """Open the directory, fold what its view lacks, and be ready to `start`. With the recovery `identity` a
        recovery that is under way brings the old logs back, too.

        Raises SetupError and its kin for a directory that cannot be used, EntryDamaged for a journal that cannot be
        read.
        """
        self.host = host
        self.directory = directory
        self._stack = ExitStack()
        try:
            self._open(progress, identity)
        except BaseException:
            self._stack.close()
            raise

    def _open(self, progress: Progress, identity: RecoveryIdentity | None) -> None:
        host, directory = self.host, self.directory
        self.papers = read_papers(host, directory)
        require_no_identity(host, directory)
        self._stack.enter_context(host.files.lock(directory / LOCK_FILE))
        settings, origin = self.papers.configuration, self.papers.origin
        self._started_at_us = host.now_us()
        _require_journal(host, directory)
        self.journal = JournalWriter(host, directory / JOURNAL_FILE, origin, self.papers.signer, create=False)
        self._stack.callback(self.journal.close)
        shared = self.journal.connection if host.exclusive_databases else None
        self.reader = JournalReader(host, directory / JOURNAL_FILE, shared)
        self._stack.callback(self.reader.close)
        self.vaults = open_vaults(host, settings, directory)
        self.recovery = recovery_under_way(
            host, directory, directory / VIEW_FILE, self.papers.roster, self.vaults
        )
        if self.recovery is not None:
            self._stack.callback(self.recovery.close_file)
            self.reader.expect(self.recovery.expected)
            if identity is not None:
                authority = authority_in_force(self.papers.document, self.papers.custody)
                self.recovery.use(identity, authority, self.papers.custody)
        self.view = self._open_view()
        self._stack.callback(self._close_view)
        lost = self._lost_entries()
        if lost is None:
            self._bring_view_forward(progress)
        papers = self.papers
        self.custody = CustodyWatch(
            host, directory, papers.document, papers.custody, papers.roster, papers.roster_note
        )
        self.rehearsals = RehearsalWatch(host, papers.document.slug, settings.rehearsal_verifier)
        preparation = None if host.exclusive_databases else PreparingProcess()
        self.sequencer = Sequencer(
            host, self.journal, self.view, preparation,
            after=None if self.recovery is None else self.recovery.newest_clock,
        )
        self.attachments = Attachments(host, directory / ATTACHMENTS_DIRECTORY)
        self.sealer = Sealer(
            host, self.reader, self.attachments, origin, self.vaults, self.custody.recipients,
            publish=self.custody.publish, closed=self._why_closed, stop_writing=self._stop_writing,
            witnessing=Witnessing(
                host, directory / COSIGNED_DIRECTORY, self.reader, origin, self._stop_writing,
                pinned=witness_keys(settings),
            ),
        )
        self._refusal: str | None = None
        why = lost or self._why_read_only()
        if why is not None:
            self._stop_writing(why)
        self.access_log = AccessLog(host, directory / ACCESS_LOG_DIRECTORY)
        transact = Transact(
            host, settings.node, self.sequencer, self.view,
            confirmations=self.sealer if self.vaults else None, durability=settings.durability,
        )
        read = Read(self.view, self.access_log, self.reader.entry)
        self.digests = AccessDigests(
            settings.node, self.access_log, transact, next(journalled(self.view, settings.node), None)
        )
        # Half a view makes no snapshot.
        self.snapshotter = self._snapshotter(transact) if self.recovery is None else None
        watched = Caller(f"node:{settings.node}", settings.node, "integration", settings.node)
        self.alarms = Alarms(
            host, lambda: host.watch(directory), origin, self.vaults, lambda: self.sequencer.size,
            lambda record: transact.system_record(watched, record, Purpose("alarm", durability="node")),
        )
        grant = self.papers.roster.by_origin()[origin]
        credentials = open_credentials(host, directory / CREDENTIALS_FILE)
        self._stack.callback(credentials.close)
        self.doors = Doors(
            transact=transact,
            read=read,
            prove=Prove(read, self.reader),
            disclose=Disclose(
                host, self.view, self.reader, transact, self.access_log,
                known_by=self._known_by,
                cosigned=self.sealer.cosigned,
            ),
            attach=Attach(self.attachments, transact, read, self.reader),
            accounts=Accounts(host, self.view, transact, self.access_log),
            credentials=credentials,
            access_log=self.access_log,
            numbers=Numbers(self.view, grant.numbers),
            status=self.status,
        )

    def start(self) -> None:
        """Begin to write, seal and flush in the background."""
        # Compiling the validator takes a tenth of a second, for which the first write would wait otherwise.
        Thread(target=schema.prepare, name="prepare-validator", daemon=True).start()
        self.alarms.start()
        self.sequencer.start()
        for vault in self.vaults:
            publish_quietly(vault, self.custody)
        self.sealer.start()
        self.access_log.start()
        self.digests.start()
        if self.snapshotter is not None and self.papers.configuration.snapshot_seconds:
            self.snapshotter.start()
        if self.recovery is not None:
            self.recovery.start(
                self.view, self.journal, self.reader, self.attachments, between=self.sequencer.between,
                founded=self.papers.founded, over=self._recovered, stop_writing=self._stop_writing,
            )

    def close(self) -> None:
        """Finish what waits, seal it, and release the directory: all of it, also where a part fails."""
        # Looked at once: a recovery may come to its end in its own thread at any moment.
        recovery = self.recovery
        if recovery is not None:
            recovery.stop()
        # Ended in the reverse of this order.
        self._stack.callback(self.sealer.stop)
        self._stack.callback(self.sequencer.stop)
        self._stack.callback(self.digests.stop)
        self._stack.callback(self.access_log.stop)
        self._stack.callback(self.alarms.stop)
        if self.snapshotter is not None:
            self._stack.callback(self.snapshotter.stop)
        self._stack.close()

    def status(self) -> NodeStatus:
        """The node as pages and `/health` show it."""
        papers, recovery, snapshotter = self.papers, self.recovery, self.snapshotter
        return NodeStatus(
            hospital=papers.document.name, node=papers.configuration.node, origin=papers.origin, version=__version__,
            entries=self.sequencer.size, durability=papers.configuration.durability, vaults=self.sealer.status(),
            read_only=self._refusal,
            recovered_from=tuple(origin for origin in self.journal.origins() if origin != papers.origin),
            started_at_us=self._started_at_us, alarm=self.alarms.status(), unwatched=self.alarms.unwatched,
            red=(*self.custody.red(), *self.rehearsals.red()),
            last_proven_restore=self.rehearsals.status(),
            snapshot=None if snapshotter is None else snapshotter.status(),
            recovery=None if recovery is None else recovery.status(),
        )

    def _known_by(self) -> KnownBy:
        """By what the keys in a proof file are known at this moment."""
        handed_over = tuple((each.serial, each.note) for each in self.custody.handovers())
        return KnownBy(self.papers.document.encode(), self.custody.roster_note, self.papers.signer, handed_over)

    def _snapshotter(self, transact: Transact) -> Snapshotter | None:
        """What copies the view to the vaults; None where there is none, or where a view takes one connection only."""
        if self.host.exclusive_databases or not self.vaults:
            return None
        papers = self.papers
        files = SnapshotFiles(self.host, self.directory / SNAPSHOT_DIRECTORY)
        issuer = Issuer(
            papers.document.slug, papers.configuration.node, papers.signer, self.custody.recipients, LAYOUT
        )
        return Snapshotter(
            self.host, files, SnapshotStore(files, self.vaults, node=issuer.node), issuer, self.view,
            between=self.sequencer.between, transact=transact, seconds=papers.configuration.snapshot_seconds,
            why_not=lambda: self._refusal,
        )

    def _lost_entries(self) -> str | None:
        """Why the journal must have lost entries, as a sentence: the view is only ever shown what its journal holds.

        Such a view is not rebuilt at start: it may be the last to know of what was acknowledged.
        """
        held = self.journal.size()
        try:
            with self.view.reader() as state:
                position = state.positions().get(self.papers.origin)
        except Damaged:
            return None  # made anew when it is brought forward
        if position is None or position.entries <= held:
            return None
        return (
            f"This node's journal has {held} entries, but its view was made from {position.entries}: the journal lost "
            "some. The node only reads. Recover the hospital from its vault (nirantar recover); only if that has no "
            "more either, accept the loss with: nirantar verify DIR --heal"
        )

    def _open_view(self) -> SqliteView:
        return open_view(self.host, self.papers, self.directory / VIEW_FILE, self.recovery)

    def _bring_view_forward(self, progress: Progress) -> None:
        """Fold what the view lacks; a view whose file turns out to be damaged is made anew."""
        try:
            self._fold(progress)
        except EntryDamaged:
            raise
        except Damaged:
            self.view.close()
            if self.recovery is not None:
                self.recovery.close_file()
            remove_database(self.host, self.directory / VIEW_FILE)
            self.view = self._open_view()
            self._fold(progress)

    def _fold(self, progress: Progress) -> None:
        if self.recovery is None:
            bring_forward(self.reader, self.view, progress=progress)
        else:
            self.recovery.bring_forward(self.reader, self.view, self.papers.origin, progress)

    def _recovered(self) -> None:
        """A recovery is over: be an ordinary node from now on."""
        self.reader.expect({})
        snapshotter = self._snapshotter(self.doors.transact)
        if snapshotter is not None and self.papers.configuration.snapshot_seconds:
            snapshotter.start()
        self.snapshotter = snapshotter
        # Last of all: who sees that the recovery is over may close the node at once, and stops what was started.
        self.recovery = None

    def _why_closed(self, vault: Vault) -> str | None:
        """Why this node's log is closed, if a newer roster in the vault, signed by the authority, says so. A newer
        custody note is heeded first: it may change the authority, and what is sealed next is sealed by it."""
        self.custody.look(vault)
        self.rehearsals.look(vault)
        for roster in (self.custody.roster, *self._newer_rosters(vault)):
            grant = roster.by_origin().get(self.papers.origin)
            if grant is not None and grant.last_size is not None:
                return (
                    f"A recovery took this node's place: its log was closed at {grant.last_size} entries, and what it "
                    f"wrote since is in no other node. It only reads. Work goes on at {roster.grants[-1].node}; "
                    "nirantar salvage brings this node's last entries there."
                )
        return None

    def _newer_rosters(self, vault: Vault) -> Iterator[Roster]:
        """Rosters of the vault that are newer than the one in force here; what the authority did not sign is noise."""
        for key in vault.list(ROSTER_PREFIX, after=str(RosterKey(self.custody.roster.serial))):
            with suppress(ProofInvalid):
                yield Roster.open(vault.get(key), self.custody.authority)

    def _stop_writing(self, why: str) -> None:
        self._refusal = why
        self.sequencer.refuse_writes(why)

    def _close_view(self) -> None:
        # Not bound at once: a damaged view is replaced by a fresh one while opening.
        self.view.close()

    def _why_read_only(self) -> str | None:
        """The reason for which this node must not write, or None (invariant 12)."""
        moved = guard.moved(self.host, self.directory / GENERATION_FILE)
        if moved is not None:
            return moved
        for vault in self.vaults:
            # A vault that cannot be asked now is asked by the sealer before it stores anything.
            with suppress(NirantarError):
                closed = self._why_closed(vault)
                if closed is not None:
                    return closed
        witnesses = witnesses_in(self.vaults, self.papers.signer.verifier)
        return guard.rolled_back(self.papers.origin, self.reader, witnesses)


def _require_journal(host: Host, directory: Path) -> None:
    """Raise Damaged where the journal, which every node is made with, is gone: beginning anew would fork the log."""
    if not host.files.exists(directory / JOURNAL_FILE):
        raise Damaged(
            f"{directory} has lost its {JOURNAL_FILE}. Recover the hospital from its vault: nirantar recover."
        )


def publish_quietly(vault: Vault, custody: CustodyWatch) -> None:
    """Put the papers in force into a vault if it can be reached now; the sealer shows the trouble if it cannot.

    Raises Conflict when the vault is another hospital's: sealing into it would mix two hospitals.
    """
    try:
        custody.publish(vault)
    except Unavailable:
        return
