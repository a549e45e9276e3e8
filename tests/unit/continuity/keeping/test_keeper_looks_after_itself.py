"""Tokens, rates, space, silence, and the alarm log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kept_log import KEEPER, KeptLog, kept, opened
from nirantar import limits
from nirantar.app.keeping import KeeperHouse
from nirantar.continuity.keeping.alarms import ALARMS_FILE, Alarm, Alarms, read_alarms
from nirantar.continuity.keeping.quota import Allowance, Quotas
from nirantar.continuity.keeping.rules import Bearer
from nirantar.errors import DiskFull, NotSignedIn, Overloaded
from nirantar.host.simulated import SimulatedHost

LOG = KeptLog()
MINUTE_US = 60_000_000


@pytest.fixture
def machine() -> Iterator[tuple[SimulatedHost, KeeperHouse]]:
    """A keeper with little room for each node."""
    with kept(allowance=Allowance(10_000, 4_000, 100, 5, 1)) as found:
        yield found


def kinds(house: KeeperHouse) -> list[str]:
    """Which alarms it shows, newest first."""
    return [alarm.kind for alarm in house.keeper.status().alarms]


def test_a_token_is_kept_as_a_hash_and_can_be_withdrawn(machine: tuple[SimulatedHost, KeeperHouse]) -> None:
    """Shown once, known by its hash, of a node or a recovery; a withdrawn one and a guess are nobody's, and alarm."""
    host, house = machine
    token = house.keeper.add_token("node", "opd")
    assert house.keeper.bearer(token) == Bearer("node", "opd")
    assert house.keeper.bearer(house.keeper.add_token("recovery", "x")).account == "recovery:x"
    assert all(token.encode() not in host.files.read(path) for path in host.files.walk(KEEPER))
    assert house.records.withdraw_tokens("node", "opd") == 1
    with pytest.raises(NotSignedIn):
        house.keeper.bearer(None)
    assert kinds(house) == []
    for nobody in (token, "guess"):
        with pytest.raises(NotSignedIn):
            house.keeper.bearer(nobody)
    assert kinds(house) == ["stranger"]


def test_calls_and_bytes_have_a_burst_and_a_rate(machine: tuple[SimulatedHost, KeeperHouse]) -> None:
    """Beyond the burst a bearer is told to wait and an alarm is raised; a moment later a little is let in again; another
    bearer has a burst of its own."""
    host, house = machine
    token, other = house.keeper.add_token("node", "opd"), house.keeper.add_token("node", "ward")
    for _ in range(5):
        house.keeper.bearer(token)
    with pytest.raises(Overloaded, match="KEEPER_NODE_CALLS_A_SECOND"):
        house.keeper.bearer(token)
    house.keeper.bearer(other)
    assert kinds(house) == ["flood"]
    host.advance(1_500_000)
    house.keeper.bearer(token)
    key = f"opd/attachment/{'a' * 64}"
    house.keeper.require_may_put(LOG.bearer, key, 4_000)
    with pytest.raises(Overloaded, match="KEEPER_NODE_BYTES_A_SECOND"):
        house.keeper.require_may_put(LOG.bearer, key, 4_000)
    host.advance(40_000_000)
    house.keeper.require_may_put(LOG.bearer, key, 4_000)


def test_space_is_counted_over_restarts(machine: tuple[SimulatedHost, KeeperHouse]) -> None:
    """What a node stored counts against its space after the keeper started again."""
    host, house = machine
    house.keeper.add_checkpoint(LOG.submission(0, 20), None)
    LOG.put(house.keeper, 0, 20, 20)
    stored = house.records.account("opd").bytes
    assert stored > 1_000
    house.close()
    again = opened(host, allowance=Allowance(stored + 10, 1 << 40, 1, 100, 1))
    with pytest.raises(DiskFull, match="KEEPER_NODE_BYTES_MAX"):
        again.keeper.require_may_put(LOG.bearer, LOG.key(20, 1), 11)
    assert again.keeper.status().logs[0].bytes == stored
    again.close()


def test_a_full_disk_is_an_alarm_and_a_clear_refusal(machine: tuple[SimulatedHost, KeeperHouse]) -> None:
    """Before the disk is full a reserve is kept; the alarm shows even where it cannot be written."""
    host, house = machine
    host.disk.capacity_bytes = host.disk.used_bytes
    with pytest.raises(DiskFull, match="KEEPER_FREE_BYTES_MIN"):
        house.keeper.require_may_put(LOG.bearer, LOG.key(0, 1), 100)
    assert kinds(house) == ["flood"]


def test_a_node_that_was_heard_and_is_silent_is_named_once(machine: tuple[SimulatedHost, KeeperHouse]) -> None:
    """After the minutes of silence there is one alarm, until it speaks again; also across a restart. A node that was
    never heard is not missed."""
    host, house = machine
    token = house.keeper.add_token("node", "opd")
    house.keeper.add_checkpoint(LOG.submission(0, 3), token)
    house.keeper.look_round()
    host.advance((limits.KEEPER_SILENCE_MINUTES - 1) * MINUTE_US)
    house.keeper.look_round()
    assert kinds(house) == []
    house.close()
    again = opened(host)
    host.advance(2 * MINUTE_US)
    for _ in range(2):
        again.keeper.look_round()
    assert kinds(again) == ["silence"]
    assert [log.silent for log in again.keeper.status().logs] == [True, False]
    assert not again.keeper.status().ok
    again.keeper.add_checkpoint(LOG.submission(3, 4), token)
    assert [log.silent for log in again.keeper.status().logs] == [False, False]
    host.advance((limits.KEEPER_SILENCE_MINUTES + 1) * MINUTE_US)
    again.keeper.look_round()
    assert kinds(again) == ["silence", "silence"]
    again.close()


def test_an_alarm_is_written_once_a_minute_and_counts_the_rest() -> None:
    """The log is only added to, a flood of alarms is counted, and a torn line is passed over when it is read again."""
    with SimulatedHost(seed=2) as host:
        path, told = Path("/alarms.jsonl"), list[Alarm]()
        alarms = Alarms(host, path, told.append)
        for _ in range(50):
            alarms.raise_alarm("fork", "opd", "A fork.")
        alarms.raise_alarm("rewind", "opd", "A rewind.")
        host.advance(int(limits.KEEPER_ALARM_REPEAT_SECONDS * 1e6))
        alarms.raise_alarm("fork", "opd", "A fork.")
        assert [(alarm.kind, alarm.more) for alarm in told] == [("fork", 0), ("rewind", 0), ("fork", 49)]
        host.files.append(path, b'{"at":"2026')
        assert read_alarms(host, path) == told
        assert Alarms(host, path, told.append).latest() == told[::-1]


def test_the_alarm_log_is_read_from_its_end() -> None:
    """However long it has grown, the last ones are read, in bounded memory."""
    with SimulatedHost(seed=2) as host:
        path = KEEPER / ALARMS_FILE
        host.files.make_directory(KEEPER)
        line = b'{"at":"2026-11-24T00:00:00.000Z","kind":"fork","node":"opd","what":"%d"}\n'
        host.files.append(path, b"".join(line % number for number in range(5_000)))
        found = read_alarms(host, path)
        assert [alarm.what for alarm in found] == [str(number) for number in range(4_950, 5_000)]


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    """A long pause does not add up."""
    quotas = Quotas(Allowance(calls_burst=3, calls_a_second=1))
    for _ in range(3):
        quotas.take_call("opd", 10**12)
    with pytest.raises(Overloaded):
        quotas.take_call("opd", 10**12)
