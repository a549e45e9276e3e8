"""Checking a log: clean is clean, and each kind of damage is named where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from nirantar.host.simulated import SimulatedHost
from nirantar.journal.attachments import Attachments
from nirantar.journal.entry import Entry, encode
from nirantar.journal.fsck import LogCheck, check_log
from nirantar.journal.log import JournalWriter
from nirantar.journal.reader import JournalReader
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.note import Signer

ORIGIN = "nirantar.test/opd"
SIGNER = Signer(ORIGIN, b"n" * 32)
PATH = Path("/journal.db")
ENTRIES = 300


@pytest.fixture
def writer() -> Iterator[JournalWriter]:
    """A journal of 300 entries, a checkpoint for every hundred."""
    with SimulatedHost(1) as host:
        made = JournalWriter(host, PATH, ORIGIN, SIGNER)
        for _ in range(3):
            made.begin()
            for _ in range(100):
                made.append(encode(an_entry(ORIGIN)))
            made.commit()
            host.advance(2_000_000)
        yield made


def an_entry(origin: str) -> Entry:
    """An entry that changes nothing."""
    return Entry(1, "id", origin, "1.0", "2026-11-23T08:30:00.000Z", "a", "doctor", "w", "test", (), "c2FsdA==")


def checked(writer: JournalWriter) -> LogCheck:
    """What checking finds."""
    reader = JournalReader(writer._host, PATH, writer._connection)
    return check_log(reader, Attachments(writer._host, Path("/attachments")), ORIGIN, progress=lambda done: None)


def found(writer: JournalWriter) -> list[str]:
    """Findings as text."""
    return [f"{each.where}: {each.what}" for each in checked(writer).findings]


def test_a_clean_log_is_proven_to_its_end(writer: JournalWriter) -> None:
    """No findings; every entry counted, hashed, and covered by a signature."""
    check = checked(writer)
    assert (check.entries, check.proven, check.findings) == (ENTRIES, ENTRIES, [])


def change_a_byte(connection: apsw.Connection) -> None:
    """One entry's bytes."""
    connection.execute("UPDATE entry SET data = CAST(replace(CAST(data AS TEXT), 'doctor', 'doktor') AS BLOB) WHERE row % 1024 = 17")


def rewrite_an_entry(connection: apsw.Connection) -> None:
    """An entry and its leaf hash, as an attacker would."""
    connection.execute("UPDATE entry SET data = x'7b7d', leaf_hash = zeroblob(32) WHERE row % 1024 = 17")


def take_one_out(connection: apsw.Connection) -> None:
    """An entry in the middle."""
    connection.execute("DELETE FROM entry WHERE row % 1024 = 17")


def cut_the_end(connection: apsw.Connection) -> None:
    """The last entries."""
    connection.execute("DELETE FROM entry WHERE row % 1024 >= 250")


def forge_a_checkpoint(connection: apsw.Connection) -> None:
    """The last checkpoint, signed by another key of the same name."""
    note = Checkpoint(ORIGIN, ENTRIES, b"\1" * 32).sign(Signer(ORIGIN, b"x" * 32))
    connection.execute("UPDATE checkpoint SET note = ? WHERE tree_size = 300", (note,))


def drop_the_checkpoints(connection: apsw.Connection) -> None:
    """All of them."""
    connection.execute("DELETE FROM checkpoint")


def change_a_tile(connection: apsw.Connection) -> None:
    """A kept tile hash."""
    connection.execute("UPDATE slot SET hash = zeroblob(32)")


DAMAGE: dict[Callable[[apsw.Connection], None], list[str]] = {
    change_a_byte: [f"{ORIGIN} entry 17: its bytes differ from its leaf hash"],
    rewrite_an_entry: [
        f"{ORIGIN} entry 17: its bytes differ from its leaf hash",
        *(f"{ORIGIN} at size {size}: the entries do not hash to the root that the node signed" for size in (100, 200, 300)),
        f"{ORIGIN} entries 0 to 299: no signed checkpoint covers them",
        f"{ORIGIN} tile hash 1/0: it is not the root over the tile below it",
    ],
    take_one_out: [f"{ORIGIN} entry 17: entries up to 17 are not in the journal"],
    cut_the_end: [
        f"{ORIGIN} entries 250 to 299: a signed checkpoint covers them, but they are gone",
        f"{ORIGIN} entries 200 to 249: no signed checkpoint covers them",
    ],
    forge_a_checkpoint: [
        f"{ORIGIN} checkpoint of size 300: ",
        f"{ORIGIN} entries 200 to 299: no signed checkpoint covers them",
    ],
    drop_the_checkpoints: [f"{ORIGIN} entries 0 to 299: no signed checkpoint covers them"],
    change_a_tile: [f"{ORIGIN} tile hash 1/0: it is not the root over the tile below it"],
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda each: each.__name__)
def test_damage_is_named(writer: JournalWriter, damage: Callable[[apsw.Connection], None]) -> None:
    """Each kind is told by place and kind, and nothing else is accused."""
    damage(writer._connection)
    findings = found(writer)
    assert len(findings) == len(DAMAGE[damage]), findings
    for finding, expected in zip(findings, DAMAGE[damage], strict=True):
        assert finding.startswith(expected)


def test_an_entry_of_another_log_does_not_pass(writer: JournalWriter) -> None:
    """Its hash and signature are right, but it says that it belongs elsewhere, or is no entry at all."""
    writer.begin()
    writer.append(encode(an_entry("nirantar.test/lab")))
    writer.append(b"[]")
    writer.append(b'{"v":2}')
    writer.commit()
    findings = found(writer)
    assert findings[0] == f"{ORIGIN} entry 300: it says that it belongs to another log"
    assert findings[1].startswith(f"{ORIGIN} entry 301: ")
    assert len(findings) == 2


def test_a_node_that_goes_on_writing_is_not_accused(writer: JournalWriter) -> None:
    """A commit between reading the size and reading the entries leaves nothing that looks unproven or lost."""
    reader = JournalReader(writer._host, PATH, writer._connection)
    read_signed = reader.signed

    def signed_then_a_commit(origin: str) -> tuple[int, list[tuple[int, bytes]]]:
        result = read_signed(origin)
        writer.begin()
        writer.append(encode(an_entry(ORIGIN)))
        writer.commit()
        return result

    reader.signed = signed_then_a_commit  # type: ignore[method-assign]
    check = check_log(reader, Attachments(writer._host, Path("/attachments")), ORIGIN, progress=lambda done: None)
    assert (check.entries, check.findings) == (ENTRIES, [])
