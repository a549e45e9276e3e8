"""One transaction inside the writer: conditions, versions, stamps, and the entry that records it.

`prepare` runs in the caller's thread and does all that does not depend on the state; `decide` runs in the writer's
thread against the uncommitted view, so that two conditional creates of one commit batch can never both pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, Literal
from uuid import UUID, uuid5

import msgspec

from nirantar import limits
from nirantar.errors import (
    BusinessRule,
    Conflict,
    Damaged,
    InvalidInput,
    LimitExceeded,
    MultipleMatches,
    NotFound,
    VersionConflict,
)
from nirantar.fhir import json
from nirantar.fhir.compartment import patient_of
from nirantar.fhir.references import condition_of, references_in, rewrite_references
from nirantar.fhir.search_query import SearchQuery, parse_condition
from nirantar.fhir.transaction_bundle import Operation, reference_mapping
from nirantar.host.identifiers import uuid7
from nirantar.host.port import Host
from nirantar.host.times import instant
from nirantar.interactions.authorize import Caller
from nirantar.journal.entry import ENTRY_VERSION, SALT_BYTES, Attachment, Change, Entry, decode, encode_salt
from nirantar.journal.log import Appended
from nirantar.journal.sequencer import Turn
from nirantar.store.port import StoredVersion, View, ViewReader

Durability = Literal["node", "vault"]
Status = Literal["created", "updated", "deleted", "unchanged"]

ACTIONS_ACROSS_PATIENTS: Final = frozenset({"merge-patients", "unmerge-patients"})
"""One entry touches one patient; these are the exceptions (docs/format.md, Entry)."""

_KEY_USED: Final = "This idempotency key belongs to another request, which is already done: use a new key."

_FOUND_MOVED: Final = (
    "This request is done already, but what its condition found then no longer matches: search for what you need."
)

_REQUEST_NAMESPACE: Final = UUID("5f0c7a1e-7c1b-5d3a-9d0e-2b6f4f6d1f10")


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why a transaction happens: `action` names it for the audit ("register", "fhir-create"), `reason` is free text.

    `effective_at` is a FHIR instant for events that happened before they were typed in. With `idempotency_key` a
    repeated call, also at another node, finds the first one's result instead of writing again. `attachments` are
    stored already; the entry holds their keys.
    """

    action: str
    reason: str | None = None
    effective_at: str | None = None
    idempotency_key: str | None = None
    durability: Durability | None = None
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class OperationResult:
    """What became of one operation, in the order of the request. `version` is None for a delete of nothing."""

    status: Status
    type: str
    id: str
    version: StoredVersion | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A durable transaction: its entry's place in the log (None when nothing needed writing) and each result.
    `replayed` says that an earlier call with the same idempotency key had already done it."""

    results: tuple[OperationResult, ...]
    appended: Appended | None
    replayed: bool = False


@dataclass(slots=True)
class _Prepared:
    """An operation that needs nothing more than its turn. `resource` lacks its type, id and meta; `body` is its
    encoding, made early unless references in it wait for the writer."""

    operation: Operation
    id: str
    resource: dict[str, Any] | None
    meta: dict[str, Any]
    body: bytes | None = None
    matched: bool = False


class Transaction:
    """One member of a commit batch."""

    def __init__(
        self, host: Host, node: str, view: View, caller: Caller, purpose: Purpose, key_hash: str | None
    ) -> None:
        self._host = host
        self._node = node
        self._view = view
        self._caller = caller
        self._purpose = purpose
        self._key_hash = key_hash
        self._prepared: list[_Prepared] = []
        self._waits_for_writer = False
        self._results: list[OperationResult] = []
        self._changes: list[Change] = []
        self._changed: set[tuple[str, str]] = set()
        self._replayed: Appended | None = None

    def prepare(self, operations: Sequence[Operation], *, searches: bool) -> None:
        """Give ids, rewrite references and encode: everything that does not depend on the state.

        `searches` says that a reference is a search, so that what it means is found by the writer alone.
        """
        self._waits_for_writer = searches or any(each.condition for each in operations)
        ids = [each.id or self._new_id(place) for place, each in enumerate(operations)]
        mapping = _reference_mapping(zip(operations, ids, strict=True))
        for operation, id in zip(operations, ids, strict=True):
            self._prepared.append(_prepare(operation, id, None if self._waits_for_writer else mapping))

    def decide(self, turn: Turn) -> Entry | None:
        """Resolve conditions, check versions, stamp, and make the entry."""
        state = self._view.uncommitted()
        if self._key_hash is not None and (known := state.entry_for_key(self._key_hash)):
            self._replay(turn, state, *known)
            return None
        if self._waits_for_writer:
            self._resolve(state)
        self._require_one_patient()
        recorded_at = instant(turn.now_us)
        version_id = f"{self._node}.{turn.entry_index}"
        for prepared in self._prepared:
            self._decide_one(state, prepared, turn, recorded_at, version_id)
        if not self._changes:
            return None
        return Entry(
            v=ENTRY_VERSION, id=uuid7(turn.now_us, self._host), origin=turn.origin, hlc=str(turn.hlc),
            recorded_at=recorded_at, actor=self._caller.actor, role=self._caller.role,
            workstation=self._caller.workstation, action=self._purpose.action, changes=tuple(self._changes),
            salt=encode_salt(self._host.random_bytes(SALT_BYTES)), effective_at=self._purpose.effective_at,
            reason=self._purpose.reason, idempotency_key=self._key_hash,
            attachments=self._purpose.attachments,
        )

    def answer(self, appended: Appended | None) -> Outcome:
        """The caller's result."""
        if self._replayed is not None:
            return Outcome(tuple(self._results), self._replayed, replayed=True)
        return Outcome(tuple(self._results), appended)

    def _new_id(self, place: int) -> str:
        """From the idempotency key, so that a repeat anywhere makes the same resource (invariant 8); else by time."""
        if self._key_hash is not None:
            return str(uuid5(_REQUEST_NAMESPACE, f"{self._key_hash}/{place}"))
        return uuid7(self._host.now_us(), self._host)

    def _resolve(self, state: ViewReader) -> None:
        """Turn every condition into an id, then rewrite the references that waited for it."""
        for prepared in self._prepared:
            operation = prepared.operation
            if operation.condition is not None:
                found = _match(state, operation.condition)
                if found is not None and operation.id not in (None, found):
                    raise InvalidInput(
                        f"The condition matches another {operation.type} than the one whose id the resource carries."
                    )
                prepared.matched = found is not None
                prepared.id = found or prepared.id
        mapping = _reference_mapping((each.operation, each.id) for each in self._prepared)
        for prepared in self._prepared:
            if prepared.resource is None:
                continue
            wanted = dict(mapping)
            for reference, query in searched_references(prepared.resource).items():
                if reference not in wanted:
                    wanted[reference] = _resolve_reference(state, query)
            prepared.resource = rewrite_references(prepared.resource, wanted)
            prepared.body = json.encode(prepared.resource)

    def _decide_one(
        self, state: ViewReader, prepared: _Prepared, turn: Turn, recorded_at: str, version_id: str
    ) -> None:
        operation = prepared.operation
        head = state.read(operation.type, prepared.id)
        if operation.method == "POST" and prepared.matched:
            self._results.append(OperationResult("unchanged", operation.type, prepared.id, head))
            return
        _require_preconditions(prepared, head)
        nothing_there = head is None or head.deleted
        if operation.method == "DELETE":
            if operation.condition is not None and not prepared.matched:
                nothing_there = True
            if nothing_there:
                self._results.append(OperationResult("deleted", operation.type, prepared.id, None))
                return
        parents = () if head is None else (head.version_id,)
        resource = None if operation.method == "DELETE" else _stamp(prepared, version_id, recorded_at)
        if (operation.type, prepared.id) in self._changed:
            raise BusinessRule(f"Two operations of the transaction resolve to {operation.type}/{prepared.id}.")
        self._changed.add((operation.type, prepared.id))
        self._changes.append(Change(
            method="DELETE" if resource is None else "PUT", type=operation.type, id=prepared.id,
            version_id=version_id, parents=parents,
            written=msgspec.UNSET if resource is None else msgspec.Raw(resource),
        ))
        version = StoredVersion(
            operation.type, prepared.id, version_id, resource, turn.origin, turn.entry_index, turn.now_us,
        )
        status: Status = "deleted" if resource is None else "created" if nothing_there else "updated"
        self._results.append(OperationResult(status, operation.type, prepared.id, version))

    def _require_one_patient(self) -> None:
        """Refuse a transaction that touches several patients, so that an entry always concerns one chart."""
        if self._purpose.action in ACTIONS_ACROSS_PATIENTS:
            return
        patients: set[str] = set()
        for prepared in self._prepared:
            if prepared.operation.type == "Patient":
                patients.add(prepared.id)
            elif prepared.resource is not None:
                patient = patient_of({"resourceType": prepared.operation.type, **prepared.resource})
                if patient is not None:
                    patients.add(patient)
        if len(patients) > 1:
            raise BusinessRule(
                f"The transaction touches {len(patients)} patients; one transaction concerns one patient. Split it."
            )

    def _replay(self, turn: Turn, state: ViewReader, origin: str, entry_index: int) -> None:
        """Answer as the first call was answered: from the entry that it made. Conditions are not asked again where
        the entry tells what they met: since then they may have come to match something else."""
        entry = decode(turn.read_entry(origin, entry_index), origin, entry_index)
        if entry is None:
            raise Damaged(f"Entry {entry_index} of {origin} carries this idempotency key but cannot be read.")
        made = {(each.type, each.id): each for each in entry.changes}
        known = {(each.operation.type, each.id) for each in self._prepared}
        # What a condition matched then has an id that only the entry tells: its changes are in the order of the request.
        matched = [each for each in entry.changes if (each.type, each.id) not in known]
        self._results += [_replayed(state, prepared, made, matched) for prepared in self._prepared]
        if matched:
            raise BusinessRule(_KEY_USED)
        self._replayed = Appended(origin, entry_index, b"")


