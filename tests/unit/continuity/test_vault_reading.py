"""Reading a log back: what is missing, damaged, forged or merged, and what is then given, named and proven."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from nirantar.continuity.log_reading import Gap, LogReading
from nirantar.continuity.vault_reading import read_log
from nirantar.errors import IdentityWrong
from nirantar.host.simulated import SimulatedHost
from nirantar.limits import LOG_GAP_ENTRIES_MAX
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.compact_range import RangeProof
from nirantar.tlog.merkle import Frontier
from nirantar.tlog.note import Signer
from nirantar.vault.directory import DirectoryVault
from nirantar.vault.encryption import new_identity
from nirantar.vault.keys import SegmentKey
from nirantar.vault.segments import SegmentWriter
from sealed_log import NODE, ORIGIN, CountingVault, SealedLog, empty_vault, without

LOG = SealedLog(600)


@pytest.fixture
def host() -> Iterator[SimulatedHost]:
    """A machine for the vaults."""
    with SimulatedHost(1) as host:
        yield host


@pytest.fixture
def vault(host: SimulatedHost) -> DirectoryVault:
    """An empty vault."""
    return empty_vault(host)


def reading_of(
    *vaults: DirectoryVault | CountingVault, identity: str = LOG.identity
) -> tuple[LogReading, list[bytes | Gap | None]]:
    """Read the log: what was found out, and the bytes of each entry, None for a lost one, or a gap."""
    reading = LogReading(ORIGIN, LOG.signer.verifier)
    steps = read_log(vaults, (identity,), reading)
    return reading, [step if isinstance(step, Gap) else step.data for step in steps]


def whole(size: int) -> list[bytes | Gap | None]:
    """The first entries, all there."""
    return list(LOG.entries[:size])


def told(reading: LogReading) -> str:
    """Every finding."""
    return "\n".join(f"{each.where}: {each.what} ({each.kind})" for each in reading.findings)


def test_segments_in_order_are_the_log(vault: DirectoryVault) -> None:
    """All of it, proven by the newest checkpoint, with nothing to say."""
    LOG.seal(vault, 0, 3, 4, 9)
    reading, given = reading_of(vault)
    assert given == whole(9)
    assert (reading.size, reading.proven_size, reading.head_size, reading.promised_size) == (9, 9, 9, 9)
    assert (reading.findings, reading.lost) == ([], [])


def test_a_missing_young_segment_ends_nothing(host: SimulatedHost, vault: DirectoryVault) -> None:
    """Nothing is known of its entries, not even hashes: they are named, and what follows is there and proven."""
    keys = LOG.seal(vault, 0, 3, 5, 9)
    without(host, vault, keys[1:2])
    reading, given = reading_of(vault)
    (gap,) = [each for each in given if isinstance(each, Gap)]
    assert given == [*LOG.entries[:3], gap, *LOG.entries[5:9]]
    assert (gap.start, gap.stop) == (3, 5)
    assert (reading.size, reading.proven_size, reading.head_size) == (9, 9, 9)
    assert (reading.lost, reading.unknown) == ([3, 4], 2)
    assert "entries 3 to 4" in told(reading)


def test_a_missing_first_segment_ends_nothing(host: SimulatedHost, vault: DirectoryVault) -> None:
    """Also where the log's beginning is gone."""
    without(host, vault, LOG.seal(vault, 0, 4, 9)[:1])
    reading, given = reading_of(vault)
    assert given[1:] == LOG.entries[4:9]
    assert (reading.proven_size, reading.unknown) == (9, 4)


def test_a_gap_is_crossed_by_tiles_where_they_tell_the_truth(host: SimulatedHost, vault: DirectoryVault) -> None:
    """Leaf hashes from tiles are compared with the tree that the next segment proves; a tile that lies is not used."""
    without(host, vault, LOG.seal(vault, 0, 100, 200, 300)[1:2])
    LOG.tile(vault, 0)
    reading, given = reading_of(vault)
    assert given == [*LOG.entries[:100], *[None] * 100, *LOG.entries[200:300]]
    assert (reading.proven_size, len(reading.lost), reading.unknown) == (300, 100, 0)
    liar = empty_vault(host, "liar")
    without(host, liar, LOG.seal(liar, 0, 100, 200, 300)[1:2])
    SealedLog(300, twist="another").tile(liar, 0)
    reading, given = reading_of(liar)
    assert [given[:100], given[101:]] == [LOG.entries[:100], LOG.entries[200:300]]
    assert (reading.proven_size, reading.unknown) == (300, 100)


