"""A real node in the test's own process, without its threads where a test takes each step itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nirantar.app.node import Node
from nirantar.interactions.authorize import Caller
from nirantar.interactions.operations import create
from nirantar.interactions.transaction import Outcome, Purpose
from serving_node import Site, found_site

__all__ = ["CALLER", "Site", "content", "found_site", "opened", "patient", "write"]

CALLER = Caller("test", "Test", "integration", "desk")


@contextmanager
def opened(site: Site, directory: Path | None = None) -> Iterator[Node]:
    """The site's node, or the one in a copy of its directory, closed at the end. Its threads are not started."""
    node = Node(site.host, directory or site.directory)
    try:
        yield node
    finally:
        node.close()


def patient(number: int) -> dict[str, Any]:
    """An invented person."""
    return {"resourceType": "Patient", "identifier": [{"system": "urn:example:number", "value": f"{number}"}]}


def write(node: Node, *numbers: int) -> list[Outcome]:
    """Register these people, each in a transaction of his own; raises the first refusal."""
    futures = [node.doors.transact.submit(CALLER, (create(patient(each)),), Purpose("test")) for each in numbers]
    node.sequencer.step()
    return [future.result(0) for future in futures]


def content(site: Site, directory: Path | None = None) -> dict[str, bytes | None]:
    """Everything that clients can read of patients: each version of each, by id and version, and what is shown."""
    found: dict[str, bytes | None] = {}
    with opened(site, directory) as node, node.view.reader() as state:
        cursor = None
        while True:
            page = state.history("Patient", None, count=500, cursor=cursor)
            for version in page.versions:
                found[f"{version.id}/{version.version_id}"] = version.resource
                shown = state.read("Patient", version.id)
                found[version.id] = None if shown is None else shown.resource
            cursor = page.next_cursor
            if cursor is None:
                return found
