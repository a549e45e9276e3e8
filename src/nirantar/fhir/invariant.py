"""The words in which R4's invariants are written down: a key, a sentence, and a predicate on one element.

A name ending in `[x]` stands for every JSON name of that choice, and each name also for its `_name` companion,
because an element with only an extension exists too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nirantar.fhir.definitions import TypeDefinition
from nirantar.fhir.problem import Problem

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Invariant:
    """One rule on the elements of one object; `problem` is what is said when `holds` is false."""

    problem: Problem
    holds: Callable[[Json], bool]


Constraint = Callable[[TypeDefinition], Invariant]
"""An invariant waiting for the type it is for."""


def json_names(definition: TypeDefinition, name: str) -> frozenset[str]:
    """All names under which the element may stand in JSON."""
    names = definition.elements[name.removesuffix("[x]")].json_names()
    return frozenset(names) | {f"_{json_name}" for json_name in names}


def _made(key: str, says: str, holds: Callable[[Json], bool]) -> Invariant:
    return Invariant(Problem("invariant", f"{says} ({key})"), holds)


def rule(key: str, says: str, holds: Callable[[Json], bool]) -> Constraint:
    """`holds` must be true of the object. It may rely on the object's elements having the right JSON types."""
    return lambda _definition: _made(key, says, holds)


def at_least_one(key: str, *names: str) -> Constraint:
    """One or more of the elements must be there."""

    def constrain(definition: TypeDefinition) -> Invariant:
        present = frozenset().union(*(json_names(definition, name) for name in names))
        return _made(key, f"needs at least one of {', '.join(names)}", lambda value: not present.isdisjoint(value))

    return constrain


def exactly_one(key: str, first: str, second: str) -> Constraint:
    """One of both elements must be there, not both."""

    def constrain(definition: TypeDefinition) -> Invariant:
        one, other = json_names(definition, first), json_names(definition, second)
        return _made(
            key,
            f"needs either {first} or {second}, not both",
            lambda value: one.isdisjoint(value) is not other.isdisjoint(value),
        )

    return constrain


def not_both(key: str, first: str, second: str) -> Constraint:
    """At most one of both elements may be there."""

    def constrain(definition: TypeDefinition) -> Invariant:
        one, other = json_names(definition, first), json_names(definition, second)
        return _made(
            key,
            f"may not have both {first} and {second}",
            lambda value: one.isdisjoint(value) or other.isdisjoint(value),
        )

    return constrain


def needs(key: str, first: str, second: str) -> Constraint:
    """Where the first element is, the second must be too."""

    def constrain(definition: TypeDefinition) -> Invariant:
        one, other = json_names(definition, first), json_names(definition, second)
        return _made(
            key,
            f"may have {first} only together with {second}",
            lambda value: one.isdisjoint(value) or not other.isdisjoint(value),
        )

    return constrain


def needs_where(key: str, name: str, says: str, applies: Callable[[Json], bool]) -> Constraint:
    """The element must be there in every object of which `applies` is true."""

    def constrain(definition: TypeDefinition) -> Invariant:
        present = json_names(definition, name)
        return _made(key, says, lambda value: not applies(value) or not present.isdisjoint(value))

    return constrain


def only_where(key: str, name: str, says: str, applies: Callable[[Json], bool]) -> Constraint:
    """The element may be there only in objects of which `applies` is true."""

    def constrain(definition: TypeDefinition) -> Invariant:
        present = json_names(definition, name)
        return _made(key, says, lambda value: present.isdisjoint(value) or applies(value))

    return constrain


def has_code(value: Json, name: str, system: str, *codes: str) -> bool:
    """Whether the CodeableConcept `name` has a coding of `system` with one of `codes`."""
    return any(
        coding.get("system") == system and coding.get("code") in codes
        for coding in value.get(name, {}).get("coding", ())
    )
