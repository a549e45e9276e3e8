"""A node that serves from a snapshot before the rest is here: everything is there to be read, and in the end proven."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nirantar.app.examination import examine
from nirantar.app.node import Node
from nirantar.app.recovering import RecoveryReport, recover
from nirantar.app.recovering_instantly import recover_instantly
from nirantar.app.vaults import open_vault
from nirantar.app.verifying import verify_node
from nirantar.continuity.recovery_record import open_recovery_note
from nirantar.continuity.witnessing import Witnesses
from nirantar.errors import NotHereYet, VaultUnavailable
from nirantar.interactions.operations import update
from nirantar.interactions.transaction import Purpose
from nirantar.vault.keys import ManifestKey, PackKey, parse
from nirantar.vault.port import Vault
from node_at_hand import CALLER, Site, found_site
from node_snapshots import snapshotter_of, without_a_clock

SECONDS_MAX = 60


def person(number: int) -> dict[str, object]:
    """An invented person with an address that fills his page."""
    return {
        "resourceType": "Patient", "id": f"p{number}", "name": [{"family": f"Family {number}"}],
        "identifier": [{"system": "urn:example:number", "value": f"{number}"}], "address": [{"text": "x" * 900}],
    }


def register(node: Node, *numbers: int) -> None:
    """Write these people."""
    for number in numbers:
        node.doors.transact(CALLER, (update(person(number)),), Purpose("test"))


@contextmanager
def running(site: Site, directory: Path, *, identity: bool) -> Iterator[Node]:
    """A node with its threads."""
    node = Node(site.host, directory, identity=site.identity if identity else None)
    node.start()
    try:
        yield node
    finally:
        node.close()


def lost_hospital(place: Path) -> Site:
    """A hospital whose node is gone: 300 people, a snapshot, 20 more and 10 changed, a second snapshot, 15 more."""
    site = without_a_clock(found_site(place))
    with running(site, site.directory, identity=False) as node:
        register(node, *range(300))
        snapshotter_of(node).step()
        register(node, *range(300, 320), *range(10))
        snapshotter_of(node).step()
        register(node, *range(320, 335))
    return site


def recovered(site: Site, directory: Path) -> RecoveryReport:
    """Recover instantly from the site's vault."""
    vault = open_vault(site.host, site.vault_uri)
    return recover_instantly(site.host, [vault], [site.vault_uri], site.identity, directory)


def wait_until_over(node: Node) -> None:
    """Wait for the end of the recovery."""
    stop = time.monotonic() + SECONDS_MAX
    while (status := node.status().recovery) is not None:
        assert time.monotonic() < stop, status
        time.sleep(0.02)


def families(node: Node, numbers: range) -> list[str]:
    """What is read of these people."""
    found = []
    for number in numbers:
        resource = node.doors.read.read(CALLER, "Patient", f"p{number}").resource
        found.append("" if resource is None else resource.decode().split('"family":"')[1].split('"')[0])
    return found


def test_it_serves_at_once_and_ends_as_an_ordinary_node(tmp_path: Path) -> None:
    """Before anything was filled every person can be read and another be written; then pages and entries come, and the
    node is an ordinary one without a stop: verified, with the same view as a full replay of the same vault."""
    site, new = lost_hospital(tmp_path), tmp_path / "new"
    report = recovered(site, new)
    assert (report.ok, report.findings) == (True, [])
    assert report.snapshot is not None
    assert report.snapshot.startswith("2 of opd-1, ")
    assert report.logs[0].folded == report.logs[0].proven
    node = Node(site.host, new, identity=site.identity)
    status = node.status().recovery
    assert status is not None
    assert (status.journalled, status.entries_here, status.trouble) == (True, 0, None)
    assert 0 < status.pages_here < status.pages
    assert families(node, range(335)) == [f"Family {number}" for number in range(335)]
    node.start()
    register(node, 1000)
    wait_until_over(node)
    assert not (new / "recovery.json").exists()
    assert not (new / "view.db-pages").exists()
    snapshotter_of(node).step()
    register(node, 1001)
    assert node.status().alarm is None
    node.close()
    verified = verify_node(site.host, new)
    assert verified.ok, verified.findings
    note = vault_of(site).get("opd-1-r1/recovery.note")
    record = open_recovery_note(note, site.identity.verifier)
    assert (record.ok, record.altered, record.missing) == (True, 0, 0)
    assert record.entries == record.recovered == record.verified == record.logs[0].shown > 335
    full = tmp_path / "full"
    vault = open_vault(site.host, site.vault_uri)
    assert recover(site.host, [vault], [site.vault_uri], site.identity, full).ok
    assert verify_node(site.host, full).view_digest == verified.view_digest


