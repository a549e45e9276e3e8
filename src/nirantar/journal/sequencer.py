"""The single writer: group commit, the middle of an entry's life in ARCHITECTURE.md.

A batch opens one journal and one view transaction. Each waiting member runs in a savepoint of both: it checks its
preconditions against the uncommitted view, its entry is appended and projected. Then the journal is committed
(synchronous FULL), then the view (NORMAL), then all members are answered. That order is why a reader can never see
what a crash would take back, and why an answer means durable.

What goes wrong has one meaning each: a member's own error undoes only that member; a full disk undoes the batch and
tells every member; a failed fsync ends the process, since nobody knows what the disk now holds; and so does a view
that cannot follow a committed journal for another reason than a full disk, since the next start folds it anew.

Long because one order of commits, one queue and one meaning for each failure are read together or not understood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from queue import Empty, Full, Queue
from threading import Thread
from typing import Any, Final, Protocol, TypeVar

from nirantar import limits
from nirantar.errors import Damaged, DiskFull, FsyncFailed, Overloaded, ReadOnly
from nirantar.fhir.outline import Outline
from nirantar.host.port import Host
from nirantar.journal.entry import Entry, Hlc, clock_of, encode
from nirantar.journal.log import Appended, JournalWriter

_RETRY_SECONDS: Final = 1.0
_STOPPING: Final = "The node is stopping and takes no more writes."


class Projection(Protocol):
    """What the sequencer needs of the view: its writing side (store.port.View has it)."""

    def begin(self) -> None:
        """Open the batch."""

    def savepoint(self) -> None:
        """Start a member."""

    def release(self) -> None:
        """Keep a member."""

    def roll_back_member(self) -> None:
        """Undo a member."""

    def commit(self) -> None:
        """Show the batch to readers."""

    def roll_back(self) -> None:
        """Undo the batch."""

    def project(
        self, entry_index: int, leaf_hash: bytes, entry: Entry, outlines: Mapping[tuple[str, str], Outline] = ...
    ) -> None:
        """Fold one entry."""

    def skip(self, origin: str, entry_index: int, leaf_hash: bytes, why: str) -> None:
        """Count an entry that cannot be folded."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a member may know when its turn comes: where its entry will stand, and when. `read_entry` gives the bytes
    of an entry by (origin, index), those of earlier members of the same batch included."""

    origin: str
    entry_index: int
    now_us: int
    hlc: Hlc
    read_entry: Callable[[str, int], bytes]


class Member(Protocol):
    """One waiting write. All of it runs in the writer's thread: `prepare` before its batch begins, `decide` inside the
    savepoint, against the uncommitted view. `outlines` are those of the resources in the entry that it decided on."""

    outlines: dict[tuple[str, str], Outline]

    def question(self) -> bytes | None:
        """What a `Preparation` needs to know to prepare this member in its place; None where it cannot."""

    def answered(self, answer: bytes) -> None:
        """Take what a `Preparation` made of the question; `prepare` goes on from there."""

    def prepare(self) -> None:
        """Do all that does not depend on the state. Raising refuses this member alone, before it is in any batch."""

    def decide(self, turn: Turn) -> Entry | None:
        """The entry to append, or None when there is nothing to write (a retry of what is already there).
        Raising undoes this member alone."""

    def answer(self, appended: Appended | None) -> Any:
        """What the caller gets once the batch is durable."""


class Preparation(Protocol):
    """Prepares members elsewhere while the writer commits others. May refuse, and may fail to answer: what it did not
    prepare, the writer prepares itself."""

    def begin(self, members: Sequence[Member]) -> bool:
        """Begin with these members; False when that is not possible now."""

    def finish(self) -> None:
        """Wait until the members that were begun with have their answers, or will have none."""

    def stop(self) -> None:
        """End it."""


@dataclass(slots=True)
class _Waiting:
    member: Member
    future: Future[Any]


@dataclass(slots=True)
class _Between:
    """Work that waits for the end of a batch."""

    work: Callable[[], Any]
    future: Future[Any]


T = TypeVar("T")


class Sequencer:
    """Runs members one after another in commit batches. `start` gives it a thread; without one, `step` runs what waits,
    which is how the simulation drives it. With a `preparation` what waits is prepared there while the batch before it
    is committed."""

    def __init__(
        self, host: Host, journal: JournalWriter, view: Projection, preparation: Preparation | None = None, *,
        after: Hlc | None = None,
    ) -> None:
        """`after` is a clock reading that the journal does not know of and every new entry comes after."""
        self._host = host
        self._preparation = preparation
        self._journal = journal
        self._view = view
        self._queue: Queue[_Waiting | _Between | None] = Queue(limits.WRITE_QUEUE_MEMBERS_MAX)
        self._thread: Thread | None = None
        self._refusal: str | None = None
        self._stopped = False
        self._behind: list[tuple[Appended, Entry]] = []
        self._hlc = max(self._newest_hlc(), after or Hlc(0, 0))
        self._size = journal.size()

    @property
    def size(self) -> int:
        """Committed entries of the node's own log, as of the last batch."""
        return self._size

    def start(self) -> None:
        """Begin to serve `submit` in a thread of its own."""
        self._thread = Thread(target=self._serve, name="sequencer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish what waits, then end the thread. Members submitted afterwards are refused."""
        self._stopped = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        if self._preparation is not None:
            self._preparation.stop()
        # A member whose thread passed `submit`'s check in time may stand behind the end of the queue.
        for each in self._waiting_now():
            each.future.set_exception(ReadOnly(_STOPPING))

    def refuse_writes(self, why: str) -> None:
        """From now on answer every member with ReadOnly and this sentence."""
        self._refusal = why

    def submit(self, member: Member) -> Future[Any]:
        """Queue a member. The future gets its answer once durable, or its error. Raises Overloaded, ReadOnly."""
        if self._refusal is not None:
            raise ReadOnly(self._refusal)
        if self._stopped:
            raise ReadOnly(_STOPPING)
        waiting = _Waiting(member, Future())
        self._put(waiting)
        return waiting.future

    def _put(self, waiting: _Waiting | _Between) -> None:
        try:
            self._queue.put_nowait(waiting)
        except Full:
            raise Overloaded(
                f"{limits.WRITE_QUEUE_MEMBERS_MAX} writes are already waiting "
                "(WRITE_QUEUE_MEMBERS_MAX): try again in a moment."
            ) from None

    def between(self, work: Callable[[], T]) -> Future[T]:
        """Run `work` in the writer's thread between two batches, when the view has everything that the journal has.

        Writers wait for it, so it takes milliseconds. Its error is the future's; FsyncFailed ends the process. Raises
        Overloaded, and ReadOnly where the node is stopping.
        """
        if self._stopped:
            raise ReadOnly(_STOPPING)
        waiting = _Between(work, Future())
        self._put(waiting)
        return waiting.future

    def step(self) -> int:
        """Run the members that wait, as one batch, in the calling thread; how many they were."""
        waiting = list(islice(self._members_in_step(), limits.BATCH_MEMBERS_MAX))
        batch = self._prepared(waiting)
        if batch:
            self._run(batch)
        else:
            self._catch_up()
        return len(waiting)

    def _members_in_step(self) -> Iterator[_Waiting]:
        for item in self._waiting_now():
            if isinstance(item, _Between):
                self._run_between(item)  # no batch is open yet
            else:
                yield item

    def _waiting_now(self) -> Iterator[_Waiting | _Between]:
        while True:
            try:
                item = self._queue.get_nowait()
            except Empty:
                return
            if item is not None:
                yield item

    def _serve(self) -> None:
        ahead: list[_Waiting] = []
        stopping = False
        while not stopping or ahead:
            waiting: list[_Waiting] = []
            between: _Between | None = None
            if not stopping:
                waiting, between, stopping = self._gather(wait=not ahead)
            helped = between is None and self._begin_to_prepare(waiting)
            if ahead:
                self._run(ahead)
            if helped and self._preparation is not None:
                self._preparation.finish()
            ahead = self._prepared(waiting)
            if ahead and not (helped and between is None):
                self._run(ahead)
                ahead = []
            if between is not None:
                self._run_between(between)

    def _gather(self, *, wait: bool) -> tuple[list[_Waiting], _Between | None, bool]:
        """The members that wait, perhaps none; what is to be done after them; whether the writer is to stop then."""
        waiting: list[_Waiting] = []
        most = limits.BATCH_MEMBERS_MAX if self._preparation is None else limits.PREPARED_ELSEWHERE_MEMBERS_MAX
        try:
            item = self._queue.get(block=wait, timeout=_RETRY_SECONDS if self._behind else None)
            while isinstance(item, _Waiting):
                waiting.append(item)
                if len(waiting) == most:
                    return waiting, None, False
                item = self._queue.get_nowait()
        except Empty:
            if not waiting:
                self._catch_up()
            return waiting, None, False
        return waiting, item, item is None

    def _begin_to_prepare(self, waiting: Sequence[_Waiting]) -> bool:
        """Whether these are being prepared elsewhere: worth its way only for several."""
        return (
            self._preparation is not None and len(waiting) >= limits.PREPARED_ELSEWHERE_MEMBERS_MIN
            and self._preparation.begin([each.member for each in waiting])
        )

    def _prepared(self, waiting: Sequence[_Waiting]) -> list[_Waiting]:
        """Those who take part in the batch: who is wrong in itself, or was cancelled, does not."""
        batch = []
        for each in waiting:
            # From here on nobody can cancel it: its answer must find its future, durable as it then is.
            if not each.future.set_running_or_notify_cancel():
                continue
            try:
                each.member.prepare()
            except Exception as error:  # noqa: BLE001 - it is this member's own, and nothing was begun
                each.future.set_exception(error)
            else:
                batch.append(each)
        return batch

    def _run(self, batch: Sequence[_Waiting]) -> None:
        try:
            self._commit_batch(batch)
        except FsyncFailed as failure:
            self._host.exit(f"{failure} What the disk holds is unknown, so the node stops; start it again.")
        except Exception as failure:  # noqa: BLE001 - whatever it is, nobody may be left waiting
            # Anything else undid the whole batch: every member hears it, none is half done.
            self._undo(failure)
            for each in batch:
                if not each.future.done():
                    each.future.set_exception(failure)

    def _run_between(self, waiting: _Between) -> None:
        if not waiting.future.set_running_or_notify_cancel():
            return
        try:
            self._bring_view_forward()
            waiting.future.set_result(waiting.work())
        except FsyncFailed as failure:
            self._host.exit(f"{failure} What the disk holds is unknown, so the node stops; start it again.")
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is the asker's
            if isinstance(failure, DiskFull):
                self._view.roll_back()
            waiting.future.set_exception(failure)

    def _undo(self, failure: Exception) -> None:
        try:
            self._journal.roll_back()
            self._view.roll_back()
        except Exception as reason:  # noqa: BLE001 - whatever it is, the state is unknown
            self._host.exit(f"{reason} A batch could not be undone after: {failure} The node stops; start it again.")

    def _commit_batch(self, batch: Sequence[_Waiting]) -> None:
        self._bring_view_forward()
        hlc_before = self._hlc
        self._journal.begin()
        self._view.begin()
        kept: list[tuple[_Waiting, Appended | None]] = []
        written: list[tuple[Appended, Entry]] = []
        refused: list[tuple[_Waiting, BaseException]] = []
        try:
            for each in batch:
                self._run_member(each, kept, written, refused)
            if written:
                self._journal.commit()
                self._size = self._journal.size()
            else:
                self._journal.roll_back()
        except BaseException:
            self._hlc = hlc_before
            raise
        self._show(written)
        for each, error in refused:
            each.future.set_exception(error)
        for each, appended in kept:
            try:
                each.future.set_result(each.member.answer(appended))
            except Exception as error:  # noqa: BLE001 - it is this member's answer, and only its
                each.future.set_exception(error)

    def _show(self, written: list[tuple[Appended, Entry]]) -> None:
        """Commit the view after its journal."""
        try:
            self._view.commit()
        except DiskFull:
            # The journal has them, so they are durable and are answered so; the view follows before the next batch.
            self._view.roll_back()
            self._behind = written
        except FsyncFailed:
            raise
        except Exception as reason:  # noqa: BLE001 - whatever it is, readers would stay behind
            self._host.exit(
                f"{reason} The journal is committed and the view cannot follow it, so the node stops: the next start "
                "brings the view forward, or makes it anew."
            )

    def _run_member(
        self,
        each: _Waiting,
        kept: list[tuple[_Waiting, Appended | None]],
        written: list[tuple[Appended, Entry]],
        refused: list[tuple[_Waiting, BaseException]],
    ) -> None:
        self._journal.savepoint()
        self._view.savepoint()
        now_us = self._host.now_us()
        hlc = self._hlc.after(now_us)
        try:
            turn = Turn(self._journal.origin, self._journal.size(), now_us, hlc, self._journal.data)
            entry = each.member.decide(turn)
            appended = None
            if entry is not None:
                appended = self._journal.append(encode(entry))
                self._view.project(appended.entry_index, appended.leaf_hash, entry, each.member.outlines)
        except (DiskFull, FsyncFailed, Damaged):
            raise
        except Exception as error:  # noqa: BLE001 - a member's own error undoes that member alone
            self._journal.roll_back_member()
            self._view.roll_back_member()
            refused.append((each, error))
            return
        self._journal.release()
        self._view.release()
        kept.append((each, appended))
        if entry is not None and appended is not None:
            self._hlc = hlc
            written.append((appended, entry))

    def _catch_up(self) -> None:
        """While nobody writes: show what a full disk kept out of the view, if there is room again."""
        try:
            self._bring_view_forward()
        except DiskFull:
            self._view.roll_back()
        except Exception as reason:  # noqa: BLE001 - whatever it is, readers would stay behind
            self._host.exit(f"{reason} The view cannot follow its journal, so the node stops; start it again.")

    def _bring_view_forward(self) -> None:
        """Project what a full disk kept out of the view. Raises DiskFull while there is still no room."""
        if not self._behind:
            return
        self._view.begin()
        for appended, entry in self._behind:
            self._view.project(appended.entry_index, appended.leaf_hash, entry)
        self._view.commit()
        self._behind = []

    def _newest_hlc(self) -> Hlc:
        """The highest clock reading in any log held here, so that a clock set back never reorders.

        Of another's log, entries that cannot be read say nothing (they may be lost, or forged by whoever had its key),
        and a clock far ahead of its own entry's time is not believed: it would carry this node's clock away for good.
        """
        newest = Hlc(0, 0)
        for origin in self._journal.origins():
            for entry_index in range(self._journal.size(origin) - 1, -1, -1):
                data = self._journal.data(origin, entry_index)
                read = clock_of(data, origin, entry_index, own=origin == self._journal.origin)
                if read is not None:
                    newest = max(newest, read)
                    break
        return newest