def _replayed(
    state: ViewReader, prepared: _Prepared, made: dict[tuple[str, str], Change], matched: list[Change]
) -> OperationResult:
    """What became of one operation when it was done first; takes it out of `matched` where a condition had found it.
    Raises BusinessRule when the key was another request's."""
    operation, id = prepared.operation, prepared.id
    change = made.get((operation.type, id))
    if change is None and operation.condition is not None and operation.method != "POST":
        deleting = operation.method == "DELETE"
        fitting = (each for each in matched if each.type == operation.type and (each.resource is None) == deleting)
        if (change := next(fitting, None)) is not None:
            matched.remove(change)
    if change is not None:
        version = state.read_version(operation.type, change.id, change.version_id)
        status: Status = "deleted" if change.resource is None else "updated" if change.parents else "created"
        return OperationResult(status, operation.type, change.id, version)
    if operation.method == "DELETE":
        return OperationResult("deleted", operation.type, id, None)
    if operation.condition is not None:
        with suppress(MultipleMatches):
            id = _match(state, operation.condition) or id
    version = state.read(operation.type, id)
    if version is None:
        raise BusinessRule(_KEY_USED if operation.condition is None else _FOUND_MOVED)
    return OperationResult("unchanged", operation.type, id, version)


def _prepare(operation: Operation, id: str, mapping: dict[str, str] | None) -> _Prepared:
    """Part the resource from its head. With a `mapping` its references are final and it is encoded at once."""
    if operation.resource is None:
        return _Prepared(operation, id, None, {})
    rest = {key: value for key, value in operation.resource.items() if key not in ("resourceType", "id", "meta")}
    meta = {
        key: value
        for key, value in operation.resource.get("meta", {}).items()
        if key not in ("versionId", "lastUpdated")
    }
    if mapping is None:
        return _Prepared(operation, id, rest, meta)
    if mapping:
        rest = rewrite_references(rest, mapping)
    return _Prepared(operation, id, rest, meta, json.encode(rest))


