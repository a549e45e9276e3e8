"""What the conditions of a transaction see: the state before it, as its own earlier steps leave it.

R4 (http, transaction processing rules) has deletes done first, then creates, then updates, and conditional references
resolved last. So a create finds what a delete of the same transaction takes away no longer there, an update by
condition meets what a create makes, and a reference that is a search finds what any of them wrote. The order of the
entries within a step means nothing: no create meets another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from nirantar import limits
from nirantar.errors import LimitExceeded, MultipleMatches, NotFound
from nirantar.fhir.index_rows import IndexRow, TokenRow
from nirantar.fhir.search_match import matches
from nirantar.fhir.search_parameters import extract
from nirantar.fhir.search_query import SearchQuery, TokenValue
from nirantar.store.port import ViewReader


@dataclass(frozen=True, slots=True)
class _Written:
    """A resource of the transaction itself, with its index rows."""

    resource: dict[str, Any]
    rows: tuple[IndexRow, ...]


class _WrittenOfType:
    """What a transaction writes of one type, findable by token: identifiers are what most conditions ask for."""

    def __init__(self, resources: Iterable[dict[str, Any]]) -> None:
        self._all = [_Written(each, extract(each)) for each in resources]
        self._by_token: defaultdict[tuple[str, str], list[_Written]] = defaultdict(list)
        for each in self._all:
            for param, code in {(row.param, row.code) for row in each.rows if isinstance(row, TokenRow)}:
                self._by_token[param, code].append(each)

    def likely(self, query: SearchQuery) -> Iterable[_Written]:
        """Those that may match: all, unless a token of the query narrows them down."""
        for criterion in query.criteria:
            codes = [each.code for each in criterion.values if isinstance(each, TokenValue)]
            if criterion.modifier is None and len(codes) == len(criterion.values) and None not in codes:
                rows = [self._by_token.get((criterion.param, code or ""), ()) for code in dict.fromkeys(codes)]
                return [each for found in rows for each in found]
        return self._all


class Foreseen:
    """The view less what a transaction deletes or replaces, plus what it writes. Lives as long as one decision."""

    def __init__(self, state: ViewReader) -> None:
        self._state = state
        self._hidden: defaultdict[str, set[str]] = defaultdict(set)
        self._resources: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self._written: dict[str, _WrittenOfType] = {}
        self._comparisons = 0

    def hide(self, type: str, id: str) -> None:
        """The transaction deletes or replaces this resource."""
        self._hidden[type].add(id)

    def add(self, resource: dict[str, Any]) -> None:
        """The transaction writes this resource, which has its type, id and final references."""
        type = resource["resourceType"]
        self.hide(type, resource["id"])
        self._resources[type].append(resource)
        self._written.pop(type, None)

    def match(self, query: SearchQuery) -> str | None:
        """The id of the one resource that meets a condition, None if none does. Raises MultipleMatches."""
        found: str | None = None
        for id in self._matches(query):
            if found not in (None, id):
                raise MultipleMatches(f"The condition on {query.type} matches several resources: make it narrower.")
            found = id
        return found

    def referred(self, query: SearchQuery) -> str:
        """The `Type/id` that a conditional reference means. Raises NotFound when nothing matches, MultipleMatches."""
        found = self.match(query)
        if found is None:
            raise NotFound(f"A conditional reference to {query.type} matches nothing.")
        return f"{query.type}/{found}"

    def _matches(self, query: SearchQuery) -> Iterator[str]:
        yield from self._written_matches(query)
        hidden = self._hidden.get(query.type)
        if hidden:
            query = replace(query, count=min(query.count + len(hidden), limits.SEARCH_COUNT_MAX))
        while True:
            page = self._state.search(query)
            for version in page.versions:
                if hidden and version.id in hidden:
                    self._count_comparison()
                else:
                    yield version.id
            if page.next_cursor is None:
                return
            query = replace(query, cursor=page.next_cursor)

    def _written_matches(self, query: SearchQuery) -> Iterator[str]:
        if query.type not in self._resources:
            return
        if query.type not in self._written:
            self._written[query.type] = _WrittenOfType(self._resources[query.type])
        for each in self._written[query.type].likely(query):
            self._count_comparison()
            if matches(query, each.rows, each.resource):
                yield each.resource["id"]

    def _count_comparison(self) -> None:
        """Bound what one transaction may cost the writer, for which all others wait."""
        self._comparisons += 1
        if self._comparisons > limits.CONDITION_COMPARISONS_MAX:
            raise LimitExceeded(
                "The transaction's conditions meet its own resources more than CONDITION_COMPARISONS_MAX "
                f"({limits.CONDITION_COMPARISONS_MAX}) times. Split it, or ask by identifier."
            )
