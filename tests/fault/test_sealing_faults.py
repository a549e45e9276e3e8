"""A vault that goes away, fills, fails or is emptied: the node goes on, its status says so, and sealing resumes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nirantar.app.founding import found_hospital, publish, write_directory
from nirantar.app.node import Node
from nirantar.app.recovering import recover
from nirantar.app.vaults import open_vault
from nirantar.app.verifying import verify_vault
from nirantar.continuity.merging import Ladder
from nirantar.errors import VaultUnavailable
from nirantar.host.simulated import SimulatedHost
from nirantar.interactions.operations import create
from nirantar.interactions.transaction import Purpose
from node_at_hand import CALLER, Site, found_site, opened, patient, write
from serving_node import Client, serving


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A hospital whose node has three entries, all in its vault."""
    site = found_site(tmp_path)
    with opened(site) as node:
        write(node, 1, 2, 3)
        node.sealer.step()
    return site


def require_sealed(node: Node, entries: int) -> None:
    """Sealing works again and nothing waits."""
    node.sealer.step()
    (vault,) = node.status().vaults
    assert (vault.trouble, vault.confirmed, vault.lag_seconds) == (None, entries, 0.0)


def require_recovered(site: Site, entries: int) -> None:
    """The vault alone gives the whole log."""
    report = recover(
        site.host, [open_vault(site.host, site.vault_uri)], [site.vault_uri], site.identity, site.directory.with_name("new")
    )
    assert (report.ok, report.findings, report.logs[0].entries) == (True, [], entries)


def test_a_vault_that_is_away_comes_back(site: Site) -> None:
    """Unmounted while the node serves: writes go on, status says what is wrong and how long, and nothing is made in
    its place; mounted again, everything is sealed."""
    with opened(site) as node:
        node.sealer.step()
        away = site.vault.rename(site.vault.with_name("away"))
        write(node, 4)
        node.sealer.step()
        (status,) = node.status().vaults
        assert "is not there" in str(status.trouble)
        assert status.confirmed == 3
        assert status.lag_seconds > 0.0
        assert not site.vault.exists()
        write(node, 5)
        away.rename(site.vault)
        require_sealed(node, 5)
    require_recovered(site, 5)


def test_the_empty_directory_under_an_unmounted_disk_is_not_the_vault(site: Site) -> None:
    """The mount point is still there and empty. The node does not take it for its vault and leaves nothing in it."""
    with opened(site) as node:
        node.sealer.step()
        away = site.vault.rename(site.vault.with_name("away"))
        site.vault.mkdir()
        write(node, 4)
        node.sealer.step()
        assert "hospital.json" in str(node.status().vaults[0].trouble)
        assert list(site.vault.iterdir()) == []
        site.vault.rmdir()
        away.rename(site.vault)
        require_sealed(node, 4)
    require_recovered(site, 4)


def test_segments_that_were_deleted_are_not_believed_after_a_start(site: Site) -> None:
    """Somebody empties the vault while the node is down: everything is sealed again at the next start."""
    shutil.rmtree(site.vault / "opd-1")
    with opened(site) as node:
        require_sealed(node, 3)
    require_recovered(site, 3)


def test_a_vault_that_was_away_at_the_start_gets_the_papers(tmp_path: Path) -> None:
    """A new vault's disk is mounted only after the node was started. Recovery begins with the founding document and the
    roster, so they go there first."""
    site = found_site(tmp_path)
    shutil.rmtree(site.vault)
    with opened(site) as node:
        node.start()
        node.doors.transact(CALLER, (create(patient(1)),), Purpose("test"))
        site.vault.mkdir()
    require_recovered(site, 1)


def test_a_writer_who_waits_for_a_dead_vault_is_told(site: Site) -> None:
    """With vault durability the caller hears that it is saved here only, and why."""
    shutil.rmtree(site.vault)
    with opened(site) as node:
        purpose = Purpose("test", idempotency_key="once", durability="vault")
        promise = node.doors.transact.submit(CALLER, (create(patient(4)),), purpose)
        node.sequencer.step()
        node.sealer.step()
        assert not promise.done()
        node.sealer.stop()
        with pytest.raises(VaultUnavailable, match="is not there"):
            promise.result(0)
        assert node.sequencer.size == 4


