"""transaction and batch: many requests in one body.

A transaction's writes are one write of the door, all or none; its GETs run after they are durable, so they see them,
and one that fails says so in its own entry. A batch's entries stand for themselves: writes first, then GETs.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from nirantar import limits
from nirantar.edges.fhir_rest.answers import FAILED, Answer, log_failure, of_resource
from nirantar.edges.fhir_rest.exchange import Exchange, durable
from nirantar.edges.fhir_rest.reading import query_pairs
from nirantar.edges.fhir_rest.searching import found
from nirantar.edges.fhir_rest.statuses import status_of
from nirantar.edges.fhir_rest.writing import done
from nirantar.errors import InvalidInput, NirantarError, ResourceInvalid
from nirantar.fhir.operation_outcome import operation_outcome
from nirantar.fhir.response_bundle import EntryResponse, transaction_response
from nirantar.fhir.search_query import parse_query
from nirantar.fhir.transaction_bundle import Operation, Request, parse_transaction, resources_invalid
from nirantar.host.times import instant
from nirantar.interactions.authorize import authorize
from nirantar.interactions.repeats import request_hash
from nirantar.interactions.results import OperationResult, StoredVersion
from nirantar.interactions.transaction import Purpose

_STATUS_OF: Final = {"created": 201, "updated": 200, "unchanged": 200, "deleted": 204}


async def transaction_or_batch(exchange: Exchange) -> Answer:
    """POST [base]."""
    resource, size = await exchange.resource()
    request = await exchange.edge.compute(size, lambda: parse_transaction(resource))
    responses = await (_transaction if request.kind == "transaction" else _batch)(exchange, request, size)
    for refused in request.refused:
        responses[refused.entry_index] = _failed(refused.error)
    in_order = [responses[entry_index] for entry_index in sorted(responses)]
    return of_resource(200, transaction_response(in_order, kind=request.kind))


async def _transaction(exchange: Exchange, request: Request, size: int) -> dict[int, EntryResponse]:
    writes = [each for each in request.operations if each.writes]
    reads = [each for each in request.operations if not each.writes]
    # Before anything is written: a GET that this caller may never do makes the whole transaction wrong.
    authorize(exchange.caller, "read", (each.type for each in reads))
    responses: dict[int, EntryResponse] = {}
    if writes:
        submit = exchange.doors.transact.submit
        try:
            future = await exchange.edge.compute(
                size, lambda: submit(exchange.caller, writes, exchange.purpose("fhir-transaction", writes))
            )
            outcome = await durable(future)
        except ResourceInvalid as error:
            # The door stops at the first resource that is wrong, and knows no Bundle: the client gets all, and where.
            raise await exchange.edge.compute(size, partial(resources_invalid, writes)) or error from None
        for operation, result in zip(writes, outcome.results, strict=True):
            responses[operation.entry_index] = _written(exchange, result)
    for operation in reads:
        responses[operation.entry_index] = await _read_or_failed(exchange, operation)
    return responses


async def _batch(exchange: Exchange, request: Request, size: int) -> dict[int, EntryResponse]:
    writes = [each for each in request.operations if each.writes]
    purpose = exchange.purpose("fhir-batch")
    responses: dict[int, EntryResponse] = {}
    # In groups, so that one batch fills neither the writer's queue nor leaves its group commit unused.
    for start in range(0, len(writes), limits.BATCH_WRITES_AT_ONCE_MAX):
        group = writes[start : start + limits.BATCH_WRITES_AT_ONCE_MAX]
        submitted = await exchange.edge.compute(size, partial(_submit_each, exchange, group, purpose))
        for operation, future in submitted:
            if isinstance(future, EntryResponse):
                responses[operation.entry_index] = future
                continue
            try:
                outcome = await durable(future)
                responses[operation.entry_index] = _written(exchange, outcome.results[0])
            except Exception as error:  # noqa: BLE001 - one entry's failure is that entry's answer
                responses[operation.entry_index] = _failed(error)
    for operation in request.operations:
        if not operation.writes:
            responses[operation.entry_index] = await _read_or_failed(exchange, operation)
    return responses


def _submit_each(exchange: Exchange, group: list[Operation], purpose: Purpose) -> list[tuple[Operation, Any]]:
    """Queue each write by itself: (operation, its future), or (operation, the response that refuses it)."""
    submitted: list[tuple[Operation, Any]] = []
    for operation in group:
        key = purpose.idempotency_key
        try:
            own = purpose
            if key is not None:
                asked = request_hash((operation,))
                own = replace(purpose, idempotency_key=f"{key}/{operation.entry_index}", request_hash=asked)
            submitted.append((operation, exchange.doors.transact.submit(exchange.caller, (operation,), own)))
        except Exception as error:  # noqa: BLE001 - one entry's failure is that entry's answer
            submitted.append((operation, _failed(error)))
    return submitted


def _written(exchange: Exchange, result: OperationResult) -> EntryResponse:
    """What became of a write. The resource goes back only where the client prefers it: it has just sent it."""
    returned = exchange.preferences.returned
    version = result.version
    resource = version.resource if version is not None and returned == "representation" else None
    outcome = operation_outcome([done(result)]) if returned == "OperationOutcome" else None
    status = _status(_STATUS_OF[result.status])
    if version is None:
        return EntryResponse(status, outcome=outcome)
    return EntryResponse(
        status, result.type, result.id, version.version_id, instant(version.recorded_at_us), resource, outcome
    )


async def _read_or_failed(exchange: Exchange, operation: Operation) -> EntryResponse:
    try:
        response = await _read(exchange, operation)
        return response if operation.method == "GET" else replace(response, resource=None)
    except Exception as error:  # noqa: BLE001 - one entry's failure is that entry's answer
        return _failed(error)


async def _read(exchange: Exchange, operation: Operation) -> EntryResponse:
    """A GET entry: read, vread or search; its answer is what the same GET by itself would answer."""
    target, caller, read = operation.target, exchange.caller, exchange.doors.read
    match target.interaction:
        case "type":
            query = parse_query(target.type, query_pairs(target.query), strict=exchange.preferences.strict)
            return EntryResponse(_status(200), resource=await found(exchange, query))
        case "instance":
            assert target.id is not None, "an instance has an id"
            version = read.read(caller, target.type, target.id)
        case "version":
            assert target.id is not None, "a version has an id"
            assert target.version_id is not None, "a version has a version id"
            version = read.read_version(caller, target.type, target.id, target.version_id)
        case _:
            raise InvalidInput("A history is read by itself, not in a transaction or batch.")
    return _shown(version, operation.if_none_match)


def _shown(version: StoredVersion, known: str | None) -> EntryResponse:
    modified = instant(version.recorded_at_us)
    if known in ("*", version.version_id):
        return EntryResponse(_status(304), version.type, version.id, version.version_id, modified)
    return EntryResponse(_status(200), version.type, version.id, version.version_id, modified, version.resource)


def _failed(error: Exception) -> EntryResponse:
    status = status_of(error) if isinstance(error, NirantarError) else 500
    if isinstance(error, NirantarError) and status != 500:
        return EntryResponse(_status(status), outcome=operation_outcome(error.issues()))
    log_failure(error)
    return EntryResponse(_status(500), outcome=operation_outcome([FAILED]))


def _status(code: int) -> str:
    return f"{code} {HTTPStatus(code).phrase}"
