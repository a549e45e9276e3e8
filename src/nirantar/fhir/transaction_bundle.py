"""Transaction and batch Bundles, read: what each entry asks for.

Reading needs no state and happens before the single writer; `interactions.transaction` goes on inside it. A
transaction is all or nothing and reports everything that is wrong with it; in a batch each entry stands for itself.
Source: R4 http §3.1.0.11, bundle §2.36.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal, NamedTuple, TypeVar

from nirantar.errors import InvalidInput, Issue, LimitExceeded, ResourceInvalid
from nirantar.fhir.references import condition_of, is_urn, references_in
from nirantar.fhir.request_url import Target, entity_tag, parse_target
from nirantar.fhir.search_match import canonical_query
from nirantar.fhir.search_query import SearchQuery, parse_condition
from nirantar.fhir.validation import validate
from nirantar.limits import ISSUES_MAX, TRANSACTION_ENTRIES_MAX

BundleKind = Literal["transaction", "batch"]
Method = Literal["DELETE", "POST", "PUT", "PATCH", "GET", "HEAD"]

_Read = TypeVar("_Read")

METHODS: Final = ("DELETE", "POST", "PUT", "PATCH", "GET", "HEAD")
"""In the order in which FHIR has the operations of a transaction done."""
READING: Final = frozenset({"GET", "HEAD"})

_REST_URL = re.compile(r"https?://.+/([A-Z][A-Za-z]{0,63})/([A-Za-z0-9.-]{1,64})")
_ABSOLUTE: Final = ("urn:uuid:", "urn:oid:", "https://", "http://")


@dataclass(frozen=True, slots=True)
class Operation:
    """What one entry asks for. `entry_index` counts from 0 in the Bundle as it came.

    `condition` is the search of `ifNoneExist` for a POST, else that of a PUT, PATCH or DELETE without an id.
    `if_match` and `if_none_match` are version ids or `*`. For a GET, `target` says what to read. `id` is the URL's, for
    a PUT with a condition that of its resource, and None where the writer gives or finds it.
    """

    entry_index: int
    method: Method
    target: Target
    id: str | None = None
    condition: SearchQuery | None = None
    if_match: str | None = None
    if_none_match: str | None = None
    full_url: str | None = None
    resource: dict[str, Any] | None = None

    @property
    def type(self) -> str:
        """The resource type that it is about."""
        return self.target.type

    @property
    def writes(self) -> bool:
        """Whether it may make a new version."""
        return self.method not in READING


class Refused(NamedTuple):
    """An entry of a batch that cannot be done."""

    entry_index: int
    error: InvalidInput


@dataclass(frozen=True, slots=True)
class Request:
    """A Bundle, parsed. `refused` is empty in a transaction."""

    kind: BundleKind
    operations: tuple[Operation, ...]
    refused: tuple[Refused, ...] = ()


def parse_transaction(resource: dict[str, Any]) -> Request:
    """Read a Bundle of type transaction or batch.

    Raises LimitExceeded for too many entries, ResourceInvalid (naming `Bundle.entry[i]`) when it is no such Bundle,
    and for a transaction when any entry is wrong: a bad URL, a body that does not fit it, an identity or fullUrl used
    twice, the same condition twice in one method, a urn reference that no entry explains.
    """
    kind = resource.get("type")
    if resource.get("resourceType") != "Bundle" or kind not in ("transaction", "batch"):
        raise ResourceInvalid((Issue("value", "must be a Bundle of type transaction or batch.", "Bundle.type"),))
    entries = resource.get("entry", [])
    if not isinstance(entries, list):
        raise ResourceInvalid((Issue("structure", "must be a list.", "Bundle.entry"),))
    if len(entries) > TRANSACTION_ENTRIES_MAX:
        raise LimitExceeded(f"Bundle.entry: more than TRANSACTION_ENTRIES_MAX ({TRANSACTION_ENTRIES_MAX}) entries.")
    operations: list[Operation] = []
    refused: list[Refused] = []
    for entry_index, entry in enumerate(entries):
        try:
            operations.append(_operation(entry_index, entry))
        except InvalidInput as error:
            refused.append(Refused(entry_index, error))
    explained: set[str | None] = set()
    if kind == "transaction":
        refused.extend(_overlaps(operations))
        explained = {operation.full_url for operation in operations if operation.resource is not None}
    for operation in operations:
        try:
            _check_references(operation, explained)
        except InvalidInput as error:
            refused.append(Refused(operation.entry_index, error))
    refused.sort(key=lambda one: one.entry_index)
    if refused and kind == "transaction":
        raise ResourceInvalid(tuple(issue for one in refused for issue in one.error.issues())[:ISSUES_MAX])
    wrong = {one.entry_index for one in refused}
    return Request(kind, tuple(each for each in operations if each.entry_index not in wrong), tuple(refused))


def entry_error(entry_index: int, code: str, diagnostics: str, element: str = "") -> ResourceInvalid:
    """The error of one entry, or of an element of it: its expression is `Bundle.entry[i].element`."""
    return ResourceInvalid((Issue(code, diagnostics, f"Bundle.entry[{entry_index}]{element and '.'}{element}"),))


def resources_invalid(operations: Iterable[Operation]) -> ResourceInvalid | None:
    """What is wrong with the resources of a transaction, each element named as it stands in the Bundle:
    `Bundle.entry[2].resource.status`. None when every one is valid."""
    found: list[Issue] = []
    for operation in operations:
        try:
            if operation.resource is not None:
                validate(operation.resource)
        except ResourceInvalid as error:
            for issue in error.found:
                _, _, element = issue.expression.partition(".")
                where = f"Bundle.entry[{operation.entry_index}].resource{element and '.'}{element}"
                found.append(replace(issue, expression=where))
    return ResourceInvalid(tuple(found[:ISSUES_MAX])) if found else None


def _operation(entry_index: int, entry: Any) -> Operation:
    """Read one entry, as far as it can be judged alone. Raises ResourceInvalid."""
    if not isinstance(entry, dict) or not isinstance(entry.get("request"), dict):
        raise entry_error(entry_index, "required", "needs a request with method and url.", "request")
    request = entry["request"]
    method = request.get("method")
    if method not in METHODS:
        raise entry_error(entry_index, "value", "must be DELETE, POST, PUT, PATCH, GET or HEAD.", "request.method")
    target = _read(entry_index, "request.url", request.get("url"), parse_target)
    if target is None:
        raise entry_error(entry_index, "required", "is missing.", "request.url")
    _check_form(entry_index, method, target)
    full_url = entry.get("fullUrl")
    if full_url is not None and (not isinstance(full_url, str) or not full_url.startswith(_ABSOLUTE)):
        # A relative one would give a new meaning to references to a resource that is here already.
        raise entry_error(entry_index, "value", "must be an absolute URL: urn:uuid:, urn:oid: or http(s).", "fullUrl")
    condition = target.query or None
    where = "request.url"
    if method == "POST":
        condition, where = request.get("ifNoneExist"), "request.ifNoneExist"
    if method in READING:
        condition = None
    resource = _body(entry_index, method, target, entry.get("resource"))
    return Operation(
        entry_index,
        method,
        target,
        target.id or _own_id(method, resource),
        _read(entry_index, where, condition, partial(parse_condition, target.type)),
        _read(entry_index, "request.ifMatch", request.get("ifMatch"), entity_tag),
        _read(entry_index, "request.ifNoneMatch", request.get("ifNoneMatch"), entity_tag),
        full_url,
        resource,
    )


def _own_id(method: str, resource: dict[str, Any] | None) -> str | None:
    """The id that a PUT by condition brings: the match must have it, or a new resource gets it (R4 http, update)."""
    id = resource.get("id") if method == "PUT" and resource is not None else None
    return id if isinstance(id, str) else None


def _read(entry_index: int, element: str, text: Any, reader: Callable[[str], _Read]) -> _Read | None:
    """A text element read by `reader`, None where it is absent; the reader's errors get the element's place."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise entry_error(entry_index, "structure", "must be a string.", element)
    try:
        return reader(text)
    except InvalidInput as error:
        raise entry_error(entry_index, error.issue_code, str(error), element) from error


