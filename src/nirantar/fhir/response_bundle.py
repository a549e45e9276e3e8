"""The Bundles that answer: of a transaction or batch, of a search, of a history.

Stored resources go in as their bytes and come out as the same bytes: nothing is decoded on the way. The result is for
an encoder of msgspec, which writes `msgspec.Raw` as it is. Source: R4 bundle §2.36, search §3.1.1.3, http §3.1.0.11.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

Body = bytes | dict[str, Any]


@dataclass(frozen=True, slots=True)
class EntryResponse:
    """How one entry went. `status` is an HTTP status with its word, such as "201 Created".

    `type`, `id` and `version_id` name the version that was made or read, and give location and ETag. `last_modified` is
    an instant. `resource` is what was read or asked back; `outcome` the OperationOutcome of what went wrong.
    """

    status: str
    type: str | None = None
    id: str | None = None
    version_id: str | None = None
    last_modified: str | None = None
    resource: Body | None = None
    outcome: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One version in a history; `resource` None: it deleted the resource. `method` is what made it."""

    type: str
    id: str
    version_id: str
    method: Literal["POST", "PUT", "DELETE"]
    last_modified: str
    resource: Body | None


@dataclass(frozen=True, slots=True)
class Links:
    """Where a page is and where it goes on; `base` is the server's FHIR base URL without a slash at the end."""

    base: str
    self_url: str
    next_url: str | None = None


def transaction_response(
    responses: Iterable[EntryResponse], *, kind: Literal["transaction", "batch"] = "transaction"
) -> dict[str, Any]:
    """The answer to a transaction or batch: one entry for each of the request, in the request's order."""
    answer: dict[str, Any] = {"resourceType": "Bundle", "type": f"{kind}-response"}
    entries = [_responded(response) for response in responses]
    if entries:  # R4 has no empty lists.
        answer["entry"] = entries
    return answer


def search_set(
    found: Iterable[tuple[str, str, Body]],
    links: Links,
    *,
    total: int | None = None,
    outcome: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A page of search results: (type, id, resource) each. `outcome` tells what of the search was not understood."""
    entries = [
        {"fullUrl": f"{links.base}/{type}/{id}", "resource": _embedded(resource), "search": {"mode": "match"}}
        for type, id, resource in found
    ]
    if outcome is not None:
        entries.append({"resource": outcome, "search": {"mode": "outcome"}})
    return _page("searchset", entries, links, total)


def history_bundle(versions: Iterable[HistoryEntry], links: Links, *, total: int | None = None) -> dict[str, Any]:
    """A page of versions, newest first as they come."""
    return _page("history", [_version(version, links.base) for version in versions], links, total)


def _page(kind: str, entries: list[dict[str, Any]], links: Links, total: int | None) -> dict[str, Any]:
    page: dict[str, Any] = {"resourceType": "Bundle", "type": kind}
    if total is not None:
        page["total"] = total
    page["link"] = [{"relation": "self", "url": links.self_url}]
    if links.next_url is not None:
        page["link"].append({"relation": "next", "url": links.next_url})
    if entries:
        page["entry"] = entries
    return page


def _responded(response: EntryResponse) -> dict[str, Any]:
    answer: dict[str, Any] = {"status": response.status}
    if response.version_id is not None:
        answer["location"] = f"{response.type}/{response.id}/_history/{response.version_id}"
        answer["etag"] = f'W/"{response.version_id}"'
    if response.last_modified is not None:
        answer["lastModified"] = response.last_modified
    if response.outcome is not None:
        answer["outcome"] = response.outcome
    if response.resource is None:
        return {"response": answer}
    return {"resource": _embedded(response.resource), "response": answer}


def _version(version: HistoryEntry, base: str) -> dict[str, Any]:
    url = version.type if version.method == "POST" else f"{version.type}/{version.id}"
    entry: dict[str, Any] = {"fullUrl": f"{base}/{version.type}/{version.id}"}
    if version.resource is not None:
        entry["resource"] = _embedded(version.resource)
    entry["request"] = {"method": version.method, "url": url}
    entry["response"] = {
        "status": {"POST": "201 Created", "PUT": "200 OK", "DELETE": "204 No Content"}[version.method],
        "etag": f'W/"{version.version_id}"',
        "lastModified": version.last_modified,
    }
    return entry


def _embedded(resource: Body) -> Any:
    return msgspec.Raw(resource) if isinstance(resource, bytes) else resource
