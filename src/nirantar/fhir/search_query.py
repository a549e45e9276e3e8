"""A FHIR search as data: what was asked, read once, checked against the type's parameters and bounded.

Criteria are all to hold, of a criterion's values any. Source: R4 search §3.1.1. What nobody defines is ignored
and reported, or refused when the caller asked for strict handling. What R4 defines and Nirantar does not do yet
(chaining, `_include`, quantities, …) is always refused: an answer wider than the question is dangerous in a chart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import parse_qsl

from nirantar.errors import InvalidInput, LimitExceeded, UnknownSearchParameter
from nirantar.fhir.search_parameters import SearchParameter, search_parameters_of
from nirantar.fhir.search_value import (
    DateValue,
    MissingValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    Value,
    split_escaped,
    values_written,
)
from nirantar.limits import (
    CURSOR_CHARS_MAX,
    FORM_FIELD_CHARS_MAX,
    SEARCH_COUNT_DEFAULT,
    SEARCH_COUNT_MAX,
    SEARCH_CRITERIA_MAX,
    SEARCH_EXPANDED_VALUES_MAX,
    SEARCH_VALUES_MAX,
)

__all__ = [
    "CURSOR",
    "Criterion",
    "CriterionKind",
    "DateValue",
    "MissingValue",
    "ReferenceValue",
    "SearchQuery",
    "StringValue",
    "TokenValue",
    "Value",
    "parse_condition",
    "parse_query",
]

CriterionKind = Literal["token", "string", "date", "reference"]

CURSOR: Final = "_cursor"
"""The query parameter that carries a page's opaque `next_cursor`."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One condition on one parameter; any of the values satisfies it.

    `modifier` is None, "missing", for a token "not" (no row with any of the values), for a string "exact" or
    "contains". A reference's type modifier has gone into its values.
    """

    param: str
    kind: CriterionKind
    modifier: str | None
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A search of one type. All criteria must hold; none at all asks for everything.

    `count` is the largest page wanted; 0 asks for the total alone. `compartment` is a patient's id: only what lies in
    his compartment. `total`: whether the exact number of matches is wanted. `ignored` names the parameters that were
    not understood and left out.
    """

    type: str
    criteria: tuple[Criterion, ...] = ()
    count: int = SEARCH_COUNT_DEFAULT
    cursor: str | None = None
    compartment: str | None = None
    total: bool = False
    ignored: tuple[str, ...] = field(default=())

    @property
    def count_only(self) -> bool:
        """Whether only the number of matches is wanted."""
        return self.count == 0


# Parameters about the form of the answer, which the edge reads.
_OF_THE_EDGE: Final = frozenset({"_format", "_pretty"})
# What R4 defines and is refused until it is built.
_NOT_YET: Final = frozenset(
    {"_contained", "_containedType", "_content", "_elements", "_filter", "_has", "_include", "_list", "_query",
     "_revinclude", "_sort", "_text", "_type"}
)  # fmt: skip
_MODIFIERS: Final[dict[str, frozenset[str]]] = {
    "token": frozenset({"not", "missing"}),
    "string": frozenset({"exact", "contains", "missing"}),
    "date": frozenset({"missing"}),
    "reference": frozenset({"missing"}),
    "uri": frozenset({"missing"}),
}
_INDEXED_AS: Final[dict[str, CriterionKind]] = {
    "token": "token",
    "uri": "token",
    "string": "string",
    "date": "date",
    "reference": "reference",
}
_SAFE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_:.-]{0,63}", re.ASCII)


def parse_query(
    type: str,
    pairs: Sequence[tuple[str, str]],
    *,
    strict: bool,
    compartment: str | None = None,
) -> SearchQuery:
    """The search that decoded name-value pairs ask for.

    `strict`: refuse a parameter that the type does not have, instead of naming it in `ignored`. Raises
    UnknownSearchParameter for that and for parameters and modifiers that are not done yet, LimitExceeded for a search
    that is too large, InvalidInput for a value that its parameter cannot have.
    """
    criteria: list[Criterion] = []
    ignored: list[str] = []
    settings: dict[str, str] = {}
    parameters = search_parameters_of(type)
    for name, text in pairs:
        if len(text) > FORM_FIELD_CHARS_MAX or len(name) > FORM_FIELD_CHARS_MAX:
            raise LimitExceeded(f"A search parameter is longer than FORM_FIELD_CHARS_MAX ({FORM_FIELD_CHARS_MAX}).")
        code, _, modifier = name.partition(":")
        if name in ("_count", "_total", "_summary", CURSOR):
            if name in settings:
                raise InvalidInput(f"{name} may be given once.")
            settings[name] = text
        elif name in _OF_THE_EDGE:
            continue
        elif code in _NOT_YET or "." in name:
            raise UnknownSearchParameter(f"{_shown(name)}: this part of FHIR search is not available here yet.")
        elif code not in parameters:
            if strict:
                raise UnknownSearchParameter(f"{_shown(name)} is not a search parameter of {type}.")
            ignored.append(_shown(name))
        else:
            criteria.append(_criterion(parameters[code], modifier if ":" in name else None, text))
            if len(criteria) > SEARCH_CRITERIA_MAX:
                raise LimitExceeded(f"A search may have at most SEARCH_CRITERIA_MAX ({SEARCH_CRITERIA_MAX}) criteria.")
    count, total = _count_and_total(settings)
    return SearchQuery(type, tuple(criteria), count, _cursor(settings), compartment, total, tuple(ignored))


