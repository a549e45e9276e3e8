"""What a keeper takes and refuses, object by object, without any key; and the tiles that it makes."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import pytest

from kept_log import AUTHORITY, KeptLog, document, kept, opened, roster
from nirantar.app.keeping import KeeperHouse
from nirantar.continuity.keeping.rules import Bearer
from nirantar.continuity.keeping.tree import KnownTree
from nirantar.errors import Conflict, Damaged, Forbidden, LimitExceeded, ProofInvalid, SegmentDamaged
from nirantar.fold.grants import Grant
from nirantar.fold.roster import Roster
from nirantar.host.simulated import SimulatedHost
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.merkle import root
from nirantar.tlog.note import Signer
from nirantar.vault.keys import TileKey

LOG = KeptLog()
RESCUE = Bearer("recovery", "rescue")


@pytest.fixture
def machine() -> Iterator[tuple[SimulatedHost, KeeperHouse]]:
    """A keeper that has cosigned 1,200 entries of the log in three steps and holds the first 700."""
    with kept() as (host, house):
        LOG.seal(house.keeper, 200, 700)
        house.keeper.add_checkpoint(LOG.submission(700, 1_200), None)
        yield host, house


@pytest.fixture
def house(machine: tuple[SimulatedHost, KeeperHouse]) -> KeeperHouse:
    """That keeper."""
    return machine[1]


def kinds(house: KeeperHouse) -> set[str]:
    """Which alarms it shows."""
    return {alarm.kind for alarm in house.keeper.status().alarms}


def test_the_next_segment_is_taken_and_completes_tiles(house: KeeperHouse) -> None:
    """Full tiles are those of the log, byte for byte; the proven size follows."""
    keeper = house.keeper
    LOG.put(keeper, 700, 500, 1_200)
    for number in range(4):
        expected = b"".join(LOG.leaves[number * 256 : number * 256 + 256])
        assert keeper.get(RESCUE, str(TileKey("opd", 0, number))) == expected
    assert keeper.list(RESCUE, "opd/tile/", "") == [f"opd/tile/0/00{number}" for number in range(4)]
    assert keeper.status().logs[0].proven_size == 1_200
    assert kinds(house) == set()


def test_tiles_of_higher_levels_are_made_as_they_fill() -> None:
    """65,536 leaf hashes fill one tile of level 1, whose hashes are the roots of 256 tiles; what was known before stays."""
    made: dict[str, bytes] = {}
    tree = KnownTree("opd", 0, {}, lambda level, index: made[str(TileKey("opd", level, index))])
    leaves = [sha256(b"%d" % number).digest() for number in range(70_000)]
    at = 0
    for step in (1, 255, 1_000, 64_000, 4_744):
        grown, tiles = tree.grown(leaves[at : at + step])
        made.update((str(key), data) for key, data in tiles)
        at += step
        tree = grown
        assert tree.root_at(at) == root(leaves[:at])
        assert tree.root_at(at // 2 + 1) == root(leaves[: at // 2 + 1])
    assert len(made) == 273 + 1
    assert tree.leaves(65_530, 65_540) == leaves[65_530:65_540]


def test_only_the_next_segment_is_taken(house: KeeperHouse) -> None:
    """Neither a gap nor an overlap, though both prove themselves: who has the node's key cannot cover old entries."""
    for first, count in ((701, 99), (0, 1_200), (650, 100), (699, 501)):
        with pytest.raises(Conflict, match="does not follow"):
            LOG.put(house.keeper, first, count, 1_200)
    LOG.put(house.keeper, 700, 100, 1_200)
    with pytest.raises(Conflict, match="taken"):
        LOG.put(house.keeper, 700, 100, 1_200)
    assert kinds(house) == set(), "the same entries sealed again are no attack"


def test_a_segment_needs_a_cosigned_checkpoint(house: KeeperHouse) -> None:
    """A checkpoint that was not cosigned is no ground; one that contradicts is a forgery; an older cosigned one will do
    where it covers the segment, and so will an uncosigned one that the proven hashes confirm."""
    longer = KeptLog(entries=[b"%d" % number for number in range(2_000)])
    with pytest.raises(Conflict, match="not cosigned"):
        longer.put(house.keeper, 700, 100, 2_000)
    other = KeptLog(entries=[b"%d" % number for number in range(1, 1_201)])
    with pytest.raises(ProofInvalid, match="another log"):
        other.put(house.keeper, 700, 100, 1_200)
    assert kinds(house) == {"forgery"}
    LOG.put(house.keeper, 0, 300, 650, level="minute")


