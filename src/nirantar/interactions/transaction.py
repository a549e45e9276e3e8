"""One transaction inside the writer: conditions, versions, stamps, and the entry that records it.

`prepare` does all that does not depend on the state, before the transaction's batch begins; `decide` runs against the
uncommitted view, so that two conditional creates of one commit batch can never both pass.
Conditions are met in FHIR's order (`foreseen.py`); results and changes stand in the order of the request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
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
    VersionConflict,
)
from nirantar.fhir.compartment import patient_of
from nirantar.fhir.dates import range_of_value
from nirantar.fhir.index_rows import DateRow
from nirantar.fhir.outline import Outline
from nirantar.fhir.references import condition_of, references_in, rewrite_references
from nirantar.fhir.search_query import SearchQuery, parse_condition
from nirantar.fhir.transaction_bundle import METHODS, Operation, reference_mapping
from nirantar.fhir.validation import validate
from nirantar.host.identifiers import uuid7
from nirantar.host.port import Host
from nirantar.host.times import instant
from nirantar.interactions.authorize import Caller
from nirantar.interactions.foreseen import Foreseen
from nirantar.interactions.readiness import Ready, ask, make_ready, read_answer
from nirantar.interactions.repeats import repeated_results, require_same_request
from nirantar.interactions.results import OperationResult, Status
from nirantar.journal.entry import ENTRY_VERSION, SALT_BYTES, Attachment, Change, Entry, decode, encode_salt
from nirantar.journal.log import Appended
from nirantar.journal.sequencer import Turn
from nirantar.store.port import StoredVersion, View, ViewReader

Durability = Literal["node", "vault"]

ACTIONS_ACROSS_PATIENTS: Final = frozenset({"merge-patients", "unmerge-patients"})
"""One entry touches one patient; these are the exceptions (docs/format.md, Entry)."""

_REQUEST_NAMESPACE: Final = UUID("5f0c7a1e-7c1b-5d3a-9d0e-2b6f4f6d1f10")


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why a transaction happens: `action` names it for the audit ("register", "fhir-create"), `reason` is free text.

    `effective_at` is a FHIR instant for events that happened before they were typed in. With `idempotency_key` a
    repeated call, also at another node, finds the first one's result instead of writing again; with `request_hash`
    (`repeats.request_hash`) it must ask for the same. `attachments` are stored already; the entry holds their keys.
    """

    action: str
    reason: str | None = None
    effective_at: str | None = None
    idempotency_key: str | None = None
    durability: Durability | None = None
    attachments: tuple[Attachment, ...] = ()
    request_hash: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A durable transaction: its entry's place in the log (None when nothing needed writing) and each result.
    `replayed` says that an earlier call with the same idempotency key had already done it."""

    results: tuple[OperationResult, ...]
    appended: Appended | None
    replayed: bool = False


@dataclass(slots=True)
class _Prepared:
    """An operation that needs nothing more than its turn. Its resource is `ready` early unless references in it wait
    for the writer. `matched` says that its condition found `id`."""

    operation: Operation
    id: str
    resource: dict[str, Any] | None
    ready: Ready | None = None
    matched: bool = False

    @property
    def writes(self) -> bool:
        """Whether it may change something: not a create that found its resource, nor a delete that found none."""
        match self.operation.method:
            case "POST":
                return not self.matched
            case "DELETE":
                return self.matched or self.operation.condition is None
        return True

    def foreseen(self, last_updated: str) -> dict[str, Any]:
        """The resource as conditions of the same transaction will find it."""
        assert self.resource is not None, "only a resource is found"
        meta = {**self.resource.get("meta", {}), "lastUpdated": last_updated}
        meta.pop("versionId", None)
        return {**self.resource, "id": self.id, "meta": meta}


class Transaction:
    """One member of a commit batch."""

    def __init__(
        self, host: Host, node: str, view: View, operations: Sequence[Operation], *, caller: Caller, purpose: Purpose,
        key_hash: str | None, searches: bool, check: bool,
    ) -> None:
        """`searches` says that a reference is a search, so that what it means is found by the writer alone; `check`
        that the resources are FHIR's, to be validated."""
        self._host = host
        self._node = node
        self._view = view
        self._caller = caller
        self._purpose = purpose
        self._key_hash = key_hash
        self._operations = operations
        self._ids: list[str] = []
        self._check = check
        self._waits_for_writer = searches or any(each.condition for each in operations)
        self._prepared: list[_Prepared] | None = None
        self._answer: bytes | None = None
        self.outlines: dict[tuple[str, str], Outline] = {}
        self._results: list[OperationResult] = []
        self._changes: list[Change] = []
        self._changed: set[tuple[str, str]] = set()
        self._replayed: Appended | None = None

    def question(self) -> bytes | None:
        """What another process needs to know to prepare this in its place; None where only the writer can."""
        if self._waits_for_writer or not self._check:
            return None
        self._ids = self._new_ids()
        resources = [each.resource for each in self._operations if each.resource is not None]
        return ask(resources, _reference_mapping(zip(self._operations, self._ids, strict=True)))

    def answered(self, answer: bytes) -> None:
        """Take what the other process made of the question."""
        self._answer = answer

    def prepare(self) -> None:
        """Check the resources, give ids, rewrite references, encode: everything that does not depend on the state.

        Raises ResourceInvalid and what else is wrong with the operations by themselves.
        """
        if self._prepared is not None:
            return
        ready = [] if self._answer is None else read_answer(self._answer)
        if ready:
            made = iter(ready)
            self._prepared = [
                _Prepared(each, id, each.resource, None if each.resource is None else next(made))
                for each, id in zip(self._operations, self._ids, strict=True)
            ]
            return
        if self._check:
            for each in self._operations:
                if each.resource is not None:
                    validate(each.resource)
        ids = self._new_ids()
        mapping = None if self._waits_for_writer else _reference_mapping(zip(self._operations, ids, strict=True))
        self._prepared = [_prepare(each, id, mapping) for each, id in zip(self._operations, ids, strict=True)]

    def decide(self, turn: Turn) -> Entry | None:
        """Resolve conditions, check versions, stamp, and make the entry."""
        assert self._prepared is not None, "prepared before its turn"
        state = self._view.uncommitted()
        if self._key_hash is not None and (known := state.entry_for_key(self._key_hash)):
            self._replay(turn, state, *known)
            return None
        recorded_at = instant(turn.now_us)
        if self._waits_for_writer:
            _resolve(self._prepared, state, recorded_at)
        heads = [state.read(each.operation.type, each.id) for each in self._prepared]
        if self._purpose.action not in ACTIONS_ACROSS_PATIENTS:
            _require_one_patient(self._prepared, heads)
        version_id = f"{self._node}.{turn.entry_index}"
        last_updated = _last_updated(recorded_at)
        for prepared, head in zip(self._prepared, heads, strict=True):
            self._decide_one(prepared, head, turn, recorded_at, version_id, last_updated)
        if not self._changes:
            return None
        return Entry(
            v=ENTRY_VERSION, id=uuid7(turn.now_us, self._host), origin=turn.origin, hlc=str(turn.hlc),
            recorded_at=recorded_at, actor=self._caller.actor, role=self._caller.role,
            workstation=self._caller.workstation, action=self._purpose.action, changes=tuple(self._changes),
            salt=encode_salt(self._host.random_bytes(SALT_BYTES)), effective_at=self._purpose.effective_at,
            reason=self._purpose.reason, idempotency_key=self._key_hash,
            request_hash=None if self._key_hash is None else self._purpose.request_hash,
            attachments=self._purpose.attachments,
        )

    def answer(self, appended: Appended | None) -> Outcome:
        """The caller's result."""
        if self._replayed is not None:
            return Outcome(tuple(self._results), self._replayed, replayed=True)
        return Outcome(tuple(self._results), appended)

    def _new_ids(self) -> list[str]:
        return [each.id or self._new_id(place) for place, each in enumerate(self._operations)]

    def _new_id(self, place: int) -> str:
        """From the idempotency key, so that a repeat anywhere makes the same resource (invariant 8); else by time."""
        if self._key_hash is not None:
            return str(uuid5(_REQUEST_NAMESPACE, f"{self._key_hash}/{place}"))
        return uuid7(self._host.now_us(), self._host)

    def _decide_one(
        self, prepared: _Prepared, head: StoredVersion | None, turn: Turn, recorded_at: str, version_id: str,
        last_updated: DateRow,
    ) -> None:
        operation = prepared.operation
        if operation.method == "POST" and prepared.matched:
            self._results.append(OperationResult("unchanged", operation.type, prepared.id, head))
            return
        _require_preconditions(prepared, head)
        nothing_there = head is None or head.deleted
        if operation.method == "DELETE" and nothing_there:
            self._results.append(OperationResult("deleted", operation.type, prepared.id, None))
            return
        parents = () if head is None else (head.version_id,)
        resource = None if operation.method == "DELETE" else _stamp(prepared, version_id, recorded_at)
        name = (operation.type, prepared.id)
        if name in self._changed:
            raise BusinessRule(f"Two operations of the transaction resolve to {operation.type}/{prepared.id}.")
        self._changed.add(name)
        if resource is not None and prepared.ready is not None:
            self.outlines[name] = prepared.ready.outline.with_date(last_updated)
        self._changes.append(Change(
            method="DELETE" if resource is None else "PUT", type=operation.type, id=prepared.id,
            version_id=version_id, parents=parents,
            written=msgspec.UNSET if resource is None else msgspec.Raw(resource),
        ))
        # In whole milliseconds, as the entry and from it the view have it: a repeat is answered the same.
        recorded_at_us = turn.now_us // 1000 * 1000
        version = StoredVersion(
            operation.type, prepared.id, version_id, resource, turn.origin, turn.entry_index, recorded_at_us,
        )
        status: Status = "deleted" if resource is None else "created" if nothing_there else "updated"
        self._results.append(OperationResult(status, operation.type, prepared.id, version))

    def _replay(self, turn: Turn, state: ViewReader, origin: str, entry_index: int) -> None:
        """Answer as the first call was answered: from the entry that it made."""
        entry = decode(turn.read_entry(origin, entry_index), origin, entry_index)
        if entry is None:
            raise Damaged(f"Entry {entry_index} of {origin} carries this idempotency key but cannot be read.")
        require_same_request(entry, self._purpose.request_hash)
        operations = [(each.operation, each.id) for each in self._prepared or ()]
        self._results = repeated_results(state, entry, operations)
        self._replayed = Appended(origin, entry_index, b"")


