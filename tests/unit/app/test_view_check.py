"""A view is held against its journal without folding a second one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nirantar.app.node import Node
from nirantar.app.view_check import shows_the_journal
from nirantar.host.simulated import SimulatedHost
from nirantar.interactions.operations import create, update
from simulated_site import found_site, opened, write

PATIENT = {"resourceType": "Patient", "id": "p", "name": [{"family": "One"}]}


@pytest.fixture
def node() -> Iterator[Node]:
    """A node whose patient was changed once, beside a resource of nobody's."""
    with opened(found_site(SimulatedHost(5))) as made:
        write(made, update(PATIENT))
        write(made, update({**PATIENT, "name": [{"family": "Two"}]}))
        write(made, create({"resourceType": "Organization", "name": "Laboratory"}))
        yield made


def shows(node: Node) -> bool:
    """What the check says of the node's view."""
    return shows_the_journal(node.view, node.reader, node.papers.roster.by_origin())


def test_an_honest_view_passes(node: Node) -> None:
    """A view that the node folded itself shows its journal."""
    assert shows(node)


@pytest.mark.parametrize("change", [
    "UPDATE version SET resource = CAST(replace(CAST(resource AS TEXT), 'One', 'Eve') AS BLOB)",
    "UPDATE version SET resource = CAST(replace(CAST(resource AS TEXT), 'Two', 'Eve') AS BLOB)",
    "UPDATE resource SET shown = (SELECT min(version_row) FROM version WHERE resource_key = resource.resource_key)",
    "UPDATE resource SET deleted = 1",
    "DELETE FROM token_index",
    "INSERT INTO version SELECT version_row + 100, resource_key, type_key, origin_key, 0, hlc_wall_us, hlc_counter,"
    " recorded_at_us, parents, resource FROM version WHERE entry_index = 2",
    "INSERT INTO unfolded SELECT origin_key, 1, 'hidden' FROM origin",
])  # fmt: skip
def test_a_changed_view_does_not(node: Node, change: str) -> None:
    """Other bytes, an older version shown, a deletion that nobody wrote, search rows gone, a version more, an entry hidden."""
    node.view._connection.execute(change)
    assert not shows(node)
