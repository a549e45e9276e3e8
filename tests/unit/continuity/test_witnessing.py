"""The node's side of a witness: it is brought up, kept informed, and believed when it says that the log went back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Thread

import pytest

from kept_log import KeptLog, kept
from nirantar import limits
from nirantar.app.keeping import KeeperHouse
from nirantar.continuity.witnessing import KeeperWitness, Witnesses, Witnessing, claims, unvouched
from nirantar.errors import Conflict, NotFound, VaultUnavailable
from nirantar.host.simulated import SimulatedHost
from nirantar.journal.log import JournalWriter
from nirantar.journal.reader import JournalReader
from nirantar.tlog.checkpoint import open_checkpoint
from nirantar.tlog.cosignature import CosignatureVerifier, Cosigner, open_cosigned_checkpoint
from nirantar.tlog.submission import encode_submission
from nirantar.vault.directory import DirectoryVault
from nirantar.vault.port import Vault

LOG = KeptLog()


class LocalKeeper(DirectoryVault):
    """A witnessing vault without a network between: the keeper's own witness, and a directory for objects."""

    house: KeeperHouse
    asked = 0

    def cosigned(self, origin: str) -> bytes | None:
        """The keeper's newest."""
        self.asked += 1
        return self.house.records.newest_note(origin)

    def cosign(self, note: bytes, old_size: int, proof: Sequence[bytes]) -> bytes:
        """By the keeper."""
        self.asked += 1
        return note + self.house.keeper.add_checkpoint(encode_submission(old_size, proof, note), None)


class Desk:
    """A node's journal that holds the first `size` entries of a log, and its side of the witness."""

    def __init__(self, host: SimulatedHost, house: KeeperHouse, name: str, size: int) -> None:
        path = Path(f"/{name}.db")
        self.log = LOG
        self.writer = JournalWriter(host, path, LOG.origin, LOG.signer)
        self.reader = JournalReader(host, path, self.writer.connection)
        self.why: list[str] = []
        self.vault = LocalKeeper.create(host, Path("/objects"))
        self.vault.house = house
        self.host, self.directory = host, Path(f"/{name}-cosigned")
        self.pin()
        self.write(LOG.entries[:size])

    def pin(self, *keys: CosignatureVerifier) -> None:
        """Start the node's side again, with these keys pinned."""
        self.witnessing = Witnessing(
            self.host, self.directory, self.reader, LOG.origin, self.why.append, pinned=keys
        )

    def write(self, entries: Sequence[bytes]) -> None:
        """Append and sign."""
        self.writer.begin()
        for entry in entries:
            self.writer.append(entry)
        self.writer.commit()

    def bring_up(self) -> int:
        """Have the newest checkpoint cosigned; its size."""
        signed = self.reader.checkpoint(LOG.origin)
        assert signed is not None
        self.witnessing.bring_up(self.vault, LOG.origin, *signed)
        return signed[0].tree_size


def keys_of(house: KeeperHouse) -> tuple[CosignatureVerifier, ...]:
    """The keeper's two keys."""
    return tuple(map(CosignatureVerifier.parse, house.keeper.status().vkeys))


@pytest.fixture
def machine() -> Iterator[tuple[SimulatedHost, KeeperHouse]]:
    """A machine with a keeper on it."""
    with kept() as found:
        yield found


def test_a_witness_is_brought_up_and_asked_again_only_when_it_is_time(machine: tuple[SimulatedHost, KeeperHouse]) -> None:
    """New entries are cosigned at once; a log that does not grow speaks once a HEARTBEAT_SECONDS."""
    host, house = machine
    desk = Desk(host, house, "desk", 300)
    assert desk.bring_up() == house.keeper.status().logs[0].cosigned_size == 300
    asked = desk.vault.asked
    desk.bring_up()
    assert desk.vault.asked == asked
    host.advance(int(limits.HEARTBEAT_SECONDS * 1e6))
    desk.bring_up()
    assert desk.vault.asked == asked + 1
    desk.write(LOG.entries[300:310])
    assert desk.bring_up() == house.keeper.status().logs[0].cosigned_size == 310
    assert desk.why == []


