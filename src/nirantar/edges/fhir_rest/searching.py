"""search, by GET and by POST: a page of matches, its entries the stored bytes, its `next` an opaque cursor."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlencode

from nirantar.edges.fhir_rest.answers import Answer, of_resource
from nirantar.edges.fhir_rest.exchange import Exchange
from nirantar.edges.fhir_rest.headers import require_content_type
from nirantar.edges.fhir_rest.reading import query_pairs
from nirantar.errors import InvalidInput, Issue
from nirantar.fhir.operation_outcome import operation_outcome
from nirantar.fhir.response_bundle import Links, search_set
from nirantar.fhir.search_match import canonical_query
from nirantar.fhir.search_query import CURSOR, SearchQuery, parse_query


async def search(exchange: Exchange) -> Answer:
    """GET [base]/[type]?parameters."""
    return await _answer(exchange, query_pairs(exchange.query))


async def search_by_form(exchange: Exchange) -> Answer:
    """POST [base]/[type]/_search with the parameters in a form, in the URL, or in both."""
    pairs = query_pairs(exchange.query)
    body = await exchange.body()
    if body:
        require_content_type(exchange.headers, form=True)
        try:
            form = body.decode("ascii")
        except UnicodeDecodeError:
            raise InvalidInput("The form must be percent-encoded.") from None
        pairs += query_pairs(form)
    return await _answer(exchange, pairs)


async def _answer(exchange: Exchange, pairs: list[tuple[str, str]]) -> Answer:
    query = parse_query(exchange.path["type"], pairs, strict=exchange.preferences.strict)
    return of_resource(200, await found(exchange, query))


async def found(exchange: Exchange, query: SearchQuery) -> dict[str, object]:
    """The searchset of one page."""
    page = await exchange.edge.search(partial(exchange.doors.read.search, exchange.caller, query))
    base = exchange.base_url
    links = Links(
        base,
        _page_url(base, query, query.cursor),
        None if page.next_cursor is None else _page_url(base, query, page.next_cursor),
    )
    matches = ((each.type, each.id, each.resource or b"{}") for each in page.versions)
    return search_set(matches, links, total=page.total, outcome=_ignored(query))


def _page_url(base: str, query: SearchQuery, cursor: str | None) -> str:
    """A page's URL: the search as it was understood, so that a client sees what was left out (R4 §3.1.1.3.4)."""
    pairs = [("_count", str(query.count))]
    if query.total and not query.count_only:
        pairs.append(("_total", "accurate"))
    if cursor is not None:
        pairs.append((CURSOR, cursor))
    criteria = canonical_query(query)
    return f"{base}/{query.type}?{criteria}{'&' if criteria else ''}{urlencode(pairs)}"


def _ignored(query: SearchQuery) -> dict[str, object] | None:
    """What was not understood, as an OperationOutcome beside the matches; None when all was."""
    if not query.ignored:
        return None
    return operation_outcome([
        Issue("not-supported", f"{name} was ignored: {query.type} has no such search parameter.", severity="warning")
        for name in query.ignored
    ])
