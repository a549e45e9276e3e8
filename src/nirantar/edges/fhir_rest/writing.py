"""create, update and delete, each also conditional. The door does the work; here headers become its words."""

from __future__ import annotations

from urllib.parse import unquote_plus

from nirantar.edges.fhir_rest.answers import Answer, Header, of_outcome, of_version, version_headers
from nirantar.edges.fhir_rest.binaries import comes_as_content, upload
from nirantar.edges.fhir_rest.exchange import Exchange, durable
from nirantar.edges.fhir_rest.headers import condition_text, if_match, if_none_match
from nirantar.errors import InvalidInput, Issue
from nirantar.fhir.transaction_bundle import Operation
from nirantar.interactions.authorize import authorize
from nirantar.interactions.operations import create as to_create
from nirantar.interactions.operations import delete as to_delete
from nirantar.interactions.operations import update as to_update
from nirantar.interactions.results import OperationResult


async def create(exchange: Exchange) -> Answer:
    """POST [base]/[type], with If-None-Exist a conditional create."""
    if comes_as_content(exchange):
        return _answer(exchange, await upload(exchange))
    resource, size = await _resource(exchange)
    operation = to_create(resource, if_none_exist=condition_text(exchange.headers))
    return await _write(exchange, operation, size, "fhir-create")


async def update(exchange: Exchange) -> Answer:
    """PUT [base]/[type]/[id], also of a resource that is not there yet."""
    resource, size = await _resource(exchange)
    if resource.get("id") != exchange.path["id"]:
        raise InvalidInput(f"{exchange.path['type']}.id must be the id that the URL names.")
    operation = to_update(
        resource, if_match=if_match(exchange.headers), if_none_match=if_none_match(exchange.headers)
    )
    return await _write(exchange, operation, size, "fhir-update")


async def update_by_condition(exchange: Exchange) -> Answer:
    """PUT [base]/[type]?condition."""
    resource, size = await _resource(exchange)
    operation = to_update(resource, if_match=if_match(exchange.headers), condition=_condition(exchange))
    return await _write(exchange, operation, size, "fhir-update")


async def delete(exchange: Exchange) -> Answer:
    """DELETE [base]/[type]/[id]; what is not there needs no deleting."""
    operation = to_delete(exchange.path["type"], exchange.path["id"], if_match=if_match(exchange.headers))
    return await _write(exchange, operation, 0, "fhir-delete")


async def delete_by_condition(exchange: Exchange) -> Answer:
    """DELETE [base]/[type]?condition, of one match or none."""
    operation = to_delete(
        exchange.path["type"], condition=_condition(exchange), if_match=if_match(exchange.headers)
    )
    return await _write(exchange, operation, 0, "fhir-delete")


async def _resource(exchange: Exchange) -> tuple[dict[str, object], int]:
    """The body, which must be of the URL's type. Who may not write that type is refused before it is read."""
    type = exchange.path["type"]
    authorize(exchange.caller, "write", (type,))
    resource, size = await exchange.resource()
    if resource["resourceType"] != type:
        raise InvalidInput(f"The URL asks for a {type}, but the body's resourceType is another.")
    return resource, size


def _condition(exchange: Exchange) -> str:
    """The URL's search without the parameters that only shape the answer."""
    parts = exchange.query.split("&")
    kept = [part for part in parts if unquote_plus(part.partition("=")[0]) not in ("_format", "_pretty")]
    if not any(kept):
        raise InvalidInput("Name the resource, or give search criteria that tell which one is meant.")
    return "&".join(kept)


async def _write(exchange: Exchange, operation: Operation, size: int, action: str) -> Answer:
    future = await exchange.edge.compute(
        size,
        lambda: exchange.doors.transact.submit(exchange.caller, (operation,), exchange.purpose(action, (operation,))),
    )
    outcome = await durable(future)
    return _answer(exchange, outcome.results[0])


def _answer(exchange: Exchange, result: OperationResult) -> Answer:
    version, returned = result.version, exchange.preferences.returned
    if result.status == "deleted":
        headers: tuple[Header, ...] = () if version is None else version_headers(version)
        if returned == "OperationOutcome":
            return of_outcome(200, (done(result),), headers)
        return Answer(204, headers)
    assert version is not None, "only a delete of nothing has no version"
    place = f"{exchange.base_url}/{result.type}/{result.id}/_history/{version.version_id}"
    status = 201 if result.status == "created" else 200
    located = (*version_headers(version), (b"location", place.encode("latin-1")))
    if returned == "minimal":
        return Answer(status, located)
    if returned == "OperationOutcome":
        return of_outcome(status, (done(result),), located)
    shown = of_version(version)
    return Answer(status, (*shown.headers, located[-1]), shown.body)


def done(result: OperationResult) -> Issue:
    """What was done, as a line of an OperationOutcome."""
    words = {"created": "created", "updated": "updated", "deleted": "deleted", "unchanged": "already there"}
    return Issue("informational", f"{result.type}/{result.id}: {words[result.status]}.", severity="information")
