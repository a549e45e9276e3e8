"""A full disk: under a serving node refused with a clear error, reading goes on, and writing with the room; a start that
finds no room says so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from nirantar.app.verifying import verify_node
from serving_node import Client, found_site, serving

INSUFFICIENT_STORAGE = 507
WRITES_THAT_FIND_NO_ROOM = "60..90"


def test_a_full_disk_refuses_writes_and_nothing_else(tmp_path: Path) -> None:
    """strace lets the journal's writes find no room for a while. Those writers are told so in an OperationOutcome;
    what was acknowledged is read meanwhile; when there is room again the node takes writes as if nothing had been."""
    site, client = found_site(tmp_path), Client()
    with serving(site) as node:
        node.stop()
    wal = site.directory / "journal.db-wal"
    wal.touch(mode=0o600)  # strace looks the path up when it starts
    strace = (
        "strace", "-f", "-qq", "-o", str(tmp_path / "strace.log"), "-P", str(wal), "-e", "trace=pwrite64",
        "-e", f"inject=pwrite64:error=ENOSPC:when={WRITES_THAT_FIND_NO_ROOM}",
    )
    with serving(site, *strace) as node:
        with client.writing(node, "writer", threads=1):
            while not client.refused:
                assert node.process.poll() is None
            client.require_all(node)
            acknowledged = len(client.acknowledged)
            while len(client.acknowledged) < acknowledged + 10:
                assert node.process.poll() is None
        client.require_all(node)
        assert node.health()["ok"] is True
        node.stop()
    assert {status for status, _ in client.refused} == {INSUFFICIENT_STORAGE}
    outcome = json.loads(client.refused[0][1])
    assert outcome["resourceType"] == "OperationOutcome"
    assert "is full" in outcome["issue"][0]["diagnostics"]
    assert verify_node(site.host, site.directory).ok


def test_a_start_that_finds_no_room_says_so_and_changes_nothing(tmp_path: Path) -> None:
    """Opening the databases needs a little room. Without it `serve` ends as unavailable, with what to do, and the same
    start works afterwards."""
    site = found_site(tmp_path)
    shared_memory = site.directory / "journal.db-shm"
    shared_memory.touch(mode=0o600)
    words = [
        "strace", "-f", "-qq", "-o", str(tmp_path / "strace.log"), "-P", str(shared_memory),
        "-e", "trace=pwrite64", "-e", "inject=pwrite64:error=ENOSPC",
        sys.executable, "-m", "nirantar.cli", "serve", str(site.directory), "--port", "1",
    ]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 4, ended.stderr
    said = " ".join(ended.stderr.split())
    assert "is full, and starting needs a little of it. Free some space and start again; nothing is lost." in said
    with serving(site) as node:
        assert node.health()["ok"] is True
        node.stop()
    assert verify_node(site.host, site.directory).ok