def test_forged_segments_are_refused(house: KeeperHouse) -> None:
    """Another ciphertext, other hashes, another's signature, another node's log, nothing at all."""
    good, key = LOG.segment(700, 10, 1_200), LOG.key(700, 10)
    thief = KeptLog()
    thief.signer = Signer(LOG.origin, bytes(32))
    ward = KeptLog("ward")
    forged = [
        good[:-1] + bytes([good[-1] ^ 1]), good.replace(b'"count":10', b'"count":11'), b"", b"\n\n", good[:200],
        good.replace(b'"right_hashes":"', b'"right_hashes":"AAAA'), thief.segment(700, 10, 1_200),
        ward.segment(700, 10, 1_200), LOG.segment(700, 10, 1_200, note=Checkpoint(LOG.origin, 1_200, bytes(32)).sign(LOG.signer)),
    ]
    for data in forged:
        with pytest.raises(SegmentDamaged):
            house.keeper.put(LOG.bearer, key, data)
    assert house.keeper.list(RESCUE, "opd/live/000000000700", "") == []
    assert house.keeper.put(LOG.bearer, key, good)


def test_merged_segments_only_repeat_what_is_known(house: KeeperHouse) -> None:
    """At a higher level: proven, wholly within the known hashes, and remembered with the time."""
    with pytest.raises(Conflict, match="these first"):
        LOG.put(house.keeper, 600, 200, 1_200, level="hour")
    assert LOG.put(house.keeper, 0, 700, 1_200, level="hour")
    assert LOG.key(0, 700, "hour") in [key for key, _, _ in house.records.segments("opd")]


def test_attachments_are_named_by_their_hash(house: KeeperHouse) -> None:
    """Any other bytes under the name are refused before they are stored."""
    name = f"opd/attachment/{sha256(b'sealed').hexdigest()}"
    with pytest.raises(Damaged):
        house.keeper.put(LOG.bearer, name, b"other")
    assert house.keeper.put(LOG.bearer, name, b"sealed")
    assert not house.keeper.put(LOG.bearer, name, b"sealed")


def test_nobody_brings_tiles(house: KeeperHouse) -> None:
    """Not even right ones that are not there yet; those that are there may be sent again."""
    made = b"".join(LOG.leaves[:256])
    assert not house.keeper.put(LOG.bearer, "opd/tile/0/000", made)
    with pytest.raises(ProofInvalid):
        house.keeper.put(LOG.bearer, "opd/tile/0/003", b"".join(LOG.leaves[768:1_024]))


def test_cosigned_checkpoints_are_the_logs_own(house: KeeperHouse) -> None:
    """Signed by the log, of the size in the key, cosigned here or confirmed by the known hashes."""
    assert house.keeper.put(LOG.bearer, "opd/cosignature/000000001200-00000000.note", LOG.note(1_200))
    assert house.keeper.put(LOG.bearer, "opd/cosignature/000000000650-00000000.note", LOG.note(650))
    refused = {
        "opd/cosignature/000000000651-00000000.note": LOG.note(650),
        "opd/cosignature/000000000700-00000000.note": Checkpoint(LOG.origin, 700, bytes(32)).sign(LOG.signer),
        "opd/cosignature/000000000701-00000000.note": KeptLog("ward").note(701),
    }
    for key, note in refused.items():
        with pytest.raises(ProofInvalid):
            house.keeper.put(LOG.bearer, key, note)
    with pytest.raises(Conflict):
        house.keeper.put(LOG.bearer, "opd/cosignature/000000000900-00000000.note", LOG.note(900))


