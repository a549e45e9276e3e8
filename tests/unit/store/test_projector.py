"""What one entry means, before any view is asked."""

from __future__ import annotations

import msgspec
import pytest

from journal_entries import NodeLog, granted, observation, organization, origin_of, patient
from nirantar.journal.entry import Change
from nirantar.store.projector import Folding, numbers_in, read_entry

GRANTS = granted("opd-1")


def why(*changes: Change) -> str:
    """Why an entry of these changes is not folded; "" when it is."""
    entry = msgspec.structs.replace(NodeLog("opd-1").put(patient("z")).entry, changes=changes)
    read = read_entry(0, entry, GRANTS)
    return read if isinstance(read, str) else ""


def change(body: bytes | None = b'{"resourceType":"Patient","id":"a"}', **fields: object) -> Change:
    """A change of Patient/a that can be folded, but for these fields."""
    plain = {"method": "PUT", "type": "Patient", "id": "a", "version_id": "opd-1.0",
             "written": msgspec.UNSET if body is None else msgspec.Raw(body)}  # fmt: skip
    return Change(**{**plain, **fields})  # type: ignore[arg-type]


def test_compartments() -> None:
    """What refers to a patient is filed with him, a Patient with himself, a deletion and the rest by type."""
    log = NodeLog("opd-1")
    entry = log.put(patient("a"), observation("o", "a"), organization("x")).entry
    read = read_entry(0, entry, GRANTS)
    assert isinstance(read, Folding)
    assert [each.compartment for each in read.changes] == ["Patient/a", "Patient/a", "Organization"]
    for type_, compartment in ("Observation", "Observation"), ("Patient", "Patient/o"):
        deletion = read_entry(1, log.delete(type_, "o").entry, GRANTS)
        assert isinstance(deletion, Folding)
        assert deletion.changes[0].compartment == compartment
        log.made.pop()


WRONG = {
    "not JSON": change(b"{"),
    "not an object": change(b"[]"),
    "another type": change(b'{"resourceType":"Group","id":"a"}'),
    "another id": change(b'{"resourceType":"Patient","id":"b"}'),
    "a deletion with a resource": change(method="DELETE"),
    "a write without one": change(None),
    "a type with a slash": change(type="Patient/a"),
    "an id with a space": change(id="a b"),
    "a parent with a space": change(parents=("a b",)),
    "another version id": change(version_id="opd-1.1"),
    "deeply nested": change(b'{"resourceType":"Patient","id":"a","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_changes_that_make_no_sense_are_refused(wrong: Change) -> None:
    """An unvalidated foreign change that the view could not hold is refused with a reason, never an exception."""
    assert why(change()) == ""
    assert why(wrong) != ""


def test_one_resource_twice_is_refused() -> None:
    """Two versions of one resource in an entry would have one version id."""
    assert "twice" in why(change(), change())


def test_grants_belong_to_their_node() -> None:
    """A grant whose node is not the origin's own name is none: version ids rely on it."""
    entry = NodeLog("opd-1").put(patient("a")).entry
    grant = msgspec.structs.replace(GRANTS[origin_of("opd-1")], node="opd-2")
    assert "name of the node" in str(read_entry(0, entry, {origin_of("opd-1"): grant}))


@pytest.mark.parametrize(
    ("value", "expected"),
    [("100000014", [("uhid", 10_000_001)]), ("10", [("uhid", 1)]), ("1", []), ("१२३", []), ("12-3", []), ("9" * 20, [])],
)
def test_numbers(value: str, expected: list[tuple[str, int]]) -> None:
    """An identifier of a declared system gives its digits without the check digit; anything else gives none."""
    assert numbers_in([("urn:uhid", value), ("urn:other", "777")], {"urn:uhid": "uhid"}) == expected


def test_an_outline_at_hand_is_taken() -> None:
    """A resource whose outline its maker gives is not read again, and is filed as if it had been."""
    entry = NodeLog("opd-1").put(observation("o", "a")).entry
    read = read_entry(0, entry, GRANTS)
    assert isinstance(read, Folding)
    outline = read.changes[0].outline
    assert outline is not None
    again = read_entry(0, entry, GRANTS, {("Observation", "o"): outline})
    assert isinstance(again, Folding)
    assert again.changes[0] == read.changes[0]
    assert again.changes[0].outline is outline
