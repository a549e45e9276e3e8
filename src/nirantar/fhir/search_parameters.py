"""R4's search parameters, and the index rows that a resource gives.

`extract` is what a store calls for each version that it projects. The parameters of a type are compiled once into a
tree of elements, so that a resource is walked once however many parameters point into it, and elements that are not
there cost one look. Token, string, date, reference and uri parameters are indexed; number, quantity, composite and
special ones are known but not indexed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec

from nirantar.fhir.index_rows import (
    DateRow,
    IndexRow,
    ReferenceRow,
    StringRow,
    TokenRow,
    Values,
    date_values,
    exact_values,
    reference_values,
    string_values,
    token_values,
    type_of_target,
)
from nirantar.fhir.search_expression import Route, Step, UnreadableExpression, routes_of

__all__ = [
    "DateRow",
    "IndexRow",
    "ParameterKind",
    "ReferenceRow",
    "SearchParameter",
    "StringRow",
    "TokenRow",
    "exact_texts",
    "extract",
    "routes_of_parameter",
    "search_parameters_of",
    "unsupported",
]

ParameterKind = Literal[
    "token", "string", "date", "reference", "uri", "number", "quantity", "composite", "special"
]

_RESOURCE: Final = "Resource"
_BASES_OF_ALL: Final = frozenset({_RESOURCE, "DomainResource"})

# `phonetic` promises names that sound alike. Plain text under that name would promise what it does not do.
_NOT_INDEXED: Final = frozenset({"phonetic"})


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """One search parameter of a resource type.

    `targets` are the types that a reference parameter may point at. `indexed` is false for a parameter that R4
    defines and `extract` gives no rows for.
    """

    code: str
    kind: ParameterKind
    targets: tuple[str, ...] = ()
    indexed: bool = True


class _Fact(msgspec.Struct, frozen=True):
    """One line of data/search_parameters.json."""

    code: str
    base: list[str]
    type: ParameterKind
    expression: str = ""
    target: list[str] = []


@cache
def _facts() -> Mapping[str, tuple[_Fact, ...]]:
    """R4's search parameters by base type."""
    written = files("nirantar.fhir").joinpath("data", "search_parameters.json").read_bytes()
    by_base: dict[str, list[_Fact]] = {}
    for fact in msgspec.json.decode(written, type=list[_Fact]):
        for base in fact.base:
            by_base.setdefault(base, []).append(fact)
    return {base: tuple(facts) for base, facts in by_base.items()}


def _facts_of(type: str) -> Iterator[tuple[_Fact, tuple[Route, ...]]]:
    """Each parameter of a type with its routes; () where it is not indexed."""
    for base in (*sorted(_BASES_OF_ALL), type):
        for fact in _facts().get(base, ()):
            routes: tuple[Route, ...] = ()
            if fact.type in _VALUES and fact.expression and fact.code not in _NOT_INDEXED:
                try:
                    routes = routes_of(fact.expression, type)
                except UnreadableExpression:
                    routes = ()
            yield fact, routes


def _known(type: str) -> str:
    """The type, or "Resource" for one without parameters of its own: it bounds what the caches can hold."""
    return type if type in _facts() else _RESOURCE


def search_parameters_of(type: str) -> Mapping[str, SearchParameter]:
    """The search parameters of a resource type by code, those of all resources included.

    A type unknown to R4 has only these.
    """
    return _parameters(_known(type))


@cache
def _parameters(type: str) -> Mapping[str, SearchParameter]:
    found = {
        fact.code: SearchParameter(fact.code, fact.type, tuple(fact.target), bool(routes))
        for fact, routes in _facts_of(type)
    }
    return MappingProxyType(dict(sorted(found.items())))


def routes_of_parameter(type: str, code: str) -> tuple[Route, ...]:
    """Where the parameter `code` of a type looks; () for one that is not indexed. It is for other compilers."""
    return tuple(route for fact, routes in _facts_of(_known(type)) if fact.code == code for route in routes)


def unsupported() -> tuple[tuple[str, str, str], ...]:
    """(type, code, expression) of every parameter of an indexed kind whose expression is not understood."""
    return tuple(
        (type, fact.code, fact.expression)
        for type in sorted(_facts())
        if type not in _BASES_OF_ALL
        for fact in _facts()[type]
        if fact.type in _VALUES and fact.expression and not _readable(fact.expression, type)
    )


def _readable(expression: str, type: str) -> bool:
    try:
        return bool(routes_of(expression, type))
    except UnreadableExpression:
        return False


# --- The tree ---

Rows = list[IndexRow]
Emit = Callable[[Any, Rows], None]


