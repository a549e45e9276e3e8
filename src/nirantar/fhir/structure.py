"""Walks a resource along R4's definitions: names, JSON types, counts, choices, codes, references, invariants.

Each type is compiled once, on first use, into a table from JSON name to what may stand there; a valid resource
costs one dictionary look-up and one check an element. Paths are put together only where something is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

from nirantar.fhir.contained import misplaced, scope_of, unreferenced
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
from nirantar.fhir.reference_targets import reference_rule

Rule = Callable[[dict[str, Any], Scope], Problems | None]

_NAMEABLE: Final = re.compile(r"_?[A-Za-z]{1,64}")

_PLAIN: Final = frozenset({("Extension", "url"), ("Narrative", "div")})
"""Primitive elements that, like every id, are attributes or markup in XML and so cannot have extensions."""

_NOT_OBJECT: Final = (Problem("structure", "must be a JSON object"),)
_EMPTY_OBJECT: Final = (Problem("structure", "must not be empty: leave the element out (ele-1)"),)
_NOT_ARRAY: Final = (Problem("structure", "must be a JSON array"),)
_EMPTY_ARRAY: Final = (Problem("structure", "must not be an empty array: leave the element out"),)
_NULL: Final = (Problem("structure", "may be null only beside a value or extension at the same place"),)
_NOT_ALIGNED: Final = (Problem("structure", "must be as long as the array of the same name that it belongs to"),)
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

    __slots__ = ("_choices", "_may_be_id_only", "_others", "_required", "_rules", "_singles", "_type_name")

    _others: dict[str, _Field]
    _choices: tuple[str, ...]
    _required: tuple[tuple[str, str], ...]
    _rules: tuple[Rule, ...]

    def __init__(self, type_name: str, *extra_rules: Rule, may_be_id_only: bool = False) -> None:
        self._type_name = type_name
        self._may_be_id_only = may_be_id_only
        self._rules = extra_rules
        self._singles: dict[str, Check] | None = None

    def __call__(self, value: Any, scope: Scope) -> Problems | None:
        """Problems of `value` as an object of the type, or None."""
        if type(value) is not dict:
            return _NOT_OBJECT
        if not value or (len(value) == 1 and "id" in value and not self._may_be_id_only):
            return _EMPTY_OBJECT
        singles = self._singles
        if singles is None:
            singles = self._compile()
        found: list[Problem] | None = None
        others: list[str] | None = None
        for name, item in value.items():
            check = singles.get(name)
            if check is None:
                if others is None:
                    others = [name]
                else:
                    others.append(name)
                continue
            problems = check(item, scope)
            if problems is not None:
                found = gathered(found, problems, f".{name}")
        chosen: dict[str, str] = {}
        if others is not None:
            found = self._check_others(value, others, chosen, scope, found)
        if self._required or self._choices:
            found = self._check_required(value, chosen, found)
        if found is None and self._rules:
            found = self._check_rules(value, scope)
        return tuple(found) if found else None

    def _check_others(
        self,
        value: dict[str, Any],
        names: list[str],
        chosen: dict[str, str],
        scope: Scope,
        found: list[Problem] | None,
    ) -> list[Problem] | None:
        """Check arrays, choices and unknown names; note in `chosen` under which name each choice stands."""
        for name in names:
            field = self._others.get(name)
            if field is None:
                found = gathered(found, _unknown(name))
                continue
            repeats, check, choice, twin = field
            item = value[name]
            problems = _check_list(item, check, scope, twin and value.get(twin)) if repeats else check(item, scope)
            if problems is not None:
                found = gathered(found, problems, f".{name}")
            if choice is not None:
                plain = name.removeprefix("_")
                if chosen.setdefault(choice, plain) != plain:
                    found = gathered(found, _SECOND_CHOICE, f".{name}")
        return found

    def _check_required(
        self, value: dict[str, Any], chosen: dict[str, str], found: list[Problem] | None
    ) -> list[Problem] | None:
        for name, companion in self._required:
            if name not in value and not _stands_in(value.get(companion)):
                found = gathered(found, _MISSING, f".{name}")
        for choice in self._choices:
            if choice not in chosen:
                found = gathered(found, _MISSING, f".{choice}[x]")
        return found

    def _check_rules(self, value: dict[str, Any], scope: Scope) -> list[Problem] | None:
        """Check what holds between elements; they are known to be well-formed by now."""
        found: list[Problem] | None = None
        for rule in self._rules:
            broken = rule(value, scope)
            if broken is not None:
                found = gathered(found, broken)
        return found

    def _compile(self) -> dict[str, Check]:
        definition = type_definition(self._type_name)
        fields: dict[str, _Field] = {}
        for element in definition.elements.values():
            for name, kind in element.json_names().items():
                choice = element.name if element.is_choice else None
                check = _element_check(self._type_name, element, kind)
                extensible = kind in PRIMITIVE_TYPES and (self._type_name, name) not in _PLAIN and name != "id"
                fields[name] = _Field(element.repeats, check, choice, f"_{name}" if extensible else None)
                if extensible:
                    fields[f"_{name}"] = _Field(element.repeats, _COMPANION_CHECK, choice, name)
        required = [element for element in definition.elements.values() if element.minimum]
        self._choices = tuple(element.name for element in required if element.is_choice)
        self._required = tuple((element.name, f"_{element.name}") for element in required if not element.is_choice)
        self._rules = (*self._rules, *(_as_rule(made.holds, made.problem) for made in invariants_of(definition)))
        if definition.kind == "resource":
            fields["resourceType"] = _Field(False, primitive_check("code"), None, None)
        self._others = {name: field for name, field in fields.items() if field.repeats or field.choice}
        self._singles = {name: field.check for name, field in fields.items() if name not in self._others}
        return self._singles


def _as_rule(holds: Callable[[dict[str, Any]], bool], problem: Problem) -> Rule:
    problems = (problem,)
    return lambda value, _scope: None if holds(value) else problems


def _stands_in(companion: Any) -> bool:
    """Whether what stands under `_name` makes up for a missing `name`: an extension does, an id alone does not."""
    return "extension" in companion if type(companion) is dict else bool(companion)


_COMPANION_CHECK: Final = ObjectCheck("Element", may_be_id_only=True)


def _check_list(value: Any, check: Check, scope: Scope, twin: Any) -> Problems | None:
    """Problems of an array. `twin` is the array beside it (`given` and `_given`) that its nulls need, if any."""
    if type(value) is not list:
        return _NOT_ARRAY
    if not value:
        return _EMPTY_ARRAY
    if type(twin) is list and len(twin) != len(value):
        return _NOT_ALIGNED
    found: list[Problem] | None = None
    for index, item in enumerate(value):
        if item is None:
            paired = type(twin) is list and twin[index] is not None
            problems: Problems | None = None if paired else _NULL
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
        if any(coding.get("code") in codes.get(coding.get("system", ""), ()) for coding in codings):
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
    if "contained" not in value:
        return object_check(name)(value, {})
    problems = object_check(name)(value, scope_of(value["contained"]))
    return problems if problems is not None else unreferenced(value)


def _check_contained(value: Any, scope: Scope) -> Problems | None:
    """Problems of a contained resource, whose `#id` means its container's contained resources."""
    name, problems = _resource_type(value)
    if problems is None:
        problems = misplaced(value)
    return problems if problems is not None else object_check(name)(value, scope)
