"""The CapabilityStatement, generated from what is really there: the route table, R4's types, the indexed parameters.

Source: R4 capabilitystatement §5.2, http §3.1.0.12.
"""

from __future__ import annotations

from typing import Any, Final

from nirantar.edges.fhir_rest.routes import INTERACTIONS
from nirantar.fhir import json
from nirantar.fhir.definitions import resource_types
from nirantar.fhir.search_parameters import search_parameters_of
from nirantar.host.times import instant
from nirantar.interactions.doors import NodeStatus

_FHIR_VERSION: Final = "4.0.1"


def capability_statement(status: NodeStatus) -> bytes:
    """The statement as JSON. It takes some 100 ms to make, and stays true while the process runs."""
    return json.encode({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(status.started_at_us),
        "kind": "instance",
        "software": {"name": "Nirantar", "version": status.version},
        "implementation": {"description": f"{status.hospital}, node {status.node}"},
        "fhirVersion": _FHIR_VERSION,
        "format": ["json", "application/fhir+json"],
        "rest": [{
            "mode": "server",
            "security": {
                "description": "Each request but this one needs the header Authorization: Bearer <token>. "
                "A token carries a role, and the role says which types it reads and writes.",
            },
            "resource": [_resource(type) for type in sorted(resource_types())],
            "interaction": [
                {"code": code} for each in INTERACTIONS if each.level == "system" for code in each.codes
            ],
        }],
    })


def _resource(type: str) -> dict[str, Any]:
    """What can be done with one type."""
    of_types = [each for each in INTERACTIONS if each.level == "type"]
    codes = dict.fromkeys(code for each in of_types for code in each.codes)
    features = dict(each.feature for each in of_types if each.feature is not None)
    described: dict[str, Any] = {
        "type": type,
        "interaction": [{"code": code} for code in codes],
        "versioning": "versioned-update",
        **features,
    }
    searchable = [
        {"name": each.code, "type": each.kind} for each in search_parameters_of(type).values() if each.indexed
    ]
    if searchable:
        described["searchParam"] = searchable
    return described