def _check_form(entry_index: int, method: str, target: Target) -> None:
    """Refuse a URL that the method cannot have."""
    match method, target.interaction:
        case ("GET" | "HEAD", _):
            return
        case ("POST", "type") if not target.query:
            return
        case ("POST", _):
            raise entry_error(entry_index, "value", "of a POST must be a type alone.", "request.url")
        case (_, "type") if target.query:
            return
        case (_, "instance") if not target.query:
            return
    raise entry_error(entry_index, "value", f"of a {method} must be Type/id or Type?condition.", "request.url")


def _body(entry_index: int, method: str, target: Target, resource: Any) -> dict[str, Any] | None:
    """The entry's resource, checked against method and URL."""
    if method in READING or method == "DELETE":
        if resource is not None:
            raise entry_error(entry_index, "value", f"has no place in a {method}.", "resource")
        return None
    if not isinstance(resource, dict):
        raise entry_error(entry_index, "required", f"is what a {method} is about, and missing.", "resource")
    if method == "PATCH":
        return resource
    if resource.get("resourceType") != target.type:
        raise entry_error(entry_index, "value", "must be of the type that the URL names.", "resource.resourceType")
    if target.id is not None and resource.get("id") != target.id:
        raise entry_error(entry_index, "value", "must be the id that the URL names.", "resource.id")
    return resource


