"""The view digest's format, held to values computed here by the document's own words."""

from __future__ import annotations

from hashlib import sha256

import pytest

from nirantar.store.digest import (
    BUCKETS,
    DEPTH,
    EMPTY_NODES,
    bucket_hash,
    bucket_of,
    digest_of,
    head_line,
    leaf_data,
    node_above,
    subject_of,
)


def parent(left: bytes, right: bytes) -> bytes:
    """RFC 6962's inner node."""
    return sha256(b"\x01" + left + right).digest()


def plain_digest(leaves: dict[str, bytes]) -> bytes:
    """The digest over all 65,536 buckets, computed without any cleverness; at most two subjects a bucket."""
    level = [sha256(b"").digest()] * BUCKETS
    for number in {bucket_of(subject) for subject in leaves}:
        found = [leaves[subject] for subject in sorted(leaves) if bucket_of(subject) == number]
        level[number] = found[0] if len(found) == 1 else parent(*found)
    while len(level) > 1:
        level = [parent(level[place], level[place + 1]) for place in range(0, len(level), 2)]
    return level[0]


def test_leaf_is_the_documented_text() -> None:
    """Lines are sorted, hashed in hex, ended by newlines; a deletion says so."""
    body = b'{"resourceType":"Patient"}'
    lines = [head_line("Patient", "a", "n.1", body), head_line("Observation", "o", "n.0", None)]
    assert leaf_data("Patient/a", lines) == (
        b"nirantar-view-leaf/v1\nPatient/a\nObservation/o n.0 deleted\nPatient/a n.1 "
        + sha256(body).hexdigest().encode() + b"\n"
    )  # fmt: skip


def test_subjects() -> None:
    """A compartment speaks for all in it; a resource in none, for itself."""
    assert subject_of("Patient/a", "Observation", "o") == "Patient/a"
    assert subject_of("Organization", "Organization", "x") == "Organization/x"


def test_digest_equals_the_plain_computation() -> None:
    """Sparse and full computation agree for none, few and many subjects, crowded buckets among them."""
    assert digest_of({}) == plain_digest({}) == EMPTY_NODES[0]
    assert EMPTY_NODES[DEPTH] == sha256(b"").digest()
    leaves = {f"Patient/{number}": sha256(str(number).encode()).digest() for number in range(300)}
    assert len({bucket_of(subject) for subject in leaves}) < len(leaves) or len(leaves) == 300
    assert digest_of(leaves) == plain_digest(leaves)


def test_bucket_orders_by_subject() -> None:
    """A bucket's hash does not depend on the order in which subjects came."""
    one, two = sha256(b"1").digest(), sha256(b"2").digest()
    assert bucket_hash({"b": two, "a": one}) == bucket_hash({"a": one, "b": two}) == parent(one, two)
    assert bucket_hash({}) == sha256(b"").digest()


@pytest.mark.parametrize("changed", [[0], [1], [0, 1], [65_535], [3, 40_000]])
def test_incremental_update_equals_a_new_computation(changed: list[int]) -> None:
    """Carrying changed buckets up a stored tree gives the digest of the whole, and stores every node on the way."""
    stored: dict[int, bytes] = {}
    before = {bucket: sha256(bytes([bucket % 251])).digest() for bucket in range(0, BUCKETS, 4_096)}
    node_above(before, stored.get, stored.__setitem__)
    update = {bucket: sha256(b"new" + bytes([bucket % 251])).digest() for bucket in changed}
    digest = node_above(update, stored.get, stored.__setitem__)
    fresh: dict[int, bytes] = {}
    assert node_above({**before, **update}, fresh.get, fresh.__setitem__) == digest
    assert stored == fresh
