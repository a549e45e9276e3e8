"""A keeper on a simulated machine, and a log that a node with a key submits to it: everything in this thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from nirantar.app.keeping import KeeperHouse, set_up_keeper
from nirantar.continuity.keeping.keeper import Keeper
from nirantar.continuity.keeping.quota import Allowance
from nirantar.continuity.keeping.rules import Bearer
from nirantar.fold.founding import FoundingDocument
from nirantar.fold.grants import Grant
from nirantar.fold.roster import Roster
from nirantar.host.port import Host
from nirantar.host.simulated import SimulatedHost
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.compact_range import range_proof
from nirantar.tlog.merkle import MemoryHashReader, consistency_proof, leaf_hash, root
from nirantar.tlog.note import Signer
from nirantar.tlog.submission import encode_submission
from nirantar.vault.encryption import new_identity
from nirantar.vault.keys import HOSPITAL_KEY, RosterKey, SegmentKey
from nirantar.vault.segments import encode_segment

KEEPER = Path("/keeper")
AUTHORITY = Signer("nirantar.test/authority", bytes(range(32)))
RECIPIENT = new_identity()[1]
NODES = ("opd", "ward")


class KeptLog:
    """The node `node`'s log of `entries`, and what it can send of it."""

    def __init__(self, node: str = "opd", entries: Sequence[bytes] = ()) -> None:
        self.node = node
        self.origin = f"nirantar.test/{node}"
        self.signer = Signer(self.origin, sha256(node.encode()).digest())
        self.bearer = Bearer("node", node)
        self.entries = list(entries) or [b"%d" % number for number in range(1_200)]
        self.leaves = [leaf_hash(entry) for entry in self.entries]
        self.grant = Grant(node, self.origin, self.signer.vkey)

    def note(self, size: int) -> bytes:
        """The signed checkpoint of the first `size` entries."""
        return Checkpoint(self.origin, size, root(self.leaves[:size])).sign(self.signer)

    def proof(self, old_size: int, size: int) -> tuple[bytes, ...]:
        """The consistency proof between two of its sizes."""
        return consistency_proof(old_size, size, MemoryHashReader(self.leaves)) if 0 < old_size < size else ()

    def submission(self, old_size: int, size: int) -> bytes:
        """A body of add-checkpoint."""
        return encode_submission(old_size, self.proof(old_size, size), self.note(size))

    def key(self, first: int, count: int, level: str = "live") -> str:
        """The key of a segment."""
        return str(SegmentKey(self.node, level, first, count))

    def segment(self, first: int, count: int, size: int, *, note: bytes | None = None) -> bytes:
        """A sealed segment whose proof leads to the checkpoint of `size` entries."""
        return encode_segment(
            self.origin, first, self.entries[first : first + count], self.leaves[first : first + count],
            proof=range_proof(first, first + count, size, MemoryHashReader(self.leaves)),
            checkpoint_note=(note or self.note(size)).decode(), recipients=(RECIPIENT,),
        )

    def put(self, keeper: Keeper, first: int, count: int, size: int, level: str = "live") -> bool:
        """Seal and put a segment."""
        return keeper.put(self.bearer, self.key(first, count, level), self.segment(first, count, size))

    def seal(self, keeper: Keeper, *sizes: int) -> None:
        """Have each size cosigned in turn, and put what it adds."""
        old_size = 0
        for size in sizes:
            keeper.add_checkpoint(self.submission(old_size, size), None)
            self.put(keeper, old_size, size - old_size, size)
            old_size = size


def roster(serial: int = 1, *grants: Grant) -> bytes:
    """A roster note of the authority's."""
    return Roster("test", serial, grants or tuple(KeptLog(node, [b"-"]).grant for node in NODES)).sign(AUTHORITY)


def document() -> bytes:
    """The hospital's founding document."""
    return FoundingDocument(1, "Test", "test", (RECIPIENT,), AUTHORITY.vkey).encode()


def opened(host: Host, *, allowance: Allowance | None = None) -> KeeperHouse:
    """The keeper of KEEPER, open."""
    return KeeperHouse(host, KEEPER, allowance=allowance)


@contextmanager
def kept(*, seed: int = 1, allowance: Allowance | None = None) -> Iterator[tuple[SimulatedHost, KeeperHouse]]:
    """A keeper with the hospital's papers in it."""
    with SimulatedHost(seed=seed) as host:
        set_up_keeper(host, KEEPER, AUTHORITY.vkey, "keeper-1")
        house = opened(host, allowance=allowance)
        bearer = Bearer("node", "opd")
        house.keeper.put(bearer, HOSPITAL_KEY, document())
        house.keeper.put(bearer, str(RosterKey(1)), roster())
        try:
            yield host, house
        finally:
            house.close()
