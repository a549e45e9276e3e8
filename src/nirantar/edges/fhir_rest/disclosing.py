"""POST [base]/Patient/[id]/$prove: the proof of a patient's chart, journalled as a disclosure before it is made."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from anyio import to_thread

from nirantar.edges.fhir_rest.answers import Answer
from nirantar.edges.fhir_rest.exchange import Exchange
from nirantar.errors import InvalidInput

_PATIENT: Final = "Patient"


async def prove(exchange: Exchange) -> Answer:
    """An operation of ours, with one parameter: `reason`, a string, which is journalled."""
    if exchange.path["type"] != _PATIENT:
        raise InvalidInput("Only a Patient's chart can be proven: POST to Patient/<id>/$prove.")
    parameters, _ = await exchange.resource()
    work = partial(exchange.doors.disclose.chart, exchange.caller, exchange.path["id"], _reason(parameters))
    made = await to_thread.run_sync(work)
    return Answer(200, (
        (b"content-type", b"application/zip"),
        (b"content-disposition", f'attachment; filename="{made.file_name}"'.encode("ascii")),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ), made.data)


def _reason(parameters: dict[str, Any]) -> str:
    """The one parameter. Raises InvalidInput."""
    match parameters:
        case {"resourceType": "Parameters", "parameter": [{"name": "reason", "valueString": str(reason)}]}:
            return reason
    raise InvalidInput("The body must be a Parameters resource with one parameter: reason, as valueString.")