def _prepare(operation: Operation, id: str, mapping: dict[str, str] | None) -> _Prepared:
    """With a `mapping` the resource's references are final and it is made ready at once."""
    if operation.resource is None or mapping is None:
        return _Prepared(operation, id, operation.resource)
    resource = rewrite_references(operation.resource, mapping)
    return _Prepared(operation, id, resource, make_ready(resource))


def _resolve(operations: Sequence[_Prepared], state: ViewReader, recorded_at: str) -> None:
    """Turn every condition into an id, in FHIR's order, then rewrite the references that waited for it."""
    foreseen = Foreseen(state)
    for method in METHODS:
        step = [each for each in operations if each.operation.method == method]
        for prepared in step:
            _meet(prepared, foreseen)
        for prepared in step:
            if method == "DELETE" and prepared.writes:
                foreseen.hide(prepared.operation.type, prepared.id)
            elif method == "POST" and prepared.writes and prepared.resource is not None:
                foreseen.add(prepared.foreseen(recorded_at))
    _resolve_references(operations, state, recorded_at)


def _resolve_references(operations: Sequence[_Prepared], state: ViewReader, recorded_at: str) -> None:
    """References by fullUrl first: they may be what a conditional reference then finds a resource by."""
    mapping = _reference_mapping((each.operation, each.id) for each in operations)
    foreseen = Foreseen(state)
    for prepared in operations:
        if prepared.writes:
            foreseen.hide(prepared.operation.type, prepared.id)
        if prepared.resource is not None:
            prepared.resource = rewrite_references(prepared.resource, mapping)
            if prepared.writes:
                foreseen.add(prepared.foreseen(recorded_at))
    meant: dict[str, str] = {}
    for prepared in operations:
        if prepared.resource is None:
            continue
        for reference, query in searched_references(prepared.resource).items():
            if reference not in meant:
                meant[reference] = foreseen.referred(query)
        prepared.resource = rewrite_references(prepared.resource, meant)
        prepared.ready = make_ready(prepared.resource)


