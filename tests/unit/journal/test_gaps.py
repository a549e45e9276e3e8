"""Entries of which nothing is known, not even leaf hashes: the journal keeps their places and the tree behind them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from nirantar.errors import NotFound
from nirantar.host.simulated import SimulatedHost
from nirantar.journal.attachments import Attachments
from nirantar.journal.fsck import check_log
from nirantar.journal.log import JournalWriter
from nirantar.journal.reader import JournalReader
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.merkle import Frontier, leaf_hash, root
from nirantar.tlog.note import Signer

PATH = Path("/journal.db")
OWN, LOST = Signer("nirantar.test/new", b"n" * 32), Signer("nirantar.test/old", b"o" * 32)
SIZE = 1_400
ENTRIES = [f'{{"n":{number}}}'.encode() for number in range(SIZE)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def frontier_at(size: int) -> Frontier:
    """The log's tree at a size."""
    frontier = Frontier()
    frontier.extend(LEAVES[:size])
    return frontier


@pytest.mark.parametrize(
    ("start", "stop"), [(3, 5), (0, 1), (10, 256), (200, 300), (256, 512), (100, 1_030), (0, 1_024), (1_290, 1_300)]
)
def test_a_log_goes_on_behind_a_gap(start: int, stop: int) -> None:
    """Wherever the gap lies in its tiles: the tree ends in the root that the whole log has, also when the journal is
    opened again; checking proves it and names exactly the gap; the entries on both sides are read."""
    with SimulatedHost(1) as host:
        with closing(JournalWriter(host, PATH, OWN.name, OWN)) as writer:
            writer.begin()
            writer.add_log(LOST.name, LOST.verifier.vkey)
            for entry in ENTRIES[:start]:
                writer.append(entry, LOST.name)
            writer.append_gap(frontier_at(stop), LOST.name)
            for entry in ENTRIES[stop:]:
                writer.append(entry, LOST.name)
            note = Checkpoint(LOST.name, SIZE, root(LEAVES)).sign(LOST)
            writer.put_checkpoint(LOST.name, SIZE, host.now_us(), note)
            writer.keep()
            assert writer.root_hash(LOST.name) == root(LEAVES)
        with closing(JournalWriter(host, PATH, OWN.name, OWN)) as writer:
            assert (writer.size(LOST.name), writer.root_hash(LOST.name)) == (SIZE, root(LEAVES))
            reader = JournalReader(host, PATH, writer.connection)
            check = check_log(reader, Attachments(host, Path("/attachments")), LOST.name, progress=lambda done: None)
            (lost,) = [each for each in check.findings if each.kind == "lost"]
            assert lost.where == f"{LOST.name} entries {start} to {stop - 1}"
            assert not [each for each in check.findings if "tile hash" in each.where or each.kind == "altered"]
            assert (check.entries, check.proven) == (SIZE, SIZE)
            kept = [data for _, data, _ in reader.entries(LOST.name, 0, SIZE) if data]
            assert kept == ENTRIES[:start] + ENTRIES[stop:]
            assert reader.next_readable(LOST.name, start) == stop
            assert reader.next_readable(LOST.name, SIZE) == SIZE
            nine = sum(len(each) + 1 for each in ENTRIES[stop : stop + 9])
            assert reader.plain_bytes(LOST.name, stop, stop + 9) == nine
            with pytest.raises(NotFound):
                reader.tile(LOST.name, 0, start // 256, min(256, SIZE - start // 256 * 256))


def test_two_gaps() -> None:
    """Each is kept, and the later one's tree is what the log grows from."""
    with SimulatedHost(1) as host, closing(JournalWriter(host, PATH, OWN.name, OWN)) as writer:
        writer.begin()
        writer.add_log(LOST.name, LOST.verifier.vkey)
        for start, stop, end in ((0, 7, 300), (300, 310, 400)):
            assert writer.size(LOST.name) == start
            writer.append_gap(frontier_at(stop), LOST.name)
            for entry in ENTRIES[stop:end]:
                writer.append(entry, LOST.name)
        writer.keep()
        reader = JournalReader(host, PATH, writer.connection)
        assert writer.root_hash(LOST.name) == root(LEAVES[:400])
        assert {size: each.hashes for size, each in reader.gaps(LOST.name).items()} == {
            size: frontier_at(size).hashes for size in (7, 310)
        }
        assert reader.gaps(OWN.name) == {}
