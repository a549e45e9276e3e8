"""What a keeper takes, checked without any key: what fits a log that the authority named and the keeper cosigned.

    segment      sealed and whole; its leaf hashes proven under a checkpoint that was cosigned, or that the known tree
                 confirms; at `live` it is the next one, at a higher level it only repeats what is known
    tile         made by the keeper itself out of proven leaf hashes: nobody brings one
    cosignature  a checkpoint of the log, signed by it, cosigned here or confirmed by the known tree
    roster       signed by the authority, of this hospital, dropping no log
    custody note signed by the authority, newer than the one in force, which it then replaces here, too
    hospital     the custody note in force is of it; before there is one, it names this authority
    manifest     of a snapshot: signed by the node, of this place
    recovery     the report of the recovery that made the node, signed by it and by an authority of this hospital
    attachment   named by the hash of the bytes, as a chunk of a snapshot's map is
    others       packs, which only a manifest and a key prove, and alarms, which nobody may have to wait for

What has no place in a vault is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from nirantar.continuity import recovery_record
from nirantar.continuity.keeping.records import Records
from nirantar.continuity.keeping.register import Register
from nirantar.continuity.keeping.tree import KnownTree
from nirantar.continuity.vault_witness import covered
from nirantar.errors import Conflict, Damaged, ProofInvalid, SegmentDamaged
from nirantar.fold.custody import Custody
from nirantar.fold.grants import Grant
from nirantar.fold.roster import Roster
from nirantar.tlog.checkpoint import Checkpoint, open_checkpoint
from nirantar.tlog.note import Verifier
from nirantar.vault.keys import (
    HOSPITAL_KEY,
    CosignatureKey,
    CustodyKey,
    ManifestKey,
    RecoveryKey,
    RosterKey,
    SegmentKey,
    TileKey,
    parse,
)
from nirantar.vault.manifests import Manifest
from nirantar.vault.port import Vault
from nirantar.vault.segments import SegmentHeader, check_sealed, prove_header

_LIVE = "live"


@dataclass(frozen=True, slots=True)
class Admitted:
    """What an object that is taken adds to what the keeper knows: the grown tree of `origin` and the tiles that it
    completes, a roster, a custody note, or a segment whose age counts from now."""

    origin: str = ""
    tree: KnownTree | None = None
    tiles: tuple[tuple[TileKey, bytes], ...] = ()
    roster: Roster | None = None
    custody: Custody | None = None
    segment: SegmentKey | None = None


class Admission:
    """Checks objects one at a time for each node's part; the keeper sees to that."""

    def __init__(self, vault: Vault, register: Register, records: Records) -> None:
        self._vault = vault
        self._register = register
        self._records = records
        self._held: dict[str, int] = {}

    def admit(self, key: str, data: bytes) -> Admitted:
        """What taking the object means. Raises Damaged and its kin for what does not fit, Conflict for a segment that
        is not the next one or whose checkpoint was not cosigned yet."""
        named = parse(key)
        match named:
            case SegmentKey():
                return self._segment(named, data)
            case CosignatureKey():
                return self._cosignature(named, data)
            case RosterKey():
                return Admitted(roster=self._register.check_roster(named, data))
            case CustodyKey():
                return Admitted(custody=self._register.check_custody(named, data))
            case ManifestKey():
                self._manifest(named, data)
            case RecoveryKey():
                self._recovery(named, data)
            case TileKey():
                raise ProofInvalid(f"{key} was sent in vain: the keeper makes the tiles out of proven segments.")
            case None if key == HOSPITAL_KEY:
                self._register.check_document(data)
            case None:
                raise Damaged(f"{key[:80]} has no place in a vault.")
            case _ if getattr(named, "digest", sha256(data).hexdigest()) != sha256(data).hexdigest():
                raise Damaged(f"{key} is not named by the hash of what was sent.")
        return Admitted()

    def stored(self, key: str) -> None:
        """The object is in the vault now."""
        named = parse(key)
        if isinstance(named, SegmentKey) and named.level == _LIVE:
            self._held[named.node] = named.end

    def tree(self, node: str, origin: str) -> KnownTree:
        """The log's tree as far as it is known."""
        size, edges = self._records.known(origin)
        return KnownTree(node, size, edges, lambda level, index: self._vault.get(str(TileKey(node, level, index))))

    def _segment(self, named: SegmentKey, data: bytes) -> Admitted:
        key = str(named)
        grant = self._grant(named.node)
        header = check_sealed(data, key=key)
        if header.origin != grant.origin:
            raise SegmentDamaged(key, f"its header is of the log {header.origin!r}")
        checkpoint, _ = prove_header(header, Verifier.parse(grant.vkey), key=key)
        tree = self.tree(named.node, grant.origin)
        self._require_cosigned(tree, checkpoint, key)
        leaves = [header.leaf_hash(position) for position in range(header.count)]
        if named.level != _LIVE:
            if named.end > tree.size:
                raise Conflict(f"{key} repeats entries up to {named.end}, but {tree.size} are known here: these first.")
            self._require_known(tree, header, leaves)
            return Admitted(segment=named)
        held = self._held_of(grant)
        if named.first != held:
            raise Conflict(f"{key} does not follow: this keeper holds {held} entries of {named.node}.")
        self._require_known(tree, header, leaves)
        fresh = leaves[max(0, tree.size - named.first) :]
        grown, tiles = tree.grown(fresh)
        return Admitted(grant.origin, grown, tuple(tiles), segment=named)

    def _cosignature(self, named: CosignatureKey, data: bytes) -> Admitted:
        grant = self._grant(named.node)
        checkpoint = open_checkpoint(data, Verifier.parse(grant.vkey))
        if checkpoint.tree_size != named.tree_size:
            raise ProofInvalid(f"{named} holds a checkpoint of {checkpoint.tree_size} entries.")
        self._require_cosigned(self.tree(named.node, grant.origin), checkpoint, str(named))
        return Admitted()

    def _manifest(self, named: ManifestKey, data: bytes) -> None:
        verifier = Verifier.parse(self._grant(named.node).vkey)
        Manifest.open(data, verifier, slug=self._register.slug, node=named.node, serial=named.serial)

    def _recovery(self, named: RecoveryKey, data: bytes) -> None:
        record = recovery_record.open_recovery_note(data, self._register.authority)
        if record.vkey != self._grant(named.node).vkey:
            raise ProofInvalid(f"{named} is the report of another node's recovery.")

    def _require_cosigned(self, tree: KnownTree, checkpoint: Checkpoint, key: str) -> None:
        """Raise unless this checkpoint was cosigned, or the known tree has its root."""
        root = self._records.root_at(checkpoint.origin, checkpoint.tree_size)
        if root is None and checkpoint.tree_size <= tree.size:
            root = tree.root_at(checkpoint.tree_size)
        if root is None:
            raise Conflict(f"The checkpoint of {key}, of {checkpoint.tree_size} entries, was not cosigned: that first.")
        if root != checkpoint.root_hash:
            raise ProofInvalid(f"The checkpoint of {key} is of another log than the one that was cosigned.")

    def _require_known(self, tree: KnownTree, header: SegmentHeader, leaves: list[bytes]) -> None:
        """Raise where leaf hashes that are known already differ. (They cannot, under cosigned roots: unless the tiles
        on this disk were changed.)"""
        stop = min(header.end, tree.size)
        if header.first_index < stop:
            known = tree.leaves(header.first_index, stop)
            if known != leaves[: len(known)]:
                raise ProofInvalid(f"Entries {header.first_index} to {stop - 1} of {header.origin} are others here.")

    def _held_of(self, grant: Grant) -> int:
        """How many entries the vault holds without a gap; looked up once."""
        if grant.node not in self._held:
            self._held[grant.node] = covered(self._vault, Verifier.parse(grant.vkey))
        return self._held[grant.node]

    def _grant(self, node: str) -> Grant:
        grant = self._register.grant_of_node(node)
        if grant is None:
            raise ProofInvalid(f"No roster of this keeper names {node}.")
        return grant