def _meet(prepared: _Prepared, foreseen: Foreseen) -> None:
    """Find what the operation's condition means. Raises MultipleMatches, InvalidInput, LimitExceeded."""
    operation = prepared.operation
    if operation.condition is None:
        return
    found = foreseen.match(operation.condition)
    if found is not None and operation.id not in (None, found):
        raise InvalidInput(
            f"The condition matches another {operation.type} than the one whose id the resource carries."
        )
    prepared.matched = found is not None
    prepared.id = found or prepared.id


def _require_one_patient(prepared: Sequence[_Prepared], heads: Sequence[StoredVersion | None]) -> None:
    """Refuse a transaction that touches several patients, so that an entry always concerns one chart: neither the
    resources it writes nor those that they replace or that it deletes may be filed under two. Raises BusinessRule."""
    patients: set[str] = set()
    for each, head in zip(prepared, heads, strict=True):
        replaced = None if head is None or not each.writes else head.resource
        if each.operation.type == "Patient":
            if each.resource is not None or replaced is not None:
                patients.add(each.id)
            continue
        if each.ready is not None:
            patients.add(each.ready.outline.patient or "")
        if replaced is not None:
            patients.add(patient_of(msgspec.json.decode(replaced)) or "")
    patients.discard("")
    if len(patients) > 1:
        raise BusinessRule(
            f"The transaction touches {len(patients)} patients; one transaction concerns one patient. Split it; what "
            "is filed under the wrong patient is deleted there and created anew."
        )


