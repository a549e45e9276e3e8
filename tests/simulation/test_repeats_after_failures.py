"""A client that repeats its request after a restart, or at the node that was recovered from the vault."""

from __future__ import annotations

from pathlib import Path

import pytest

from nirantar.app.founding import found_hospital, publish, write_directory
from nirantar.app.node import Node
from nirantar.app.recovering import recover
from nirantar.app.vaults import open_vault
from nirantar.errors import Conflict
from nirantar.fhir.transaction_bundle import Operation
from nirantar.host.simulated import SimulatedHost
from nirantar.interactions.authorize import Caller
from nirantar.interactions.operations import create, delete, update
from nirantar.interactions.repeats import request_hash
from nirantar.interactions.transaction import Outcome, Purpose

VAULT = "file:///vault"
CALLER = Caller("token:lab", "Lab", "integration", "api")
URN = "urn:uuid:8f1e0000-0000-4000-8000-000000000001"


def write(node: Node, *operations: Operation, key: str) -> Outcome:
    """One transaction in a commit batch of its own."""
    purpose = Purpose("test", idempotency_key=key, request_hash=request_hash(operations))
    future = node.doors.transact.submit(CALLER, operations, purpose)
    node.sequencer.step()
    return future.result(0)


def answer(outcome: Outcome) -> list[tuple[str, str, str, str, bytes | None]]:
    """What a client is told of each operation."""
    return [
        (each.status, each.type, each.id, each.version.version_id, each.version.resource)
        for each in outcome.results if each.version is not None
    ]


def test_a_repeat_is_known_after_a_restart_and_at_the_recovered_node() -> None:
    """Same resources, same version ids, same bytes, no second entry; another request under the key is refused there
    too, and a new key writes under the new node's name."""
    host = SimulatedHost(5)
    founded, identity = found_hospital(host, "Test Hospital", "opd-1", vaults=[VAULT], durability="node")
    vault = open_vault(host, VAULT, create=True)
    publish(vault, founded.document, founded.roster, founded.roster_note)
    write_directory(host, Path("/node"), founded)
    operations = (
        create({"resourceType": "Location", "name": "Ward"}, full_url=URN),
        update({"resourceType": "Location", "id": "bed", "partOf": {"reference": URN}}),
        delete("Location", condition="name=Old"),
    )
    node = Node(host, Path("/node"))
    write(node, update({"resourceType": "Location", "id": "old", "name": "Old"}), key="before")
    first = write(node, *operations, key="k")
    write(node, update({"resourceType": "Location", "id": "bed", "name": "Later"}), key="after")
    node.sealer.step()
    node.close()
    assert [each[:2] for each in answer(first)] == [("created", "Location"), ("created", "Location"), ("deleted", "Location")]
    for directory in (Path("/node"), Path("/recovered")):
        if directory.name == "recovered":
            report = recover(host, [vault], [VAULT], identity, directory)
            assert report.ok, report.findings
        node = Node(host, directory)
        size = node.sequencer.size
        again = write(node, *operations, key="k")
        assert again.replayed
        assert answer(again) == answer(first)
        with pytest.raises(Conflict, match="another request"):
            write(node, *operations[:2], key="k")
        assert node.sequencer.size == size
        new = write(node, *operations[:1], key=f"new at {directory}").results[0].version
        assert new is not None
        assert new.version_id.partition(".")[0] == node.papers.configuration.node
        node.sealer.step()
        node.close()
    host.close()
