"""The node's side of a witness: before anything is put, the newest checkpoint is cosigned; what is cosigned is kept.

A vault that witnesses (a keeper) takes only what a checkpoint covers that it has cosigned. That it does not cosign is
how a node learns that it was rolled back, or that its log went another way (invariant 12).

Cosigned checkpoints are objects of their own: the newest goes into every vault each COSIGNATURE_INTERVAL_SECONDS, and
into the node's directory, so that a recovery from another vault learns how far the log had come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Condition, Lock
from typing import Final

from nirantar import limits
from nirantar.errors import Conflict, Finding, ProofInvalid, VaultUnavailable, WitnessConflict
from nirantar.host.port import Host
from nirantar.journal.reader import JournalReader
from nirantar.tlog.checkpoint import Checkpoint, open_checkpoint
from nirantar.tlog.cosignature import Cosignature, CosignatureVerifier, open_cosigned_checkpoint
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
        stop_writing: Callable[[str], None], *, pinned: Sequence[CosignatureVerifier] = (),
    ) -> None:
        """`directory` is where the newest cosigned checkpoints are kept; None keeps them in vaults alone. With `pinned`
        keys only what one of them signed counts."""
        self._host = host
        self._directory = directory
        self._reader = reader
        self._own_origin = own_origin
        self._stop_writing = stop_writing
        self._pinned = tuple(pinned)
        self._turn = Lock()
        self._heard = Condition(self._turn)
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
            self._require_pinned(vault, origin, cosigned)
            self._sizes[place] = checkpoint.tree_size
            self._asked_us[vault.location] = self._host.monotonic_us()
            with self._turn:
                self._newest[origin] = Cosigned(checkpoint.tree_size, cosigned, _first_cosigner(cosigned, origin))
                self._heard.notify_all()
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

    def covering(self, origin: str, entry_index: int, *, seconds: float) -> bytes | None:
        """The newest cosigned checkpoint of a log, if it covers this entry. For an entry of the node's own log that was
        only just written it waits so many seconds; for others it takes what lies beside the journal, too."""
        with self._turn:
            if origin == self._own_origin:
                self._heard.wait_for(lambda: self._covers(origin, entry_index), timeout=seconds)
            if self._covers(origin, entry_index):
                return self._newest[origin].note
        kept = None if self._directory is None else self._directory / f"{origin.rpartition('/')[2]}.note"
        if kept is None or not self._host.files.exists(kept):
            return None
        note = self._host.files.read(kept)
        return note if size_of(note, self._verifier(origin)) > entry_index else None

    def _require_pinned(self, vault: Vault, origin: str, note: bytes) -> None:
        """Raise VaultUnavailable where keys are pinned and none of them signed this note."""
        if not self._pinned:
            return
        with suppress(ProofInvalid):
            if open_cosigned_checkpoint(note, self._verifier(origin), self._pinned)[1]:
                return
        raise VaultUnavailable(
            f"What {vault.location} cosigned bears no good signature of a key in this node's setting `witnesses`: it "
            "is another keeper than was set up, or its keys have changed. nirantar keeper status DIR shows its keys."
        )

    def _covers(self, origin: str, entry_index: int) -> bool:
        newest = self._newest.get(origin)
        return newest is not None and newest.tree_size > entry_index

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


@dataclass(frozen=True, slots=True)
class Claim:
    """A checkpoint that a witness was shown: where it was said, the note, and the statements of pinned keys on it."""

    where: str
    checkpoint: Checkpoint
    note: bytes
    statements: tuple[Cosignature, ...] = ()


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Who is asked how far a log had come: `vaults` beside those that are read, which are asked anyway, and `pinned`
    keys, of which at least one must have spoken."""

    vaults: Sequence[Vault] = ()
    pinned: Sequence[CosignatureVerifier] = ()


NOBODY: Final = Witnesses()


def unvouched(claimed: Iterable[Claim], origin: str, witnesses: Witnesses) -> Iterator[Finding]:
    """The finding that none of the pinned keys says anything of a log, where some are pinned."""
    if witnesses.pinned and not any(each.statements for each in claimed):
        yield Finding(
            origin, "no witness whose key was named says how far this log had come: its end may have been cut off",
            "unwitnessed",
        )


def claims(
    vaults: Iterable[Vault], verifier: Verifier, beyond: int, pinned: Sequence[CosignatureVerifier] = ()
) -> list[Claim]:
    """What witnesses say of a log: the newest checkpoint that each keeper cosigned, and of the cosigned checkpoints in
    each vault the newest that counts, where it goes beyond `beyond` entries or keys are pinned.

    The log's own signature alone makes such a claim good: whoever cannot sign for the log cannot make one. A bad
    signature of a pinned key spoils it. Raises VaultUnavailable.
    """
    found: list[Claim] = []
    node = verifier.name.rpartition("/")[2]
    after = "" if pinned else cosignatures_from(node, beyond + 1)
    for vault in vaults:
        known = vault.cosigned(verifier.name) if isinstance(vault, WitnessingVault) else None
        if known is not None:
            found += _claim(vault.location, known, verifier, pinned)
        keys = list(vault.list(f"{node}/cosignature/", after=after))
        for key in (each for each in reversed(keys) if isinstance(parse(each), CosignatureKey)):
            # What the log did not sign says nothing: anybody who adds to a vault can put it there.
            if claim := _claim(f"{vault.location} {key}", vault.get(key), verifier, pinned):
                found += claim
                break
    return found


def _claim(where: str, note: bytes, verifier: Verifier, pinned: Sequence[CosignatureVerifier]) -> list[Claim]:
    with suppress(ProofInvalid):
        return [Claim(where, open_checkpoint(note, verifier), note, _statements(note, verifier, pinned))]
    return []


def _statements(
    note: bytes, verifier: Verifier, pinned: Sequence[CosignatureVerifier]
) -> tuple[Cosignature, ...]:
    return open_cosigned_checkpoint(note, verifier, pinned)[1] if pinned else ()


def _first_cosigner(note: bytes, origin: str) -> str:
    """The id of the first key that is not the log's own, in hex."""
    for signature in Note.parse(note).signatures:
        if signature.name != origin:
            return signature.key_id.hex()
    raise ProofInvalid("A keeper answered without a cosignature.")
