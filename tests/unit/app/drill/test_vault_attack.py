"""The attacker at a directory vault: what he can do he does, undoes, and it is told as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from nirantar.app.drill.attacker import mark
from nirantar.app.drill.vault_attack import attack_directory
from nirantar.errors import Forbidden, Unavailable

SEGMENTS = {f"opd-1/live/{first:012d}-1.segment": f"sealed {first}".encode() for first in range(3)}


def vault_of(place: Path) -> Path:
    """A scratch vault with three read-only segments."""
    for name, data in SEGMENTS.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o400)
    mark(place)
    return place


def test_its_user_can_do_everything_and_the_report_says_so(tmp_path: Path) -> None:
    """No attempt is refused, none is promised to be, and every segment is as it was, mode and bytes."""
    attempts = attack_directory(vault_of(tmp_path), "opd-1")
    assert len(attempts) == 5
    assert not any(each.refused or each.promised for each in attempts)
    assert all(each.by.startswith("nobody: ") for each in attempts)
    live = tmp_path / "opd-1/live"
    assert {f"opd-1/live/{path.name}": path.read_bytes() for path in live.iterdir()} == SEGMENTS
    assert {path.stat().st_mode & 0o777 for path in live.iterdir()} == {0o400}


def test_only_a_scratch_vault_with_something_in_it_is_attacked(tmp_path: Path) -> None:
    """Without the marker nothing is touched; without a segment there is nothing to try."""
    with pytest.raises(Forbidden, match="nirantar-scratch"):
        attack_directory(tmp_path, "opd-1")
    mark(tmp_path)
    with pytest.raises(Unavailable, match="no segment yet"):
        attack_directory(tmp_path, "opd-1")
