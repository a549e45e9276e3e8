"""A node whose recovery is still under way: how its view opens, what comes in the background, and when it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import Final

import msgspec

from nirantar import limits
from nirantar.app.founding import Founded
from nirantar.app.recovery_report import (
    Recovered,
    fetch_attachments,
    recorded,
    sealed_after_closing,
    write_report,
)
from nirantar.app.view_check import shows_the_journal
from nirantar.continuity.custody import earlier_identities
from nirantar.continuity.filling import Between, LogFill, OldLog, PageFill
from nirantar.continuity.first_needed import charts_first
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.continuity.log_reading import LogReading, Step
from nirantar.continuity.recovery_state import RECOVERY_FILE, RecoveryFiles, RecoveryState, WholeLog
from nirantar.continuity.replay import KeptEntry, Progress, bring_forward, bring_forward_in_recovery, follows
from nirantar.errors import Damaged, Finding, IdentityWrong, SetupError
from nirantar.fold.custody import Custody
from nirantar.fold.roster import Roster
from nirantar.host.database_files import remove_database
from nirantar.host.port import Host, LazyDatabase
from nirantar.host.times import from_instant
from nirantar.interactions.doors import RecoveryStatus
from nirantar.journal.attachments import Attachments
from nirantar.journal.entry import Hlc, attachments_in
from nirantar.journal.log import JournalWriter
from nirantar.journal.reader import JournalReader
from nirantar.store.sqlite import SqliteView
from nirantar.tlog.note import Verifier
from nirantar.vault.port import Vault
from nirantar.vault.snapshots import open_with_keys

_POISONED: Final = (
    "The view that came with the snapshot is not what the logs give: somebody changed it before it was signed. This "
    "node only reads. Start it again: it then folds its view from the journal, which is whole."
)


class RecoveryUnderWay:
    """The recovery of the node in `directory`. `open_file` once, then `bring_forward`, then `start`, then `stop`."""

    def __init__(
        self, host: Host, directory: Path, path: Path, state: RecoveryState, roster: Roster, vaults: Sequence[Vault]
    ) -> None:
        self._host = host
        self._directory = directory
        self._files = RecoveryFiles(host, directory)
        self._path = path
        self._state = state
        self._vaults = vaults
        grants = {grant.node: grant for grant in roster.grants}
        self._grants = roster.by_origin()
        verifier = Verifier.parse(grants[state.node].vkey)
        self._manifest = state.open_manifest(verifier, roster.slug)
        self._logs = [OldLog(grant.origin, grant.vkey, state.tails[grant.origin].end)
                      for grant in roster.grants if grant.origin in state.tails]
        self._file: LazyDatabase | None = None
        self._keeping = Lock()
        self._pages: PageFill | None = None
        self._entries: LogFill | None = None
        self._reader: JournalReader | None = None
        self._trouble: str | None = None
        self._identity: RecoveryIdentity | None = None
        self._identities: tuple[str, ...] = ()

    def use(self, identity: RecoveryIdentity, authority: Verifier, custody: Custody | None) -> None:
        """Bring the old logs' entries, too, with the hospital's recovery identity. Raises IdentityWrong for another."""
        if identity.verifier.vkey != authority.vkey:
            raise IdentityWrong("This is not the recovery identity that is in force at the hospital of this directory.")
        earlier = () if custody is None else earlier_identities(custody, identity)
        self._identity, self._identities = identity, (identity.age_identity, *earlier)

    @property
    def newest_clock(self) -> Hlc:
        """What every new entry comes after."""
        return Hlc.parse(self._state.newest_clock)

    @property
    def expected(self) -> dict[str, int]:
        """How many entries of each old log are to come."""
        return {log.origin: log.end for log in self._logs}

    @property
    def digest(self) -> bytes:
        """The view digest of the snapshot, under which what it holds is proven."""
        return bytes.fromhex(self._manifest.contents.view_digest)

    @property
    def over(self) -> bool:
        """Whether the view has all its pages and the journal all its entries."""
        return self.file.complete and len(self._state.complete) == len(self._logs)

    @property
    def damaged(self) -> bool:
        """Whether no vault has some of the view's pages as they were stored."""
        return self._pages is not None and self._pages.damaged

    @property
    def _only_damaged_left(self) -> bool:
        return self.damaged and len(self._state.complete) == len(self._logs)

    @property
    def file(self) -> LazyDatabase:
        """The view's file."""
        if self._file is None:
            source = open_with_keys(self._vaults, self._manifest, self._state.keys())
            self._file = self._host.lazy_database(self._path, source, self._state.snapshot_name)
        return self._file

    def close_file(self) -> None:
        """Release the view's file, after the view."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def bring_forward(self, reader: JournalReader, view: SqliteView, own: str, progress: Progress) -> None:
        """Fold what the view lacks: of the old logs from what was kept, of the node's own from its journal. Raises
        Damaged where the view is not the snapshot's."""
        with view.reader() as state:
            if state.settled_digest() != self.digest:
                raise Damaged("The view's digest is another one than its snapshot has.")
            positions = state.positions()
        tails: dict[str, Sequence[KeptEntry]] = {}
        for log in self._logs:
            have = positions[log.origin].entries if log.origin in positions else 0
            if have < log.end:
                tails[log.origin] = self._files.tail(log.origin, self._state.tails[log.origin])
        if not tails:
            bring_forward_in_recovery(reader, view, own, tails, progress)
            return
        with closing(view.ahead(limits.RECOVERY_AHEAD_THREADS)) as ahead:
            bring_forward_in_recovery(reader, view, own, tails, progress, ahead)

    def start(
        self, view: SqliteView, journal: JournalWriter, reader: JournalReader, attachments: Attachments, *,
        between: Between, founded: Founded, over: Callable[[], None], stop_writing: Callable[[str], None],
    ) -> None:
        """Begin to fill. Entries come only with the recovery identity. When the logs are whole, the report of the
        recovery is signed; when everything is here and proven, `over` is called; `stop_writing`, with a sentence,
        where the view is not what the logs give."""
        self._reader = reader

        def kept(reading: LogReading, step: Step) -> None:
            digests = [each.sha256 for each in attachments_in(step.data or b"", reading.origin, step.entry_index)]
            fetch_attachments(self._vaults, attachments, reading, step.entry_index, digests)

        def filled() -> None:
            if (self.over or self._only_damaged_left) and self._end(view, reader, between, stop_writing):
                over()

        self._pages = PageFill(self._host, self.file, lambda: self._charts_first(view), filled)
        self._pages.start()
        left = [log for log in self._logs if log.origin not in self._state.complete]
        if self._identity is not None and left:
            self._entries = LogFill(
                self._host, self._vaults, self._identities, left, journal, between,
                kept=kept, completed=lambda log, reading: self._completed(log, reading, founded), done=filled,
            )
            self._entries.start()

    def stop(self) -> None:
        """End what is under way; the next start goes on."""
        for fill in (self._pages, self._entries):
            if fill is not None:
                fill.stop()

    def _end(
        self, view: SqliteView, reader: JournalReader, between: Between, stop_writing: Callable[[str], None]
    ) -> bool:
        """Compare the view with the whole journal, row by row; whether the recovery is over."""
        if not self.file.complete:
            self._rebuild(
                "No vault has some parts of the snapshot as they were stored. The journal is whole: when the node is "
                "started again it folds its view from that."
            )
            return False
        if not between(lambda: _follow(reader, view)).result() or not shows_the_journal(
            view, reader, self._grants
        ):
            self._rebuild(_POISONED)
            stop_writing(_POISONED)
            return False
        self._files.remove()
        return True

    def _rebuild(self, trouble: str) -> None:
        """The view cannot be had from the snapshot: the next start folds it anew from the journal."""
        self._trouble = trouble
        with self._keeping:
            self._state = msgspec.structs.replace(self._state, rebuild=True)
            self._files.keep(self._state)

    def status(self) -> RecoveryStatus:
        """For pages, `/health` and the terminal."""
        contents = self._manifest.contents
        pages = contents.page_count
        total = sum(log.end for log in self._logs)
        here = 0 if self._reader is None else sum(min(self._reader.size(log.origin), log.end) for log in self._logs)
        entries_left = len(self._state.complete) < len(self._logs)
        troubles = (self._trouble, self._pages and self._pages.trouble, self._entries and self._entries.trouble)
        return RecoveryStatus(
            snapshot=f"{self._state.serial} of {self._state.node}", snapshot_at_us=from_instant(contents.created),
            journalled=self._state.journalled, pages=pages, pages_here=pages - self.file.absent,
            entries=total, entries_here=here, needs_identity=entries_left and self._entries is None,
            trouble=next((each for each in troubles if each), None),
            findings=tuple(f"{each.where}: {each.what}" for each in self._state.findings),
        )

    def _completed(self, log: OldLog, reading: LogReading, founded: Founded) -> None:
        """A log is whole. With the last one the report is signed, before the state says that nothing is left."""
        if self._reader is None or self._identity is None:
            raise AssertionError("entries come after `start`, with the identity")
        grant = founded.roster.by_origin()[log.origin]
        proven = reading.proven_size - self._reader.lacking(log.origin, reading.proven_size)
        whole = WholeLog(recorded(reading, grant, self._reader.lacking(log.origin, reading.size)), proven)
        with self._keeping:
            state = self._state.completed(whole, [*reading.findings, *sealed_after_closing(grant, reading)])
            if len(state.complete) == len(self._logs):
                write_report(
                    self._host, self._directory, self._vaults, founded, self._identity.authority,
                    _gave(state, self._host.now_us()),
                )
            self._state = state
            self._files.keep(state)

    def _charts_first(self, view: SqliteView) -> Iterator[None]:
        return charts_first(view, self._host.now_us(), limits.RECOVERY_CHARTS_FIRST_MAX)


