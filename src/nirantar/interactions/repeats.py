"""A request sent again under its idempotency key: answered from the entry that it made, or refused as another request.

A key names one request. Where the caller says what was asked (`request_hash`), the entry keeps that digest and a
repeat must agree with it. Where the operations are made anew at each call (a form, whose numbers and times differ from
one sending to the next), the key alone decides, and only what cannot be the same request is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Final

import msgspec

from nirantar.errors import Conflict, MultipleMatches
from nirantar.fhir.search_match import canonical_query
from nirantar.fhir.transaction_bundle import Operation
from nirantar.interactions.foreseen import Foreseen
from nirantar.interactions.results import OperationResult, Status
from nirantar.journal.entry import Change, Entry
from nirantar.store.port import ViewReader

_SORTED: Final = msgspec.json.Encoder(decimal_format="number", order="sorted")

_KEY_USED: Final = "This idempotency key belongs to another request, which is already done: use a new key."

_FOUND_MOVED: Final = (
    "This request is done already, but what its condition found then no longer matches: search for what you need."
)


def key_hash(actor: str, idempotency_key: str) -> str:
    """What the log keeps of a caller's key: SHA-256 (hex) over caller and key, so that two callers never share one."""
    return sha256(f"{actor}\n{idempotency_key}".encode()).hexdigest()


def request_hash(operations: Iterable[Operation]) -> str:
    """SHA-256 (hex) of what operations ask for: the same for the same request however its JSON is written."""
    asked = [
        (
            each.method, each.type, each.id, None if each.condition is None else canonical_query(each.condition),
            each.if_match, each.if_none_match, each.full_url, each.resource,
        )
        for each in operations
    ]
    return sha256(_SORTED.encode(asked)).hexdigest()


def require_same_request(entry: Entry, asked: str | None) -> None:
    """Refuse a key whose entry was made by another request than the one of this hash. Raises Conflict."""
    if asked is not None and entry.request_hash not in (None, asked):
        raise Conflict(_KEY_USED)


def repeated_results(
    state: ViewReader, entry: Entry, operations: Sequence[tuple[Operation, str]]
) -> list[OperationResult]:
    """What each operation, with the id that it has or would be given, came to when it was done first.

    Conditions are not asked again where the entry tells what they met: since then they may have come to match
    something else. Only what a create found already there is looked for anew. Raises Conflict when that is not found
    again, and when the entry is not what these operations make.
    """
    made = {(each.type, each.id): each for each in entry.changes}
    own = [made.pop((operation.type, id), None) for operation, id in operations]
    results: list[OperationResult] = []
    for (operation, id), change in zip(operations, own, strict=True):
        done = change or _claim(made, operation)
        results.append(_unwritten(state, operation, id) if done is None else _written(state, done))
    if made:
        raise Conflict(_KEY_USED)
    return results


def _claim(made: dict[tuple[str, str], Change], operation: Operation) -> Change | None:
    """The change that a conditional update or delete made to whatever it then matched."""
    if operation.condition is None or operation.method == "POST":
        return None
    for place, change in made.items():
        if change.type == operation.type and change.method == operation.method:
            return made.pop(place)
    return None


def _written(state: ViewReader, change: Change) -> OperationResult:
    version = state.read_version(change.type, change.id, change.version_id)
    status: Status = "deleted" if change.method == "DELETE" else "updated" if change.parents else "created"
    return OperationResult(status, change.type, change.id, version)


def _unwritten(state: ViewReader, operation: Operation, id: str) -> OperationResult:
    """An operation that wrote nothing: a delete of nothing, or a create that found what it asked for."""
    if operation.method == "DELETE":
        return OperationResult("deleted", operation.type, id, None)
    if operation.method != "POST" or operation.condition is None:
        raise Conflict(_KEY_USED)
    found = None
    with suppress(MultipleMatches):
        found = Foreseen(state).match(operation.condition)
    if found is None:
        raise Conflict(_FOUND_MOVED)
    return OperationResult("unchanged", operation.type, found, state.read(operation.type, found))
