"""Bringing snapshots to vaults: a thread for each, so that a slow or failed one holds nothing else up.

Packs go first, then the map, then the manifest: a manifest in a vault means that everything it names is there. What a
vault lacks of an earlier snapshot it gets from another vault; where none has it, the next snapshot is a full one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from threading import Event, Lock, Thread

from nirantar import limits
from nirantar.continuity.snapshot_state import LastSnapshot, SnapshotFiles
from nirantar.errors import Conflict, NirantarError, NotFound, VaultUnavailable
from nirantar.vault.keys import HOSPITAL_KEY, MapKey, PackKey
from nirantar.vault.manifests import Pack
from nirantar.vault.port import Vault
from nirantar.vault.snapshots import snapshot_serials


@dataclass(slots=True)
class _Follower:
    """One vault; `serial` is the newest snapshot that it is known to hold whole, `map` the chunks of that one."""

    vault: Vault
    serial: int = 0
    map: frozenset[str] = frozenset()
    trouble: str | None = None
    wake: Event = field(default_factory=Event)
    turn: Lock = field(default_factory=Lock)


class SnapshotStore:
    """The vaults of one node, each following the snapshot that was last offered.

    `wants_full`: what a vault lacks is nowhere any more, so the next snapshot must be full. `highest_seen` is the
    serial of a snapshot that a vault holds and this node does not know.
    """

    def __init__(self, files: SnapshotFiles, vaults: Sequence[Vault], *, node: str) -> None:
        self._files = files
        self._node = node
        self._followers = [_Follower(vault) for vault in vaults]
        self._stored = Event().set
        self._offered: LastSnapshot | None = None
        self._stopping = Event()
        self._threads: list[Thread] = []
        self._turn = Lock()
        self.wants_full = False
        self.highest_seen = 0

    def start(self, *, stored: Callable[[], None]) -> None:
        """Follow in the background; `stored` is called after each attempt, from several threads."""
        self._stored = stored
        for follower in self._followers:
            thread = Thread(target=self._follow, args=(follower,), name="snapshot-store", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """End after the object under way."""
        self._stopping.set()
        for follower in self._followers:
            follower.wake.set()
        for thread in self._threads:
            thread.join()

    def offer(self, snapshot: LastSnapshot | None) -> None:
        """The snapshot that the vaults should hold now."""
        with self._turn:
            self._offered = snapshot
            self.wants_full = False
        for follower in self._followers:
            follower.wake.set()

    @property
    def stored(self) -> bool:
        """Whether any vault holds the offered snapshot."""
        return any(self._holds(follower) for follower in self._followers)

    @property
    def settled(self) -> bool:
        """Whether each vault holds the offered snapshot or failed at it: others will get it from one that has it."""
        return all(self._holds(follower) or follower.trouble is not None for follower in self._followers)

    def status(self) -> tuple[int, str | None]:
        """How many vaults hold the offered snapshot, and the trouble of those that do not."""
        lacking = [f"{each.vault.location}: {each.trouble}" for each in self._followers if each.trouble is not None]
        return sum(self._holds(each) for each in self._followers), "; ".join(lacking) or None

    def highest_stored(self) -> int:
        """The highest serial of this node that any vault within reach holds; 0 where there is none."""
        try:
            return max(snapshot_serials([each.vault for each in self._followers], self._node), default=0)
        except VaultUnavailable:
            return 0

    def step(self) -> None:
        """Bring every vault up once, in the calling thread."""
        for follower in self._followers:
            self._bring(follower)

    def _holds(self, follower: _Follower) -> bool:
        offered = self._offered
        return offered is not None and follower.serial == offered.manifest.serial

    def _follow(self, follower: _Follower) -> None:
        while not self._stopping.is_set():
            follower.wake.clear()
            self._bring(follower)
            follower.wake.wait(limits.SNAPSHOT_RETRY_SECONDS)

    def _bring(self, follower: _Follower) -> None:
        with follower.turn:
            snapshot = self._offered
            if snapshot is None or self._holds(follower):
                return
            try:
                self._store(follower, snapshot)
            except (NirantarError, OSError) as failure:
                follower.trouble = str(failure)
            else:
                follower.trouble = None
                follower.serial = snapshot.manifest.serial
                follower.map = frozenset(snapshot.manifest.contents.map)
        self._stored()

    def _store(self, follower: _Follower, snapshot: LastSnapshot) -> None:
        manifest, vault = snapshot.manifest, follower.vault
        try:
            vault.get(HOSPITAL_KEY, 0, 1)
        except NotFound:
            follower.serial = 0
            raise VaultUnavailable(f"{vault.location} does not hold its hospital's papers (yet).") from None
        if self._has_manifest(vault, snapshot):
            return
        follows = 0 < follower.serial == manifest.serial - 1
        for pack in manifest.contents.packs:
            self._require_time()
            self._store_pack(follower, pack, follows=follows)
        for chunk in snapshot.chunks:
            if not (follows and chunk.digest in follower.map):
                self._require_time()
                vault.put_new(str(MapKey(self._node, chunk.digest)), chunk.data)
        vault.put_new(manifest.key, snapshot.note)

    def _has_manifest(self, vault: Vault, snapshot: LastSnapshot) -> bool:
        """Whether it is there already. Raises Conflict where another is: a state that was lost is begun anew, with a
        serial that is free."""
        try:
            found = vault.get(snapshot.manifest.key, 0, limits.NOTE_BYTES_MAX)
        except NotFound:
            return False
        if found != snapshot.note:
            with self._turn:
                self.highest_seen = max(self.highest_seen, snapshot.manifest.serial)
                self.wants_full = True
            raise Conflict(
                f"{vault.location} holds another snapshot {snapshot.manifest.serial} of this node; a full one follows."
            )
        return True

    def _store_pack(self, follower: _Follower, pack: Pack, *, follows: bool) -> None:
        """See that the vault has a pack: from this disk, else it must be there, else from another vault."""
        key = str(PackKey(self._node, pack.name))
        data = self._files.pack(pack.name)
        if data is None:
            if follows or _is_there(follower.vault, key):
                return
            data = self._from_another(follower, key)
        if data is None or sha256(data).hexdigest() != pack.sha256:
            with self._turn:
                self.wants_full = True
            raise NotFound("it lacks pages that no other vault has; a full snapshot follows.")
        follower.vault.put_new(key, data)

    def _from_another(self, follower: _Follower, key: str) -> bytes | None:
        """The object from another vault; None where none has it. Raises VaultUnavailable where one could not say."""
        trouble: VaultUnavailable | None = None
        for other in self._followers:
            if other is not follower:
                try:
                    return other.vault.get(key)
                except NotFound:
                    continue
                except VaultUnavailable as failure:
                    trouble = failure
        if trouble is not None:
            raise VaultUnavailable(str(trouble))
        return None

    def _require_time(self) -> None:
        if self._stopping.is_set():
            raise VaultUnavailable("The node is stopping.")


def _is_there(vault: Vault, key: str) -> bool:
    try:
        vault.get(key, 0, 1)
    except NotFound:
        return False
    return True
