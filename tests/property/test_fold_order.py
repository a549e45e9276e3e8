"""The fold is a function of the set of entries (invariant 5), and both views compute the same one."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from journal_entries import Made, NodeLog, granted, observation, organization, patient
from nirantar.fold.version_graph import GraphNode, heads, version_id
from nirantar.host.real import RealHost
from nirantar.store.memory import MemoryReader, MemoryView
from nirantar.store.sqlite import SqliteView
from nirantar.store.sqlite_reading import SqliteReader

NODES = ("opd-1", "ward-3", "lab")
RESOURCES = (("Patient", "a"), ("Patient", "b"), ("Observation", "o"), ("Organization", "x"))


@st.composite
def histories(draw: st.DrawFn) -> list[NodeLog]:
    """Three nodes that edit few resources, each version made from any versions that exist anywhere at that time, and
    now and then from one that a forger made up: of the future, of another resource, or itself."""
    logs = [NodeLog(node) for node in NODES]
    known: dict[tuple[str, str], list[str]] = {}
    for _ in range(draw(st.integers(1, 12))):
        log = draw(st.sampled_from(logs))
        log.clock_us += draw(st.sampled_from([0, 1_000_000, 5_000_000]))
        type_, id_ = draw(st.sampled_from(RESOURCES))
        parents = draw(st.lists(st.sampled_from(known.get((type_, id_), ["none.0"])), max_size=2, unique=True))
        parents = [parent for parent in parents if parent != "none.0"]
        if draw(st.integers(0, 3)) == 0:
            parents = [f"{draw(st.sampled_from(NODES))}.{draw(st.integers(0, 4))}"]
        known.setdefault((type_, id_), []).append(version_id(log.origin, len(log.made)))
        of_patient = draw(st.sampled_from(["a", "b"]))
        resource = {
            "Patient": patient(id_, gender=draw(st.sampled_from(["male", "female"]))),
            "Observation": observation(id_, of_patient),
            "Organization": organization(id_),
        }[type_]
        if draw(st.integers(0, 4)) == 0:
            log.delete(type_, id_, parents=parents)
        else:
            log.put(resource, parents=parents)
    return logs


@st.composite
def interleavings(draw: st.DrawFn, logs: Sequence[NodeLog]) -> list[Made]:
    """The entries of all logs, each log in order, the logs against each other in any."""
    turns = [position for position, log in enumerate(logs) for _ in log.made]
    streams = [iter(log.made) for log in logs]
    return [next(streams[position]) for position in draw(st.permutations(turns))]


def state_of(state: MemoryReader | SqliteReader) -> tuple[object, ...]:
    """All that the port says of the resources, however the entries arrived."""
    seen = []
    for type_, id_ in RESOURCES:
        found = state.heads(type_, id_)
        history = state.history(type_, id_, count=50, cursor=None).versions
        seen.append((found, history, state.read(type_, id_)))
    return (*seen, state.view_digest(), state.counts(), state.positions())


def fold(view: MemoryView | SqliteView, entries: Sequence[Made], *, settle: bool) -> tuple[object, ...]:
    """Fold in batches of one, the digest's tree written down after each or never; then check and describe the view."""
    view.use_grants(granted(*NODES))
    for made in entries:
        view.begin()
        view.project(made.entry_index, made.leaf_hash, made.entry)
        view.commit()
        if settle:
            view.settle_digest()
    with view.reader() as state:
        if isinstance(state, SqliteReader):
            assert list(state.check_rows()) == []
        return state_of(state)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.data())
def test_any_arrival_order_gives_the_same_view(data: st.DataObject) -> None:
    """Two arrival orders, in memory and in SQLite, end in equal heads, histories and digests; rows are consistent."""
    logs = data.draw(histories())
    one, two = data.draw(interleavings(logs)), data.draw(interleavings(logs))
    expected = fold(MemoryView(number_series={}), one, settle=False)
    assert fold(MemoryView(number_series={}), two, settle=False) == expected
    with tempfile.TemporaryDirectory() as directory:
        for name, entries in ("one", one), ("two", two):
            view = SqliteView(RealHost(), Path(directory) / f"{name}.db", number_series={}, readers=0)
            try:
                assert fold(view, entries, settle=name == "one") == expected
            finally:
                view.close()
        compare_views(Path(directory))


def compare_views(directory: Path) -> None:
    """The two SQLite views in this directory hold the same versions."""
    views = [SqliteView(RealHost(), directory / f"{name}.db", number_series={}) for name in ("one", "two")]
    with views[0].reader() as ours, views[1].reader() as theirs:
        assert list(ours.compare(theirs)) == []
    for view in views:
        view.close()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.integers(0, 7), max_size=3), min_size=1, max_size=8))
def test_heads_never_vanish(parents: list[list[int]]) -> None:
    """Whatever the parents say, circles included, every set of versions has a head, and order does not matter."""
    nodes = [
        GraphNode(f"n.{place}", tuple(f"n.{each}" for each in named), (True, place, 0, "n", place))
        for place, named in enumerate(parents)
    ]
    found = heads(nodes)
    assert found
    assert heads(reversed(nodes)) == found
    assert [node.rank for node in found] == sorted((node.rank for node in found), reverse=True)
