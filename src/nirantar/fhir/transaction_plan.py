"""A transaction's operations in FHIR's order, with their ids.

This runs inside the single writer, because only there can a condition (`ifNoneExist`, `PUT Patient?identifier=…`) be
resolved without a race. Source: R4 http §3.1.0.11.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from nirantar.errors import Issue, ResourceInvalid
from nirantar.fhir.references import rewrite_references
from nirantar.fhir.transaction_bundle import METHOD_ORDER, Operation, Request, entry_error
from nirantar.limits import ISSUES_MAX


class Assigned(NamedTuple):
    """The id that an operation works on; `exists`: its condition matched this resource."""

    id: str
    exists: bool = False


def plan(request: Request, assign_id: Callable[[int, Operation], Assigned | None]) -> tuple[Operation, ...]:
    """The operations in the order in which FHIR has them done: DELETE, POST, PUT and PATCH, GET.

    `assign_id(entry_index, operation)` is asked for each POST and each conditional PUT, PATCH and DELETE, in that
    order: it resolves the condition against the state before the Bundle, or thinks of a new id; None means that the
    condition of a DELETE or PATCH matches nothing. Raises ResourceInvalid when two entries of a transaction turn out to
    write the same resource; errors of `assign_id` pass through.
    """
    planned: list[Operation] = []
    for operation in sorted(request.operations, key=lambda one: (METHOD_ORDER[one.method], one.entry_index)):
        assigned = None
        if operation.id is None and operation.method != "GET":
            assigned = assign_id(operation.entry_index, operation)
        planned.append(replace(operation, id=assigned.id, exists=assigned.exists) if assigned else operation)
    if request.kind == "transaction":
        _check_identities(planned)
    return tuple(planned)


def _check_identities(planned: Iterable[Operation]) -> None:
    """Raise ResourceInvalid when two operations write one resource, as conditions may turn out to do."""
    first_use: dict[tuple[str, str], int] = {}
    clashes: list[Issue] = []
    for operation in sorted(planned, key=lambda one: one.entry_index):
        if operation.writes and operation.id is not None:
            earlier = first_use.setdefault((operation.type, operation.id), operation.entry_index)
            if earlier != operation.entry_index:
                text = f"writes the same resource as Bundle.entry[{earlier}]."
                clashes.extend(entry_error(operation.entry_index, "duplicate", text).issues())
    if clashes:
        raise ResourceInvalid(tuple(clashes[:ISSUES_MAX]))


def resource_to_write(operation: Operation, mapping: Mapping[str, str]) -> dict[str, Any]:
    """The body of a planned POST or PUT as it is to be stored: with its id and with references as `mapping` has them.

    A new object; `resourceType` and `id` come first. A POST's own id is ignored, as FHIR has it.
    """
    assert operation.resource is not None, "only an operation with a body is written"
    assert operation.id is not None, "plan has given it an id"
    body = rewrite_references(operation.resource, mapping)
    return {"resourceType": operation.type, "id": operation.id} | {
        key: value for key, value in body.items() if key not in ("resourceType", "id")
    }
