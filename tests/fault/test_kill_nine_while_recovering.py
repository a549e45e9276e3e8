"""kill -9 at random points of an instant recovery and of the fill behind it, in processes of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from nirantar.app.node import Node
from nirantar.app.verifying import verify_node
from nirantar.continuity.recovery_record import open_recovery_note
from nirantar.interactions.operations import update
from nirantar.interactions.transaction import Purpose
from nirantar.vault.keys import RecoveryKey
from node_at_hand import CALLER, Site, found_site
from node_snapshots import snapshotter_of, without_a_clock
from serving_node import ServingNode

KILLS_WHILE_RECOVERING = 8
KILLS_WHILE_FILLING = 12
SECONDS_MAX = 120
PEOPLE = 120


def person(number: int) -> dict[str, object]:
    """An invented person with an address that fills his page."""
    return {
        "resourceType": "Patient", "id": f"p{number}", "name": [{"family": f"Family {number}"}],
        "address": [{"text": "x" * 900}],
    }


def lost_hospital(place: Path) -> Site:
    """A hospital whose node is gone: a snapshot, and people who came after it."""
    site = without_a_clock(found_site(place))
    node = Node(site.host, site.directory)
    node.start()
    for number in range(PEOPLE):
        node.doors.transact(CALLER, (update(person(number)),), Purpose("test"))
        if number == PEOPLE // 2:
            snapshotter_of(node).step()
    node.close()
    return site


@contextmanager
def recovering(site: Site, identity: Path, directory: Path, *options: str) -> Iterator[ServingNode]:
    """`nirantar recover` with these options, killed at the end if it still runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "nirantar.cli", "recover", str(directory), "--identity", str(identity)]
    with subprocess.Popen(
        [*command, "--port", str(port), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:
        try:
            yield ServingNode(process, port, site)  # type: ignore[arg-type]
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def finished(node: ServingNode) -> None:
    """Wait for the end of the recovery."""
    stop = time.monotonic() + SECONDS_MAX
    while node.health()["recovery"] is not None:
        assert time.monotonic() < stop
        time.sleep(0.05)


def test_a_recovery_that_is_killed_ends_in_service_or_in_a_sentence(tmp_path: Path) -> None:
    """Eight recoveries are killed at random moments, each beside the ones before; what each left either goes on or says
    what is wrong. Then the last one is killed twelve times while it fills, and ends whole, proven, with its report."""
    site = lost_hospital(tmp_path)
    identity = tmp_path / "identity"
    identity.write_bytes(site.identity.encode("H"))
    identity.chmod(0o600)
    chance = Random(14)
    for number in range(KILLS_WHILE_RECOVERING):
        directory = tmp_path / f"killed-{number}"
        with recovering(site, identity, directory, "--vault", site.vault_uri, "--serve") as node:
            time.sleep(chance.uniform(0.3, 2.5))
            node.kill()
        with recovering(site, identity, directory, "--resume") as node:
            while node.process.poll() is None:
                try:
                    assert node.health()["entries"] >= 0
                except OSError:
                    time.sleep(0.05)
                else:
                    node.stop()
            out, err = node.process.communicate()
            assert "Traceback" not in out + err
            assert node.process.returncode == 0 or err
    whole = tmp_path / "whole"
    with recovering(site, identity, whole, "--vault", site.vault_uri, "--serve") as node:
        node.wait_until_ready()
        node.kill()
    for _ in range(KILLS_WHILE_FILLING):
        with recovering(site, identity, whole, "--resume") as node:
            time.sleep(chance.uniform(0.3, 1.5))
            node.kill()
    with recovering(site, identity, whole, "--resume") as node:
        node.wait_until_ready()
        finished(node)
        name = node.health()["node"]
        node.stop()
    verified = verify_node(site.host, whole)
    assert verified.ok, verified.findings
    record = open_recovery_note(
        (Path(site.vault_uri.removeprefix("file://")) / str(RecoveryKey(name))).read_bytes(), site.identity.verifier
    )
    assert (record.altered, record.missing, record.recovered) == (0, 0, record.entries)
    assert record.logs[0].recovered > PEOPLE
