"""The view digest kept in SQLite: what a change made stale is hashed again only when the digest is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import apsw

from nirantar.fold.version_graph import version_id
from nirantar.store.digest import (
    BUCKETS,
    EMPTY_NODES,
    DigestProof,
    bucket_hash,
    bucket_of,
    digest_of,
    head_line,
    leaf_data,
    node_above,
    prove,
    subject_of,
)
from nirantar.store.schema import SEQUENCE_BITS
from nirantar.store.sqlite_rows import Row, all_rows, each_row, first_row, one_row
from nirantar.tlog.merkle import EMPTY_ROOT, leaf_hash

IS_HEAD: Final = (
    "(r.shown = v.version_row OR r.heads > 1 AND EXISTS"
    " (SELECT 1 FROM head h WHERE h.resource_key = r.resource_key AND h.version_row = v.version_row))"
)
_COLUMNS: Final = (
    "SELECT t.name, r.id, o.name, v.entry_index, v.resource FROM version v"
    " JOIN resource r ON r.resource_key = v.resource_key JOIN origin o ON o.origin_key = v.origin_key"
    " JOIN type t ON t.type_key = r.type_key"
)
_HEADS_OF_PATIENT: Final = f"{_COLUMNS} WHERE v.version_row >= ? AND v.version_row < ? AND {IS_HEAD}"
_HEADS_OF_RESOURCE: Final = (
    f"{_COLUMNS} JOIN compartment c ON c.compartment_key = v.version_row >> {SEQUENCE_BITS}"
    " WHERE r.type_key = (SELECT type_key FROM type WHERE name = ?) AND r.id = ?"
    f" AND c.name NOT LIKE 'Patient/%' AND {IS_HEAD}"
)
_ALL_HEADS: Final = (
    "SELECT c.name, t.name, r.id, o.name, v.entry_index, v.resource FROM version v"
    " JOIN resource r ON r.resource_key = v.resource_key JOIN origin o ON o.origin_key = v.origin_key"
    " JOIN type t ON t.type_key = r.type_key"
    f" JOIN compartment c ON c.compartment_key = v.version_row >> {SEQUENCE_BITS}"
    f" WHERE {IS_HEAD} ORDER BY v.version_row"
)
_NODE: Final = "SELECT hash FROM digest_node WHERE position = ?"
_BUCKET: Final = "SELECT subject, hash FROM digest_leaf WHERE bucket = ?"

Buckets = dict[int, dict[str, bytes]]


def stored_digest(cursor: apsw.Cursor) -> bytes:
    """The digest of the state that the cursor sees, changing nothing."""
    changed = _changed_buckets(cursor)
    if not changed:
        return _node(cursor, 1) or EMPTY_NODES[0]
    hashes = {bucket: bucket_hash(leaves) for bucket, leaves in changed.items()}
    return node_above(hashes, lambda position: _node(cursor, position), lambda position, hash_: None)


def settled_digest(cursor: apsw.Cursor) -> bytes:
    """The digest of the state in which the tree was last brought up to date."""
    return _node(cursor, 1) or EMPTY_NODES[0]


def settle(cursor: apsw.Cursor, subjects_max: int | None = None) -> bytes:
    """Write the tree up to date, inside the caller's transaction, and return its root: the digest, unless more than
    `subjects_max` were stale, of which so many are settled now."""
    some = -1 if subjects_max is None else subjects_max
    stale = all_rows(cursor, "SELECT subject FROM digest_stale LIMIT ?", (some,))
    changed = _changed_buckets(cursor, stale)
    for (subject,) in stale:
        bucket = bucket_of(subject)
        leaf = changed[bucket].get(subject)
        if leaf is None:
            cursor.execute("DELETE FROM digest_leaf WHERE bucket = ? AND subject = ?", (bucket, subject))
        else:
            cursor.execute(
                "INSERT OR REPLACE INTO digest_leaf (bucket, subject, hash) VALUES (?, ?, ?)", (bucket, subject, leaf)
            )
    cursor.executemany("DELETE FROM digest_stale WHERE subject = ?", stale)
    if not changed:
        return _node(cursor, 1) or EMPTY_NODES[0]
    nodes: list[tuple[int, bytes]] = []
    hashes = {bucket: bucket_hash(leaves) for bucket, leaves in changed.items()}
    digest = node_above(hashes, lambda position: _node(cursor, position), lambda *node: nodes.append(node))
    cursor.executemany("INSERT OR REPLACE INTO digest_node (position, hash) VALUES (?, ?)", nodes)
    return digest


def stored_proof(cursor: apsw.Cursor, patient_id: str) -> DigestProof | None:
    """The proof of a patient's chart under `stored_digest`; None where the view holds nothing of that patient."""
    subject = f"Patient/{patient_id}"
    changed = _changed_buckets(cursor)
    bucket = bucket_of(subject)
    leaves = changed.get(bucket)
    if leaves is None:
        leaves = dict(all_rows(cursor, _BUCKET, (bucket,)))
    if subject not in leaves:
        return None
    nodes: dict[int, bytes] = {}
    if changed:
        hashes = {number: bucket_hash(found) for number, found in changed.items()}
        node_above(hashes, lambda position: _node(cursor, position), nodes.__setitem__)
    return prove(subject, leaves, lambda position: nodes.get(position) or _node(cursor, position))