def test_a_node_that_started_again_learns_where_the_witness_is(machine: tuple[SimulatedHost, KeeperHouse]) -> None:
    """Nothing about it need be kept at the node."""
    host, house = machine
    Desk(host, house, "desk", 300).bring_up()
    again = Desk(host, house, "again", 305)
    assert again.bring_up() == house.keeper.status().logs[0].cosigned_size == 305


def test_a_rolled_back_node_writes_no_more(machine: tuple[SimulatedHost, KeeperHouse]) -> None:
    """The witness has cosigned more than the node has."""
    host, house = machine
    Desk(host, house, "desk", 300).bring_up()
    older = Desk(host, house, "older", 200)
    with pytest.raises(Conflict, match="rolled back"):
        older.bring_up()
    assert "rolled back" in older.why[0]


def test_a_node_that_went_another_way_writes_no_more(machine: tuple[SimulatedHost, KeeperHouse]) -> None:
    """Longer than what was cosigned, but not its continuation."""
    host, house = machine
    Desk(host, house, "desk", 300).bring_up()
    other = Desk(host, house, "other", 200)
    other.write([b"-%d" % number for number in range(200)])
    with pytest.raises(Conflict, match="another way"):
        other.bring_up()
    assert "another way" in other.why[0]
    assert [alarm.kind for alarm in house.keeper.status().alarms] == ["fork"]


def test_the_newest_cosigned_checkpoint_goes_into_vaults_once_in_a_while(machine: tuple[SimulatedHost, KeeperHouse]) -> None:
    """Each COSIGNATURE_INTERVAL_SECONDS and when the node stops; beside the journal, too. It names the log's size there."""
    host, house = machine
    desk = Desk(host, house, "desk", 300)
    elsewhere: Vault = DirectoryVault.create(host, Path("/elsewhere"))
    desk.witnessing.leave(elsewhere, LOG.origin)
    assert list(elsewhere.list("")) == []
    desk.bring_up()
    for _ in range(3):
        desk.witnessing.leave(elsewhere, LOG.origin)
        desk.write(LOG.entries[desk.reader.size(LOG.origin) :][:5])
        desk.bring_up()
    (key,) = elsewhere.list("opd/cosignature/")
    assert key.startswith("opd/cosignature/000000000300-")
    desk.witnessing.leave(elsewhere, LOG.origin, at_once=True)
    newest = [*elsewhere.list("opd/cosignature/")][-1]
    assert open_checkpoint(elsewhere.get(newest), LOG.signer.verifier).tree_size == 315
    assert host.files.read(Path("/desk-cosigned/opd.note")) == elsewhere.get(newest)


def test_claims_are_what_the_log_signed(machine: tuple[SimulatedHost, KeeperHouse]) -> None:
    """From a keeper the newest, from vaults what goes beyond; what the log did not sign says nothing."""
    host, house = machine
    desk = Desk(host, house, "desk", 300)
    verifier = LOG.signer.verifier
    assert claims([desk.vault], verifier, 0) == []
    desk.bring_up()
    elsewhere = DirectoryVault.create(host, Path("/elsewhere"))
    desk.witnessing.leave(elsewhere, LOG.origin)
    elsewhere.put_new("opd/cosignature/000000000999-00000000.note", KeptLog("ward").note(999))
    found = claims([desk.vault, elsewhere], verifier, 250)
    assert [(each.where.partition(":")[0], each.checkpoint.tree_size) for each in found] == [("file", 300), ("file", 300)]
    assert [each.checkpoint.tree_size for each in claims([desk.vault], verifier, 300)] == [300]
    witness = KeeperWitness(desk.vault, verifier)
    assert (witness.largest_size(LOG.origin), witness.newest_head(LOG.origin)) == (300, (300, found[0].checkpoint.root_hash))