def parse_condition(type: str, condition: str) -> SearchQuery:
    """The search of a conditional create, update or delete: percent-encoded as in a URL (`identifier=system|value`).

    Always strict: a condition that is understood in part would change the wrong resource. It asks for two matches,
    enough to tell one from many. Raises as `parse_query`, and InvalidInput when there is no criterion.
    """
    try:
        pairs = parse_qsl(
            condition.removeprefix("?"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=SEARCH_CRITERIA_MAX,
        )
    except ValueError as error:
        raise InvalidInput("The condition is not a query of name=value pairs joined by &.") from error
    query = parse_query(type, pairs, strict=True)
    if not query.criteria or any(not _is_criterion(name) for name, _ in pairs):
        raise InvalidInput("A condition needs search criteria, and nothing that shapes an answer (_count, …).")
    return SearchQuery(query.type, query.criteria, count=2)


def _is_criterion(name: str) -> bool:
    return name not in ("_count", "_total", "_summary", CURSOR, *_OF_THE_EDGE)


def _shown(name: str) -> str:
    """A parameter's name as a message may quote it."""
    return name if _SAFE_NAME.fullmatch(name) else "A parameter with an unusual name"


def _count_and_total(settings: dict[str, str]) -> tuple[int, bool]:
    """`_count`, `_summary` and `_total` as (count, total). Raises InvalidInput and UnknownSearchParameter."""
    written = settings.get("_count", str(SEARCH_COUNT_DEFAULT))
    if not (written.isascii() and written.isdigit()):
        raise InvalidInput("_count must be a whole number, 0 or more.")
    count = SEARCH_COUNT_MAX if len(written) > 9 else min(int(written), SEARCH_COUNT_MAX)
    summary, total = settings.get("_summary", "false"), settings.get("_total", "none")
    if summary not in ("false", "count"):
        raise UnknownSearchParameter("_summary: only `count` and `false` are available here yet.")
    if total not in ("none", "estimate", "accurate"):
        raise InvalidInput("_total must be none, estimate or accurate.")
    if summary == "count":
        count = 0
    return count, count == 0 or total != "none"


def _cursor(settings: dict[str, str]) -> str | None:
    cursor = settings.get(CURSOR)
    if cursor is not None and not 0 < len(cursor) <= CURSOR_CHARS_MAX:
        raise InvalidInput("The page's cursor is not one of ours: start the search again.")
    return cursor


def _criterion(parameter: SearchParameter, modifier: str | None, text: str) -> Criterion:
    """One parameter's condition, checked."""
    code = parameter.code
    if not parameter.indexed:
        raise UnknownSearchParameter(f"{code}: searching by this {parameter.kind} parameter is not available here yet.")
    kind = _INDEXED_AS[parameter.kind]
    target_type = None
    if modifier is not None and modifier not in _MODIFIERS[parameter.kind]:
        if kind != "reference" or modifier not in parameter.targets:
            raise UnknownSearchParameter(f"{code}: this modifier is not available for it.")
        target_type, modifier = modifier, None
    if modifier == "missing":
        if text not in ("true", "false"):
            raise InvalidInput(f"{code}:missing must be true or false.")
        return Criterion(code, kind, modifier, (MissingValue(text == "true"),))
    parts = split_escaped(text, ",")
    if len(parts) > SEARCH_VALUES_MAX:
        raise LimitExceeded(f"{code}: at most SEARCH_VALUES_MAX ({SEARCH_VALUES_MAX}) values.")
    values: list[Value] = []
    for part in parts:
        if not part:
            raise InvalidInput(f"{code}: a value is empty.")
        values.extend(values_written(parameter, target_type, part))
    if len(values) > SEARCH_EXPANDED_VALUES_MAX:
        raise LimitExceeded(
            f"{code}: ids without a type stand for more than SEARCH_EXPANDED_VALUES_MAX "
            f"({SEARCH_EXPANDED_VALUES_MAX}) references. Write them as Type/id."
        )
    return Criterion(code, kind, modifier, tuple(dict.fromkeys(values)))
