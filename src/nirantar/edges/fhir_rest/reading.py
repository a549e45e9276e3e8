"""read, vread and history: stored versions, served as the bytes that the log proves.

A read by id stays in the event loop: it takes some tens of microseconds, less than handing it to a thread.
"""

from __future__ import annotations

from functools import partial
from typing import Final
from urllib.parse import parse_qsl, urlencode

from nirantar import limits
from nirantar.edges.fhir_rest.answers import Answer, of_resource, of_version, version_headers
from nirantar.edges.fhir_rest.binaries import download, wants_content
from nirantar.edges.fhir_rest.exchange import Exchange
from nirantar.edges.fhir_rest.headers import is_known_version
from nirantar.errors import InvalidInput, LimitExceeded, UnknownSearchParameter
from nirantar.fhir.response_bundle import HistoryEntry, Links, history_bundle
from nirantar.fhir.search_query import CURSOR
from nirantar.host.times import instant
from nirantar.interactions.results import StoredVersion

_OF_THE_FORM: Final = frozenset({"_format", "_pretty"})


async def read(exchange: Exchange) -> Answer:
    """GET [base]/[type]/[id]."""
    path = exchange.path
    if wants_content(exchange):
        return await download(exchange)
    version = exchange.edge.doors.read.read(exchange.caller, path["type"], path["id"])
    return _conditional(exchange, version)


async def read_version(exchange: Exchange) -> Answer:
    """GET [base]/[type]/[id]/_history/[vid]."""
    path = exchange.path
    version = exchange.doors.read.read_version(exchange.caller, path["type"], path["id"], path["version_id"])
    return _conditional(exchange, version)


def _conditional(exchange: Exchange, version: StoredVersion) -> Answer:
    if b"if-none-match" in exchange.headers and is_known_version(exchange.headers, version.version_id):
        return Answer(304, version_headers(version))
    return of_version(version)


async def history(exchange: Exchange) -> Answer:
    """GET [base]/[type]/[id]/_history and GET [base]/[type]/_history."""
    type, id = exchange.path["type"], exchange.path.get("id")
    count, cursor = _paging(exchange.query)
    page = await exchange.edge.search(
        partial(exchange.doors.read.history, exchange.caller, type, id, count=count, cursor=cursor)
    )
    base = exchange.base_url
    here = f"{base}/{type}/_history" if id is None else f"{base}/{type}/{id}/_history"
    links = Links(
        base,
        _page_url(here, count, cursor),
        None if page.next_cursor is None else _page_url(here, count, page.next_cursor),
    )
    versions = (
        HistoryEntry(
            each.type, each.id, each.version_id, "DELETE" if each.deleted else "PUT", instant(each.recorded_at_us),
            each.resource,
        )
        for each in page.versions
    )
    return of_resource(200, history_bundle(versions, links, total=page.total))


def _page_url(here: str, count: int, cursor: str | None) -> str:
    pairs = [("_count", str(count))]
    if cursor is not None:
        pairs.append((CURSOR, cursor))
    return f"{here}?{urlencode(pairs)}"


def _paging(query: str) -> tuple[int, str | None]:
    """(count, cursor) of a history. `_since`, `_at` and `_list` are refused, not ignored: the answer would be wider
    than the question."""
    count, cursor = limits.SEARCH_COUNT_DEFAULT, None
    for name, value in query_pairs(query):
        if name == "_count":
            if not (value.isascii() and value.isdigit() and 0 < len(value) <= 9 and int(value) > 0):
                raise InvalidInput("_count must be a whole number, 1 or more.")
            count = min(int(value), limits.SEARCH_COUNT_MAX)
        elif name == CURSOR:
            if not 0 < len(value) <= limits.CURSOR_CHARS_MAX:
                raise InvalidInput("The page's cursor is not one of ours: start the history again.")
            cursor = value
        elif name in ("_since", "_at", "_list", "_sort"):
            raise UnknownSearchParameter(f"{name}: this part of FHIR history is not available here yet.")
        elif name not in _OF_THE_FORM:
            continue
    return count, cursor


def query_pairs(query: str) -> list[tuple[str, str]]:
    """A percent-encoded query as name-value pairs. Raises InvalidInput when it is not UTF-8, LimitExceeded."""
    if not query:
        return []
    if query.count("&") >= limits.FORM_FIELDS_MAX:
        raise LimitExceeded(f"The query has more than {limits.FORM_FIELDS_MAX} parameters (FORM_FIELDS_MAX).")
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict")
    except ValueError:
        raise InvalidInput("The query must be percent-encoded UTF-8.") from None
