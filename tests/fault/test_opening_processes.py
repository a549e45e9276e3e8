"""Processes that open segments: they make reading faster and change nothing else, whatever is damaged or dies."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

import pytest

from nirantar import limits
from nirantar.app.opening import ManyProcesses, _Question, _Ticket
from nirantar.continuity.log_reading import Gap, LogReading, Stretch
from nirantar.continuity.segment_opening import Opener, SegmentOpener
from nirantar.continuity.vault_reading import read_stretches
from nirantar.errors import IdentityWrong
from nirantar.host.real import RealHost
from nirantar.journal.entry import Attachment, Change, Entry, encode
from nirantar.vault.directory import DirectoryVault
from nirantar.vault.encryption import new_identity
from nirantar.vault.keys import SegmentKey
from sealed_log import NODE, ORIGIN, SealedLog

SEED = 20_221_123
ROUNDS = 12
SIZE = 900


def entry(number: int) -> bytes:
    """An entry; every fiftieth has an attachment, every seventieth is none."""
    if number % 70 == 69:
        return b'{"v":1}'
    attachments = (Attachment(f"{number:064x}", "key", 1),) if number % 50 == 49 else ()
    return encode(Entry(
        1, f"id-{number}", ORIGIN, f"{number}.0", "2026-11-23T07:00:00Z", "a", "doctor", "w", "test",
        (Change("DELETE", "Patient", f"{number}", "v"),) * (number % 3), "c2FsdA==", attachments=attachments,
    ))


LOG = SealedLog(0, entries=[entry(number) for number in range(SIZE)])


class Place:
    """Two vaults that hold the log at three levels, on the real disk, and reading them."""

    def __init__(self, path: Path) -> None:
        self.paths = [path / "one", path / "two"]
        self.vaults = [DirectoryVault.create(RealHost(), each) for each in self.paths]
        for vault in self.vaults:
            LOG.seal(vault, *range(0, SIZE + 1, 30))
            LOG.seal(vault, *range(0, 601, 60), level="minute")
            LOG.seal(vault, 0, 180, 300, level="hour")
        for each in path.rglob("*"):
            each.chmod(0o750 if each.is_dir() else 0o640)

    @property
    def uris(self) -> list[str]:
        return [each.as_uri() for each in self.paths]

    def segments(self) -> list[Path]:
        """Every segment of both vaults."""
        return sorted(each for path in self.paths for each in path.rglob("*.segment"))

    def read(self, opener: Opener) -> tuple[Any, ...]:
        """All that a reader learns: each entry's hash and content by its place, gaps, and what is found on the way."""
        reading = LogReading(ORIGIN, LOG.signer.verifier)
        given = [told for each in read_stretches(self.vaults, opener, reading) for told in one_by_one(each)]
        found = replace(reading, findings=[])
        return given, reading.findings, (found.size, found.lost, found.proven_size, found.head_size, found.promised_size)

    def here(self, *, outline: bool) -> tuple[Any, ...]:
        return self.read(SegmentOpener([LOG.identity], outline=outline))

    def many(self, *, outline: bool = False, identity: str = LOG.identity, processes: int = 2) -> ManyProcesses:
        return ManyProcesses(
            self.vaults, self.uris, [identity], outline=outline, processes=processes, entries_min=1
        )

    def elsewhere(self, *, outline: bool) -> tuple[Any, ...]:
        with self.many(outline=outline) as many:
            learned = self.read(many)
            assert many.started == 2
            return learned


def one_by_one(each: Stretch | Gap) -> list[tuple[Any, ...]]:
    """A stretch by entries: where it was cut into parts is nobody's business."""
    if isinstance(each, Gap):
        return [(each.start, each.stop, each.frontier.hashes)]
    marks = {mark.position: told_of(mark) for mark in each.part.marks} if each.part else {}
    return [
        (each.first_index + position, leaf, *(part_of(each, position)), marks.get(position))
        for position, leaf in enumerate(each.leaf_hashes)
    ]


def told_of(mark: Any) -> tuple[Any, ...]:
    return mark.damage, tuple(mark.attachments)


