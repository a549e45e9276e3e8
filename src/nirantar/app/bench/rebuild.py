"""Folding a whole journal into an empty view."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter, process_time
from typing import Final

from nirantar.app.bench.figure import Figure, compared
from nirantar.app.bench.ground import Ground, running_node, scratch_directory
from nirantar.app.bench.importing import bundles
from nirantar.app.importing import import_files
from nirantar.app.node import Node, open_view
from nirantar.continuity.replay import bring_forward
from nirantar.journal.entry import decode

NAME: Final = "rebuild"


def rebuild(ground: Ground) -> Iterator[Figure]:
    """Resource versions a second of one core, from the journal's bytes to a committed view."""
    with scratch_directory(ground.directory) as scratch, running_node(ground) as node:
        data, origin = bundles(ground, scratch)
        import_files(ground.host, node.doors.transact, [data], progress=lambda done, total: None)
        versions, reading = _read_only(node)
        seconds, core_seconds = min(_rebuild_once(ground, node) for _ in range(3))
    done = versions / core_seconds
    yield Figure(
        NAME, "rebuild of the view", done, "resources/s a core", 5_000.0, "≥ 5,000/s a core",
        "Python: finding a resource's index rows; writing them in SQLite comes next.",
        f"{versions:,} versions of {origin}; {seconds:.2f} s by the clock",
        (compared(done, "the same entries read and decoded only", versions / reading),),
    )


def _read_only(node: Node) -> tuple[int, float]:
    """(resource versions, seconds) of reading and decoding every entry."""
    origin, versions, started = node.papers.origin, 0, perf_counter()
    for entry_index, data, _ in node.reader.entries(origin, 0, node.reader.size(origin)):
        entry = decode(data, origin, entry_index)
        versions += 0 if entry is None else len(entry.changes)
    return versions, perf_counter() - started


def _rebuild_once(ground: Ground, node: Node) -> tuple[float, float]:
    """(seconds, seconds of a core)."""
    with scratch_directory(ground.directory) as scratch:
        view = open_view(ground.host, node.papers, scratch / "view.db")
        started, core_started = perf_counter(), process_time()
        bring_forward(node.reader, view)
        taken = perf_counter() - started, process_time() - core_started
        view.close()
    return taken