def test_a_log_of_no_roster_is_told(machine: tuple[SimulatedHost, KeeperHouse]) -> None:
    """A keeper that was set up for another hospital does not know the log."""
    _, house = machine
    stranger = KeptLog("elsewhere")
    with pytest.raises(NotFound):
        house.keeper.add_checkpoint(stranger.submission(0, 3), None)


def test_only_a_pinned_keepers_word_counts(machine: tuple[SimulatedHost, KeeperHouse]) -> None:
    """With keys pinned, another keeper's cosignature is no success, and the node writes on; with one of the keeper's two
    keys it is."""
    host, house = machine
    desk = Desk(host, house, "desk", 300)
    stranger = Cosigner("nirantar.test/keepers/keeper-1", bytes(32)).verifier
    desk.pin(stranger)
    with pytest.raises(VaultUnavailable, match="another keeper"):
        desk.bring_up()
    assert desk.witnessing.covering(LOG.origin, 0, seconds=0) is None
    desk.pin(stranger, CosignatureVerifier.parse(house.keeper.status().vkeys[1]))
    assert desk.bring_up() == 300
    assert desk.why == []


def test_the_newest_cosigned_checkpoint_that_covers_an_entry(machine: tuple[SimulatedHost, KeeperHouse]) -> None:
    """From memory, and after a restart from beside the journal; none where it does not reach that far."""
    host, house = machine
    desk = Desk(host, house, "desk", 300)
    desk.bring_up()
    note = desk.witnessing.covering(LOG.origin, 299, seconds=0)
    assert note is not None
    assert open_cosigned_checkpoint(note, LOG.signer.verifier, keys_of(house))[1]
    assert desk.witnessing.covering(LOG.origin, 300, seconds=0) is None
    desk.witnessing.leave(desk.vault, LOG.origin)
    desk.pin()
    assert desk.witnessing.covering(LOG.origin, 299, seconds=0) == note
    assert desk.witnessing.covering(LOG.origin, 300, seconds=0) is None


def test_a_proof_waits_a_moment_for_the_cosignature(machine: tuple[SimulatedHost, KeeperHouse]) -> None:
    """Asked about an entry that was only just written, it answers as soon as the witness has."""
    host, house = machine
    desk = Desk(host, house, "desk", 300)
    found: list[bytes | None] = []
    asking = Thread(target=lambda: found.append(desk.witnessing.covering(LOG.origin, 299, seconds=30)))
    asking.start()
    desk.bring_up()
    asking.join(20)
    assert len(found) == 1
    assert found[0] is not None


def test_a_log_that_no_pinned_key_vouches_for_is_named(machine: tuple[SimulatedHost, KeeperHouse]) -> None:
    """With the keeper's key there is a statement and no finding; with a stranger's there is the finding; with none pinned
    nobody is missed. A bad signature under a pinned name and key says nothing."""
    host, house = machine
    desk = Desk(host, house, "desk", 300)
    desk.bring_up()
    verifier, (ed25519, ml_dsa) = LOG.signer.verifier, keys_of(house)
    stranger = Cosigner("nirantar.test/keepers/keeper-1", bytes(32)).verifier
    for pinned, told in (((ed25519,), []), ((ml_dsa,), []), ((stranger,), ["unwitnessed"]), ((), [])):
        claimed = claims([desk.vault], verifier, 0, pinned)
        assert [each.kind for each in unvouched(claimed, LOG.origin, Witnesses(pinned=pinned))] == told
    elsewhere = DirectoryVault.create(host, Path("/elsewhere"))
    note = claims([desk.vault], verifier, 0)[0].note
    lines = note.decode().splitlines()
    forged = lines[-2][:-8] + ("AAAAAA==" if lines[-2].endswith("==") else "AAAAAAAA")
    elsewhere.put_new("opd/cosignature/000000000300-00000000.note", "\n".join([*lines[:-2], forged, lines[-1], ""]).encode())
    assert claims([elsewhere], verifier, 0, (ed25519,)) == []
    assert len(claims([elsewhere], verifier, 0)) == 1
