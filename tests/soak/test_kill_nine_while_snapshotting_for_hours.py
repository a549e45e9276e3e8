"""kill -9 five hundred times while snapshots are taken: tests/fault's twenty, for as long as it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapshots_killed import kill_while_snapshotting

pytestmark = pytest.mark.soak
HOSPITALS = 10
KILLS = 50


@pytest.mark.parametrize("seed", range(HOSPITALS))
def test_the_next_start_takes_a_right_snapshot_after_many_deaths(tmp_path: Path, seed: int) -> None:
    """Fifty deaths of one node: after each, no key conflict and a snapshot that is whole and as the log names it."""
    kill_while_snapshotting(tmp_path, KILLS, seed)
