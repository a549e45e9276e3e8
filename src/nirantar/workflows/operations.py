"""How a workflow says what it wants done: the operations of one transaction."""

from __future__ import annotations

from typing import Any

from nirantar.fhir.request_url import Target
from nirantar.fhir.transaction_bundle import Operation


def create(place: int, resource: dict[str, Any], full_url: str) -> Operation:
    """Create a resource; others of the transaction may refer to it by `full_url`. `place` counts from 0."""
    target = Target("type", resource["resourceType"])
    return Operation(place, "POST", target, full_url=full_url, resource=resource)


def update(place: int, resource: dict[str, Any], if_match: str) -> Operation:
    """Replace a resource, if it is still at the version `if_match`."""
    target = Target("instance", resource["resourceType"], resource["id"])
    return Operation(place, "PUT", target, id=resource["id"], if_match=if_match, resource=resource)
