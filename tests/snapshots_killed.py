"""Killing a node while it takes snapshots: a child process that writes and snapshots without a pause until it dies."""

from __future__ import annotations

import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from threading import Thread

from nirantar.app.node import Node
from nirantar.app.verifying import verify_node
from nirantar.host.real import RealHost
from nirantar.interactions.operations import create
from nirantar.interactions.transaction import Purpose
from node_at_hand import CALLER, Site, opened, patient
from node_snapshots import newest, require_right, snapshotter_of, without_a_clock
from serving_node import found_site


def live(directory: str, life: int, ready: Connection) -> None:
    """The child: a desk that writes, and snapshots one after another. Raises nothing to the end: it is killed."""
    node = Node(RealHost(), Path(directory))
    node.start()
    snapshotter = snapshotter_of(node)

    def write() -> None:
        number = 0
        while True:
            number += 1
            node.doors.transact(CALLER, (create(patient(life * 100_000 + number)),), Purpose("test"))

    Thread(target=write, daemon=True).start()
    ready.send(True)
    while True:
        snapshotter.step()
        trouble = snapshotter.status().trouble
        if trouble is not None:
            ready.send(trouble)


def kill_while_snapshotting(tmp_path: Path, kills: int, seed: int) -> None:
    """So many lives of one node. After each the next start takes a right snapshot, and its log verifies."""
    random, site = Random(seed), without_a_clock(found_site(tmp_path))
    serial = 0
    for life in range(kills):
        where = f"seed={seed} life={life}"
        _one_life(site, life, random.uniform(0.0, 0.6), where)
        with opened(site) as node:
            node.start()
            node.doors.transact(CALLER, (create(patient(life * 100_000)),), Purpose("test"))
            snapshotter = snapshotter_of(node)
            snapshotter.step()
            assert snapshotter.status().trouble is None, where
            manifest = newest(node)
            assert manifest.serial > serial, where
            serial = manifest.serial
            require_right(site, node, manifest, tmp_path)
            assert list((site.directory / "snapshot" / "packs").iterdir()) == [], where
    report = verify_node(site.host, site.directory)
    assert report.ok, report.findings


def _one_life(site: Site, life: int, seconds: float, where: str) -> None:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=live, args=(str(site.directory), life, theirs), daemon=True)
    child.start()
    theirs.close()
    try:
        assert ours.poll(60), f"{where}: it did not start"
        assert ours.recv() is True
        time.sleep(seconds)
        told = ours.recv() if ours.poll(0) else None
    finally:
        child.kill()
        child.join()
    assert told is None, f"{where}: {told}"
