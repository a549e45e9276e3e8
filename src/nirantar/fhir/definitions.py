"""The facts of FHIR R4 4.0.1: its types, their elements, and the codes of required bindings.

The facts come from `data/definitions.json`, which `tools/make_fhir_definitions.py` makes from HL7's definitions.
Types are named as R4 names them (`Patient`, `HumanName`) and their parts by path (`Patient.contact`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

import msgspec

TypeKind = Literal["resource", "datatype", "backbone"]

PRIMITIVE_TYPES: Final = frozenset(
    {
        "base64Binary",
        "boolean",
        "canonical",
        "code",
        "date",
        "dateTime",
        "decimal",
        "id",
        "instant",
        "integer",
        "markdown",
        "oid",
        "positiveInt",
        "string",
        "time",
        "unsignedInt",
        "uri",
        "url",
        "uuid",
        "xhtml",
    }
)
"""https://hl7.org/fhir/R4/datatypes.html#primitive, with xhtml, which is used in narratives only."""

_WRITTEN_AS_QUANTITY: Final = frozenset({"SimpleQuantity", "MoneyQuantity"})


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a type.

    `minimum` is 0 or more, `repeats` tells a JSON array; `type_names` has several members only in a choice
    (`value[x]`, whose `name` is then `value`). `targets` are the resource types that a Reference may mean, None for
    any; `value_set` is the value set that the code must be of, None where R4 does not require one.
    """

    name: str
    minimum: int
    repeats: bool
    is_choice: bool
    type_names: tuple[str, ...]
    targets: frozenset[str] | None
    value_set: str | None

    def json_names(self) -> dict[str, str]:
        """Name in JSON -> type: one pair, or for a choice one a type (`valueQuantity`, `valueString`, ...)."""
        if not self.is_choice:
            return {self.name: self.type_names[0]}
        return {self.name + _capitalized(kind): kind for kind in self.type_names}


@dataclass(frozen=True, slots=True)
class TypeDefinition:
    """One type with its elements in R4's order, inherited ones included."""

    name: str
    kind: TypeKind
    elements: Mapping[str, Element]


def _capitalized(kind: str) -> str:
    written = "Quantity" if kind in _WRITTEN_AS_QUANTITY else kind
    return written[0].upper() + written[1:]


@cache
def _facts() -> dict[str, Any]:
    data = files("nirantar.fhir").joinpath("data/definitions.json").read_bytes()
    facts: dict[str, Any] = msgspec.json.decode(data)
    return facts


@cache
def resource_types() -> frozenset[str]:
    """The names of R4's resource types, the abstract ones (Resource, DomainResource) excepted."""
    return frozenset(name.removeprefix("type ") for name, facts in _facts().items() if facts.get("kind") == "resource")


@cache
def type_definition(name: str) -> TypeDefinition:
    """The definition of a resource type, datatype or part (`Patient`, `Period`, `Patient.contact`).

    Raises KeyError for a name that R4 does not have, and for primitive types, which have no elements.
    """
    facts = _facts()[f"type {name}"]
    elements = {
        element_name: Element(
            name=element_name,
            minimum=element.get("min", 0),
            repeats="max" in element,
            is_choice=element.get("choice", False),
            type_names=tuple(element["types"]),
            targets=frozenset(element["targets"]) if "targets" in element else None,
            value_set=element.get("codes"),
        )
        for element_name, element in facts["elements"].items()
    }
    return TypeDefinition(name, facts["kind"], elements)


@cache
def value_set_codes(name: str) -> Mapping[str, frozenset[str]]:
    """Code system -> codes of the value set `name` (the last segment of its canonical URL).

    Raises KeyError for a value set that no required binding of R4 uses.
    """
    return {system: frozenset(codes) for system, codes in _facts()[f"codes {name}"].items()}
