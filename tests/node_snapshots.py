"""Snapshots of a real node's view: taken step by step, put together again, and compared with what they promise."""

from __future__ import annotations

import re
from pathlib import Path

import apsw
import msgspec

from nirantar.app.configuration import CONFIGURATION_FILE
from nirantar.app.node import Node, open_view
from nirantar.continuity.snapshotting import SNAPSHOT_TYPE, Snapshotter
from nirantar.host.page_source import PageSource
from nirantar.vault.manifests import Manifest, note_sha256
from nirantar.vault.snapshots import open_snapshot, read_manifest, snapshot_serials
from serving_node import Site


def without_a_clock(site: Site) -> Site:
    """The site's node takes a snapshot only when a test says so."""
    path = site.directory / CONFIGURATION_FILE
    path.write_text(re.sub(r"snapshot_seconds = \d+", "snapshot_seconds = 0", path.read_text(encoding="utf-8")), "utf-8")
    return site


def snapshotter_of(node: Node) -> Snapshotter:
    """What takes the node's snapshots."""
    assert node.snapshotter is not None
    return node.snapshotter


def newest(node: Node) -> Manifest:
    """The newest snapshot's manifest as a vault gives it."""
    name, slug = node.papers.configuration.node, node.papers.document.slug
    serial = snapshot_serials(node.vaults, name)[0]
    return read_manifest(node.vaults, node.papers.signer.verifier, slug=slug, node=name, serial=serial)


def put_together(source: PageSource, path: Path) -> None:
    """Write every page of a snapshot where it belongs."""
    with path.open("wb") as file:
        for pages in source.fetch_many(range(source.page_count)):
            for page, data in pages.items():
                file.seek(page * source.page_size)
                file.write(data)


def require_right(site: Site, node: Node, manifest: Manifest, scratch: Path) -> None:
    """The snapshot is a database that SQLite finds whole; its rows, hashed afresh, give the digest that the manifest
    names; it has folded what the manifest says; and the record in the log is of this manifest."""
    path = scratch / f"{manifest.serial}.db"
    put_together(open_snapshot(node.vaults, manifest, [site.identity.age_identity]), path)
    connection = apsw.Connection(str(path))
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    view = open_view(site.host, node.papers, path)
    with view.reader() as state:
        assert state.computed_view_digest().hex() == state.view_digest().hex() == manifest.contents.view_digest
        assert {origin: each.entries for origin, each in state.positions().items()} == {
            origin: each.entries for origin, each in manifest.contents.positions.items()
        }
    view.close()
    path.unlink()
    shown = node.view.shown(SNAPSHOT_TYPE, manifest.node)
    assert shown is not None
    assert shown.resource is not None
    record = msgspec.json.decode(shown.resource)
    note = node.vaults[0].get(manifest.key)
    assert (record["serial"], record["manifestSha256"]) == (manifest.serial, note_sha256(note))
    assert record["viewDigest"] == manifest.contents.view_digest
