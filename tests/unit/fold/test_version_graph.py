"""Which versions are current, and which one is shown."""

from __future__ import annotations

import pytest

from nirantar.fold.version_graph import GraphNode, heads, node_of, parse_version_id, rank, version_id
from nirantar.limits import CLOCK_AHEAD_SECONDS_MAX

ORIGIN = "test-hospital.example/opd-1"
NOW_US = 1_790_000_000_000_000


def node(name: str, *parents: str, clock: int = 0, origin: str = ORIGIN) -> GraphNode:
    """A version recorded when its clock says so."""
    return GraphNode(name, parents, rank(NOW_US + clock, 0, NOW_US + clock, origin, clock))


def names(*nodes: GraphNode) -> list[str]:
    """The heads of these versions."""
    return [head.version_id for head in heads(nodes)]


def test_a_chain_has_its_last_version_as_head() -> None:
    """Each version supersedes the one it was made from, in whatever order they are given."""
    chain = [node("n.0"), node("n.1", "n.0", clock=1), node("n.2", "n.1", clock=2)]
    assert names(*chain) == ["n.2"]
    assert names(*reversed(chain)) == ["n.2"]


def test_a_missing_middle_keeps_both_ends() -> None:
    """Without the version between them neither end is known to be older; once it is there, one head is left."""
    first, middle, last = node("n.0"), node("n.1", "n.0", clock=1), node("n.2", "n.1", clock=2)
    assert names(last, first) == ["n.2", "n.0"]
    assert names(last, first, middle) == ["n.2"]


def test_concurrent_versions_are_ranked_by_clock_then_origin() -> None:
    """The later clock is shown; at equal clocks the origin decides, so that every node shows the same."""
    start = node("n.0")
    early, late = node("a.1", "n.0", clock=1), node("b.1", "n.0", clock=2)
    assert names(start, late, early) == ["b.1", "a.1"]
    one, two = node("a.2", "n.0", clock=1, origin="h/a"), node("b.2", "n.0", clock=1, origin="h/b")
    assert names(one, two) == ["b.2", "a.2"]


def test_a_reconciling_version_replaces_all_that_it_names() -> None:
    """A version with two parents ends the fork."""
    assert names(node("a.1"), node("b.1"), node("a.2", "a.1", "b.1", clock=1)) == ["a.2"]


def test_a_clock_far_ahead_ranks_below_every_other() -> None:
    """Exactly at the bound a clock still counts; beyond it, it wins against nobody."""
    bound_us = CLOCK_AHEAD_SECONDS_MAX * 1_000_000
    honest = rank(NOW_US, 0, NOW_US, ORIGIN, 0)
    assert rank(NOW_US + bound_us, 0, NOW_US, ORIGIN, 1) > honest
    assert rank(NOW_US + bound_us + 1, 0, NOW_US, ORIGIN, 1) < honest


def test_forged_circles_hide_nothing() -> None:
    """Versions that name each other, or themselves, leave the highest as head."""
    assert names(node("a.1", "b.1"), node("b.1", "a.1", clock=1)) == ["b.1"]
    assert names(node("a.1", "a.1")) == ["a.1"]
    assert names() == []


def test_version_ids_read_back() -> None:
    """A version id is made of node and index and gives them back."""
    assert node_of(ORIGIN) == "opd-1"
    assert version_id(ORIGIN, 17) == "opd-1.17"
    assert parse_version_id("opd-1.17") == ("opd-1", 17)
    assert parse_version_id("a.b.0") == ("a.b", 0)


@pytest.mark.parametrize("text", ["", "1", ".1", "opd-1.", "opd-1.01", "opd-1.-1", "opd-1.1e3", "a." + "9" * 19, "a.²"])
def test_other_texts_are_no_version_ids(text: str) -> None:
    """What `version_id` would not write is not read, so that no version has two names."""
    assert parse_version_id(text) is None