def _gave(state: RecoveryState, now_us: int) -> Recovered:
    """What the recovery gave, once its logs are whole. Resources are not counted: half of the view may be missing."""
    logs = [each.recorded for each in state.complete.values()]
    findings = [Finding(each.where, each.what, each.kind) for each in state.findings]
    verified = sum(each.verified for each in state.complete.values())
    whole = not findings and verified == sum(each.promised for each in logs)
    return Recovered(logs, verified, {}, findings, None, whole, state.began_us, now_us)


def _follow(reader: JournalReader, view: SqliteView) -> bool:
    """Fold what lies behind the old logs' closing, as evidence. False where the view is not of these journals."""
    if not follows(reader, view):
        return False
    bring_forward(reader, view)
    return True


def require_recovery_over(host: Host, directory: Path) -> None:
    """Raise SetupError while a recovery is under way: neither view nor journal is whole yet."""
    if host.files.exists(directory / RECOVERY_FILE):
        raise SetupError(
            f"The recovery of {directory} is still under way: its view and journal are not whole yet. Let it end "
            f"first: nirantar recover --resume {directory} --identity FILE"
        )


def recovery_under_way(
    host: Host, directory: Path, path: Path, roster: Roster, vaults: Sequence[Vault]
) -> RecoveryUnderWay | None:
    """The recovery that is under way in a directory; None where none is. One that left only the view to be folded anew
    is over: its view is removed. Raises Damaged, SnapshotDamaged."""
    files = RecoveryFiles(host, directory)
    state = files.read()
    if state is not None and state.rebuild:
        remove_database(host, path)
        files.remove()
        return None
    return None if state is None else RecoveryUnderWay(host, directory, path, state, roster, vaults)