def test_an_end_that_was_cut_off_is_named_by_what_was_signed(vault: DirectoryVault) -> None:
    """A segment under a later checkpoint: its own entries are proven, the rest is named as lost."""
    key, data = LOG.segment(0, 4, size=9)
    vault.put_new(key, data)
    reading, given = reading_of(vault)
    assert given == whole(4)
    assert (reading.proven_size, reading.head_size, reading.promised_size) == (4, 0, 9)
    assert "entries 4 to 8: the node signed that they exist" in told(reading)


def test_a_forged_segment_hides_nothing(vault: DirectoryVault) -> None:
    """Whoever can add to the vault adds longer ones over the true ones, with a signature that is not the node's, with
    entries that the node's checkpoint does not cover, or nonsense. Each is named; every true entry is read."""
    LOG.seal(vault, 0, 3, 5, 9)
    key, strange = SealedLog(9, twist="forged").segment(0, 8, recipient=LOG.recipient)
    head, _, sealed = strange.partition(b"\n\n")
    forged = msgspec.json.encode(msgspec.json.decode(head) | {"checkpoint": LOG.note(8)}) + b"\n\n" + sealed
    other_key = SealedLog(9)
    other_key.signer = Signer(ORIGIN, bytes(32))
    vault.put_new(key, forged)
    vault.put_new(*other_key.segment(0, 9, level="day"))
    vault.put_new(str(SegmentKey(NODE, "live", 3, 5)), b"nonsense")
    vault.put_new(str(SegmentKey(NODE, "month", 0, 999_999_999_999)), b"")
    reading, given = reading_of(vault)
    assert given == whole(9)
    assert (reading.proven_size, reading.lost) == (9, [])
    assert len(reading.findings) == 4, told(reading)


def test_a_header_with_a_good_proof_and_no_entries_hides_nothing(vault: DirectoryVault) -> None:
    """Leaf hashes are public, so anybody can build a header that proves itself around bytes that do not open, at any
    level and over other bounds than the true segments': those are read all the same."""
    LOG.seal(vault, 0, 3, 5, 9)
    _, stranger = new_identity()
    for level, first, stop in (("month", 0, 9), ("day", 0, 4), ("live", 0, 4), ("live", 2, 9), ("live", 5, 7)):
        vault.put_new(*LOG.segment(first, stop, level=level, recipient=stranger))
    reading, given = reading_of(vault)
    assert given == whole(9)
    assert reading.lost == []
    assert "does not open" in told(reading)


def test_a_damaged_segment_is_taken_from_another_vault(host: SimulatedHost, vault: DirectoryVault) -> None:
    """Each vault damaged in another place: all of it is there, and the damage that was met is named."""
    second = empty_vault(host, "second")
    for each, cut in ((vault, 0), (second, 1)):
        for number, (first, stop) in enumerate(((0, 5), (5, 9))):
            key, data = LOG.segment(first, stop)
            each.put_new(key, data[:-1] if number == cut else data)
    reading, given = reading_of(vault, second)
    assert given == whole(9)
    assert [each.where for each in reading.findings] == ["file:///vault opd-1/live/000000000000-5.segment"]


def test_a_damaged_segment_alone_leaves_its_hashes(vault: DirectoryVault) -> None:
    """The header still proves the leaf hashes: the entries are lost, their places are not."""
    LOG.seal(vault, 0, 3)
    key, data = LOG.segment(3, 5)
    vault.put_new(key, data[:-1])
    reading, given = reading_of(vault)
    assert given == [*LOG.entries[:3], None, None]
    assert (reading.proven_size, reading.head_size, reading.unknown) == (5, 5, 0)
    LOG.seal(vault, 5, 9)
    assert reading_of(vault)[1] == [*LOG.entries[:3], None, None, *LOG.entries[5:9]]