def subject_lines(cursor: apsw.Cursor, subject: str) -> list[str]:
    """The lines of a subject's leaf, sorted; none if it has no heads."""
    kind, _, name = subject.partition("/")
    rows: list[Row] = []
    if kind == "Patient":
        for (key,) in all_rows(cursor, "SELECT compartment_key FROM compartment WHERE name = ?", (subject,)):
            first = key << SEQUENCE_BITS
            rows = all_rows(cursor, _HEADS_OF_PATIENT, (first, first + (1 << SEQUENCE_BITS)))
    else:
        rows = all_rows(cursor, _HEADS_OF_RESOURCE, (kind, name))
    return sorted(head_line(type_, id_, version_id(origin, index), body) for type_, id_, origin, index, body in rows)


def computed_digest(cursor: apsw.Cursor) -> bytes:
    """The digest from the rows of all versions alone, trusting no stored hash. Memory grows with the patients."""
    return digest_of(dict(_computed_leaves(cursor)))


def stored_tree_is_right(cursor: apsw.Cursor) -> bool:
    """Whether every stored leaf that is not stale, and every stored node, is what the rows give."""
    computed = dict(_computed_leaves(cursor))
    stale = {subject for (subject,) in all_rows(cursor, "SELECT subject FROM digest_stale")}
    stored = {}
    buckets: Buckets = {}
    for bucket, subject, hash_ in all_rows(cursor, "SELECT bucket, subject, hash FROM digest_leaf"):
        stored[subject] = hash_
        buckets.setdefault(bucket, {})[subject] = hash_
    if any(stored.get(subject) != computed.get(subject) for subject in (stored.keys() | computed.keys()) - stale):
        return False
    nodes: dict[int, bytes] = dict(all_rows(cursor, "SELECT position, hash FROM digest_node"))
    hashes = {position - BUCKETS: EMPTY_ROOT for position in nodes if position >= BUCKETS}
    hashes.update((bucket, bucket_hash(leaves)) for bucket, leaves in buckets.items())
    expected: dict[int, bytes] = {}
    if hashes:
        node_above(hashes, lambda position: None, expected.__setitem__)
    return nodes == expected


def _computed_leaves(cursor: apsw.Cursor) -> Iterator[tuple[str, bytes]]:
    """Every subject with its leaf hash. Rows come compartment by compartment; a type's loose resources are gathered
    by resource, since their versions may lie apart."""
    compartment_now = ""
    lines: dict[str, list[str]] = {}
    for compartment, type_name, resource_id, origin, entry_index, body in each_row(cursor, _ALL_HEADS):
        if compartment != compartment_now:
            yield from _leaves(lines)
            compartment_now, lines = compartment, {}
        subject = subject_of(compartment, type_name, resource_id)
        line = head_line(type_name, resource_id, version_id(origin, entry_index), body)
        lines.setdefault(subject, []).append(line)
    yield from _leaves(lines)


def _leaves(lines: dict[str, list[str]]) -> Iterator[tuple[str, bytes]]:
    for subject, found in lines.items():
        yield subject, leaf_hash(leaf_data(subject, found))


def stale_subjects(cursor: apsw.Cursor, at_most: int) -> int:
    """How many subjects changed since they were last settled; counting ends at `at_most`."""
    count: int = one_row(cursor, "SELECT count(*) FROM (SELECT 1 FROM digest_stale LIMIT ?)", (at_most,))[0]
    return count


def _changed_buckets(cursor: apsw.Cursor, stale: list[Row] | None = None) -> Buckets:
    """The buckets of stale subjects (all, unless some are given), whole, with those subjects' leaves computed from
    their rows."""
    changed: Buckets = {}
    for (subject,) in all_rows(cursor, "SELECT subject FROM digest_stale") if stale is None else stale:
        bucket = bucket_of(subject)
        if bucket not in changed:
            changed[bucket] = dict(all_rows(cursor, _BUCKET, (bucket,)))
        lines = subject_lines(cursor, subject)
        if lines:
            changed[bucket][subject] = leaf_hash(leaf_data(subject, lines))
        else:
            changed[bucket].pop(subject, None)
    return changed


def _node(cursor: apsw.Cursor, position: int) -> bytes | None:
    row = first_row(cursor, _NODE, (position,))
    return None if row is None else bytes(row[0])

