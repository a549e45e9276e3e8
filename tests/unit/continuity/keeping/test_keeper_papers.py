"""What a keeper takes besides entries: custody notes, which it follows; snapshots; reports; alarms, which it tells on."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import msgspec
import pytest

from kept_log import AUTHORITY, KEEPER, NODES, KeptLog, document, kept, opened, roster
from nirantar.app.keeping import KeeperHouse, set_up_keeper
from nirantar.continuity.alarm import Alarm, TouchedFile
from nirantar.continuity.custody import first_custody, read_back_at, rotated
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.continuity.keeping.rules import Bearer
from nirantar.continuity.recovery_record import RecoveryRecord
from nirantar.errors import Conflict, Damaged, Forbidden, LimitExceeded, ProofInvalid, SnapshotDamaged
from nirantar.fold.custody import Custody
from nirantar.fold.founding import FoundingDocument
from nirantar.fold.roster import Roster
from nirantar.host.simulated import SimulatedHost
from nirantar.limits import KEEPER_ALARM_BYTES_MAX, SNAPSHOT_PACK_BYTES_MAX
from nirantar.tlog.note import Signer
from nirantar.vault.encryption import new_identity
from nirantar.vault.keys import HOSPITAL_KEY, CustodyKey, RosterKey
from nirantar.vault.manifests import Contents, LogPosition, Manifest

LOG = KeptLog()
WARD = KeptLog("ward")
RESCUE = Bearer("recovery", "rescue")
OLD = RecoveryIdentity(new_identity()[0], AUTHORITY)
NEW = RecoveryIdentity(new_identity()[0], Signer(AUTHORITY.name, bytes(range(1, 33))))
FOUNDING = FoundingDocument.parse(document())
FIRST = first_custody(FOUNDING, OLD)
ROTATED = rotated(FIRST, OLD, NEW, serial=2, roster_serial=2)
AFTER = read_back_at(ROTATED, NEW, "2026-11-24T08:00:00.000Z", serial=3)
ALARM = "opd/alarm/0001764489900000-0.json"


@pytest.fixture
def machine() -> Iterator[tuple[SimulatedHost, KeeperHouse]]:
    """A keeper with the hospital's papers."""
    with kept() as found:
        yield found


@pytest.fixture
def house(machine: tuple[SimulatedHost, KeeperHouse]) -> KeeperHouse:
    """That keeper."""
    return machine[1]


def put(house: KeeperHouse, key: str, data: bytes, bearer: Bearer = LOG.bearer) -> bool:
    """Offer an object as the edge does."""
    house.keeper.require_may_put(bearer, key, len(data))
    return house.keeper.put(bearer, key, data)


def put_custody(house: KeeperHouse, custody: Custody) -> bool:
    """Offer a custody note under its key."""
    return put(house, str(CustodyKey(custody.serial)), custody.note)


def grown_roster(serial: int, *signers: Signer) -> bytes:
    """A roster of another serial with the same logs."""
    return Roster("test", serial, tuple(KeptLog(node, [b"-"]).grant for node in NODES)).sign(*signers)


def kinds(house: KeeperHouse) -> list[str]:
    """Which alarms it shows, newest first."""
    return [alarm.kind for alarm in house.keeper.status().alarms]


def test_the_keeper_follows_a_rotation_of_the_authority(machine: tuple[SimulatedHost, KeeperHouse]) -> None:
    """A rotation brings its roster, signed by both keys, and then its note; from there the old key signs nothing more,
    also after a restart, and the new one does."""
    host, house = machine
    assert put_custody(house, FIRST)
    assert put(house, str(RosterKey(2)), grown_roster(2, OLD.authority, NEW.authority))
    assert put_custody(house, ROTATED)
    with pytest.raises(ProofInvalid):
        put(house, str(RosterKey(3)), grown_roster(3, OLD.authority))
    assert kinds(house) == ["forgery"]
    house.close()
    again = opened(host)
    try:
        assert again.keeper.status().roster_serial == 2
        with pytest.raises(ProofInvalid):
            put(again, str(RosterKey(3)), grown_roster(3, OLD.authority))
        thieves = read_back_at(ROTATED, OLD, "2026-11-24T08:00:00.000Z", serial=3)
        with pytest.raises(ProofInvalid):
            put_custody(again, thieves)
        assert put(again, str(RosterKey(3)), grown_roster(3, NEW.authority))
        assert put_custody(again, AFTER)
    finally:
        again.close()


def test_custody_notes_go_on_from_the_one_in_force(house: KeeperHouse) -> None:
    """Another hospital's, one under another serial, and one that is older than what is followed are refused; the older
    one is no attack, since a node that was away may bring it."""
    other = Custody.sign("other", 2, FIRST.terms, AUTHORITY)
    for custody in (other, Custody.sign("test", 7, FIRST.terms, AUTHORITY)):
        with pytest.raises(ProofInvalid):
            put(house, str(CustodyKey(2)), custody.note)
    assert put_custody(house, ROTATED)
    before = kinds(house)
    with pytest.raises(Conflict, match="follows custody note 2"):
        put_custody(house, FIRST)
    assert kinds(house) == before == ["forgery"]
    assert not put_custody(house, ROTATED), "the same bytes again are no news"


def test_a_keeper_set_up_after_a_rotation_knows_the_founding_document_by_the_custody_note() -> None:
    """It has the authority in force, which is not the one in the document: that is taken after the note, and only it."""
    with SimulatedHost(seed=2) as host:
        set_up_keeper(host, KEEPER, NEW.authority.vkey, "keeper-1")
        house = opened(host)
        try:
            for before in (FIRST, ROTATED):
                with pytest.raises(ProofInvalid):
                    put(house, HOSPITAL_KEY, document())
                if before is FIRST:
                    with pytest.raises(ProofInvalid):
                        put_custody(house, FIRST)
            assert put_custody(house, AFTER)
            with pytest.raises(ProofInvalid):
                put(house, HOSPITAL_KEY, document().replace(b'"Test"', b'"Tests"'))
            assert put(house, HOSPITAL_KEY, document())
            assert put(house, str(RosterKey(2)), grown_roster(2, OLD.authority, NEW.authority))
            assert house.keeper.status().roster_serial == 2
        finally:
            house.close()


