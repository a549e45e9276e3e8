"""What a search means, on one resource: the reference that every store must agree with.

The in-memory store searches with it, property tests hold the others to it. Also a query's canonical text.
Source: R4 search §3.1.1.4 and §3.1.1.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from nirantar.fhir.compartment import patient_of
from nirantar.fhir.dates import range_matches
from nirantar.fhir.index_rows import DateRow, IndexRow, ReferenceRow, StringRow, TokenRow
from nirantar.fhir.search_parameters import exact_texts, search_parameters_of
from nirantar.fhir.search_query import Criterion, SearchQuery
from nirantar.fhir.search_value import (
    DateValue,
    MissingValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    Value,
    escaped,
)


def matches(query: SearchQuery, rows: Sequence[IndexRow], resource: dict[str, Any]) -> bool:
    """Whether a resource, with the `rows` that `extract` gave for it, answers a search.

    Type, compartment and all criteria must agree. `missing` and `not` are about rows: an element that gives no row
    (a reference by identifier alone) counts as missing.
    """
    return (
        resource["resourceType"] == query.type
        and (query.compartment is None or patient_of(resource) == query.compartment)
        and all(_holds(criterion, rows, resource) for criterion in query.criteria)
    )


def _holds(criterion: Criterion, rows: Sequence[IndexRow], resource: dict[str, Any]) -> bool:
    """Whether one criterion holds."""
    found = [row for row in rows if row.param == criterion.param]
    match criterion.modifier:
        case "missing":
            return MissingValue(missing=not found) in criterion.values
        case "exact":
            texts = exact_texts(resource, criterion.param)
            return any(isinstance(value, StringValue) and value.exact in texts for value in criterion.values)
    hit = any(_answers(row, value, criterion.modifier) for row in found for value in criterion.values)
    return hit is not (criterion.modifier == "not")


def _answers(row: IndexRow, value: Value, modifier: str | None) -> bool:
    """Whether one row answers one value."""
    match row, value:
        case TokenRow(_, system, code), TokenValue():
            return value.system in (None, system) and value.code in (None, code)
        case StringRow(_, text), StringValue():
            return value.text in text if modifier == "contains" else text.startswith(value.text)
        case DateRow(_, low_us, high_us), DateValue():
            return range_matches(value.prefix, (low_us, high_us), (value.low_us, value.high_us))
        case ReferenceRow(_, target), ReferenceValue():
            return target == value.target
    return False


def canonical_query(query: SearchQuery) -> str:
    """The criteria as a query string, the same for the same question however it was written.

    Parsed again it asks the same. Paging, totals and compartment are not part of it.
    """
    parameters = search_parameters_of(query.type)
    pairs = []
    for criterion in query.criteria:
        is_uri = parameters[criterion.param].kind == "uri"
        name = criterion.param if criterion.modifier is None else f"{criterion.param}:{criterion.modifier}"
        pairs.append((name, ",".join(sorted(_written(value, is_uri) for value in criterion.values))))
    return urlencode(sorted(set(pairs)))


def _written(value: Value, is_uri: bool) -> str:
    """A value as a search writes it, escaped but not percent-encoded."""
    match value:
        case TokenValue(system, code):
            if system is None or is_uri:
                return escaped(code or "")
            return f"{escaped(system)}|{escaped(code or '')}"
        case StringValue():
            return escaped(value.exact)
        case DateValue():
            return ("" if value.prefix == "eq" else value.prefix) + value.text
        case ReferenceValue(target):
            return escaped(target)
        case MissingValue(missing):
            return "true" if missing else "false"