def part_of(each: Stretch, position: int) -> tuple[Any, ...]:
    if each.part is None:
        return (None, None)
    return (
        each.part.entries[position] if each.part.entries else None,
        each.part.versions[position] if each.part.versions else None,
    )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Two whole vaults."""
    return Place(tmp_path)


@pytest.mark.parametrize("outline", [True, False])
def test_whole_vaults_read_the_same(place: Place, outline: bool) -> None:
    """Every entry, its place, hash and content; nothing to say but what is to be said of the entries."""
    given, findings, numbers = place.elsewhere(outline=outline)
    assert (given, findings, numbers) == place.here(outline=outline)
    assert (len(given), findings) == (SIZE, [])
    assert [each[2] for each in given] == ([None] * SIZE if outline else LOG.entries)


def cut(path: Path, random: Random) -> None:
    path.write_bytes(path.read_bytes()[: random.randrange(path.stat().st_size)])


def flip(path: Path, random: Random) -> None:
    data = bytearray(path.read_bytes())
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    path.write_bytes(data)


def gone(path: Path, random: Random) -> None:
    path.unlink()


def another(path: Path, random: Random) -> None:
    shutil.copyfile(random.choice(sorted(path.parent.iterdir())), path.with_name("copied"))
    path.with_name("copied").rename(path)


DAMAGES: Sequence[Callable[[Path, Random], None]] = (cut, flip, gone, another)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_damaged_vaults_read_the_same(place: Place, number: int) -> None:
    """Segments cut, flipped, exchanged and gone in both vaults and at all levels: the same entries, gaps and findings
    in the same order, with and without processes."""
    random = Random(SEED + number)
    for path in random.sample(place.segments(), 4 + 5 * number):
        random.choice(DAMAGES)(path, random)
    outline = bool(number % 2)
    assert place.elsewhere(outline=outline) == place.here(outline=outline), f"seed {SEED + number}"


def test_forged_segments_read_the_same(place: Place) -> None:
    """Objects that anybody could add, over other bounds and with bytes that do not open, change nothing either."""
    _, stranger = new_identity()
    for level, first, stop in (("month", 0, 90), ("day", 10, 400), ("hour", 300, 480), ("live", 5, 70)):
        place.vaults[0].put_new(*LOG.segment(first, stop, level=level, recipient=stranger))
    place.vaults[1].put_new(str(SegmentKey(NODE, "month", 0, 880)), b"nonsense")
    for outline in (True, False):
        learned = place.elsewhere(outline=outline)
        assert learned == place.here(outline=outline)
        assert len(learned[1]) >= 3


def test_a_wrong_identity_is_told_as_ever(place: Place) -> None:
    """An identity that opens nothing is an error and not a lost hospital."""
    with place.many(identity=new_identity()[0]) as many, pytest.raises(IdentityWrong):
        place.read(many)


@pytest.mark.parametrize("after", [0, 1, 200])
def test_processes_that_die_change_nothing(place: Place, after: int) -> None:
    """All of them killed at the start or in the middle: what they did not do is done here."""
    expected, reading = place.here(outline=False), LogReading(ORIGIN, LOG.signer.verifier)
    with place.many() as many:
        given: list[tuple[Any, ...]] = []
        killed = False
        for each in read_stretches(place.vaults, many, reading):
            given += one_by_one(each)
            if not killed and len(given) > after:
                killed = True
                for worker in many._workers:
                    os.kill(worker._process.pid, signal.SIGKILL)
    assert killed
    assert (given, reading.findings) == expected[:2]


def test_without_processes_it_is_done_here(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that starts none reads as ever."""
    def none(*_: object, **__: object) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", none)
    with place.many() as many:
        assert place.read(many) == place.here(outline=False)
        assert many.started == 0


def test_few_entries_start_nothing(place: Place) -> None:
    """A small log is read before a process would have started."""
    with ManyProcesses(place.vaults, place.uris, [LOG.identity], outline=True, processes=2) as many:
        assert place.read(many) == place.here(outline=True)
        assert many.started == 0
    assert limits.OPENED_ELSEWHERE_ENTRIES_MIN > SIZE


def test_the_identity_is_in_no_argument_and_no_environment(place: Place) -> None:
    """Whoever lists processes learns nothing; and at the end none of them is left."""
    with place.many() as many:
        place.read(many)
        pids = [worker._process.pid for worker in many._workers]
        for pid in pids:
            seen = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
            assert b"nirantar.app.opening" in seen
            assert LOG.identity.lower().encode() not in seen.lower()
            assert b"age-secret" not in seen.lower()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_leaving_in_the_middle_ends_all(place: Place) -> None:
    """A reader that stops early waits for nothing and leaves nothing running."""
    with place.many() as many:
        next(read_stretches(place.vaults, many, LogReading(ORIGIN, LOG.signer.verifier)))
        pids = [worker._process.pid for worker in many._workers]
    assert pids
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_what_is_opened_ahead_is_bounded(place: Place) -> None:
    """A process whose entries nobody takes yet is held up; what is dropped holds nobody up."""
    ticket = _Ticket(place.vaults[0], SegmentKey(NODE, "live", 0, 1), _Question(0, "key", "vkey"))
    ticket.put(b"p", bytes(limits.OPENED_AHEAD_BYTES_MAX))
    second = Thread(target=ticket.put, args=(b"p", b"more"))
    second.start()
    second.join(0.2)
    assert second.is_alive()
    assert ticket.take() == (b"p", bytes(limits.OPENED_AHEAD_BYTES_MAX))
    second.join(10)
    assert not second.is_alive()
    ticket.put(b"p", bytes(limits.OPENED_AHEAD_BYTES_MAX))
    third = Thread(target=ticket.put, args=(b"p", b"more"))
    third.start()
    ticket.drop()
    third.join(10)
    assert not third.is_alive()