def _overlaps(operations: Iterable[Operation]) -> list[Refused]:
    """The entries that use a fullUrl, an identity to write or a condition which an earlier one used."""
    first_use: dict[tuple[str, ...], int] = {}
    found: list[Refused] = []
    for operation in operations:
        keys: list[tuple[str, ...]] = []
        if operation.full_url is not None:
            keys.append(("fullUrl", operation.full_url))
        if operation.writes and operation.id is not None:
            keys.append(("identity", operation.type, operation.id))
        if operation.condition is not None:
            # Of one method only: what a DELETE matches is gone for a POST, what a POST makes is there for a PUT.
            keys.append(("condition", operation.method, operation.type, canonical_query(operation.condition)))
        for key in keys:
            earlier = first_use.setdefault(key, operation.entry_index)
            if earlier != operation.entry_index:
                text = f"has the same {key[0]} as Bundle.entry[{earlier}]."
                found.append(Refused(operation.entry_index, entry_error(operation.entry_index, "duplicate", text)))
    return found


def _check_references(operation: Operation, explained: set[str | None]) -> None:
    """Refuse a urn that no fullUrl explains and a search that is not understood. Raises ResourceInvalid."""
    if operation.resource is None or operation.method == "PATCH":
        return
    entry_index = operation.entry_index
    for reference in references_in(operation.resource):
        if is_urn(reference):
            if reference not in explained and reference.partition("#")[0] not in explained:
                raise entry_error(entry_index, "not-found", "refers to a urn that is no entry's fullUrl.", "resource")
            continue
        condition = condition_of(reference)
        if condition is not None:
            type, written = condition
            _read(entry_index, "resource", written, partial(parse_condition, type))


def reference_mapping(operations: Iterable[Operation]) -> dict[str, str]:
    """What the references of a transaction mean, once every operation has its id: fullUrl → `Type/id`.

    A fullUrl that is a server's URL (`https://elsewhere/Patient/7`) also gives its relative form, because references
    between entries may be written so. Raises ResourceInvalid where that form would mean two resources. The writer adds
    the conditional references, text → `Type/id`.
    """
    mapping: dict[str, str] = {}
    for operation in operations:
        if operation.full_url is None or operation.resource is None or operation.id is None:
            continue
        meant = f"{operation.type}/{operation.id}"
        names = [operation.full_url]
        elsewhere = _REST_URL.fullmatch(operation.full_url)
        if elsewhere is not None:
            names.append(f"{elsewhere.group(1)}/{elsewhere.group(2)}")
        for name in names:
            if mapping.setdefault(name, meant) != meant:
                text = "ends like another entry's, so a relative reference to it is ambiguous. Use urn:uuid: URLs."
                raise entry_error(operation.entry_index, "duplicate", text, "fullUrl")
    return mapping
