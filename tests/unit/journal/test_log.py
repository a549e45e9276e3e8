"""The log on disk: sizes, roots, tiles and checkpoints as RFC 6962 and C2SP have them, over restarts."""

from __future__ import annotations

from pathlib import Path

import pytest

from nirantar.errors import EntryDamaged, NotFound
from nirantar.host.simulated import SimulatedHost
from nirantar.journal.log import JournalWriter
from nirantar.journal.reader import JournalReader
from nirantar.tlog.merkle import leaf_hash, root
from nirantar.tlog.note import Signer

ORIGIN = "nirantar.test/opd"
OTHER = "nirantar.test/lab"
SIGNER = Signer(ORIGIN, b"n" * 32)
PATH = Path("/journal.db")


def opened(host: SimulatedHost) -> tuple[JournalWriter, JournalReader]:
    """The journal of a machine, for writing and reading."""
    writer = JournalWriter(host, PATH, ORIGIN, SIGNER)
    return writer, JournalReader(host, PATH, writer._connection)


def entries(count: int) -> list[bytes]:
    """Bytes of different lengths; a log does not look into them."""
    return [b"e%d" % number * (number % 7 + 1) for number in range(count)]


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 600])
def test_a_log_is_the_tree_over_its_entries(size: int) -> None:
    """Root, size, entries, leaves and tiles, before and after a restart."""
    with SimulatedHost(1) as host:
        writer, reader = opened(host)
        data = entries(size)
        leaves = [leaf_hash(each) for each in data]
        for start in range(0, size, 100):
            writer.begin()
            for each in data[start : start + 100]:
                writer.append(each)
            writer.commit()
        for _ in range(2):
            assert writer.root_hash(ORIGIN) == root(leaves)
            assert [found for _, found, _ in reader.entries(ORIGIN, 0, size + 5)] == data
            assert reader.leaf_hashes(ORIGIN, 0, size) == leaves
            kept = reader.checkpoint(ORIGIN)
            assert kept is not None
            assert (kept[0].tree_size, kept[0].root_hash) == (size, root(leaves))
            for number in range(size // 256):
                assert reader.tile(ORIGIN, 0, number, 256) == b"".join(leaves[number * 256 : number * 256 + 256])
                assert reader.slot_is_right(ORIGIN, 1, number)
            writer.close()
            writer, reader = opened(host)


def test_what_is_rolled_back_never_was() -> None:
    """A member, then a batch: size, root and entries are as before each, across the edge of a tile."""
    with SimulatedHost(1) as host:
        writer, reader = opened(host)
        writer.begin()
        for each in entries(255):
            writer.append(each)
        writer.commit()
        before = writer.root_hash(ORIGIN)
        writer.begin()
        writer.savepoint()
        writer.append(b"mine")
        writer.append(b"mine too")
        writer.roll_back_member()
        assert (writer.size(), writer.root_hash(ORIGIN)) == (255, before)
        writer.append(b"other")
        writer.roll_back()
        assert (writer.size(), writer.root_hash(ORIGIN), reader.size(ORIGIN)) == (255, before, 255)
        writer.begin()
        writer.append(b"kept")
        writer.commit()
        assert reader.entry(ORIGIN, 255) == b"kept"
        assert reader.slot_is_right(ORIGIN, 1, 0)


def test_logs_of_other_nodes_stand_beside_the_own() -> None:
    """Each has its indexes from 0; an entry whose bytes are lost keeps its place by its hash."""
    with SimulatedHost(1) as host:
        writer, reader = opened(host)
        writer.begin()
        writer.add_log(OTHER, Signer(OTHER, b"o" * 32).vkey)
        writer.append(b"theirs", OTHER)
        writer.append_missing(leaf_hash(b"lost"), OTHER)
        writer.keep()
        writer.begin()
        writer.append(b"ours")
        writer.commit()
        assert (reader.size(OTHER), reader.size(ORIGIN), reader.size("nobody")) == (2, 1, 0)
        assert writer.root_hash(OTHER) == root([leaf_hash(b"theirs"), leaf_hash(b"lost")])
        with pytest.raises(EntryDamaged, match=f"Entry 1 of {OTHER}"):
            reader.entry(OTHER, 1)
        with pytest.raises(NotFound):
            reader.entry(ORIGIN, 1)
        with pytest.raises(NotFound):
            reader.tile(ORIGIN, 0, 0, 256)
        assert list(reader.origins()) == [OTHER, ORIGIN]


def test_one_checkpoint_a_second_is_kept_and_always_the_newest() -> None:
    """Many commits a second do not fill the disk with notes, and no committed entry is ever without one."""
    with SimulatedHost(1) as host:
        writer, reader = opened(host)
        for number in range(30):
            writer.begin()
            writer.append(b"%d" % number)
            writer.commit()
            size, notes = reader.signed(ORIGIN)
            assert size == notes[-1][0] == number + 1
            host.advance(250_000)
        assert 6 <= len(reader.signed(ORIGIN)[1]) <= 9


def test_a_clock_set_back_keeps_every_checkpoint() -> None:
    """Only a checkpoint of the same second is replaced."""
    with SimulatedHost(1) as host:
        writer, reader = opened(host)
        for _ in range(4):
            writer.begin()
            writer.append(b"x")
            writer.commit()
            host.set_wall_us(host.now_us() - 3_600_000_000)
        assert [size for size, _ in reader.signed(ORIGIN)[1]] == [1, 2, 3, 4]
