"""SQLite at every crash point of a small workload: what FULL promises, what OFF loses, what a lying disk loses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest

from nirantar.host.simulated import SimulatedHost

DATABASE = Path("/n/journal.db")
SEEDS = range(30)
ROWS = 5


@dataclass(slots=True)
class Outcome:
    """What a run acknowledged and what the machine found after its crash (None: not even a sound database)."""

    acknowledged: list[int]
    found: list[int] | None
    finished: bool

    @property
    def lost(self) -> bool:
        """Whether something acknowledged is not there."""
        return self.found is None or not set(self.acknowledged) <= set(self.found)


def write_rows(host: SimulatedHost, synchronous: str, acknowledged: list[int]) -> None:
    """Commit rows of most of a page one by one; checkpoint often, so that crashes fall into checkpoints as well."""
    connection = host.database(DATABASE)
    connection.pragma("synchronous", synchronous)
    connection.pragma("wal_autocheckpoint", 4)
    connection.execute("CREATE TABLE IF NOT EXISTS t(a INTEGER PRIMARY KEY, b)")
    for row in range(ROWS):
        connection.execute("BEGIN IMMEDIATE; INSERT INTO t VALUES (?1, ?2); COMMIT", (row, b"x" * 3000))
        acknowledged.append(row)


def read_rows(host: SimulatedHost) -> list[int] | None:
    """The rows of a database that SQLite finds sound."""
    try:
        connection = host.database(DATABASE)
        if connection.pragma("integrity_check") != "ok":
            return None
        if not connection.execute("SELECT count(*) FROM sqlite_schema").get:
            return []
        return [row for (row,) in connection.execute("SELECT a FROM t ORDER BY a")]
    except (apsw.CorruptError, apsw.NotADBError):
        return None


def crash(seed: int, step: int, synchronous: str, lies: Callable[[Path], bool] = lambda _: False) -> Outcome:
    """Run until the power fails in the `step`-th disk operation, then look."""
    host = SimulatedHost(seed)
    host.files.make_directory(DATABASE.parent)
    host.disk.lies = lies
    host.disk.crash_at = host.disk.operations + step
    acknowledged: list[int] = []
    with host.until_crash():
        write_rows(host, synchronous, acknowledged)
    finished = not host.disk.dead
    with host.reboot() as host:
        return Outcome(acknowledged, read_rows(host), finished)


@pytest.mark.parametrize("seed", SEEDS)
def test_full_keeps_every_commit_at_every_crash_point(seed: int) -> None:
    """synchronous=FULL: whatever step the power fails in, writes torn or not, the database is sound, every
    acknowledged row is there and no row of a transaction that was never begun."""
    for step in range(1, 1000):
        outcome = crash(seed, step, "full")
        assert outcome.found is not None, f"seed {seed} step {step}: not a sound database"
        assert not outcome.lost, f"seed {seed} step {step}: {outcome}"
        assert outcome.found == list(range(len(outcome.found)))
        assert len(outcome.found) <= len(outcome.acknowledged) + 1
        if outcome.finished:
            assert outcome.acknowledged == list(range(ROWS))
            return
    raise AssertionError("the workload never finished")


def test_off_loses_commits_for_some_seed() -> None:
    """synchronous=OFF, the same workload: the simulated disk does lose what nobody fsynced."""
    assert any(crash(seed, 10_000, "off").lost for seed in SEEDS)


def test_a_lying_fsync_loses_commits_for_some_seed() -> None:
    """FULL on a disk that lies about the database and its WAL loses acknowledged commits."""
    assert any(crash(seed, 10_000, "full", lambda path: path.name.startswith("journal.db")).lost for seed in SEEDS)


def test_a_lie_about_another_file_loses_nothing() -> None:
    """The lie is told only where the predicate says so: a view that loses leaves the journal whole."""
    assert not any(crash(seed, 10_000, "full", lambda path: path.name.startswith("view.db")).lost for seed in SEEDS)