def test_it_goes_on_after_restarts_without_the_identity(tmp_path: Path) -> None:
    """Stopped before anything was filled, it starts without the identity: it reads, writes, and fills its pages; the old
    entries wait for the identity, and say so; with it the recovery ends."""
    site, new = lost_hospital(tmp_path), tmp_path / "new"
    recovered(site, new)
    with running(site, new, identity=False) as node:
        register(node, 1000)
        stop = time.monotonic() + SECONDS_MAX
        while (status := node.status().recovery) is not None and status.pages_here < status.pages:
            assert time.monotonic() < stop
            time.sleep(0.02)
        assert status is not None
        assert status.needs_identity
        with pytest.raises(NotHereYet, match="not here yet"):
            node.doors.prove.version(CALLER, "Patient", "p7")
        assert node.doors.prove.version(CALLER, "Patient", "p1000").entry_index == 0
    (told,) = [each for each in examine(site.host, new) if each.what == "recovery"]
    assert "--resume" in told.sentence
    with running(site, new, identity=True) as node:
        assert families(node, range(335)) == [f"Family {number}" for number in range(335)]
        wait_until_over(node)
        assert node.doors.prove.version(CALLER, "Patient", "p7").entry_index > 300
    assert verify_node(site.host, new).ok
    assert not [each for each in examine(site.host, new) if each.what == "recovery"]


def test_a_clock_never_goes_back(tmp_path: Path) -> None:
    """What the new node writes comes after everything that was recovered, though its journal is empty."""
    site, new = lost_hospital(tmp_path), tmp_path / "new"
    recovered(site, new)
    with running(site, new, identity=False) as node:
        register(node, 3)
        with node.view.reader() as state:
            heads = state.heads("Patient", "p3")
        assert [head.version_id for head in heads] == ["opd-1-r1.0"]


def vault_of(site: Site) -> Vault:
    """The hospital's vault."""
    return open_vault(site.host, site.vault_uri)


def objects(site: Site, kind: type) -> list[str]:
    """The keys of the vault's objects of one kind."""
    return [key for key in vault_of(site).list("opd-1/") if isinstance(parse(key), kind)]


def flip(site: Site, key: str, place: int) -> None:
    """Change a byte of a vault's object."""
    path = Path(site.vault_uri.removeprefix("file://")) / key
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def test_a_damaged_snapshot_gives_way_to_an_older_one(tmp_path: Path) -> None:
    """A manifest with a flipped bit is named, and the snapshot before it opens with a longer tail."""
    site, new = lost_hospital(tmp_path), tmp_path / "new"
    newest = objects(site, ManifestKey)[-1]
    flip(site, newest, 400)
    report = recovered(site, new)
    assert report.snapshot is not None
    assert report.snapshot.startswith("1 of opd-1, ")
    assert [finding.where for finding in report.findings] == ["snapshot 2 of opd-1"]
    with running(site, new, identity=True) as node:
        assert families(node, range(335)) == [f"Family {number}" for number in range(335)]
        wait_until_over(node)
    assert verify_node(site.host, new).ok