def _stamp(prepared: _Prepared, version_id: str, recorded_at: str) -> bytes:
    """The resource's final bytes: type, id and meta first, then the body."""
    head = json.encode({
        "resourceType": prepared.operation.type,
        "id": prepared.id,
        "meta": {"versionId": version_id, "lastUpdated": recorded_at, **prepared.meta},
    })
    body = prepared.body or b"{}"
    stamped = head if body == b"{}" else head[:-1] + b"," + body[1:]
    if len(stamped) > limits.RESOURCE_BYTES_MAX:
        raise LimitExceeded(
            f"{prepared.operation.type}/{prepared.id} has {len(stamped)} bytes; "
            f"RESOURCE_BYTES_MAX is {limits.RESOURCE_BYTES_MAX}."
        )
    return stamped


def _reference_mapping(operations: Iterable[tuple[Operation, str]]) -> dict[str, str]:
    """What each fullUrl of the transaction will be called: `urn:uuid:...` to `Type/id`."""
    named = ((operation, id) for operation, id in operations if operation.full_url is not None)
    return reference_mapping(replace(operation, id=id) for operation, id in named)


def _require_preconditions(prepared: _Prepared, head: StoredVersion | None) -> None:
    """Refuse what the state no longer allows. Raises Conflict, VersionConflict (RFC 9110 §13.1)."""
    operation = prepared.operation
    name, there = f"{operation.type}/{prepared.id}", head is not None and not head.deleted
    if operation.method == "POST" and head is not None:
        raise Conflict(f"{name} is already there: update it instead of creating it.")
    if operation.method == "PUT" and operation.condition is not None and there and not prepared.matched:
        raise Conflict(f"{name} is there, but the condition does not match it.")
    if operation.if_none_match == "*" and there:
        raise VersionConflict(f"{name} is already there.")
    wanted = operation.if_match
    if wanted is None or (wanted == "*" and there):
        return
    if head is None or head.version_id != wanted:
        raise VersionConflict(f"{name} is no longer at version {wanted}: read it again, then decide again.")


def searched_references(resource: dict[str, Any]) -> dict[str, SearchQuery]:
    """The references of a resource that are searches (`Patient?identifier=...`), each text with what it asks.

    Raises InvalidInput and UnknownSearchParameter for a search that is not understood in full.
    """
    found: dict[str, SearchQuery] = {}
    for reference in references_in(resource):
        if "?" in reference and (searched := condition_of(reference)) is not None:
            found[reference] = parse_condition(*searched)
    return found


def _match(state: ViewReader, query: SearchQuery) -> str | None:
    """The id of the one resource that meets a condition, None if none does. Raises MultipleMatches."""
    page = state.search(query)
    if page.next_cursor is not None or len(page.versions) > 1:
        raise MultipleMatches(f"The condition on {query.type} matches several resources: make it narrower.")
    return page.versions[0].id if page.versions else None


def _resolve_reference(state: ViewReader, query: SearchQuery) -> str:
    """The `Type/id` that a conditional reference means. Raises NotFound when nothing matches, MultipleMatches."""
    found = _match(state, query)
    if found is None:
        raise NotFound(f"A conditional reference to {query.type} matches nothing.")
    return f"{query.type}/{found}"
