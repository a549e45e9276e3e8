"""kill -9 at random moments while snapshots are taken one after another under load."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapshots_killed import kill_while_snapshotting


@pytest.mark.timeout(600)
def test_the_next_start_takes_a_right_snapshot(tmp_path: Path) -> None:
    """Twenty deaths. After each: no key conflict, a snapshot that is whole and has the digest that the log names, and
    nothing left behind in the spool."""
    kill_while_snapshotting(tmp_path, 20, seed=20_221_123)