def manifest(log: KeptLog, serial: int = 1) -> bytes:
    """A signed manifest of a snapshot of the log's node."""
    contents = Contents(
        "2026-11-24T08:00:00.000Z", 1, 4_096, 1, 16_384, "00" * 32, {log.origin: LogPosition(1, "00" * 32)}, 1,
        "2026-11-24T08:00:00.000Z", [], [], ["00" * 32], 0,
    )
    return Manifest("test", log.node, serial, contents).sign(log.signer)


def test_a_snapshots_objects_have_their_place(house: KeeperHouse) -> None:
    """Packs by size, chunks of the map by their hash, manifests by the node's signature and place; each in the node's own
    part only, and none from a recovery."""
    chunk = f"opd/map/{sha256(b'chunk').hexdigest()}"
    pack = f"opd/pack/00000001-{'a' * 32}"
    assert put(house, pack, b"sealed pages")
    assert put(house, chunk, b"chunk")
    with pytest.raises(Damaged):
        put(house, f"opd/map/{'0' * 64}", b"chunk")
    with pytest.raises(LimitExceeded):
        house.keeper.require_may_put(LOG.bearer, pack, SNAPSHOT_PACK_BYTES_MAX + 1)
    for wrong in (manifest(WARD), manifest(LOG, serial=2), b"none"):
        with pytest.raises(SnapshotDamaged):
            put(house, "opd/snapshot/00000001.manifest", wrong)
    assert put(house, "opd/snapshot/00000001.manifest", manifest(LOG))
    for key in (pack, chunk, "opd/snapshot/00000001.manifest"):
        for stranger in (WARD.bearer, RESCUE):
            with pytest.raises(Forbidden):
                house.keeper.require_may_put(stranger, key, 10)
        assert house.keeper.get(RESCUE, key)


def report(log: KeptLog, authority: Signer) -> bytes:
    """The report of the recovery that made the log's node."""
    return RecoveryRecord(
        1, "test", log.node, log.origin, log.signer.vkey, authority.vkey, "0", "2026-11-24T08:00:00.000Z",
        "2026-11-24T08:00:01.000Z", 1.0, (), None, 0, 0, 0, 0, 0, True, (), {}, (),
    ).sign(log.signer, authority)


def test_a_recovery_brings_its_report(house: KeeperHouse) -> None:
    """Signed by the node that it made and by this hospital's authority, under that node's name; nothing else."""
    stranger = Signer(AUTHORITY.name, bytes(32))
    for wrong in (report(WARD, AUTHORITY), report(LOG, stranger), b"none"):
        with pytest.raises(ProofInvalid):
            put(house, "opd/recovery.note", wrong, RESCUE)
    assert put(house, "opd/recovery.note", report(LOG, AUTHORITY), RESCUE)


def test_an_alarm_that_a_node_brings_is_an_alarm_here(house: KeeperHouse) -> None:
    """Told once, with the file's name; one that cannot be read is told no less, and others' tokens bring none."""
    touched = (TouchedFile("view.db\u202e", "modified", 3), TouchedFile("keys/node.key", "renamed", 1))
    data = msgspec.json.encode(Alarm(1, LOG.origin, "2026-11-24T08:00:00.000Z", 5, touched, 2))
    assert put(house, ALARM, data)
    assert not put(house, ALARM, data)
    (alarm,) = house.keeper.status().alarms
    assert (alarm.kind, alarm.node) == ("intrusion", "opd")
    assert alarm.what == (
        "Another program changed files of opd, first seen 2026-11-24T08:00:00.000Z: view.db? modified and 3 more."
    )
    assert not house.keeper.status().ok
    assert put(house, "ward/alarm/0001764489900000-0.json", b"\xff", WARD.bearer)
    assert house.keeper.status().alarms[0].what == "ward brought an alarm that cannot be read."
    with pytest.raises(Forbidden):
        put(house, ALARM.replace("-0", "-1"), data, WARD.bearer)
    with pytest.raises(LimitExceeded):
        house.keeper.require_may_put(LOG.bearer, ALARM.replace("-0", "-1"), KEEPER_ALARM_BYTES_MAX + 1)


def test_an_alarm_is_told_before_it_is_stored(machine: tuple[SimulatedHost, KeeperHouse]) -> None:
    """At each disk operation the machine crashes and the node tries again: in the end it was told at least once."""
    host, house = machine
    house.close()
    crashes, stored = 0, False
    while not stored:
        alive = opened(host)
        host.disk.crash_at = host.disk.operations + crashes + 1
        with host.until_crash():
            put(alive, ALARM, b"{}")
            stored = True
        if not stored:
            host, crashes = host.reboot(), crashes + 1
    host.disk.crash_at = None
    assert crashes > 3
    assert "intrusion" in kinds(alive)
    alive.close()
    host.close()


def test_papers_are_read_by_every_token(house: KeeperHouse) -> None:
    """A node looks for newer custody notes and rosters at its keeper; nothing else of others is open to it."""
    put_custody(house, FIRST)
    assert house.keeper.list(WARD.bearer, "custody/", "") == [str(CustodyKey(1))]
    assert house.keeper.get(WARD.bearer, str(CustodyKey(1))) == FIRST.note
    assert house.keeper.get(WARD.bearer, str(RosterKey(1))) == roster()
