"""Sealing: copying the journal to vaults, every second or at once when a writer waits for it.

Each vault has a follower thread of its own, so a slow or failed one is shown and never blocks the desks or another
vault. What a vault holds is learned from the vault itself at the first contact; nothing about it needs to be kept.
Before each sealing the vault must show its founding document: the empty directory under a disk that is not mounted, or
a vault that somebody emptied, is not taken for one that still holds what it confirmed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event, Lock, Thread

from nirantar import limits
from nirantar.continuity import guard
from nirantar.continuity.merging import Ladder, Merger, learn
from nirantar.continuity.vault_witness import VaultWitness
from nirantar.continuity.witnessing import KeeperWitness, Witnessing
from nirantar.errors import Conflict, Damaged, Forbidden, NirantarError, NotFound, SegmentDamaged, VaultUnavailable
from nirantar.host.port import Host
from nirantar.interactions.doors import VaultStatus
from nirantar.journal.attachments import Attachments
from nirantar.journal.entry import attachments_in
from nirantar.journal.reader import JournalReader
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.note import Verifier
from nirantar.tlog.tiles import TILE_WIDTH
from nirantar.vault.keys import HOSPITAL_KEY, LEVELS, AttachmentKey, SegmentKey, TileKey
from nirantar.vault.port import Vault, WitnessingVault
from nirantar.vault.segments import check_sealed, encode_segment


@dataclass(slots=True)
class _Follower:
    """One vault and how far it follows each log. `met` says that it was reached since the start."""

    vault: Vault
    met: bool = False
    ladders: dict[str, Ladder] = field(default_factory=dict)
    oldest_waiting_us: int | None = None
    trouble: str | None = None
    lacks: str | None = None
    unmerged: str | None = None
    wake: Event = field(default_factory=Event)

    def confirmed(self, origin: str) -> int:
        """How many entries of a log the vault is known to hold."""
        ladder = self.ladders.get(origin)
        return 0 if ladder is None else ladder.end


class Sealer:
    """Seals every log of the directory to every vault; the node's own first.

    `publish` puts the hospital's papers into a vault that is met for the first time. `stop_writing` is told why when a
    vault that could not be asked at start turns out to know more of the node's log than the node (invariant 12), or
    when `closed` says that a recovery has taken the node's place. `recipients` is asked for every segment: a rotation
    changes it while the node runs. `witnessing` has keepers cosign; without it what they say is kept in vaults only.
    """

    def __init__(
        self, host: Host, reader: JournalReader, attachments: Attachments, own_origin: str, vaults: Sequence[Vault],
        recipients: Callable[[], Sequence[str]], *, publish: Callable[[Vault], None],
        closed: Callable[[Vault], str | None], stop_writing: Callable[[str], None],
        witnessing: Witnessing | None = None,
    ) -> None:
        self._host = host
        self._reader = reader
        self._attachments = attachments
        self._own_origin = own_origin
        self._recipients = recipients
        self._merger = Merger(host, reader, recipients)
        self._merging = Lock()
        self._publish = publish
        self._closed = closed
        self._stop_writing = stop_writing
        self._witnessing = witnessing or Witnessing(host, None, reader, own_origin, stop_writing)
        self._followers = [_Follower(vault) for vault in vaults]
        self._waiting: list[tuple[int, Future[None], int]] = []
        self._turn = Lock()
        self._stopping = Event()
        self._threads: list[Thread] = []

    def start(self) -> None:
        """Follow in the background, a thread for each vault."""
        for follower in self._followers:
            for work, name in ((self._follow, "sealer"), (self._keep_merged, "merger")):
                thread = Thread(target=work, args=(follower,), name=name, daemon=True)
                thread.start()
                self._threads.append(thread)

    def stop(self) -> None:
        """Seal what is there once more, then end."""
        self._stopping.set()
        for follower in self._followers:
            follower.wake.set()
        for thread in self._threads:
            thread.join()
        self._fail_waiting(older_than_us=None)

    def confirmed(self, entry_index: int) -> Future[None]:
        """Done once any vault holds the node's own entries up to this index. Fails with VaultUnavailable after
        VAULT_CONFIRM_SECONDS_MAX."""
        future: Future[None] = Future()
        with self._turn:
            self._waiting.append((entry_index, future, self._host.monotonic_us()))
        for follower in self._followers:
            follower.wake.set()
        self._answer_waiting()
        return future

    def status(self) -> tuple[VaultStatus, ...]:
        """How far each vault follows, for pages and metrics."""
        now_us = self._host.now_us()
        return tuple(
            VaultStatus(
                each.vault.location, each.vault.warning, each.confirmed(self._own_origin),
                0.0 if each.oldest_waiting_us is None else max(0.0, (now_us - each.oldest_waiting_us) / 1e6),
                each.trouble,
            )
            for each in self._followers
        )

    def step(self) -> None:
        """Seal to every vault once and merge what is due, in the calling thread; trouble is in `status`. The threads do
        this in a loop."""
        for follower in self._followers:
            self._seal_and_answer(follower)
            while self._merge(follower):
                pass

    def _follow(self, follower: _Follower) -> None:
        pause = limits.SEAL_INTERVAL_SECONDS
        while True:
            stopping = self._stopping.is_set()
            sealed = self._seal_and_answer(follower)
            if stopping:
                return
            pause = limits.SEAL_INTERVAL_SECONDS if sealed else min(pause * 2, limits.VAULT_RETRY_SECONDS_MAX)
            follower.wake.wait(pause)
            follower.wake.clear()

    def _keep_merged(self, follower: _Follower) -> None:
        """Merge at its own pace: sealing never waits for it. What could not be stored is not tried again at once."""
        pause = limits.SEAL_INTERVAL_SECONDS
        while not self._stopping.wait(pause):
            while self._merge(follower) and not self._stopping.is_set():
                pass
            failed = follower.unmerged is not None
            pause = min(pause * 2, limits.MERGE_RETRY_SECONDS_MAX) if failed else limits.SEAL_INTERVAL_SECONDS

    def _merge(self, follower: _Follower) -> bool:
        """Write one merged segment, one at a time for all vaults, so that memory holds one; whether there was one."""
        with self._merging:
            for origin, ladder in list(follower.ladders.items()):
                try:
                    if self._merger.merge(follower.vault, origin, ladder):
                        follower.unmerged = None
                        return True
                except (NirantarError, OSError) as failure:
                    follower.unmerged = f"What is in the vault could not be merged: {failure}"
        return False

    def _seal_and_answer(self, follower: _Follower) -> bool:
        """Whether sealing went through; what it lacks or why it failed is the follower's trouble."""
        try:
            self._seal(follower)
        except (NirantarError, OSError) as failure:
            follower.trouble = str(failure)
            if isinstance(failure, Conflict) and isinstance(follower.vault, WitnessingVault):
                # An attempt without an answer may have stored a segment of other bounds: it is asked where it stands.
                follower.ladders.clear()
            return False
        else:
            follower.trouble = follower.lacks or follower.unmerged
            return True
        finally:
            self._answer_waiting()
            self._fail_waiting(self._host.monotonic_us() - int(limits.VAULT_CONFIRM_SECONDS_MAX * 1e6))

    def _seal(self, follower: _Follower) -> None:
        """Bring one vault up to the newest checkpoint of every log."""
        if not follower.met:
            self._meet(follower)
        origins = sorted(self._reader.origins(), key=lambda origin: origin != self._own_origin)
        for origin in origins:
            signed = self._reader.checkpoint(origin)
            if signed is None:
                continue
            checkpoint, note = signed
            if origin == self._own_origin and checkpoint.tree_size > follower.confirmed(origin):
                follower.oldest_waiting_us = follower.oldest_waiting_us or self._host.now_us()
            if isinstance(follower.vault, WitnessingVault):
                self._cosign(follower, follower.vault, origin, signed)
            if origin in follower.ladders and follower.confirmed(origin) >= checkpoint.tree_size:
                continue
            self._require_papers(follower)
            if origin not in follower.ladders:
                follower.ladders[origin] = learn(follower.vault, self._reader, origin)
            ladder = follower.ladders[origin]
            while ladder.end < checkpoint.tree_size:
                if not self._seal_segment(follower, ladder, origin, checkpoint.tree_size, note.decode()):
                    break
            if ladder.end >= checkpoint.tree_size:
                ladder.follows(checkpoint.tree_size, note.decode())
            self._witnessing.leave(follower.vault, origin, at_once=self._stopping.is_set())
        follower.oldest_waiting_us = None

    def cosigned(self, origin: str, entry_index: int) -> bytes | None:
        """The newest checkpoint of a log that a keeper among the vaults cosigned and that covers this entry; waits a
        little for one of an entry that was only just written. None where there is none."""
        if not any(isinstance(each.vault, WitnessingVault) for each in self._followers):
            return None
        return self._witnessing.covering(origin, entry_index, seconds=limits.PROOF_COSIGNATURE_SECONDS_MAX)

    def _cosign(
        self, follower: _Follower, witness: WitnessingVault, origin: str, signed: tuple[Checkpoint, bytes]
    ) -> None:
        try:
            self._witnessing.bring_up(witness, origin, *signed)
        except Forbidden:
            # The witness says that the log is closed: then the roster that closed it says so, too.
            self._heed_closing(follower)
            raise

    def _meet(self, follower: _Follower) -> None:
        """The first contact: see that it protects what it will be given, leave the papers, and learn whether the vault
        knows more of our log than we do."""
        self._heed_closing(follower)
        follower.vault.require_protection()
        self._publish(follower.vault)
        verifier = Verifier.parse(self._reader.origins()[self._own_origin])
        why = guard.rolled_back(self._own_origin, self._reader, witnesses_in((follower.vault,), verifier))
        if why is not None:
            self._stop_writing(why)
            raise Conflict(why)
        follower.met = True

    def _require_papers(self, follower: _Follower) -> None:
        try:
            follower.vault.get(HOSPITAL_KEY, 0, 1)
        except NotFound:
            follower.ladders.clear()
            raise VaultUnavailable(
                f"{follower.vault.location} no longer holds {HOSPITAL_KEY}: is its disk mounted, or was it emptied?"
            ) from None
        self._heed_closing(follower)

    def _heed_closing(self, follower: _Follower) -> None:
        """Seal and write no more once a recovery took this node's place: what it then wrote would never be folded."""
        why = self._closed(follower.vault)
        if why is not None:
            self._stop_writing(why)
            follower.trouble = why
            self._fail_waiting(None)
            raise Conflict(why)

    def _seal_segment(self, follower: _Follower, ladder: Ladder, origin: str, size: int, note: str) -> bool:
        """Store the attachments and tiles that the next segment refers to or completes, then the segment. False when
        there is nothing to store: the bytes of all that is left were lost before recovery.

        A segment's age encryption is never twice the same, so its key can be used once only; tiles are the same bytes
        every time. In this order a failure in between leaves nothing that the next attempt must not write again, and a
        segment in a vault means that everything it refers to is there, too.
        """
        first, entries, leaves = self._next_entries(origin, ladder.end, size)
        if not entries:
            return False
        node = origin.rpartition("/")[2]
        for position, entry in enumerate(entries):
            for attachment in attachments_in(entry, origin, first + position):
                try:
                    sealed = self._attachments.sealed(attachment.sha256)
                except Damaged as damage:
                    # What is gone here cannot be copied; the log goes on, and the page says what it lacks.
                    follower.lacks = str(damage)
                    continue
                follower.vault.put_new(str(AttachmentKey(node, attachment.sha256)), sealed)
        self._store_tiles(follower, origin, node, ladder.end, first + len(entries))
        try:
            for count in range(len(entries), 0, -1):
                key = SegmentKey(node, LEVELS[0], first, count)
                proof = self._reader.range_proof(origin, key.first, key.end, size)
                data = encode_segment(
                    origin, first, entries[:count], leaves[:count], proof=proof, checkpoint_note=note,
                    recipients=self._recipients(),
                )
                if _store(follower.vault, key, data, leaves[:count], last_try=count == 1):
                    ladder.sealed(key)
                    break
        except NotFound as lost:
            follower.lacks = f"Entries from {first} on cannot be proven alone, so they are not copied: {lost}"
            return False
        return True

    def _next_entries(self, origin: str, start: int, size: int) -> tuple[int, list[bytes], list[bytes]]:
        """The next entries that one segment takes, those lost before a recovery passed over: the first one's index,
        their bytes, their leaf hashes."""
        first = start
        entries: list[bytes] = []
        leaves: list[bytes] = []
        plain_bytes = 0
        for entry_index, data, leaf in self._reader.entries(origin, start, size):
            if not data and not entries:
                continue
            plain_bytes += len(data) + 1
            full = len(entries) == limits.SEGMENT_ENTRIES_MAX or plain_bytes > limits.SEGMENT_PLAIN_BYTES_MAX
            if not data or (entries and full):
                break
            first = first if entries else entry_index
            entries.append(data)
            leaves.append(leaf)
        return first, entries, leaves

    def _store_tiles(self, follower: _Follower, origin: str, node: str, old_size: int, new_size: int) -> None:
        """Full tiles only: everything in a vault is immutable. A keeper makes them itself. One whose key somebody took
        before, or whose hashes were lost before a recovery, is lacking: the log goes on without it, since only gaps are
        bridged by tiles."""
        if isinstance(follower.vault, WitnessingVault):
            return
        level, old, new = 0, old_size // TILE_WIDTH, new_size // TILE_WIDTH
        while new > old:
            for number in range(old, new):
                with suppress(NotFound):
                    tile = self._reader.tile(origin, level, number, TILE_WIDTH)
                    try:
                        follower.vault.put_new(str(TileKey(node, level, number)), tile)
                    except Conflict as taken:
                        follower.lacks = str(taken)
            level, old, new = level + 1, old // TILE_WIDTH, new // TILE_WIDTH

    def _answer_waiting(self) -> None:
        size = max((each.confirmed(self._own_origin) for each in self._followers), default=0)
        with self._turn:
            done = [future for index, future, _ in self._waiting if index < size]
            self._waiting = [each for each in self._waiting if each[0] >= size]
        for future in done:
            future.set_result(None)

    def _fail_waiting(self, older_than_us: int | None) -> None:
        with self._turn:
            late = [each for each in self._waiting if older_than_us is None or each[2] < older_than_us]
            self._waiting = [each for each in self._waiting if each not in late]
        troubles = "; ".join(each.trouble for each in self._followers if each.trouble) or "the vault is too slow."
        for _, future, _ in late:
            future.set_exception(VaultUnavailable(troubles))


def _store(vault: Vault, key: SegmentKey, data: bytes, leaves: Sequence[bytes], *, last_try: bool) -> bool:
    """Store a segment, or find that an attempt that reported failure stored it all the same. False where something else
    lies under its key, which somebody put there: another number of entries has a key of its own."""
    try:
        vault.put_new(str(key), data)
    except Conflict as refusal:
        try:
            return check_sealed(vault.get(str(key)), key=str(key)).leaf_hashes == b"".join(leaves)
        except NotFound:
            # A keeper that does not take it now: it holds more, or less, than was thought.
            raise refusal from None
        except SegmentDamaged:
            if last_try:
                raise Conflict(f"{vault.location} already holds something that is no segment under {key}") from None
            return False
    return True


def witnesses_in(vaults: Sequence[Vault], verifier: Verifier) -> list[guard.Witness]:
    """Every vault as a witness of the log that `verifier` verifies; a keeper also by what it cosigned."""
    found: list[guard.Witness] = [VaultWitness(vault, verifier) for vault in vaults]
    return found + [KeeperWitness(vault, verifier) for vault in vaults if isinstance(vault, WitnessingVault)]
