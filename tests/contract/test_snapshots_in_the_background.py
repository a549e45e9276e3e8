"""Snapshots as a node takes them by itself: shown, journalled, and never in the way of a desk or of another vault."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nirantar import limits
from nirantar.app.health import health_document
from nirantar.app.node import Node
from nirantar.app.recovering import recover
from nirantar.app.vaults import open_vault
from nirantar.app.verifying import verify_vault
from nirantar.continuity.snapshotting import SNAPSHOT_TYPE
from nirantar.interactions.doors import SnapshotStatus
from nirantar.interactions.operations import create
from nirantar.interactions.transaction import Purpose
from node_at_hand import CALLER, found_site, opened, patient
from node_snapshots import newest, require_right, snapshotter_of, without_a_clock


def write(node: Node, number: int) -> None:
    """One registration, durable."""
    node.doors.transact(CALLER, (create(patient(number)),), Purpose("test"))


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until it holds, at most ten seconds."""
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.02)


def status(node: Node) -> SnapshotStatus:
    """What pages show of the node's snapshots."""
    shown = node.status().snapshot
    assert shown is not None
    return shown


def started(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node with a snapshot each fifth of a second, and as short retries."""
    monkeypatch.setattr(limits, "SNAPSHOT_RETRY_SECONDS", 0.1)
    snapshotter_of(node)._seconds = 0.2
    node.start()
    snapshotter_of(node).start()


def journalled(node: Node) -> int:
    """How many snapshots the log names."""
    with node.view.reader() as state:
        return len(state.history(SNAPSHOT_TYPE, node.papers.configuration.node, count=100, cursor=None).versions)


def quiet(node: Node) -> bool:
    """Whether the newest snapshot is stored and named in the log, and for three intervals no other came."""
    def told() -> tuple[int, int, int]:
        return status(node).serial, snapshotter_of(node)._journalled_serial(), newest(node).serial

    before = told()
    time.sleep(0.6)
    return before == told() and len(set(before)) == 1


def test_snapshots_come_by_themselves_and_stop_when_nothing_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after each registration, each journalled once and shown; none for its own record."""
    site = without_a_clock(found_site(tmp_path))
    with opened(site) as node:
        assert status(node).serial == 0
        started(node, monkeypatch)
        for number in range(1, 4):
            write(node, number)
            eventually(lambda number=number: status(node).serial >= number and journalled(node) == status(node).serial)
        assert status(node).trouble is None
        assert status(node).stored_in == 1
        assert b'"snapshot":{"serial":' in health_document(node.status())
        serial = status(node).serial
        time.sleep(1.0)
        assert status(node).serial in (serial, serial + 1)
        serial = status(node).serial
        time.sleep(0.6)
        assert (status(node).serial, journalled(node)) == (serial, serial)
        require_right(site, node, newest(node), tmp_path)


def test_a_vault_that_is_away_is_shown_and_blocks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vault's disk is not mounted: desks write on, the status says why there is no snapshot; it comes back, and one
    follows."""
    site = without_a_clock(found_site(tmp_path))
    with opened(site) as node:
        started(node, monkeypatch)
        write(node, 0)
        eventually(lambda: status(node).stored_in == 1)
        place = Path(site.vault_uri.removeprefix("file://"))
        place.rename(place.with_name("away"))
        write(node, 1)
        eventually(lambda: status(node).trouble is not None)
        before = time.monotonic()
        write(node, 2)
        assert time.monotonic() - before < 2
        assert status(node).stored_in == 0
        place.with_name("away").rename(place)
        eventually(lambda: status(node).trouble is None and status(node).stored_in == 1 and quiet(node))
        require_right(site, node, newest(node), tmp_path)


def test_a_node_that_only_reads_takes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its log may go on elsewhere: it writes nothing into a vault under its name."""
    site = without_a_clock(found_site(tmp_path))
    with opened(site) as node:
        started(node, monkeypatch)
        write(node, 0)
        eventually(lambda: journalled(node) > 0)
        node._stop_writing("It only reads.")
        serial = status(node).serial
        time.sleep(0.6)
        assert status(node).serial == serial


def test_snapshots_are_in_nobodys_way_in_a_vault(tmp_path: Path) -> None:
    """A vault with snapshots in it verifies and recovers as one without, the records in the log included."""
    site = without_a_clock(found_site(tmp_path))
    with opened(site) as node:
        node.start()
        for number in range(3):
            write(node, number)
            snapshotter_of(node).step()
    vault = open_vault(site.host, site.vault_uri)
    report = verify_vault(site.host, [vault], site.identity)
    assert report.ok, report.findings
    recovered = recover(site.host, [vault], [site.vault_uri], site.identity, tmp_path / "new")
    assert recovered.ok, recovered.findings
    assert recovered.resources["Patient"] == 3
    assert recovered.resources[SNAPSHOT_TYPE] == 1


def test_a_settings_file_without_the_setting_takes_snapshots(tmp_path: Path) -> None:
    """A node of an earlier version has no `snapshot_seconds`: it takes one each five minutes; 0 takes none."""
    site = found_site(tmp_path)
    path = site.directory / "nirantar.toml"
    text = path.read_text("utf-8")
    path.write_text("".join(line for line in text.splitlines(True) if "snapshot_seconds" not in line), "utf-8")
    with opened(site) as node:
        assert node.papers.configuration.snapshot_seconds == 300
        node.start()
        assert snapshotter_of(node)._thread is not None
    with opened(without_a_clock(found_site(tmp_path / "other"))) as node:
        node.start()
        assert snapshotter_of(node)._thread is None
