"""The view as plain dictionaries: the simplest honest model of what `sqlite.py` does, and the fake that tests use.

Every answer is computed from the versions when it is asked for, so there is no state that could be wrong. A
transaction is a copy of the dictionaries; readers hold the copy that was current when they began.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from nirantar.errors import Damaged
from nirantar.fhir.search_match import matches
from nirantar.fhir.search_parameters import extract
from nirantar.fhir.search_query import SearchQuery
from nirantar.fold.grants import Grant
from nirantar.fold.version_graph import GraphNode, heads, rank, version_id
from nirantar.journal.entry import Entry
from nirantar.store.cursors import Key, KeyShape, decode_cursor, encode_cursor
from nirantar.store.digest import (
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
from nirantar.store.port import Page, Position, StoredVersion
from nirantar.store.projector import NO_OUTLINES, Number, Outlines, Projected, numbers_in, parse_resource, read_entry
from nirantar.tlog.merkle import leaf_hash as merkle_leaf_hash

Name = tuple[str, str]
"""(type, id)."""


@dataclass(frozen=True, slots=True)
class _Version:
    stored: StoredVersion
    compartment: str
    node: GraphNode
    arrival: int


@dataclass(slots=True)
class _State:
    """Versions by resource, both in order of arrival, and what else entries say."""

    versions: dict[Name, tuple[_Version, ...]] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    keys: dict[str, tuple[str, int]] = field(default_factory=dict)
    numbers: frozenset[Number] = frozenset()
    unfolded: tuple[tuple[str, int, str], ...] = ()
    arrivals: int = 0

    def copy(self) -> _State:
        return replace(
            self, versions=dict(self.versions), positions=dict(self.positions), keys=dict(self.keys)
        )


class MemoryView:
    """A View that is gone with the process. `number_series` as in SqliteView."""

    def __init__(self, *, number_series: Mapping[str, str]) -> None:
        self._series_of_system = dict(number_series)
        self._grants: dict[str, Grant] = {}
        self._committed = _State()
        self._batch: _State | None = None
        self._before_member: _State | None = None

    def begin(self) -> None:
        """See the port."""
        self._batch = self._committed.copy()

    def savepoint(self) -> None:
        """See the port."""
        self._before_member = self._open().copy()

    def release(self) -> None:
        """See the port."""
        self._before_member = None

    def roll_back_member(self) -> None:
        """See the port."""
        if self._before_member is None:
            raise AssertionError("no member was begun")
        self._batch, self._before_member = self._before_member, None

    def commit(self) -> None:
        """See the port."""
        self._committed, self._batch = self._open(), None

    def roll_back(self) -> None:
        """See the port. Nothing to do where no batch is open."""
        self._batch = self._before_member = None

    def project(
        self, entry_index: int, leaf_hash: bytes, entry: Entry, outlines: Outlines = NO_OUTLINES
    ) -> None:
        """See the port."""
        state = self._open()
        self._advance(entry.origin, entry_index, leaf_hash)
        folding = read_entry(entry_index, entry, self._grants, outlines)
        if isinstance(folding, str):
            state.unfolded += ((entry.origin, entry_index, folding),)
            return
        if entry.idempotency_key is not None:
            state.keys.setdefault(entry.idempotency_key, (entry.origin, entry_index))
        clock, recorded_at_us = folding.hlc, folding.recorded_at_us
        ranked = rank(clock.wall_us, clock.counter, recorded_at_us, entry.origin, entry_index)
        name = version_id(entry.origin, entry_index)
        for change in folding.changes:
            self._fold(change, GraphNode(name, change.parents, ranked), recorded_at_us)

    def skip(self, origin: str, entry_index: int, leaf_hash: bytes, why: str) -> None:
        """See the port."""
        self._advance(origin, entry_index, leaf_hash)
        self._open().unfolded += ((origin, entry_index, why),)

    def uncommitted(self) -> MemoryReader:
        """See the port."""
        return MemoryReader(self._committed if self._batch is None else self._batch)

    @contextmanager
    def reader(self) -> Iterator[MemoryReader]:
        """See the port."""
        yield MemoryReader(self._committed)

    def shown(self, type: str, id: str) -> StoredVersion | None:
        """See the port."""
        with self.reader() as state:
            return state.read(type, id)

    def use_grants(self, grants: Mapping[str, Grant]) -> None:
        """See the port."""
        self._grants = dict(grants)

    def forget_all(self) -> None:
        """See the port."""
        if self._batch is None:
            self._committed = _State()
        else:
            self._batch = _State()

    def settle_digest(self) -> bytes:
        """See SqliteView: here there is nothing to write."""
        return self.uncommitted().view_digest()

    def close(self) -> None:
        """See the port."""

    def _open(self) -> _State:
        if self._batch is None:
            raise AssertionError("entries are folded between begin and commit")
        return self._batch

    def _advance(self, origin: str, entry_index: int, leaf_hash: bytes) -> None:
        positions = self._open().positions
        expected = positions[origin].entries if origin in positions else 0
        if entry_index != expected:
            raise Damaged(f"Entry {entry_index} of {origin} is not the next one to fold: {expected} is.")
        positions[origin] = Position(entry_index + 1, leaf_hash)

    def _fold(self, change: Projected, node: GraphNode, recorded_at_us: int) -> None:
        state = self._open()
        origin, entry_index = node.rank[3], node.rank[4]
        stored = StoredVersion(
            change.type, change.id, node.version_id, change.resource, origin, entry_index, recorded_at_us
        )
        state.arrivals += 1
        version = _Version(stored, change.compartment, node, state.arrivals)
        name = (change.type, change.id)
        state.versions[name] = (*state.versions.get(name, ()), version)
        if change.outline is not None:
            state.numbers |= frozenset(numbers_in(change.outline.identifiers, self._series_of_system))


class MemoryReader:
    """A ViewReader of one state."""

    def __init__(self, state: _State) -> None:
        self._state = state

    def read(self, type: str, id: str) -> StoredVersion | None:
        """See the port."""
        found = self.heads(type, id)
        return found[0] if found else None

    def read_version(self, type: str, id: str, version_id: str) -> StoredVersion | None:
        """See the port."""
        found = (each for each in self._versions(type, id) if each.node.version_id == version_id)
        return next((self._with_heads(each) for each in found), None)

    def heads(self, type: str, id: str) -> tuple[StoredVersion, ...]:
        """See the port."""
        by_node = {each.node: each for each in self._versions(type, id)}
        return tuple(self._with_heads(by_node[node]) for node in heads(by_node))

    def history(self, type: str, id: str | None, *, count: int, cursor: str | None) -> Page:
        """See the port."""
        question = f"history\n{type}\n{'' if id is None else id}"
        keyed: list[tuple[Key, _Version]]
        if id is None:
            of_type = [each for name, found in self._state.versions.items() if name[0] == type for each in found]
            keyed = [((each.stored.recorded_at_us, each.arrival), each) for each in of_type]
            shape: KeyShape = (int, int)
        else:
            keyed = [(each.node.rank[1:], each) for each in self._versions(type, id)]
            shape = (int, int, str, int)
        before = None if cursor is None else decode_cursor(question, cursor, shape)
        rest = sorted((pair for pair in keyed if before is None or pair[0] < before), key=_key_of, reverse=True)
        versions = tuple(self._with_heads(each) for _, each in rest[:count])
        return Page(versions, encode_cursor(question, rest[count - 1][0]) if 0 < count < len(rest) else None)

    def search(self, query: SearchQuery) -> Page:
        """See the port. Each shown resource is asked whether it matches."""
        question = f"search\n{query.type}\n{query.compartment}\n{query.criteria!r}"
        before = None if query.cursor is None else decode_cursor(question, query.cursor, (int,))
        found: list[tuple[Key, StoredVersion]] = []
        for (resource_type, resource_id), versions in reversed(self._state.versions.items()):
            if resource_type == query.type:
                shown = self.read(resource_type, resource_id)
                if shown is not None and shown.resource is not None and _matches(query, shown.resource):
                    found.append(((versions[0].arrival,), shown))
        total = len(found) if query.total or query.count_only else None
        if query.count_only:
            return Page((), None, total)
        rest = [pair for pair in found if before is None or pair[0] < before]
        more = len(rest) > query.count
        cursor = encode_cursor(question, rest[query.count - 1][0]) if more else None
        return Page(tuple(version for _, version in rest[: query.count]), cursor, total)

    def compartment(self, patient_id: str) -> Iterator[StoredVersion]:
        """See the port."""
        filed = []
        for name in self._state.versions:
            shown = self._shown(name)
            if shown.compartment == f"Patient/{patient_id}" and shown.stored.resource is not None:
                filed.append((name != ("Patient", patient_id), shown.arrival, shown))
        for _, _, version in sorted(filed, key=lambda each: each[:2]):
            yield self._with_heads(version)

    def positions(self) -> dict[str, Position]:
        """See the port."""
        return dict(sorted(self._state.positions.items()))

    def entry_for_key(self, idempotency_key: str) -> tuple[str, int] | None:
        """See the port."""
        return self._state.keys.get(idempotency_key)

    def counts(self) -> dict[str, int]:
        """See the port."""
        found: dict[str, int] = {}
        for name in sorted(self._state.versions):
            if self._shown(name).stored.resource is not None:
                found[name[0]] = found.get(name[0], 0) + 1
        return found

    def highest_number(self, series: str, first: int, last: int) -> int | None:
        """See the port."""
        issued = (value for named, value in self._state.numbers if named == series and first <= value <= last)
        return max(issued, default=None)

    def view_digest(self) -> bytes:
        """See the port."""
        return digest_of(self._leaves())

    def digest_proof(self, patient_id: str) -> DigestProof | None:
        """See SqliteReader."""
        leaves = self._leaves()
        subject = f"Patient/{patient_id}"
        if subject not in leaves:
            return None
        buckets: dict[int, dict[str, bytes]] = {}
        for name, leaf in leaves.items():
            buckets.setdefault(bucket_of(name), {})[name] = leaf
        nodes: dict[int, bytes] = {}
        hashes = {bucket: bucket_hash(found) for bucket, found in buckets.items()}
        node_above(hashes, lambda position: None, nodes.__setitem__)
        return prove(subject, buckets[bucket_of(subject)], nodes.get)

    def digest_lines(self, patient_id: str) -> tuple[str, ...]:
        """See SqliteReader."""
        return tuple(sorted(self._lines().get(f"Patient/{patient_id}", ())))

    def unfolded(self) -> Iterator[tuple[str, int, str]]:
        """See the port."""
        yield from sorted(self._state.unfolded)

    def _versions(self, type: str, id: str) -> tuple[_Version, ...]:
        return self._state.versions.get((type, id), ())

    def _shown(self, name: Name) -> _Version:
        by_node = {each.node: each for each in self._state.versions[name]}
        return by_node[heads(by_node)[0]]

    def _with_heads(self, version: _Version) -> StoredVersion:
        of_resource = self._versions(version.stored.type, version.stored.id)
        return replace(version.stored, heads=len(heads(each.node for each in of_resource)))

    def _lines(self) -> dict[str, list[str]]:
        lines: dict[str, list[str]] = {}
        for (type_name, resource_id), versions in self._state.versions.items():
            by_node = {each.node: each for each in versions}
            for node in heads(by_node):
                version = by_node[node]
                line = head_line(type_name, resource_id, node.version_id, version.stored.resource)
                lines.setdefault(subject_of(version.compartment, type_name, resource_id), []).append(line)
        return lines

    def _leaves(self) -> dict[str, bytes]:
        return {subject: merkle_leaf_hash(leaf_data(subject, found)) for subject, found in self._lines().items()}


def _key_of(pair: tuple[Key, Any]) -> Key:
    return pair[0]


def _matches(query: SearchQuery, resource: bytes) -> bool:
    document = parse_resource(resource)
    return document is not None and matches(query, extract(document), document)
