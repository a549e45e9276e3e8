"""Snapshots of the view, every few minutes, without a pause of the desks.

One snapshot is under way at a time: its moment is fixed between two batches of the writer, its changed pages are packed
onto this disk (`snapshot_taking.py`), and only then does it go to the vaults (`snapshot_storing.py`), so no vault can
hold the view's log up. The next one is taken when a vault has the last. The first is full.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Protocol, TypeVar

import msgspec

from nirantar import limits
from nirantar.continuity.snapshot_choice import SNAPSHOT_TYPE
from nirantar.continuity.snapshot_state import LastSnapshot, SnapshotFiles
from nirantar.continuity.snapshot_storing import SnapshotStore
from nirantar.continuity.snapshot_taking import Issuer, SnapshotTaker
from nirantar.errors import DiskFull, FsyncFailed, NirantarError, Overloaded, ReadOnly, Unavailable
from nirantar.host.port import Host
from nirantar.host.times import from_instant
from nirantar.interactions.authorize import Caller
from nirantar.interactions.doors import SnapshotStatus
from nirantar.interactions.transact import Transact
from nirantar.interactions.transaction import Purpose
from nirantar.store.port import FreezableView, FrozenView, View
from nirantar.vault.manifests import note_sha256

T = TypeVar("T")


class SnapshotView(View, FreezableView, Protocol):
    """The view of a node that takes snapshots."""


class Between(Protocol):
    """Runs work in the writer's thread between two batches (journal.sequencer has it)."""

    def __call__(self, work: Callable[[], T]) -> Future[T]:
        """The work's result to come."""


