"""The operations that `Transact` takes, made without a Bundle around them: one call for each of FHIR's write verbs.

A condition is FHIR's search text (`identifier=system|value`), percent-encoded as in a URL. All raise InvalidInput and
UnknownSearchParameter for a condition that is not understood in full.
"""

from __future__ import annotations

from typing import Any

from nirantar.errors import InvalidInput
from nirantar.fhir.request_url import Target
from nirantar.fhir.search_query import SearchQuery, parse_condition
from nirantar.fhir.transaction_bundle import Operation


def create(resource: dict[str, Any], *, full_url: str | None = None, if_none_exist: str | None = None) -> Operation:
    """A new resource, its id given by the writer. With `if_none_exist` nothing is written when that matches one
    resource, which is then the result. `full_url` is what other operations call it in their references."""
    type = _type(resource)
    return Operation(
        0, "POST", Target("type", type), condition=_condition(type, if_none_exist), full_url=full_url, resource=resource
    )


def update(
    resource: dict[str, Any],
    *,
    if_match: str | None = None,
    if_none_match: str | None = None,
    condition: str | None = None,
    full_url: str | None = None,
) -> Operation:
    """The resource's next version, or its first. It carries its id; with `condition` it may lack one, and then the
    resource that matches is updated, or a new one made. `if_match` and `if_none_match` are a version id or `*`."""
    type, id = _type(resource), resource.get("id")
    if condition is None and id is None:
        raise InvalidInput(f"{type}.id: an update needs the id of the resource it is about.")
    target = Target("type", type, query=condition or "") if condition is not None else Target("instance", type, id)
    return Operation(
        0, "PUT", target, id, _condition(type, condition), if_match, if_none_match, full_url, resource
    )


def delete(type: str, id: str | None = None, *, condition: str | None = None, if_match: str | None = None) -> Operation:
    """A version that says the resource is gone: of `id`, or of the one that `condition` matches. None is no error."""
    target = Target("type", type, query=condition or "") if id is None else Target("instance", type, id)
    return Operation(0, "DELETE", target, id, _condition(type, condition), if_match)


def _type(resource: dict[str, Any]) -> str:
    type = resource.get("resourceType")
    if not isinstance(type, str):
        raise InvalidInput("The resource needs a resourceType.")
    return type


def _condition(type: str, text: str | None) -> SearchQuery | None:
    return None if text is None else parse_condition(type, text)