def test_a_read_only_vault_delays_nothing_but_sealing(tmp_path: Path) -> None:
    """A real serving node whose vault's disk becomes read-only for a while (strace refuses its links): writes are
    acknowledged all the time, /health shows the trouble, and later the vault has everything."""
    site, client = found_site(tmp_path), Client()
    strace = (
        "strace", "-f", "-qq", "-o", str(tmp_path / "strace.log"), "-e", "trace=link,linkat",
        "-e", "inject=link,linkat:error=EROFS:when=1..2",
    )
    with serving(site, *strace) as node:
        with client.writing(node, "writer", threads=1):
            while not (trouble := node.health()["vaults"][0]["trouble"]):
                pass
        assert "Read-only" in trouble
        with client.writing(node, "later", threads=1):
            while (status := node.health()["vaults"][0])["trouble"] or not status["confirmed"]:
                pass
        node.stop()
    assert client.refused == []
    report = verify_vault(site.host, [open_vault(site.host, site.vault_uri)], site.identity)
    assert report.ok, report.findings
    assert report.entries >= len(client.acknowledged)


def test_a_vault_whose_disk_is_full_resumes_with_room() -> None:
    """At every amount of room that is too little for a segment and its tile, sealing says so and leaves no half object;
    with room it goes on where it stood, under keys that were never used for other bytes."""
    for room in range(0, 60_000, 7_500):
        with SimulatedHost(room) as host:
            directory, uri = Path("/node"), "file:///vault"
            founded, identity = found_hospital(host, "Full", "opd-1", vaults=[uri], durability="node")
            vault = open_vault(host, uri, create=True)
            publish(vault, founded.document, founded.roster, founded.roster_note)
            write_directory(host, directory, founded)
            node = Node(host, directory)
            write(node, *range(200))
            node.sealer.step()
            write(node, *range(200, 400))
            host.disk.capacity_bytes = host.disk.used_bytes + room
            node.sealer.step()
            node.sealer.step()
            (status,) = node.status().vaults
            assert (status.trouble is None) == (status.confirmed == 400)
            host.disk.capacity_bytes = None
            require_sealed(node, 400)
            node.close()
            report = recover(host, [vault], [uri], identity, Path("/new"))
            assert (report.ok, report.logs[0].entries) == (True, 400), report.findings


def test_a_segment_that_was_stored_though_the_vault_said_no_is_recognised(site: Site) -> None:
    """A segment's encryption never repeats, so its key cannot be used again. Where an attempt stored it and failed
    afterwards, the next finds its entries there and goes on. Where something else lies under that key, which anybody
    who can add to the vault may have put there, another number of entries is sealed."""
    origin = "nirantar.fault-hospital/opd-1"
    with opened(site) as node:
        node.sealer.step()
        ladders = node.sealer._followers[0].ladders
        ladders[origin] = Ladder()
        require_sealed(node, 3)
        (segment,) = (site.vault / "opd-1" / "live").iterdir()
        segment.chmod(0o640)
        segment.write_bytes(segment.read_bytes()[:-1])
        ladders[origin] = Ladder()
        require_sealed(node, 3)
        keys = sorted(each.name for each in segment.parent.iterdir())
        assert keys == ["000000000000-2.segment", "000000000000-3.segment", "000000000002-1.segment"]
        for count in (1, 2, 3):
            (segment.parent / f"000000000003-{count}.segment").write_bytes(b"in the way")
        write(node, 4)
        node.sealer.step()
        assert "is no segment under opd-1/live/000000000003-1.segment" in str(node.status().vaults[0].trouble)
        write(node, 5, 6, 7)
        require_sealed(node, 7)


def test_a_tile_whose_key_somebody_took_stops_nothing(site: Site) -> None:
    """Whoever can add to a vault can take a future tile's key. The page says that it is taken; the log goes on, and the
    vault gives all of it."""
    taken = site.vault / "opd-1" / "tile" / "0" / "000"
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"somebody else's")
    with opened(site) as node:
        node.sealer.step()
        for start in range(4, 300, 100):
            write(node, *range(start, start + 100))
            node.sealer.step()
        (status,) = node.status().vaults
        assert status.confirmed == 303
        assert "opd-1/tile/0/000" in str(status.trouble)
    require_recovered(site, 303)
