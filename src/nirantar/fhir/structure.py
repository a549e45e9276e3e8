"""Walks a resource along R4's definitions: names, JSON types, counts, choices, codes, references, invariants.

Each type is compiled once, on first use, into a table from JSON name to what may stand there; a valid resource
costs one dictionary look-up and one check an element. Paths are put together only where something is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

from nirantar.fhir.definitions import (
    PRIMITIVE_TYPES,
    Element,
    resource_types,
    type_definition,
    value_set_codes,
)
from nirantar.fhir.invariants import invariants_of
from nirantar.fhir.primitives import Check, primitive_check
from nirantar.fhir.problem import Problem, Problems, Scope, gathered
from nirantar.fhir.references import reference_rule

Rule = Callable[[dict[str, Any], Scope], Problems | None]

_NAMEABLE: Final = re.compile(r"_?[A-Za-z]{1,64}")

_NOT_OBJECT: Final = (Problem("structure", "must be a JSON object"),)
_EMPTY_OBJECT: Final = (Problem("structure", "must not be empty: leave the element out (ele-1)"),)
_NOT_ARRAY: Final = (Problem("structure", "must be a JSON array"),)
_EMPTY_ARRAY: Final = (Problem("structure", "must not be an empty array: leave the element out"),)
_NULL: Final = (Problem("structure", "may be null only beside a value or extension at the same place"),)
_MISSING: Final = (Problem("required", "is required"),)
_SECOND_CHOICE: Final = (Problem("structure", "is a second type of a choice that may have one"),)
_UNKNOWN: Final = "is not an element that R4 has here"


class _Field(NamedTuple):
    """What may stand under one JSON name; `twin` is the name of the list that nulls in this one refer to."""

    repeats: bool
    check: Check
    choice: str | None
    twin: str | None


class ObjectCheck:
    """The check of the objects of one complex type, compiled when first called."""

    __slots__ = ("_choices", "_fields", "_is_element", "_required", "_rules", "_type_name")

    _choices: tuple[str, ...]
    _required: tuple[tuple[str, str], ...]
    _rules: tuple[Rule, ...]

    def __init__(self, type_name: str, *extra_rules: Rule) -> None:
        self._type_name = type_name
        self._rules = extra_rules
        self._fields: dict[str, _Field] | None = None

    def __call__(self, value: Any, scope: Scope) -> Problems | None:
        """Problems of `value` as an object of the type, or None."""
        if type(value) is not dict:
            return _NOT_OBJECT
        if not value or (self._is_empty(value)):
            return _EMPTY_OBJECT
        fields = self._fields if self._fields is not None else self._compile()
        found: list[Problem] | None = None
        chosen: dict[str, str] | None = None
        for name, item in value.items():
            field = fields.get(name)
            if field is None:
                found = gathered(found, _unknown(name))
                continue
            repeats, check, choice, twin = field
            problems = _check_list(item, check, scope, value.get(twin)) if repeats else check(item, scope)
            if problems is not None:
                found = gathered(found, problems, f".{name}")
            if choice is not None:
                plain = name.removeprefix("_")
                if chosen is None:
                    chosen = {choice: plain}
                elif chosen.setdefault(choice, plain) != plain:
                    found = gathered(found, _SECOND_CHOICE, f".{name}")
        found = self._check_required(value, chosen, found)
        if found is None:
            for rule in self._rules:
                broken = rule(value, scope)
                if broken is not None:
                    found = gathered(found, broken)
        return tuple(found) if found else None

    def _is_empty(self, value: dict[str, Any]) -> bool:
        return len(value) == 1 and "id" in value

    def _check_required(
        self, value: dict[str, Any], chosen: dict[str, str] | None, found: list[Problem] | None
    ) -> list[Problem] | None:
        for name, companion in self._required:
            if name not in value and companion not in value:
                found = gathered(found, _MISSING, f".{name}")
        for choice in self._choices:
            if chosen is None or choice not in chosen:
                found = gathered(found, _MISSING, f".{choice}[x]")
        return found

    def _compile(self) -> dict[str, _Field]:
        definition = type_definition(self._type_name)
        fields: dict[str, _Field] = {}
        for element in definition.elements.values():
            for name, kind in element.json_names().items():
                choice = element.name if element.is_choice else None
                check = _element_check(self._type_name, element, kind)
                primitive = kind in PRIMITIVE_TYPES
                fields[name] = _Field(element.repeats, check, choice, f"_{name}" if primitive else None)
                if primitive:
                    fields[f"_{name}"] = _Field(element.repeats, object_check("Element"), choice, name)
        required = [element for element in definition.elements.values() if element.minimum]
        self._choices = tuple(element.name for element in required if element.is_choice)
        self._required = tuple((element.name, f"_{element.name}") for element in required if not element.is_choice)
        self._rules = (*self._rules, *(_as_rule(made.holds, made.problem) for made in invariants_of(definition)))
        if definition.kind == "resource":
            fields["resourceType"] = _Field(False, primitive_check("code"), None, None)
        self._fields = fields
        return fields


def _as_rule(holds: Callable[[dict[str, Any]], bool], problem: Problem) -> Rule:
    problems = (problem,)
    return lambda value, _scope: None if holds(value) else problems


def _check_list(value: Any, check: Check, scope: Scope, twin: Any) -> Problems | None:
    """Problems of an array. `twin` is the array beside it (`given` and `_given`) that its nulls need, if any."""
    if type(value) is not list:
        return _NOT_ARRAY
    if not value:
        return _EMPTY_ARRAY
    found: list[Problem] | None = None
    for index, item in enumerate(value):
        if item is None:
            paired = type(twin) is list and index < len(twin) and twin[index] is not None
            problems = None if paired else _NULL
        else:
            problems = check(item, scope)
        if problems is not None:
            found = gathered(found, problems, f"[{index}]")
    return tuple(found) if found else None


def _unknown(name: str) -> Problems:
    # A name that does not look like an element's may be data that slipped, so it is not repeated.
    at = f".{name}" if _NAMEABLE.fullmatch(name) else ""
    return (Problem("structure", _UNKNOWN if at else "has a name that R4 does not have here", at),)


def _element_check(owner: str, element: Element, kind: str) -> Check:
    if kind == "Resource":
        return _check_contained if element.name == "contained" else check_resource
    if kind in PRIMITIVE_TYPES:
        if element.name == "id" and owner in resource_types():
            return primitive_check("id")
        return primitive_check("uri" if (owner, element.name) == ("Extension", "url") else kind, element.value_set)
    if kind == "Reference":
        return _reference_check(element.targets)
    if element.value_set is not None and kind in ("CodeableConcept", "Coding"):
        return _coded_check(kind, element.value_set)
    return object_check(kind)


@cache
def object_check(type_name: str) -> ObjectCheck:
    """The check of a complex type, one for each name."""
    return ObjectCheck(type_name)


@cache
def _reference_check(targets: frozenset[str] | None) -> ObjectCheck:
    return ObjectCheck("Reference", reference_rule(targets))


@cache
def _coded_check(kind: str, value_set: str) -> ObjectCheck:
    codes = value_set_codes(value_set)
    problems = (Problem("code-invalid", f"needs a coding of the required value set {value_set}"),)

    def rule(value: dict[str, Any], _scope: Scope) -> Problems | None:
        codings = value.get("coding", ()) if kind == "CodeableConcept" else (value,)
        if any(coding.get("code") in codes.get(coding.get("system"), ()) for coding in codings):
            return None
        return problems

    return ObjectCheck(kind, rule)


def _resource_type(value: Any) -> tuple[str, Problems | None]:
    """The type that the resource names, or the problems of that."""
    if type(value) is not dict:
        return "", _NOT_OBJECT
    name = value.get("resourceType")
    if type(name) is not str or name not in resource_types():
        return "", (Problem("structure", "must be a resource type of R4", ".resourceType"),)
    return name, None


def check_resource(value: Any, _scope: Scope | None = None) -> Problems | None:
    """Problems of a resource that stands by itself: `#id` in it means its own contained resources only."""
    name, problems = _resource_type(value)
    if problems is not None:
        return problems
    contained = value.get("contained")
    if contained is None:
        return object_check(name)(value, {})
    scope = {
        item["id"]: item.get("resourceType")
        for item in (contained if type(contained) is list else ())
        if type(item) is dict and type(item.get("id")) is str
    }
    problems = object_check(name)(value, scope)
    return problems if problems is not None else _unreferenced(value, contained)


def _check_contained(value: Any, scope: Scope) -> Problems | None:
    """Problems of a contained resource, whose `#id` means its container's contained resources."""
    name, problems = _resource_type(value)
    if problems is not None:
        return problems
    found: list[Problem] | None = None
    if "contained" in value:
        found = gathered(found, (Problem("invariant", "must not be in a contained resource (dom-2)"),), ".contained")
        return tuple(found)
    meta = value.get("meta")
    if type(meta) is dict:
        for key, field in (("dom-4", "versionId"), ("dom-4", "lastUpdated"), ("dom-5", "security")):
            if field in meta:
                problem = Problem("invariant", f"must not be in a contained resource ({key})", f".meta.{field}")
                found = gathered(found, (problem,))
    problems = object_check(name)(value, scope)
    if problems is not None:
        found = gathered(found, problems)
    return tuple(found) if found else None


def _unreferenced(resource: dict[str, Any], contained: list[dict[str, Any]]) -> Problems | None:
    """dom-3: each contained resource is referred to from the resource, or refers to it by `#`."""
    everywhere: set[str] = set()
    for name, item in resource.items():
        if name != "contained":
            everywhere |= _local_references(item)
    inside = [_local_references(item) for item in contained]
    found: list[Problem] | None = None
    for index, item in enumerate(contained):
        others = everywhere.union(*(local for place, local in enumerate(inside) if place != index))
        if f"#{item.get('id', '')}" not in others and "#" not in inside[index]:
            problem = Problem("invariant", "is contained but nothing refers to it (dom-3)", f".contained[{index}]")
            found = gathered(found, (problem,))
    return tuple(found) if found else None


def _local_references(value: Any) -> set[str]:
    """All strings in the value that begin with `#`."""
    local: set[str] = set()
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if type(current) is str:
            if current.startswith("#"):
                local.add(current)
        elif type(current) is dict:
            waiting.extend(current.values())
        elif type(current) is list:
            waiting.extend(current)
    return local
