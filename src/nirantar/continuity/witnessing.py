"""The node's side of a witness: before anything is put, the newest checkpoint is cosigned; what is cosigned is kept.

A vault that witnesses (a keeper) takes only what a checkpoint covers that it has cosigned. That it does not cosign is
how a node learns that it was rolled back, or that its log went another way (invariant 12).

Cosigned checkpoints are objects of their own: the newest goes into every vault each COSIGNATURE_INTERVAL_SECONDS, and
into the node's directory, so that a recovery from another vault learns how far the log had come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock

from nirantar import limits
from nirantar.errors import Conflict, ProofInvalid, VaultUnavailable, WitnessConflict
from nirantar.host.port import Host
from nirantar.journal.reader import JournalReader
from nirantar.tlog.checkpoint import Checkpoint, open_checkpoint
from nirantar.tlog.merkle import consistency_proof
from nirantar.tlog.note import Note, Verifier
from nirantar.tlog.tiles import TileHashReader
from nirantar.vault.keys import CosignatureKey, cosignatures_from, parse
from nirantar.vault.port import Vault, WitnessingVault

COSIGNED_DIRECTORY = "cosigned"
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A checkpoint as a witness cosigned it: its size, the note with all signatures, the first cosigning key's id."""

    tree_size: int
    note: bytes
    key_id: str


class Witnessing:
    """Brings witnesses up to the node's logs, and keeps what they say. Safe between the sealer's threads."""

    def __init__(
        self, host: Host, directory: Path | None, reader: JournalReader, own_origin: str,
        stop_writing: Callable[[str], None],
    ) -> None:
        """`directory` is where the newest cosigned checkpoints are kept; None keeps them in vaults alone."""
        self._host = host
        self._directory = directory
        self._reader = reader
        self._own_origin = own_origin
        self._stop_writing = stop_writing
        self._turn = Lock()
        self._sizes: dict[tuple[str, str], int] = {}
        self._asked_us: dict[str, int] = {}
        self._newest: dict[str, Cosigned] = {}
        self._left_us: dict[tuple[str, str], int] = {}
        self._kept: dict[str, int] = {}

    def bring_up(self, vault: WitnessingVault, origin: str, checkpoint: Checkpoint, note: bytes) -> None:
        """Have this checkpoint cosigned, unless it was. Raises Conflict when the witness has seen more of the log, or
        another one, and then the node writes no more; VaultUnavailable and its kin when it cannot be asked."""
        place = (vault.location, origin)
        if place not in self._sizes:
            known = vault.cosigned(origin)
            self._sizes[place] = 0 if known is None else size_of(known, self._verifier(origin))
        if origin != self._own_origin and self._sizes[place] >= checkpoint.tree_size:
            return
        for _ in range(_ATTEMPTS):
            old_size = self._sizes[place]
            if old_size > checkpoint.tree_size:
                raise self._stopped(
                    f"This node's log has {checkpoint.tree_size} entries, but {vault.location} cosigned {old_size}: "
                    "its disk was rolled back."
                )
            if old_size == checkpoint.tree_size and not self._stale(vault):
                return
            try:
                cosigned = vault.cosign(note, old_size, self._proof(origin, old_size, checkpoint.tree_size))
            except WitnessConflict as other:
                self._sizes[place] = other.cosigned_size
                continue
            except ProofInvalid as reason:
                raise self._stopped(
                    f"This node's log is another one than {vault.location} cosigned at {old_size} entries ({reason}): "
                    "its disk was rolled back and it then went on another way, or its entries were rewritten."
                ) from None
            self._sizes[place] = checkpoint.tree_size
            self._asked_us[vault.location] = self._host.monotonic_us()
            with self._turn:
                self._newest[origin] = Cosigned(checkpoint.tree_size, cosigned, _first_cosigner(cosigned, origin))
            return
        raise VaultUnavailable(f"{vault.location} named another cosigned size at each of {_ATTEMPTS} attempts.")

    def leave(self, vault: Vault, origin: str, *, at_once: bool = False) -> None:
        """Put the newest cosigned checkpoint of a log into a vault, and beside the journal, once in a while."""
        with self._turn:
            newest = self._newest.get(origin)
        if newest is None:
            return
        place, now_us = (vault.location, origin), self._host.monotonic_us()
        left_us = self._left_us.get(place)
        if left_us is not None and not at_once and now_us - left_us < limits.COSIGNATURE_INTERVAL_SECONDS * 1e6:
            return
        node = origin.rpartition("/")[2]
        key = CosignatureKey(node, newest.tree_size, newest.key_id)
        # The same tree, cosigned again at another time, is no other claim: one statement of it is enough.
        with suppress(Conflict):
            vault.put_new(str(key), newest.note)
        self._left_us[place] = now_us
        with self._turn:
            if self._directory is None or self._kept.get(origin) == newest.tree_size:
                return
            self._kept[origin] = newest.tree_size
        self._host.files.make_directory(self._directory)
        self._host.files.replace(self._directory / f"{node}.note", newest.note, mode=0o640)

    def _stale(self, vault: Vault) -> bool:
        """Whether the witness has not heard of this node for a while: a quiet node is not a silent one."""
        asked_us = self._asked_us.get(vault.location)
        return asked_us is None or self._host.monotonic_us() - asked_us >= limits.HEARTBEAT_SECONDS * 1e6

    def _proof(self, origin: str, old_size: int, new_size: int) -> tuple[bytes, ...]:
        if not 0 < old_size < new_size:
            return ()
        return consistency_proof(old_size, new_size, TileHashReader(new_size, partial(self._reader.tile, origin)))

    def _stopped(self, what: str) -> Conflict:
        why = f"{what} It only reads. Recover the hospital from its vault under a new node name: nirantar recover."
        self._stop_writing(why)
        return Conflict(why)

    def _verifier(self, origin: str) -> Verifier:
        return Verifier.parse(self._reader.origins()[origin])


