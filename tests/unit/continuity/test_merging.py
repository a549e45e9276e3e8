"""A node's sealer and merger over a year, with a clock that the test moves: few requests, nothing lost, whatever goes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from nirantar.continuity.log_reading import Gap, LogReading
from nirantar.continuity.merging import Merger, learn
from nirantar.continuity.sealing import Sealer
from nirantar.continuity.vault_reading import read_log
from nirantar.host.simulated import SimulatedHost
from nirantar.host.times import instant
from nirantar.journal.attachments import Attachments
from nirantar.journal.entry import Entry, encode
from nirantar.journal.log import JournalWriter
from nirantar.journal.reader import JournalReader
from nirantar.limits import LEVEL_EXPIRES_SECONDS, LEVEL_SEGMENTS_MAX, SEGMENT_MERGED_PLAIN_BYTES_MAX
from nirantar.tlog.note import Signer
from nirantar.vault.encryption import new_identity
from nirantar.vault.keys import HOSPITAL_KEY, LEVELS, SegmentKey, parse, segments_prefix
from nirantar.vault.levels import next_merge, superseded
from nirantar.vault.segments import check_sealed, prove_header
from sealed_log import NODE, ORIGIN, CountingVault, SealedLog, empty_vault, without

DAY_US = 86_400_000_000
REQUESTS_MAX = 200
ENTRY_BYTES = 1_500


class SealedNode:
    """A journal, a vault, and what seals the one to the other, on a simulated machine."""

    def __init__(self, host: SimulatedHost) -> None:
        self.host = host
        self.signer = Signer(ORIGIN, b"n" * 32)
        self.journal = JournalWriter(host, Path("/journal.db"), ORIGIN, self.signer)
        self.reader = JournalReader(host, Path("/journal.db"), self.journal.connection)
        self.identity, self.recipient = new_identity()
        self.directory = empty_vault(host)
        self.directory.put_new(HOSPITAL_KEY, b"{}")
        self.vault = CountingVault(self.directory)
        self.stored_us: dict[str, int] = {}
        self.entries: list[bytes] = []
        self.start()

    def start(self) -> None:
        """Begin anew, as after a restart: nothing is remembered of the vault."""
        self.sealer = Sealer(
            self.host, self.reader, Attachments(self.host, Path("/attachments")), ORIGIN, [self.vault],
            lambda: [self.recipient], publish=lambda vault: None, closed=lambda vault: None, stop_writing=pytest.fail,
        )

    def write(self, entries: int = 1) -> None:
        """Commit entries, and seal and merge as the node does."""
        self.journal.begin()
        for _ in range(entries):
            entry = Entry(
                1, f"id-{len(self.entries)}", ORIGIN, f"{self.host.now_us()}.0", instant(self.host.now_us()), "a",
                "doctor", "w", "test", (), "c2FsdA==",
            )
            self.entries.append(encode(entry))
            self.journal.append(self.entries[-1])
        self.journal.commit()
        self.sealer.step()
        (status,) = self.sealer.status()
        assert (status.trouble, status.confirmed) == (None, len(self.entries))

    def keys(self, level: str) -> list[SegmentKey]:
        """The segments of a level in the vault."""
        found = (parse(key) for key in self.directory.list(segments_prefix(NODE, level=level)))
        return [key for key in found if isinstance(key, SegmentKey)]

    def require_whole(self) -> int:
        """Read all of the log, compare every byte; how many requests it took."""
        self.vault.reset()
        reading = LogReading(ORIGIN, self.signer.verifier)
        steps = list(read_log([self.vault], (self.identity,), reading))
        assert [None if isinstance(step, Gap) else step.data for step in steps] == self.entries
        assert (reading.findings, reading.proven_size, reading.head_size) == ([], len(steps), len(steps))
        return self.vault.requests

    def proven(self) -> list[SegmentKey]:
        """The keys of all segments that prove themselves, as a keeper finds out."""
        found = []
        for key in (key for level in LEVELS for key in self.keys(level)):
            header = check_sealed(self.directory.get(str(key)), key=str(key))
            prove_header(header, self.signer.verifier, key=str(key))
            found.append(key)
        return found


@pytest.fixture
def node() -> Iterator[SealedNode]:
    """A node on a fresh machine."""
    with SimulatedHost(1) as host:
        yield SealedNode(host)


def test_a_year_of_a_quiet_node(node: SealedNode) -> None:
    """Twice a day, with a busy hour every other month, a restart each fortnight, and lower levels that expire as they
    may: the whole log is read in few requests on any day, before and after."""
    random = Random(20_221_123)
    seen_us: dict[SegmentKey, int] = {}
    for day in range(365):
        busy = day % 60 == 7
        for _ in range(70 if busy else 2):
            node.host.advance(30_000_000 if busy else DAY_US // 3)
            node.write(random.randint(1, 3))
        node.host.advance(DAY_US // 3)
        if day % 14 == 3:
            node.start()
        if day % 60 == 59:
            assert node.require_whole() <= REQUESTS_MAX
            proven = node.proven()
            ages = {key: (node.host.now_us() - seen_us.setdefault(key, node.host.now_us())) / 1e6 for key in proven}
            expired = list(superseded(ages, proven))
            assert bool(expired) == (day > 60)
            without(node.host, node.directory, [str(key) for key in expired])
            assert node.require_whole() <= REQUESTS_MAX
    assert len(node.keys("month")) >= 10
    assert not [key for level in LEVELS[:-1] for key in node.keys(level) if key.first == 0]
    node.start()
    node.vault.reset()
    node.write()
    assert node.vault.requests <= 40, "what is merged was listed or read again at the start"


def structure_after(days: int, hours_a_day: int) -> dict[str, list[SegmentKey]]:
    """The segments of each level that a reader needs after so many days of one seal each second for some hours, as many
    as there can be: minutes and live ones are one short of being merged. By the node's own decisions, without writing
    anything; up to an hour nothing can differ, since sixty are one."""
    unmerged: dict[str, list[SegmentKey]] = {level: [] for level in LEVELS}
    for hour in range(days * hours_a_day):
        unmerged["hour"].append(SegmentKey(NODE, "hour", hour * 3_600, 3_600))
        while True:
            levels = {level: unmerged[level] for level in LEVELS[:-1]}
            due = next_merge(levels, lambda key: 0.0, lambda key: key.count * ENTRY_BYTES)
            if due is None:
                break
            level, run = due
            unmerged[level].append(SegmentKey(NODE, level, run[0].first, run[-1].end - run[0].first))
            del unmerged[run[0].level][: len(run)]
    end = days * hours_a_day * 3_600
    for level, entries in (("minute", 60), ("live", 1)):
        for _ in range(LEVEL_SEGMENTS_MAX[level] - 1):
            unmerged[level].append(SegmentKey(NODE, level, end, entries))
            end += entries
    return unmerged


@pytest.mark.parametrize("hours_a_day", [1, 24])
def test_a_year_of_a_node_that_seals_each_second(hours_a_day: int) -> None:
    """What a reader needs of it, built small, is read whole in 200 requests, and one more for each half of what a
    merged segment takes; whether or not the merged ones still have lower ones below them."""
    structure = structure_after(365, hours_a_day)
    needed = [key for level in reversed(LEVELS) for key in structure[level]]
    assert needed[0].first == 0
    assert all(after.first == before.end for before, after in pairwise(needed))
    with SimulatedHost(1) as host:
        log, vault = SealedLog(len(needed)), empty_vault(host)
        for index, key in enumerate(needed):
            vault.put_new(*log.segment(index, index + 1, level=key.level, size=len(needed)))
        for level in LEVELS[: LEVELS.index(needed[0].level)]:
            vault.put_new(*log.segment(0, 2, level=level, size=len(needed)))
        counting = CountingVault(vault)
        reading = LogReading(ORIGIN, log.signer.verifier)
        steps = list(read_log([counting], (log.identity,), reading))
    assert [step.data for step in steps if not isinstance(step, Gap)] == log.entries
    assert reading.findings == []
    assert counting.requests == len(needed) + len(LEVELS)
    fixed = sum(number - 1 for number in LEVEL_SEGMENTS_MAX.values()) + len(LEVELS)
    plain_bytes = needed[-1].end * ENTRY_BYTES
    assert counting.requests <= REQUESTS_MAX + plain_bytes // (SEGMENT_MERGED_PLAIN_BYTES_MAX // 2)
    assert fixed <= REQUESTS_MAX - 24
    if hours_a_day == 1:
        assert counting.requests <= REQUESTS_MAX


def test_a_merge_that_was_cut_off_is_found_again(node: SealedNode) -> None:
    """The merged segment was stored and nobody noted it: another attempt takes it for its own, and what is merged is
    learned from the vault."""
    for _ in range(LEVEL_SEGMENTS_MAX["live"] - 1):
        node.write()
    ladder = learn(node.vault, node.reader, ORIGIN)
    node.write()
    (minute,) = node.keys("minute")
    assert (minute.first, minute.count) == (0, LEVEL_SEGMENTS_MAX["live"])
    ladder.sealed(node.keys("live")[-1])
    merger = Merger(node.host, node.reader, lambda: [node.recipient])
    ladder.follows(*learned(node))
    assert merger.merge(node.vault, ORIGIN, ladder)
    assert (node.keys("minute"), ladder.levels["live"], ladder.levels["minute"]) == ([minute], [], [minute])
    again = learn(node.vault, node.reader, ORIGIN)
    assert (again.levels["live"], again.levels["minute"], again.end) == ([], [minute], 60)
    assert node.require_whole() == 1 + len(LEVELS)


def learned(node: SealedNode) -> tuple[int, str]:
    """The newest checkpoint that the vault holds all of."""
    found = learn(node.vault, node.reader, ORIGIN)
    return found.tree_size, found.note


def test_what_lies_in_the_way_of_a_merge_is_passed_by(node: SealedNode) -> None:
    """Whoever can add to the vault puts something under the key of the next merged segment: another number of segments
    is merged, and all is read."""
    count = LEVEL_SEGMENTS_MAX["live"]
    node.directory.put_new(str(SegmentKey(NODE, "minute", 0, count)), b"in the way")
    for _ in range(count):
        node.write()
    assert [key.count for key in node.keys("minute")] == [count - 1, count]
    reading = LogReading(ORIGIN, node.signer.verifier)
    steps = list(read_log([node.vault], (node.identity,), reading))
    assert [None if isinstance(step, Gap) else step.data for step in steps] == node.entries
    assert len(reading.findings) == 1


def test_a_name_alone_merges_nothing(node: SealedNode) -> None:
    """An object that claims to be a month of everything does not keep the node from merging, after a restart either."""
    node.write()
    node.directory.put_new(str(SegmentKey(NODE, "month", 0, 40)), b"no segment")
    node.start()
    for _ in range(LEVEL_SEGMENTS_MAX["live"]):
        node.write()
    assert [key.end for key in node.keys("minute")] == [LEVEL_SEGMENTS_MAX["live"]]
    assert learn(node.vault, node.reader, ORIGIN).end == len(node.entries)


def test_the_bounds_that_merging_promises() -> None:
    """Every level but the highest expires, and all of them together are within what a reader may need."""
    assert set(LEVEL_EXPIRES_SECONDS) == set(LEVEL_SEGMENTS_MAX) == set(LEVELS[:-1])
