"""A disk that refuses an fsync under a serving node: the process ends, and nothing is acknowledged that is not there."""

from __future__ import annotations

from pathlib import Path

from nirantar.app.verifying import verify_node
from nirantar.host.real import EXIT_BROKEN_PROMISE
from serving_node import READY_SECONDS_MAX, Client, failing_fsync, found_site, serving

FSYNCS_THAT_WORK = 25


def test_a_failed_fsync_of_the_journal_ends_the_process(tmp_path: Path) -> None:
    """strace makes the fsyncs of the journal's WAL fail from some write on, while clients write. The node exits with
    code 70 and says why; every write acknowledged before is served after the next start, under the same keys the
    others are then made once."""
    site, client = found_site(tmp_path), Client()
    with serving(site) as node:
        assert node.request("GET", "/fhir/metadata")[0] == 200
        node.stop()
    wal = site.directory / "journal.db-wal"
    wal.touch(mode=0o600)  # strace looks the path up when it starts
    wrapper = failing_fsync(wal, first=FSYNCS_THAT_WORK, log=tmp_path / "strace.log")
    with serving(site, *wrapper) as node:
        with client.writing(node, "writer", threads=2):
            assert node.process.wait(READY_SECONDS_MAX) == EXIT_BROKEN_PROMISE
        _, said = node.process.communicate()
    assert "the node stops" in said
    assert client.acknowledged
    assert client.unanswered
    assert client.refused == []
    with serving(site) as node:
        client.require_all(node)
        client.send_again(node)
        client.require_all(node)
        assert node.health()["ok"] is True
    assert verify_node(site.host, site.directory).ok