def test_rosters_are_the_authoritys_and_drop_no_log(house: KeeperHouse) -> None:
    """A newer roster extends what is accepted at once; another signer, serial, hospital or key is refused."""
    lab = KeptLog("lab")
    mine = (LOG.grant, KeptLog("ward").grant)
    thief = Signer(AUTHORITY.name, bytes(32))
    refused = {
        2: Roster("test", 2, mine).sign(thief), 3: Roster("test", 2, mine).sign(AUTHORITY),
        4: Roster("other", 4, mine).sign(AUTHORITY), 5: Roster("test", 5, mine[:1]).sign(AUTHORITY),
        6: Roster("test", 6, (Grant("opd", LOG.origin, lab.signer.vkey), mine[1])).sign(AUTHORITY),
        7: Roster("test", 7, (*mine, Grant("lab", "nirantar.test/x", lab.signer.vkey))).sign(AUTHORITY),
    }
    for serial, note in refused.items():
        with pytest.raises(ProofInvalid):
            house.keeper.put(RESCUE, f"roster/{serial:08d}.note", note)
    with pytest.raises(Forbidden):
        house.keeper.require_may_put(lab.bearer, lab.key(0, 1), 100)
    house.keeper.put(LOG.bearer, "roster/00000002.note", roster(2, *mine, lab.grant))
    house.keeper.require_may_put(lab.bearer, lab.key(0, 1), 100)
    lab.seal(house.keeper, 10)
    assert house.keeper.status().roster_serial == 2


def test_another_hospitals_papers_are_refused() -> None:
    """A founding document counts only with this authority."""
    with kept() as (_, house):
        other = document().replace(AUTHORITY.vkey.encode(), Signer("nirantar.test/authority", bytes(32)).vkey.encode())
        with pytest.raises(ProofInvalid):
            house.keeper._admission.admit("hospital.json", other)
        with pytest.raises(Damaged):
            house.keeper._admission.admit("hospital.json", b"{}")


def test_tokens_open_their_own_part_only(house: KeeperHouse) -> None:
    """A ward's token neither puts nor reads at the OPD; nobody puts what has no place; a recovery brings papers only."""
    ward = Bearer("node", "ward")
    house.keeper.require_may_put(RESCUE, "roster/00000002.note", 100)
    for bearer, key in (
        (ward, LOG.key(700, 1)), (LOG.bearer, "opd/anything"), (LOG.bearer, "anything"), (RESCUE, LOG.key(700, 1)),
        (Bearer("node", "nobody"), "nobody/live/000000000000-1.segment"),
    ):
        with pytest.raises(Forbidden):
            house.keeper.require_may_put(bearer, key, 1)
    for key in ("opd/live/000000000000-200.segment", "opd/tile/0/000"):
        assert house.keeper.get(RESCUE, key)
        with pytest.raises(Forbidden):
            house.keeper.get(ward, key)
    with pytest.raises(Forbidden):
        house.keeper.list(ward, "", "")
    assert kinds(house) == {"trespass"}
    with pytest.raises(LimitExceeded):
        house.keeper.require_may_put(LOG.bearer, "hospital.json", 1 << 30)


def test_a_closed_log_is_filled_up_to_its_end_by_another_node(house: KeeperHouse) -> None:
    """After a recovery the new node brings what this keeper lacks below the end; nothing beyond, and the closed node
    itself, whose token may be stolen, reaches no other part."""
    closed = roster(2, Grant("opd", LOG.origin, LOG.signer.vkey, last_size=900), KeptLog("ward").grant)
    house.keeper.put(RESCUE, "roster/00000002.note", closed)
    ward = Bearer("node", "ward")
    house.keeper.require_may_put(ward, LOG.key(700, 200), 100)
    assert house.keeper.put(ward, LOG.key(700, 200), LOG.segment(700, 200, 1_200))
    with pytest.raises(Forbidden, match="closed"):
        house.keeper.require_may_put(ward, LOG.key(900, 1), 100)
    with pytest.raises(Forbidden, match="closed"):
        house.keeper.require_may_put(LOG.bearer, f"opd/attachment/{'a' * 64}", 100)
    assert house.keeper.get(ward, "opd/tile/0/000")


def test_a_death_between_hashes_and_object_blocks_nothing(machine: tuple[SimulatedHost, KeeperHouse]) -> None:
    """At each disk operation of a put the machine crashes; started again, the keeper takes the segment, or has it."""
    host, house = machine
    data = LOG.segment(700, 100, 1_200)
    house.close()
    stored = False
    crashes = 0
    while not stored:
        alive = opened(host)
        host.disk.crash_at = host.disk.operations + crashes + 1
        with host.until_crash():
            alive.keeper.put(LOG.bearer, LOG.key(700, 100), data)
            stored = True
        if not stored:
            host, crashes = host.reboot(), crashes + 1
    host.disk.crash_at = None
    assert crashes > 5
    assert not alive.keeper.put(LOG.bearer, LOG.key(700, 100), data)
    LOG.put(alive.keeper, 800, 400, 1_200)
    alive.close()
    host.close()
