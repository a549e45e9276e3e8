"""Import: every piece taken once or refused by name, and an unavailable node is not a wrong file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nirantar import limits
from nirantar.app.founding import found_hospital, write_directory
from nirantar.app.importing import ImportReport, import_files
from nirantar.app.node import Node
from nirantar.errors import InvalidInput, NotFound, ReadOnly
from nirantar.fhir import json
from nirantar.host.simulated import SimulatedHost
from nirantar.interactions.authorize import Caller
from nirantar.interactions.transact import Transact

FILES = Path("/files")
READER = Caller("token:x", "X", "integration", "api")


@pytest.fixture
def node() -> Iterator[Node]:
    """A node without a vault; its writer runs while an import waits for it."""
    with SimulatedHost(9) as host:
        founded, _ = found_hospital(host, "Test", "opd", vaults=[], durability="node")
        write_directory(host, Path("/node"), founded)
        host.files.make_directory(FILES)
        made = Node(host, Path("/node"))
        made.sequencer.start()
        yield made
        made.close()


def put(node: Node, name: str, content: Any) -> None:
    """A file to import; a list becomes lines."""
    data = content if isinstance(content, bytes) else (
        b"\n".join(json.encode(each) for each in content) if isinstance(content, list) else json.encode(content)
    )
    node.host.files.put_new(FILES / name, data)


def taken(node: Node, *paths: Path) -> ImportReport:
    """Import the folder."""
    return import_files(node.host, node.doors.transact, list(paths) or [FILES], progress=lambda done, total: None)


def patient(id: str) -> dict[str, Any]:
    """A patient who brings his id."""
    return {"resourceType": "Patient", "id": id, "active": True}


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulated machine's folder is a folder."""
    monkeypatch.setattr(Path, "is_dir", lambda self: self == FILES)


def test_lines_and_bundles_are_taken_once(node: Node) -> None:
    """Both kinds in one folder, then again: nothing new; the same line twice is one resource."""
    transaction_bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": {"resourceType": "Organization", "name": "Ward"}, "request": {"method": "POST", "url": "Organization"}},
    ]}
    put(node, "a.ndjson", [patient("1"), patient("2"), patient("1")])
    put(node, "b.json", transaction_bundle)
    put(node, "c.txt", b"not looked at")
    report = taken(node)
    assert (report.resources, report.unchanged, report.rejected) == ({"Patient": 2, "Organization": 1}, 1, [])
    size = node.sequencer.size
    again = taken(node)
    assert (again.resources, again.unchanged, node.sequencer.size) == ({}, 4, size)


def test_what_refers_to_later_files_waits_for_them(node: Node) -> None:
    """A reference by identifier finds what comes afterwards; one that finds nothing is named in the end."""
    refers = {**patient("1"), "generalPractitioner": [{"reference": "Practitioner?identifier=urn:x|7"}]}
    lost = {**patient("2"), "generalPractitioner": [{"reference": "Practitioner?identifier=urn:x|8"}]}
    put(node, "a.ndjson", [refers, lost])
    put(node, "b.ndjson", [{"resourceType": "Practitioner", "id": "d", "identifier": [{"system": "urn:x", "value": "7"}]}])
    report = taken(node)
    assert report.resources == {"Patient": 1, "Practitioner": 1}
    assert report.rejected == [("a.ndjson:2", "it refers to something that is not here")]


def test_a_refused_piece_is_named_and_stops_nothing(node: Node) -> None:
    """Bad JSON, a bad resource, a batch, a system record, no object: each by file and line, the rest is taken."""
    put(node, "a.ndjson", b'{"resourceType":\n\n{"resourceType":"Patient","gender":"x"}\n[1]\n'
        b'{"resourceType":"NirantarAccount","id":"asha"}\n{"resourceType":"Patient","id":"ok"}')
    put(node, "b.json", {"resourceType": "Bundle", "type": "batch", "entry": []})
    put(node, "c.json", b"\xff")
    report = taken(node)
    assert [place for place, _ in report.rejected] == ["a.ndjson:1", "a.ndjson:4", "b.json", "c.json", "a.ndjson:3", "a.ndjson:5"] or sorted(
        place for place, _ in report.rejected
    ) == ["a.ndjson:1", "a.ndjson:3", "a.ndjson:4", "a.ndjson:5", "b.json", "c.json"]
    assert report.resources == {"Patient": 1}


def test_a_refused_bundle_names_the_entry(node: Node) -> None:
    """A Bundle has hundreds of resources: the reason says which one it is about."""
    put(node, "b.json", {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": {"resourceType": "Organization", "name": "Ward"}, "request": {"method": "POST", "url": "Organization"}},
        {"resource": {"resourceType": "Patient", "gender": "x"}, "request": {"method": "POST", "url": "Patient"}},
    ]})
    (place, why), = taken(node).rejected
    assert place == "b.json"
    assert why.startswith("Bundle.entry[1].resource.gender: ")


def test_lines_are_found_whatever_pieces_they_are_read_in(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines keep their numbers and content across the edges of what is read at once, with and without a last newline."""
    put(node, "a.ndjson", b"\n" + json.encode(patient("1")) + b"\n\r\n" + json.encode(patient("2")) + b"\n{}")
    for piece in (1, 2, 7, 64, 1000):
        monkeypatch.setattr("nirantar.app.importing._READ_BYTES", piece)
        report = taken(node)
        assert sum(report.resources.values()) + report.unchanged == 2
        assert [place for place, _ in report.rejected] == ["a.ndjson:5"], piece


def test_a_file_that_is_too_long_is_refused_in_bounded_memory(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Bundle or line beyond REQUEST_BYTES_MAX is named; the lines after it are still taken."""
    monkeypatch.setattr(limits, "REQUEST_BYTES_MAX", 200)
    monkeypatch.setattr("nirantar.app.importing._READ_BYTES", 64)
    put(node, "a.ndjson", b'{"resourceType":"Patient","id":"' + b"x" * 900 + b'"}\n' + json.encode(patient("1")))
    put(node, "b.json", b'{"a":"' + b"x" * 900 + b'"}')
    report = taken(node)
    assert [(place, "REQUEST_BYTES_MAX" in why) for place, why in report.rejected] == [("a.ndjson:1", True), ("b.json", True)]
    assert report.resources == {"Patient": 1}


def test_a_node_that_cannot_write_is_no_fault_of_the_files(node: Node) -> None:
    """The import ends with the node's own sentence, and no file is called wrong."""
    put(node, "a.ndjson", [patient("1")])
    node.sequencer.refuse_writes("It was cloned.")
    with pytest.raises(ReadOnly, match="cloned"):
        taken(node)


def test_a_path_that_is_not_there_is_said_before_anything(node: Node) -> None:
    """Nothing of the other paths is taken."""
    put(node, "a.ndjson", [patient("1")])
    with pytest.raises(NotFound, match=r"nothing\.json"):
        taken(node, FILES, FILES / "nothing.json")
    assert node.sequencer.size == 0
    assert isinstance(node.doors.transact, Transact)


def test_a_file_of_another_kind_is_told_which_kinds_there_are(node: Node) -> None:
    """The sentence names the endings, and nothing is taken in, also not from the right files beside it."""
    put(node, "right.json", patient("a"))
    put(node, "notes.txt", patient("b"))
    with pytest.raises(InvalidInput, match=r"\.json or \.ndjson"):
        taken(node, FILES / "right.json", FILES / "notes.txt")
    assert taken(node).unchanged == 0
