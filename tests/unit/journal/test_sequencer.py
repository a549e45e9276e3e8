"""The single writer: a batch is whole, a refused member alone, and the clock never goes back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import current_thread
from typing import Any

import pytest

from nirantar import limits
from nirantar.errors import BusinessRule, ReadOnly
from nirantar.fhir.outline import Outline
from nirantar.host.times import instant
from nirantar.interactions.operations import create
from nirantar.interactions.transaction import Purpose
from nirantar.journal.entry import Entry, Hlc, decode, encode
from nirantar.journal.log import Appended
from nirantar.journal.sequencer import Member as SequencerMember
from nirantar.journal.sequencer import Sequencer, Turn
from nirantar.tlog.note import Signer
from simulated_node import INTEGRATION, ORIGIN, SimulatedNode, a_patient, in_one_batch

OTHER = "nirantar.test/lab"
HOUR_US = 3_600_000_000


class Member:
    """A write that notes its turn, and refuses or does nothing when told."""

    def __init__(self, does: str = "writes") -> None:
        self.does = does
        self.turn: Turn | None = None
        self.outlines: dict[tuple[str, str], Outline] = {}
        self.told: bytes | None = None

    def question(self) -> bytes | None:
        """What it does."""
        return self.does.encode()

    def answered(self, answer: bytes) -> None:
        """Keep the answer."""
        self.told = answer

    def prepare(self) -> None:
        """An error, or nothing to do."""
        if self.does == "is wrong":
            raise BusinessRule("wrong")

    def decide(self, turn: Turn) -> Entry | None:
        """An empty entry, an error, or nothing."""
        self.turn = turn
        if self.does == "refuses":
            raise BusinessRule("no")
        return None if self.does == "writes nothing" else entry_of(turn.origin, turn.hlc, turn.now_us)

    def answer(self, appended: Appended | None) -> Any:
        """Where it stands."""
        if self.does == "cannot answer":
            raise BusinessRule("no answer")
        return appended


def entry_of(origin: str, hlc: Hlc | str, recorded_us: int) -> Entry:
    """An entry without changes."""
    return Entry(1, "id", origin, str(hlc), instant(recorded_us), "a", "doctor", "w", "test", (), "c2FsdA==")


def clock_of(node: SimulatedNode, index: int) -> Hlc:
    """The clock of one own entry."""
    entry = decode(node.journal.data(ORIGIN, index), ORIGIN, index)
    assert entry is not None
    return Hlc.parse(entry.hlc)


@pytest.fixture
def node() -> Iterator[SimulatedNode]:
    """A node whose writer has no thread yet."""
    made = SimulatedNode()
    yield made
    made.host.close()


def test_a_refused_member_takes_nobody_with_it(node: SimulatedNode) -> None:
    """In one batch: the others stand one after another, the refused and the idle leave no gap."""
    futures = in_one_batch(node.sequencer, [
        Member(), Member("refuses"), Member("writes nothing"), Member("cannot answer"), Member(),
    ])
    assert [each.result().entry_index for each in (futures[0], futures[4])] == [0, 2]
    assert isinstance(futures[1].exception(), BusinessRule)
    assert futures[2].result() is None
    assert str(futures[3].exception()) == "no answer"
    assert node.journal.size() == node.sequencer.size == 3
    assert node.reader.signed(ORIGIN)[0] == 3


def test_work_between_batches_sees_whole_batches_only(node: SimulatedNode) -> None:
    """It runs in the writer's thread when no batch is open; its result or error is its asker's alone; after the end it
    is refused."""
    node.sequencer.start()
    try:
        for each in range(1, 30):
            written = node.sequencer.submit(Member())
            sizes = node.sequencer.between(lambda: (node.journal.size(), node.sequencer.size, current_thread().name))
            assert sizes.result(10) == (each, each, "sequencer")
            assert written.result(10).entry_index == each - 1
            with pytest.raises(ZeroDivisionError):
                node.sequencer.between(lambda: 1 // 0).result(10)
    finally:
        node.sequencer.stop()
    with pytest.raises(ReadOnly, match="stopping"):
        node.sequencer.between(lambda: None)


def test_work_between_batches_runs_in_a_step_before_its_members(node: SimulatedNode) -> None:
    """Without a thread, too: first what waits between, then the batch."""
    size = node.sequencer.between(node.journal.size)
    (written,) = in_one_batch(node.sequencer, [Member()])
    assert (size.result(0), written.result(0).entry_index) == (0, 0)


def test_a_batch_that_writes_nothing_commits_nothing(node: SimulatedNode) -> None:
    """No checkpoint and no fsync for retries of what is already there."""
    in_one_batch(node.sequencer, [Member("writes nothing"), Member("refuses")])
    assert node.reader.signed(ORIGIN) == (0, [])


def test_a_member_sees_the_batch_before_it(node: SimulatedNode) -> None:
    """Its turn reads entries that are not committed yet."""
    seen: list[bytes] = []

    class Reading(Member):
        def decide(self, turn: Turn) -> Entry | None:
            seen.append(turn.read_entry(ORIGIN, 0))
            return None

    in_one_batch(node.sequencer, [Member(), Reading()])
    assert seen == [node.journal.data(ORIGIN, 0)]


def test_a_clock_set_back_reorders_nothing(node: SimulatedNode) -> None:
    """Hybrid clocks grow through a clock set back, in a run and over a restart."""
    in_one_batch(node.sequencer, [Member(), Member()])
    node.host.set_wall_us(node.host.now_us() - HOUR_US)
    in_one_batch(node.sequencer, [Member()])
    again = Sequencer(node.host, node.journal, node.view)
    in_one_batch(again, [Member()])
    clocks = [clock_of(node, index) for index in range(4)]
    assert clocks == sorted(set(clocks))


@pytest.mark.parametrize("forged", ["", "not an entry", "future", "no clock", "newer format"])
def test_another_log_cannot_stop_or_carry_away_this_node(node: SimulatedNode, forged: str) -> None:
    """Whatever whoever had another node's key put last into its log: this node starts, and keeps its own time."""
    now_us = node.host.now_us()
    honest = encode(entry_of(OTHER, Hlc(now_us + HOUR_US, 5), now_us + HOUR_US))
    last = {
        "": b"",
        "not an entry": b"{}",
        "future": encode(entry_of(OTHER, Hlc(2**62, 0), now_us)),
        "no clock": encode(entry_of(OTHER, "soon", now_us)),
        "newer format": b'{"v":2}',
    }[forged]
    node.journal.begin()
    node.journal.add_log(OTHER, Signer(OTHER, b"o" * 32).vkey)
    node.journal.append(honest, OTHER)
    if last:
        node.journal.append(last, OTHER)
    else:
        node.journal.append_missing(b"\0" * 32, OTHER)
    node.journal.keep()
    sequencer = Sequencer(node.host, node.journal, node.view)
    in_one_batch(sequencer, [Member()])
    assert clock_of(node, 0) == Hlc(now_us + HOUR_US, 6)