@dataclass(frozen=True, slots=True)
class KeeperWitness:
    """A witnessing vault, asked as guard.Witness about the log that `verifier` verifies."""

    vault: WitnessingVault
    verifier: Verifier

    def largest_size(self, origin: str) -> int:
        """Entries that it has cosigned."""
        head = self.newest_head(origin)
        return 0 if head is None else head[0]

    def newest_head(self, origin: str) -> tuple[int, bytes] | None:
        """Tree size and root of what it cosigned last."""
        note = self.vault.cosigned(origin)
        if note is None:
            return None
        try:
            checkpoint = open_checkpoint(note, self.verifier)
        except ProofInvalid:
            return None
        return checkpoint.tree_size, checkpoint.root_hash


def size_of(note: bytes, verifier: Verifier) -> int:
    """The size that a note speaks of, if the log signed it; 0 if not: its keeper is asked again then."""
    try:
        return open_checkpoint(note, verifier).tree_size
    except ProofInvalid:
        return 0


def claims(vaults: Iterable[Vault], verifier: Verifier, beyond: int) -> list[tuple[str, Checkpoint]]:
    """What witnesses say of a log, each with where it was said: the newest checkpoint that each keeper cosigned, and
    cosigned checkpoints in vaults that go beyond `beyond` entries.

    The log's own signature alone makes such a claim good: whoever cannot sign for the log cannot make one. Raises
    VaultUnavailable.
    """
    found: list[tuple[str, Checkpoint]] = []
    node = verifier.name.rpartition("/")[2]
    for vault in vaults:
        notes = []
        if isinstance(vault, WitnessingVault):
            known = vault.cosigned(verifier.name)
            notes += [] if known is None else [(vault.location, known)]
        for key in vault.list(f"{node}/cosignature/", after=cosignatures_from(node, beyond + 1)):
            if isinstance(parse(key), CosignatureKey):
                notes.append((f"{vault.location} {key}", vault.get(key)))
        for where, note in notes:
            # What the log did not sign says nothing.
            with suppress(ProofInvalid):
                found.append((where, open_checkpoint(note, verifier)))
    return found


def _first_cosigner(note: bytes, origin: str) -> str:
    """The id of the first key that is not the log's own, in hex."""
    for signature in Note.parse(note).signatures:
        if signature.name != origin:
            return signature.key_id.hex()
    raise ProofInvalid("A keeper answered without a cosignature.")