def test_two_histories_under_one_key_are_told(vault: DirectoryVault) -> None:
    """A thief of the node's key signs another continuation: both cannot be true, and the report says so."""
    LOG.seal(vault, 0, 3, 5, 9)
    thief = SealedLog(12, twist="thief")
    vault.put_new(*thief.segment(9, 12, recipient=LOG.recipient))
    reading, given = reading_of(vault)
    assert given == whole(9)
    assert "two histories" in told(reading)


def test_a_gap_that_nobody_could_fill_is_not_crossed(vault: DirectoryVault) -> None:
    """A thief of the node's key signs an entry far beyond the end. Its place is not made up, entry by entry."""
    LOG.seal(vault, 0, 3)
    vault.put_new(*far_segment(LOG_GAP_ENTRIES_MAX + 4))
    reading, given = reading_of(vault)
    assert given == whole(3)
    assert "cannot be placed" in told(reading)


def far_segment(first: int) -> tuple[str, bytes]:
    """An entry at `first` of a log of which nothing else exists: whatever is said to stand before it leads to a root."""
    left = [bytes(32)] * first.bit_count()
    frontier = Frontier.from_hashes(first, left)
    frontier.append(LOG.leaves[0])
    writer = SegmentWriter(ORIGIN, first)
    writer.add(LOG.entries[0], LOG.leaves[0])
    note = Checkpoint(ORIGIN, first + 1, frontier.root()).sign(LOG.signer).decode()
    data = writer.finish(proof=RangeProof(left), checkpoint_note=note, recipients=[LOG.recipient])
    return str(SegmentKey(NODE, "live", first, 1)), data


def test_the_highest_level_is_read_and_what_it_covers_is_not_even_listed(vault: DirectoryVault) -> None:
    """One request for each merged object, one list a level, and the newest entries from below."""
    counting = CountingVault(vault)
    LOG.seal(vault, *range(0, 301, 10))
    LOG.seal(vault, 0, 100, 200, 300, level="minute")
    LOG.seal(vault, 0, 200, level="hour")
    reading, given = reading_of(counting)
    assert given == whole(300)
    assert reading.findings == []
    assert counting.gets == ["opd-1/hour/000000000000-200.segment", "opd-1/minute/000000000200-100.segment"]
    assert counting.pages == len(counting.lists) == 5


@pytest.mark.parametrize("damage", ["cut", "header", "gone"])
def test_a_damaged_merged_segment_is_read_from_the_levels_below(
    host: SimulatedHost, vault: DirectoryVault, damage: str
) -> None:
    """The stretch that it covered comes from the next lower level that has it; the ones after it are read as ever."""
    LOG.seal(vault, *range(0, 301, 10))
    LOG.seal(vault, 0, 100, 200, level="minute")
    LOG.seal(vault, 0, 100, level="hour")
    key, data = LOG.segment(100, 300, level="hour")
    if damage != "gone":
        vault.put_new(key, data[:-1] if damage == "cut" else data[5:])
    LOG.seal(vault, 300, 400, level="hour")
    counting = CountingVault(vault)
    reading, given = reading_of(counting)
    assert given == whole(400)
    assert reading.lost == []
    assert [each.where.rpartition(" ")[2] for each in reading.findings] == ([] if damage == "gone" else [key])
    assert sum("/live/" in each for each in counting.gets) == 10


def test_merged_segments_whose_lower_levels_have_expired(vault: DirectoryVault) -> None:
    """Nothing below the highest level is left but the newest, and the log is whole."""
    LOG.seal(vault, 0, 200, 400, level="month")
    LOG.seal(vault, 400, 410, 420)
    reading, given = reading_of(vault)
    assert given == whole(420)
    assert reading.findings == []


def test_an_identity_that_opens_nothing_is_the_wrong_one(vault: DirectoryVault) -> None:
    """It is an error, and not a hospital whose entries are all lost."""
    LOG.seal(vault, 0, 3, 5)
    with pytest.raises(IdentityWrong):
        reading_of(vault, identity=new_identity()[0])