def test_without_a_good_snapshot_the_log_alone_is_enough(tmp_path: Path) -> None:
    """All packs damaged: recovery is the full replay, says so, and is complete."""
    site, new = lost_hospital(tmp_path), tmp_path / "new"
    for key in objects(site, PackKey):
        size = (Path(site.vault_uri.removeprefix("file://")) / key).stat().st_size
        for place in range(0, size, 64):
            flip(site, key, place)
    report = recovered(site, new)
    assert report.snapshot is None
    assert {finding.kind for finding in report.findings} == {"snapshot"}
    with running(site, new, identity=False) as node:
        assert node.status().recovery is None
        assert families(node, range(335)) == [f"Family {number}" for number in range(335)]
    assert verify_node(site.host, new).ok


def test_a_witness_that_cannot_be_asked_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """The keeper that was named is away: nothing is published, so the lost node is not taken over by nobody, and nothing
    is left in the directory. Without it the same call opens the hospital."""
    site, new = lost_hospital(tmp_path), tmp_path / "new"
    before = list(vault_of(site).list("roster/"))
    vault, away = open_vault(site.host, site.vault_uri), open_vault(site.host, (tmp_path / "away").as_uri())
    with pytest.raises(VaultUnavailable, match="away"):
        recover_instantly(
            site.host, [vault], [site.vault_uri], site.identity, new, witnesses=Witnesses([away], []),
        )
    assert list(vault_of(site).list("roster/")) == before
    assert not list(site.host.files.walk(new))
    assert recovered(site, new).ok


@pytest.mark.parametrize("settled", [True, False])
def test_a_poisoned_snapshot_is_found_out_and_folded_anew(tmp_path: Path, settled: bool) -> None:
    """Somebody changed a row of the view: between two snapshots, so that digest and log fit and the page does not, or
    before the digest was first made, so that the snapshot signs the poison. When all is here the node finds out and
    only reads; started again it has folded its view from the journal."""
    site, new = without_a_clock(found_site(tmp_path)), tmp_path / "new"
    with running(site, site.directory, identity=False) as node:
        register(node, *range(50))
        if settled:
            snapshotter_of(node).step()
    view = site.host.database(site.directory / "view.db")
    view.execute(
        "UPDATE version SET resource = CAST(replace(CAST(resource AS TEXT), 'Family 7\"', 'Poisoned\"') AS BLOB)"
    )
    view.close()
    with running(site, site.directory, identity=False) as node:
        register(node, 50)
        snapshotter_of(node).step()
        register(node, 51)
    assert recovered(site, new).snapshot is not None
    with running(site, new, identity=True) as node:
        assert families(node, range(7, 8)) == ["Poisoned"]
        stop = time.monotonic() + SECONDS_MAX
        while node.status().read_only is None:
            assert time.monotonic() < stop, node.status().recovery
            time.sleep(0.02)
        assert "Start it again" in str(node.status().read_only)
    with running(site, new, identity=False) as node:
        assert node.status().recovery is None
        assert families(node, range(52)) == [f"Family {number}" for number in range(52)]
    assert verify_node(site.host, new).ok


def test_a_frame_that_is_damaged_while_serving_is_told_and_made_good(tmp_path: Path) -> None:
    """Packs are damaged after the node was opened: what was on its way is NotHereYet or absent, what is here stays in
    use, and once the logs are whole the next start folds the view from them."""
    site, new = lost_hospital(tmp_path), tmp_path / "new"
    recovered(site, new)
    node = Node(site.host, new, identity=site.identity)
    for key in objects(site, PackKey):
        size = (Path(site.vault_uri.removeprefix("file://")) / key).stat().st_size
        for place in range(0, size, 64):
            flip(site, key, place)
    with pytest.raises(NotHereYet, match="not here yet"):
        families(node, range(335))
    try:
        node.start()
        register(node, 320)
        stop = time.monotonic() + SECONDS_MAX
        while (status := node.status().recovery) is not None and "started again" not in str(status.trouble):
            assert time.monotonic() < stop, status
            time.sleep(0.02)
        assert status is not None
    finally:
        node.close()
    with running(site, new, identity=False) as node:
        assert node.status().recovery is None
        assert families(node, range(335)) == [f"Family {number}" for number in range(335)]
    assert verify_node(site.host, new).ok