def test_a_stopped_writer_refuses(node: SimulatedNode) -> None:
    """After stop every submit is answered with ReadOnly at once; what waited before was finished."""
    node.sequencer.start()
    done = node.transact.submit(INTEGRATION, [create(a_patient())], Purpose("test"))
    node.sequencer.stop()
    assert done.result(0).results[0].status == "created"
    with pytest.raises(ReadOnly, match="stopping"):
        node.sequencer.submit(Member())


class Elsewhere:
    """A preparation that answers every question, or refuses to begin."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses
        self.begun: list[int] = []
        self._members: Sequence[SequencerMember] = ()

    def begin(self, members: Sequence[SequencerMember]) -> bool:
        """Note how many."""
        self._members = members
        self.begun.append(len(members))
        return not self.refuses

    def finish(self) -> None:
        """Answer each."""
        for member in self._members:
            member.answered((member.question() or b"") + b"!")

    def stop(self) -> None:
        """Nothing to end."""


def test_who_is_wrong_in_itself_is_in_no_batch(node: SimulatedNode) -> None:
    """A member that cannot be prepared hears its own error; the others are written as if it had not been there."""
    futures = in_one_batch(node.sequencer, [Member("is wrong"), Member()])
    with pytest.raises(BusinessRule, match="wrong"):
        futures[0].result(0)
    assert futures[1].result(0).entry_index == 0


@pytest.mark.parametrize("refuses", [False, True])
def test_many_are_prepared_elsewhere_in_order(node: SimulatedNode, refuses: bool) -> None:
    """What waits in numbers is prepared elsewhere while the batch before it is written; the order stays, nobody is
    forgotten when the writer stops, and where the help refuses the writer does without."""
    elsewhere = Elsewhere(refuses=refuses)
    sequencer = Sequencer(node.host, node.journal, node.view, elsewhere)
    members = [Member() for _ in range(100)]
    futures = [sequencer.submit(member) for member in members]
    sequencer.start()
    sequencer.stop()
    assert [future.result(0).entry_index for future in futures] == list(range(100))
    most = limits.PREPARED_ELSEWHERE_MEMBERS_MAX
    assert elsewhere.begun[:3] == [most] * 3
    assert {member.told for member in members[: 3 * most]} == ({None} if refuses else {b"writes!"})
