"""A real node and a real keeper: snapshots, a rotation of the recovery identity, and the alarm, through HTTP."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from keeper_at_hand import NODE, KeptSite, found_kept_site, keeping
from nirantar import limits
from nirantar.app.ceremony import check_identity, rotate
from nirantar.app.recovering import recover
from nirantar.app.vaults import open_vault
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.continuity.snapshotting import SNAPSHOT_TYPE
from nirantar.interactions.operations import create
from nirantar.interactions.transaction import Purpose
from node_at_hand import CALLER, opened, patient, write
from node_snapshots import newest, require_right, snapshotter_of, without_a_clock
from serving_node import serving


@pytest.fixture
def site(tmp_path: Path) -> KeptSite:
    """A hospital whose only vault is a keeper."""
    made = found_kept_site(tmp_path, durability="node")
    without_a_clock(made)
    return made


def test_a_snapshot_comes_whole_out_of_a_keeper(site: KeptSite, tmp_path: Path) -> None:
    """Packs, map and manifest are put and read back through the keeper; put together they are the view that the manifest
    promises; nothing of it alarms, and a recovery from there is complete."""
    with keeping(site.keeper, site.port) as running:
        with opened(site) as node:
            node.start()
            for number in range(3):
                node.doors.transact(CALLER, (create(patient(number)),), Purpose("test"))
                snapshotter_of(node).step()
            assert node.status().snapshot is not None
            assert node.status().snapshot.stored_in == 1
            require_right(site, node, newest(node), tmp_path)
        status = running.status()
        assert (status["ok"], status["alarms"]) == (True, [])
        assert {each.name for each in (site.vault / NODE).iterdir()} >= {"live", "map", "pack", "snapshot", "cosignature"}
        uri = site.uri_for("recovery", "rescue")
        report = recover(site.host, [open_vault(site.host, uri)], [uri], site.identity, tmp_path / "new")
        assert (report.ok, report.findings, report.resources["Patient"]) == (True, [], 3)
        assert report.resources[SNAPSHOT_TYPE] == 1
        assert report.vaults_without_report == ()
        running.stop()


def test_a_rotation_reaches_a_node_through_the_keeper(
    site: KeptSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Custodians rotate at the keeper with a recovery token; the keeper follows, the node takes the note and seals to the
    new identity, the keeper is restarted, and the new identity recovers everything while the old one is refused."""
    monkeypatch.setattr(limits, "CUSTODY_LOOK_SECONDS", 0.0)
    with keeping(site.keeper, site.port) as running:
        with opened(site) as node:
            write(node, 1)
            node.sealer.step()
            vault = open_vault(site.host, site.uri_for("recovery", "custodians"))
            check_identity(site.host, [vault], site.identity)
            rotate(site.host, [vault], site.identity, tmp_path / "turned")
            new = RecoveryIdentity.parse((tmp_path / "turned").read_bytes())
            write(node, 2)
            node.sealer.step()
            node.sealer.step()
            assert node.custody.authority.vkey == new.authority.vkey
            assert node.status().vaults[0].trouble is None
        running.stop()
    with keeping(site.keeper, site.port) as running:
        with opened(site) as node:
            write(node, 3)
            node.sealer.step()
            assert node.status().vaults[0].trouble is None
        uri = site.uri_for("recovery", "rescue")
        report = recover(site.host, [open_vault(site.host, uri)], [uri], new, tmp_path / "new")
        assert (report.ok, report.findings, report.resources["Patient"]) == (True, [], 3)
        assert running.status()["alarms"] == []
        running.stop()


def test_the_alarm_is_at_the_keeper_within_two_seconds(site: KeptSite) -> None:
    """Another program writes into a serving node's directory: the keeper alarms, and names the file."""
    with keeping(site.keeper, site.port) as running:
        with serving(site) as node:
            deadline = time.monotonic() + 20
            while not running.status()["logs"]:
                assert time.monotonic() < deadline, "the node never reached its keeper"
                time.sleep(0.05)
            began = time.monotonic()
            (site.directory / "READ_ME.txt").write_text("pay", "utf-8")
            while not (alarms := running.status()["alarms"]):
                assert time.monotonic() - began < limits.DRILL_ALARM_SECONDS_MAX, "no alarm"
                time.sleep(0.02)
            node.kill()
        assert (alarms[0]["kind"], alarms[0]["node"]) == ("intrusion", NODE)
        assert "READ_ME.txt" in alarms[0]["what"]
        assert len(list((site.vault / NODE / "alarm").iterdir())) == 1
        running.stop()
