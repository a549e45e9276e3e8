"""What comes to a recovered node while it serves: the rest of its view's pages, and the old logs' entries.

Each has a thread of its own and survives its troubles: what cannot be had now is tried again, what is damaged is passed
over and told, the rest goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from threading import Event, Thread
from typing import Protocol, TypeVar

from nirantar import limits
from nirantar.continuity.log_reading import Gap, LogReading, Step
from nirantar.continuity.vault_reading import read_log, reading_from
from nirantar.errors import Damaged, FsyncFailed, NirantarError, NotHereYet, Overloaded, Unavailable
from nirantar.host.port import Host, LazyDatabase
from nirantar.journal.log import JournalWriter
from nirantar.store.disk_errors import translated
from nirantar.tlog.merkle import Frontier
from nirantar.tlog.note import Verifier
from nirantar.vault.port import Vault

T = TypeVar("T")


class Between(Protocol):
    """Runs work in the writer's thread between two batches (journal.sequencer has it)."""

    def __call__(self, work: Callable[[], T]) -> Future[T]:
        """The work's result to come."""


class Fill:
    """One thread that fills until it is done or stopped. `trouble` is its last failure's sentence, None while all is
    well; `done` is called once, in that thread, when nothing is left."""

    def __init__(self, host: Host, name: str, done: Callable[[], None]) -> None:
        self._host = host
        self._done = done
        self._stopping = Event()
        self._thread = Thread(target=self._serve, name=name, daemon=True)
        self.trouble: str | None = None
        self.complete = False

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after what is under way."""
        self._stopping.set()
        if self._thread.ident is not None:
            # What is done at the end reads the whole view; it is not waited for.
            self._thread.join(limits.RECOVERY_STOP_SECONDS_MAX)

    def fill(self) -> bool:
        """One go through what is left; whether nothing is. Raises what hinders it."""
        raise NotImplementedError

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                if self.fill():
                    self.complete, self.trouble = True, None
                    self._done()
                    return
            except FsyncFailed as failure:
                self._host.exit(f"{failure} What the disk holds is unknown, so the node stops; start it again.")
            except (NirantarError, OSError) as failure:
                self.trouble = str(failure)
            self._stopping.wait(limits.RECOVERY_RETRY_SECONDS)


class PageFill(Fill):
    """Brings every page of the view: first those of the charts that `first` reads, one a step, then from the start.
    `damaged`: no vault has some of them as they were stored."""

    def __init__(
        self, host: Host, file: LazyDatabase, first: Callable[[], Iterator[None]], done: Callable[[], None]
    ) -> None:
        super().__init__(host, "fill-pages", done)
        self._file = file
        self._first = first
        self._settled_us = 0
        self.damaged = False

    def fill(self) -> bool:
        """See Fill. What is needed first is tried again with each go."""
        for _ in self._first():
            if self._stopping.is_set():
                return False
            self._settle_sometimes()
        passed: NotHereYet | None = None
        at = 0
        while (pages := self._absent_from(at)) and not self._stopping.is_set():
            at = pages[-1] + 1
            try:
                if not self._file.bring_many(pages):
                    raise Unavailable("The disk takes no more of the view's pages; free some space.")
            except NotHereYet as failure:
                passed = failure
                self.damaged |= not isinstance(failure.__cause__, Unavailable)
            self._settle_sometimes()
        self._settle()
        if passed is not None and self._file.absent:
            raise passed
        return self._file.complete

    def _absent_from(self, at: int) -> list[int]:
        def absent() -> Iterator[int]:
            page = self._file.next_absent(at)
            while page is not None:
                yield page
                page = self._file.next_absent(page + 1)

        return list(islice(absent(), limits.RECOVERY_PAGES_AT_ONCE))

    def _settle_sometimes(self) -> None:
        if self._host.monotonic_us() - self._settled_us > limits.RECOVERY_SETTLE_SECONDS * 1e6:
            self._settle()

    def _settle(self) -> None:
        with translated():
            self._file.settle()
        self._settled_us = self._host.monotonic_us()


@dataclass(frozen=True, slots=True)
class OldLog:
    """A log that the recovery closed: its key, and how many entries of it count."""

    origin: str
    vkey: str
    end: int


class LogFill(Fill):
    """Brings the old logs' entries into the journal, in order and proven, by the writer's thread between its batches.

    `kept` is told each entry before it is appended (its attachments are fetched there), `completed` each log that is
    whole.
    """

    def __init__(
        self, host: Host, vaults: Sequence[Vault], identities: Sequence[str], logs: Sequence[OldLog],
        journal: JournalWriter, between: Between, *, kept: Callable[[LogReading, Step], None],
        completed: Callable[[OldLog, LogReading], None],
        done: Callable[[], None],
    ) -> None:
        super().__init__(host, "fill-logs", done)
        self._vaults = vaults
        self._identities = identities
        self._logs = logs
        self._journal = journal
        self._between = between
        self._kept = kept
        self._completed = completed
        self._whole: set[str] = set()

    def fill(self) -> bool:
        """See Fill."""
        return all(log.origin in self._whole or self._one(log) for log in self._logs)

    def _one(self, log: OldLog) -> bool:
        """Bring one log; False when it was stopped."""
        frontier = self._in_turn(lambda: self._journal.frontier(log.origin))
        reading = reading_from(self._vaults, Verifier.parse(log.vkey), max(0, frontier.size - 1))
        if reading is None:
            raise Unavailable(f"No vault holds entry {frontier.size - 1} of {log.origin}, to go on from there.")
        here = reading.frontier
        waiting: list[Step | Gap] = []
        size = 0
        for step in read_log(self._vaults, self._identities, reading):
            if here.size < frontier.size:
                here = _after(here, step)
                if here.size >= frontier.size and here.hashes != frontier.hashes:
                    raise Damaged(f"The journal's entries of {log.origin} are others than the vault's: verify both.")
                continue
            if isinstance(step, Step) and step.data is not None:
                self._kept(reading, step)
                size += len(step.data)
            waiting.append(step)
            if len(waiting) >= limits.RECOVERY_ENTRIES_AT_ONCE or size > limits.RECOVERY_BYTES_AT_ONCE:
                self._append(log.origin, waiting)
                waiting, size = [], 0
            if self._stopping.is_set():
                return False
        self._append(log.origin, waiting)
        if reading.head_note:
            self._in_turn(lambda: self._put_checkpoint(log.origin, reading))
        self._completed(log, reading)
        self._whole.add(log.origin)
        return True

    def _append(self, origin: str, steps: Sequence[Step | Gap]) -> None:
        if not steps:
            return

        def append() -> None:
            journal = self._journal
            journal.begin()
            try:
                for step in steps:
                    if isinstance(step, Gap):
                        journal.append_gap(step.frontier, origin)
                    elif step.data is None:
                        journal.append_missing(step.leaf_hash, origin)
                    else:
                        journal.append(step.data, origin)
                journal.keep()
            except BaseException:
                journal.roll_back()
                raise

        self._in_turn(append)

    def _put_checkpoint(self, origin: str, reading: LogReading) -> None:
        self._journal.begin()
        try:
            self._journal.put_checkpoint(origin, reading.head_size, self._host.now_us(), reading.head_note)
            self._journal.keep()
        except BaseException:
            self._journal.roll_back()
            raise

    def _in_turn(self, work: Callable[[], T]) -> T:
        while True:
            try:
                return self._between(work).result(limits.WRITE_WAIT_SECONDS_MAX)
            except Overloaded:
                if self._stopping.wait(1.0):
                    raise


def _after(frontier: Frontier, step: Step | Gap) -> Frontier:
    """The tree's frontier once a step is read, too."""
    if isinstance(step, Gap):
        return step.frontier
    grown = frontier.copy()
    grown.extend([step.leaf_hash])
    return grown