@dataclass(slots=True)
class _Node:
    """An element on some route: what to index of it, and where to go on."""

    where: tuple[str, str] | None = None
    emits: list[Emit] = field(default_factory=list)
    children: dict[str, list[_Node]] = field(default_factory=dict)

    def child(self, step: Step) -> _Node:
        """The node one step further, made if it is not there."""
        nodes = self.children.setdefault(step.element, [])
        for node in nodes:
            if node.where == step.where:
                return node
        nodes.append(_Node(step.where))
        return nodes[-1]


def _walk(node: _Node, value: Any, rows: Rows) -> None:
    """Index an element and what lies below it; every item of a list alike."""
    kind = type(value)
    if kind is list:
        for item in value:
            _walk(node, item, rows)
        return
    where = node.where
    if where is not None and (kind is not dict or value.get(where[0]) != where[1]):
        return
    for emit in node.emits:
        emit(value, rows)
    below = node.children
    if below and kind is dict:
        # Only what is there: a type has many more parameters than a resource has elements.
        for element in sorted(value.keys() & below.keys()):
            for child in below[element]:
                _walk(child, value[element], rows)


_VALUES: Final[dict[str, tuple[type[IndexRow], Values]]] = {
    "token": (TokenRow, token_values),
    "uri": (TokenRow, token_values),
    "string": (StringRow, string_values),
    "date": (DateRow, date_values),
    "reference": (ReferenceRow, reference_values),
}


def _emitter(kind: str, values: Values, parameters: list[tuple[str, str | None]]) -> Emit:
    """What makes rows of one element for all (code, target type) parameters of one kind that point at it."""
    row_type = _VALUES[kind][0]
    new = tuple.__new__
    every = tuple(code for code, target_type in parameters if target_type is None)
    narrowed = tuple((code, target_type) for code, target_type in parameters if target_type is not None)

    def emit(value: Any, rows: Rows) -> None:
        for columns in values(value):
            for code in every:
                rows.append(new(row_type, (code, *columns)))

    def emit_by_target(value: Any, rows: Rows) -> None:
        emit(value, rows)
        pointed_at = type_of_target(value)
        for code, target_type in narrowed:
            if target_type == pointed_at:
                for columns in values(value):
                    rows.append(new(row_type, (code, *columns)))

    return emit_by_target if narrowed else emit


def _presence_emitter(code: str, elements: tuple[str, ...]) -> Emit:
    """What makes the row "true" of a resource that has one of the elements with another value than `false`."""

    def emit(resource: Any, rows: Rows) -> None:
        there = any(resource.get(element) not in (None, False) for element in elements)
        rows.append(TokenRow(code, "", "true" if there else "false"))

    return emit


def _build(type: str, only: str | None = None, values: Values | None = None) -> _Node:
    """The tree of a type's parameters, or of one alone, with its kind's values or those given."""
    root = _Node()
    ends: dict[int, tuple[_Node, dict[str, list[tuple[str, str | None]]]]] = {}
    for fact, routes in _facts_of(type):
        if only is not None and fact.code != only:
            continue
        present = tuple(route.steps[0].element for route in routes if route.presence)
        if present:
            root.emits.append(_presence_emitter(fact.code, present))
        for route in routes:
            if route.presence:
                continue
            node = root
            for step in route.steps:
                node = node.child(step)
            by_kind = ends.setdefault(id(node), (node, {}))[1]
            by_kind.setdefault(fact.type, []).append((fact.code, route.target_type))
    for node, by_kind in ends.values():
        for kind, parameters in by_kind.items():
            node.emits.append(_emitter(kind, values or _VALUES[kind][1], parameters))
    return root


_tree = cache(_build)


def extract(resource: dict[str, Any]) -> tuple[IndexRow, ...]:
    """The index rows of a resource: each once, in an order that depends on its content alone.

    The resource is valid R4, or of a type of our own (then the rows are those of every resource). Values that have
    no place in an index (a reference to a contained resource, a text of spaces) give no row.
    """
    rows: Rows = []
    _walk(_tree(_known(resource.get("resourceType", ""))), resource, rows)
    return tuple(dict.fromkeys(rows))


@lru_cache(maxsize=512)
def _exact_tree(type: str, code: str) -> _Node:
    return _build(type, code, exact_values)


def exact_texts(resource: dict[str, Any], code: str) -> frozenset[str]:
    """What a string parameter finds in a resource, letter by letter: for the modifier `:exact`.

    The index holds normalised text only, so a store checks the few rows it found against this.
    """
    rows: Rows = []
    _walk(_exact_tree(_known(resource.get("resourceType", "")), code), resource, rows)
    return frozenset(row.value for row in rows if isinstance(row, StringRow))
