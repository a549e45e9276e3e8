"""Entries: exact bytes out, the same entry back."""

from __future__ import annotations

import msgspec

from nirantar.journal.entry import ENTRY_VERSION, Change, Entry, decode, encode


def an_entry(*changes: Change) -> Entry:
    """An entry with invented facts around the changes."""
    return Entry(
        ENTRY_VERSION, "0190-id", "test.nirantar/opd-1", "1700000000000000.0", "2026-11-23T08:30:00.000Z", "staff:asha",
        "doctor", "opd-pc-1", "register", changes, "c2FsdA==",
    )


def test_a_written_resource_comes_back_as_the_same_bytes() -> None:
    """A change with a resource survives encode and decode, its decimal digit by digit."""
    body = b'{"resourceType":"Observation","id":"a","valueQuantity":{"value":72.50}}'
    data = encode(an_entry(Change("PUT", "Observation", "a", "opd-1.0", (), msgspec.Raw(body))))
    entry = decode(data, "test.nirantar/opd-1", 0)
    assert entry is not None
    assert entry.changes[0].resource_bytes == body
    assert entry.changes[0].resource is not None
    assert encode(entry) == data


def test_a_deletion_carries_no_resource() -> None:
    """A DELETE has no resource, neither in the bytes nor when read back."""
    data = encode(an_entry(Change("DELETE", "Observation", "a", "opd-1.1", ("opd-1.0",))))
    assert b'"resource"' not in data
    entry = decode(data, "test.nirantar/opd-1", 1)
    assert entry is not None
    assert entry.changes[0].resource is None
    assert entry.changes[0].resource_bytes is None