class Snapshotter:
    """Takes snapshots of one node's view each `seconds` and brings them to the vaults of `store`.

    `why_not` says why the node may not write now, or None.
    """

    def __init__(
        self, host: Host, files: SnapshotFiles, store: SnapshotStore, issuer: Issuer, view: SnapshotView, *,
        between: Between, transact: Transact, seconds: float, why_not: Callable[[], str | None],
    ) -> None:
        self._host = host
        self._files = files
        self._issuer = issuer
        self._view = view
        self._between = between
        self._transact = transact
        self._store = store
        self._seconds = seconds
        self._why_not = why_not
        self._turn = Lock()
        self._wake = Event()
        self._stopping = Event()
        self._taker = SnapshotTaker(host, files, issuer, self._require_running)
        self._caller = Caller(f"node:{issuer.node}", issuer.node, "integration", issuer.node)
        self._last: LastSnapshot | None = None
        self._looked = False
        self._trouble: str | None = None
        self._thread: Thread | None = None
        self._due_us = 0
        self._longest_pause_us = 0

    @property
    def longest_pause_us(self) -> int:
        """The longest time in microseconds for which the last snapshot, or attempt, held the writer up."""
        return self._longest_pause_us

    @property
    def last(self) -> LastSnapshot | None:
        """The newest snapshot, perhaps still on its way to the vaults."""
        return self._last

    def start(self) -> None:
        """Take and store snapshots in the background; the first one when the interval has passed."""
        self._due_us = self._host.monotonic_us() + int(self._seconds * 1e6)
        self._store.start(stored=self._wake.set)
        self._thread = Thread(target=self._serve, name="snapshots", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; a snapshot that is being taken is given up."""
        self._stopping.set()
        self._wake.set()
        self._store.stop()
        if self._thread is not None:
            self._thread.join()

    def status(self) -> SnapshotStatus:
        """For pages and `/health`."""
        last = self._last
        stored_in, lacking = self._store.status()
        trouble = self._trouble or lacking
        if last is None:
            return SnapshotStatus(0, 0, 0, 0, trouble)
        contents = last.manifest.contents
        return SnapshotStatus(
            last.manifest.serial, from_instant(contents.created), contents.new_bytes, stored_in, trouble
        )

    def step(self) -> None:
        """Bring the last snapshot to every vault, take another if there is something new, bring and journal it; in the
        calling thread.

        Raises what hinders the taking; a vault's trouble is in `status`.
        """
        with self._turn:
            self._look()
            self._store.step()
            self._finish()
            if self._may_take():
                self._take()
                self._store.step()
                self._finish()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                with self._turn:
                    self._round()
            except FsyncFailed as failure:
                self._host.exit(f"{failure} What the disk holds is unknown, so the node stops; start it again.")
            except (NirantarError, OSError) as failure:
                self._trouble = str(failure)
                self._due_us = self._host.monotonic_us() + int(limits.SNAPSHOT_RETRY_SECONDS * 1e6)
            wait_us = self._due_us - self._host.monotonic_us()
            # What waits to be journalled or removed is looked at again also where no snapshot is due.
            self._wake.wait(min(max(wait_us / 1e6, 0.1), limits.SNAPSHOT_RETRY_SECONDS))

    def _round(self) -> None:
        self._look()
        self._finish()
        if self._host.monotonic_us() < self._due_us:
            return
        self._due_us = self._host.monotonic_us() + int(self._seconds * 1e6)
        if self._why_not() is None and self._may_take():
            self._take()
        self._trouble = None

    def _look(self) -> None:
        """Once: what the last snapshot was, and away with what an attempt left that came to nothing."""
        if self._looked:
            return
        self._last = self._files.read_last(
            self._issuer.signer.verifier, slug=self._issuer.slug, node=self._issuer.node
        )
        packs = self._last.manifest.contents.packs if self._last is not None else []
        self._files.drop_packs(but=frozenset(pack.name for pack in packs))
        self._store.offer(self._last)
        self._looked = True

    def _may_take(self) -> bool:
        """Whether the last snapshot is safe in a vault and something happened since."""
        if self._last is None or self._store.wants_full:
            return True
        return self._store.stored and not self._quiet(self._last)

    def _quiet(self, last: LastSnapshot) -> bool:
        """Whether nothing was folded since the last snapshot but the record of it."""
        with self._view.reader() as state:
            now = {origin: position.entries for origin, position in state.positions().items()}
            record = state.read(SNAPSHOT_TYPE, self._issuer.node)
        then = {origin: position.entries for origin, position in last.manifest.contents.positions.items()}
        own = self._issuer.signer.name
        if record is not None and record.origin == own and record.entry_index == then.get(own, 0):
            then[own] = record.entry_index + 1
        return now == then

    def _finish(self) -> None:
        """Journal the last snapshot once a vault has it; then its packs need not wait here any longer."""
        last = self._last
        if last is None or not self._store.stored or self._why_not() is not None:
            return
        if self._journalled_serial() < last.manifest.serial:
            contents = last.manifest.contents
            record = {
                "resourceType": SNAPSHOT_TYPE, "id": self._issuer.node, "serial": last.manifest.serial,
                "manifestSha256": note_sha256(last.note), "viewDigest": contents.view_digest,
                "positions": {origin: position.entries for origin, position in contents.positions.items()},
            }
            self._transact.system_record(self._caller, record, Purpose("snapshot", durability="node"))
        if self._store.settled:
            self._files.drop_packs()

    def _journalled_serial(self) -> int:
        shown = self._view.shown(SNAPSHOT_TYPE, self._issuer.node)
        if shown is None or shown.resource is None:
            return 0
        serial: int = msgspec.json.decode(shown.resource)["serial"]
        return serial

    def _take(self) -> None:
        """Take the next snapshot and offer it to the vaults. Raises DiskFull, Overloaded, Unavailable, Damaged."""
        base = self._last
        if base is not None and (self._store.wants_full or not self._taker.may_build_on(base)):
            base = None
        serial = self._next_serial()
        self._longest_pause_us = 0
        frozen = self._view.freezing()
        kept = False
        try:
            self._settle()
            self._while_writers_wait(frozen.freeze)
            last = self._taker.take(frozen, base, serial)
            kept = True
        finally:
            if kept:
                frozen.close(kept=True)
            else:
                self._let_go(frozen)
        if last is not None:
            self._last = last
            self._store.offer(last)
        self._shorten_log()

    def _shorten_log(self) -> None:
        """Settling and a held moment make the log long; moving it would hold the writer up."""
        with suppress(DiskFull, Overloaded):  # the writer tries again after his batches
            moved = self._view.move_log()
            if moved is not None:
                self._while_writers_wait(lambda: self._view.log_moved(moved))

    def _let_go(self, frozen: FrozenView) -> None:
        with suppress(ReadOnly, Overloaded):
            self._while_writers_wait(lambda: frozen.close(kept=False))
            return
        # The writer is stopping: nothing has to be remembered for the next snapshot, which begins with a comparison.
        frozen.close(kept=True)

    def _settle(self) -> None:
        """Bring the digest nearly up to date in small steps, each as short as a batch, with as long a pause after."""
        for _ in range(limits.SNAPSHOT_SETTLE_ROUNDS_MAX):
            self._shorten_log()
            started_us = self._host.monotonic_us()
            left = self._while_writers_wait(lambda: self._view.settle_some(limits.SNAPSHOT_SETTLED_AT_ONCE))
            if left <= limits.SNAPSHOT_SETTLED_AT_ONCE:
                return
            self._stopping.wait((self._host.monotonic_us() - started_us) / 1e6)
            self._require_running()
        raise Overloaded(
            "So much is being written that the view digest does not catch up (SNAPSHOT_SETTLE_ROUNDS_MAX): the next "
            "snapshot is tried later."
        )

    def _while_writers_wait(self, work: Callable[[], T]) -> T:
        """The work's result, done in the writer's thread between two batches."""

        def timed() -> T:
            started_us = self._host.monotonic_us()
            try:
                return work()
            finally:
                self._longest_pause_us = max(self._longest_pause_us, self._host.monotonic_us() - started_us)

        return self._between(timed).result(limits.WRITE_WAIT_SECONDS_MAX)

    def _next_serial(self) -> int:
        """One more than any snapshot of this node that is known here, in the journal or in a vault within reach."""
        known = [self._journalled_serial(), self._store.highest_seen]
        known.append(self._store.highest_stored() if self._last is None else self._last.manifest.serial)
        return max(known) + 1

    def _require_running(self) -> None:
        if self._stopping.is_set():
            raise Unavailable("The node is stopping, so the snapshot was given up.")
