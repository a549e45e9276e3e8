"""Settings that every database of a real host has."""

from __future__ import annotations

from pathlib import Path

import apsw

from nirantar.host.real import RealHost


def test_the_planner_does_not_compile_anew_for_each_value(tmp_path: Path) -> None:
    """Writers and readers are opened with the planner's stability guarantee, without which cached joins are useless."""
    path = tmp_path / "some.db"
    writer = RealHost().database(path)
    writer.execute("CREATE TABLE a (b)")
    reader = RealHost().database(path, read_only=True)
    for connection in (writer, reader):
        assert connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, -1) == 1
        connection.close()