def _stamp(prepared: _Prepared, version_id: str, recorded_at: str) -> bytes:
    """The resource's final bytes. Raises LimitExceeded."""
    assert prepared.ready is not None, "what is written was made ready"
    stamped = prepared.ready.stamped(prepared.operation.type, prepared.id, version_id, recorded_at)
    if len(stamped) > limits.RESOURCE_BYTES_MAX:
        raise LimitExceeded(
            f"{prepared.operation.type}/{prepared.id} has {len(stamped)} bytes; "
            f"RESOURCE_BYTES_MAX is {limits.RESOURCE_BYTES_MAX}."
        )
    return stamped


@lru_cache(maxsize=64)
def _last_updated(recorded_at: str) -> DateRow:
    """What the index holds of the time of a resource's last change."""
    found = range_of_value(recorded_at)
    assert found is not None, "our own instants are times"
    return DateRow("_lastUpdated", *found)


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
    if head is not None and there and operation.if_none_match in ("*", head.version_id):
        raise VersionConflict(f"{name} is already there.")
    wanted = operation.if_match
    # What was deleted has no current version: its ETag, of the deletion, brings nothing back.
    if wanted is not None and not (head is not None and there and wanted in ("*", head.version_id)):
        raise VersionConflict(f"{name} is not at the version that If-Match names: read it again, then decide again.")


def searched_references(resource: dict[str, Any]) -> dict[str, SearchQuery]:
    """The references of a resource that are searches (`Patient?identifier=...`), each text with what it asks.

    Raises InvalidInput and UnknownSearchParameter for a search that is not understood in full.
    """
    found: dict[str, SearchQuery] = {}
    for reference in references_in(resource):
        if "?" in reference and (searched := condition_of(reference)) is not None:
            found[reference] = parse_condition(*searched)
    return found
