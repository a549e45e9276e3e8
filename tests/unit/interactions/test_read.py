"""Reads: authorised, noted, and blind to system records."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from nirantar.errors import Forbidden, Gone, NotFound
from nirantar.fhir.search_query import parse_query
from nirantar.interactions.accounts import Account
from nirantar.interactions.operations import create, delete, update
from nirantar.interactions.read import Read
from nirantar.interactions.transaction import Purpose
from simulated_node import CLERK, INTEGRATION, IT, SimulatedNode, a_patient, an_observation


@pytest.fixture
def node() -> Iterator[SimulatedNode]:
    """A node with a patient, a result of his, a deleted patient, and an account."""
    with SimulatedNode() as made:
        for operation in (
            update(a_patient(id="p")), update(an_observation("p", id="o")), update(a_patient(id="gone")),
            delete("Patient", "gone"), create(a_patient("Menon")),
        ):
            made.transact(INTEGRATION, [operation], Purpose("test", reason="why not"))
        made.accounts.put(IT, Account("asha", "Asha", "doctor", active=True), "seven tall pines")
        yield made


SYSTEM_READS: dict[str, Callable[[Read], object]] = {
    "read": lambda read: read.read(INTEGRATION, "NirantarAccount", "asha"),
    "vread": lambda read: read.read_version(INTEGRATION, "NirantarAccount", "asha", "opd-1.5"),
    "heads": lambda read: read.heads(INTEGRATION, "NirantarAccount", "asha"),
    "history": lambda read: read.history(INTEGRATION, "NirantarAccount", "asha", count=5),
    "history of a type": lambda read: read.history(INTEGRATION, "NirantarAccount", None, count=5),
    "search": lambda read: read.search(INTEGRATION, parse_query("NirantarAccount", [("_id", "asha")], strict=True)),
}


@pytest.mark.parametrize("name", SYSTEM_READS)
def test_system_records_are_not_found(node: SimulatedNode, name: str) -> None:
    """No way of reading gives an account, not even to the role that may read everything."""
    with pytest.raises(NotFound):
        SYSTEM_READS[name](node.read)


def test_reading_says_what_is_what(node: SimulatedNode) -> None:
    """Here, never here, gone, and a version of the past."""
    assert node.read.read(CLERK, "Patient", "p").version_id == "opd-1.0"
    with pytest.raises(NotFound):
        node.read.read(CLERK, "Patient", "nobody")
    with pytest.raises(Gone, match="history is still there"):
        node.read.read(CLERK, "Patient", "gone")
    assert node.read.read_version(CLERK, "Patient", "gone", "opd-1.2").resource is not None
    assert [each.deleted for each in node.read.history(CLERK, "Patient", "gone", count=9).versions] == [True, False]
    with pytest.raises(NotFound):
        node.read.history(CLERK, "Patient", "nobody", count=9)


def test_a_role_reads_no_more_than_its_types(node: SimulatedNode) -> None:
    """Every way of reading asks first, and a refusal says nothing of what is there."""
    for reading in (
        lambda: node.read.read(CLERK, "Observation", "o"),
        lambda: node.read.read(CLERK, "Observation", "nothing"),
        lambda: node.read.history(CLERK, "Observation", None, count=1),
        lambda: node.read.heads(CLERK, "Observation", "o"),
        lambda: node.read.search(CLERK, parse_query("Observation", [], strict=True)),
    ):
        with pytest.raises(Forbidden, match="may not read Observation"):
            reading()


def test_a_chart_withholds_what_the_role_may_not_see(node: SimulatedNode) -> None:
    """It counts what it withholds, so that nobody takes the rest for all."""
    whole, part = node.read.chart(INTEGRATION, "p"), node.read.chart(CLERK, "p")
    assert ([each.type for each in whole.others], whole.withheld) == (["Observation"], 0)
    assert (part.others, part.withheld) == ((), 1)
    with pytest.raises(Gone):
        node.read.chart(CLERK, "gone")


def test_every_way_of_reading_is_noted_without_what_was_searched(node: SimulatedNode) -> None:
    """Type and id are noted, search texts and names never, failures like successes."""
    node.access_lines()
    with pytest.raises(NotFound):
        node.read.read(CLERK, "Patient", "nobody")
    node.read.search(CLERK, parse_query("Patient", [("name", "Menon")], strict=True))
    node.read.search(CLERK, parse_query("Patient", [("name", "Xyzzy")], strict=True))
    node.read.chart(CLERK, "p")
    node.read.history(CLERK, "Patient", "p", count=1)
    lines = node.access_lines()
    for what in ("read", "search", "search-nothing", "chart", "history"):
        assert f'"what":"{what}"'.encode() in lines
    assert b'"id":"nobody"' in lines
    assert b"Menon" not in lines
    assert b"Xyzzy" not in lines


def test_a_version_tells_who_made_it(node: SimulatedNode) -> None:
    """Actor, role, place, action and reason come from the entry in the log."""
    made = node.read.authorship(CLERK, node.read.read(CLERK, "Patient", "p"))
    assert (made.actor, made.role, made.workstation, made.action, made.reason) == (
        "token:test", "integration", "api", "test", "why not",
    )


def test_a_repeat_is_known_beforehand(node: SimulatedNode) -> None:
    """A desk may ask whether a form was sent already; another caller's key is another key."""
    node.transact(CLERK, [create(a_patient())], Purpose("test", idempotency_key="form-1"))
    assert node.read.is_repeat(CLERK, "form-1")
    assert not node.read.is_repeat(IT, "form-1")
    assert not node.read.is_repeat(CLERK, "form-2")
