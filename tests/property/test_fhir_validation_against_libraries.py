"""Own validation against two others that know nothing of it: HL7's JSON schema, and fhirkit.

Both see less than our rules, so the property is one-sided: what we accept, both accept.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Final

import fhirkit
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirantar.fhir import json
from nirantar.fhir.definitions import (
    PRIMITIVE_TYPES,
    Element,
    resource_types,
    type_definition,
    value_set_codes,
)
from nirantar.fhir.problem import Problems
from nirantar.fhir.schema import check_schema
from nirantar.fhir.structure import check_resource

Json = dict[str, Any]

PRIMITIVES: Final[Json] = {
    "base64Binary": "bmlyYW50YXI=",
    "boolean": True,
    "canonical": "http://example.org/a|1",
    "code": "a",
    "date": "2026-11",
    "dateTime": "2026-11-23T08:30:00+05:30",
    "decimal": 1,
    "id": "a-1",
    "instant": "2026-11-23T08:30:00.1Z",
    "integer": 1,
    "markdown": "*a*",
    "oid": "urn:oid:1.2.3",
    "positiveInt": 1,
    "string": "a",
    "time": "08:30:00",
    "unsignedInt": 0,
    "uri": "urn:a",
    "url": "http://example.org/a",
    "uuid": "urn:uuid:0193582b-6d5f-7c7e-8d39-2f5a0c0a1b2c",
    "xhtml": '<div xmlns="http://www.w3.org/1999/xhtml">a</div>',
}
FILLERS: Final[Json] = {
    "Reference": {"display": "a"},
    "Extension": {"url": "urn:a", "valueCode": "a"},
    "Resource": {"resourceType": "Basic", "id": "b", "code": {"text": "a"}},
    "Ratio": {"numerator": {"value": 1}, "denominator": {"value": 1}},
    "Element": {"id": "a"},
}


def value_of(element: Element, kind: str) -> Any:
    """A smallest value of the element's type `kind`."""
    if kind in PRIMITIVE_TYPES:
        value: Any = PRIMITIVES[kind]
        if element.value_set:
            value = min(min(codes) for codes in value_set_codes(element.value_set).values())
    elif element.value_set and kind == "CodeableConcept":
        system, codes = next(iter(value_set_codes(element.value_set).items()))
        value = {"coding": [{"system": system, "code": min(codes)}]}
    elif kind == "Reference" and element.targets:
        value = {"reference": f"{min(element.targets)}/1"}
    else:
        value = copy.deepcopy(FILLERS.get(kind)) or smallest(kind)
    return [value] if element.repeats else value


def smallest(kind: str) -> Json:
    """An object of the type with what is required, and one more element where nothing is."""
    elements = type_definition(kind).elements.values()
    chosen = [element for element in elements if element.minimum]
    if not chosen:
        chosen = [e for e in elements if e.name not in ("id", "extension", "modifierExtension")][:1]
    made: Json = {}
    for element in chosen:
        name, name_kind = next(iter(element.json_names().items()))
        made[name] = value_of(element, name_kind)
    return made


def every_element(kind: str, depth: int = 0) -> Iterator[tuple[str, Json]]:
    """For each JSON name that an object of `kind` may have, down into its parts: path and an object that has it."""
    definition = type_definition(kind)
    for element in definition.elements.values():
        for name, name_kind in element.json_names().items():
            required = {} if definition.kind == "resource" and depth else smallest(kind)
            if element.is_choice:
                required = {key: item for key, item in required.items() if key not in element.json_names()}
            yield f".{name}", {**required, name: value_of(element, name_kind)}
            if name_kind.startswith(f"{kind}.") and depth < 4:
                for path, part in every_element(name_kind, depth + 1):
                    yield f".{name}{path}", {**required, name: [part] if element.repeats else part}


def refusals_by_others(resource: Json) -> list[str]:
    """What the two libraries have against the resource."""
    problems: Problems = check_schema(resource) or ()
    errors = [issue for issue in fhirkit.validate(json.encode(resource)) if issue.severity == "error"]
    return [f"schema: {problem.at}" for problem in problems] + [f"fhirkit: {e.path}: {e.message}" for e in errors]


@pytest.mark.parametrize("kind", sorted(resource_types()))
def test_every_element_of_every_type_is_known_to_all_three(kind: str) -> None:
    """A resource with one element filled breaks no rule of form here, and is accepted by the others if by us."""
    for path, made in every_element(kind):
        resource = {"resourceType": kind, **made}
        problems = check_resource(resource) or ()
        assert [p for p in problems if p.code != "invariant"] == [], path
        if not problems:
            assert refusals_by_others(resource) == [], path


NAMES: Final = sorted({name for kind in resource_types() for name in type_definition(kind).elements})
VALUES: Final[list[Any]] = [
    *PRIMITIVES.values(),
    *FILLERS.values(),
    None,
    False,
    -1,
    2**40,
    "",
    " a",
    "2023-02-30",
    "Patient/1",
    [],
    {},
    [None],
    [{}],
    {"coding": [{"code": "a"}]},
    [{"text": "a"}],
]


def objects_in(value: Any) -> Iterator[Any]:
    """Every object and array in the value, itself included."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from objects_in(item)
    elif isinstance(value, list):
        yield value
        for item in value:
            yield from objects_in(item)


@st.composite
def altered_resources(draw: st.DrawFn) -> Json:
    """A resource of some type with a few elements, then one to three alterations anywhere in it."""
    kind = draw(st.sampled_from(sorted(resource_types())))
    resource: Json = {"resourceType": kind, **smallest(kind)}
    for element in draw(st.lists(st.sampled_from(list(type_definition(kind).elements.values())), max_size=6)):
        name, name_kind = draw(st.sampled_from(sorted(element.json_names().items())))
        resource[name] = value_of(element, name_kind)
    resource = copy.deepcopy(resource)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(list(objects_in(resource))))
        value = copy.deepcopy(draw(st.sampled_from(VALUES)))
        if isinstance(place, list):
            place.append(value)
        else:
            known = sorted(place)
            name = draw(
                st.sampled_from(known or NAMES)
                | st.sampled_from(NAMES)
                | st.sampled_from(known or NAMES).map("_{}".format)
            )
            if draw(st.booleans()):
                place.pop(name, None)
            else:
                place[name] = value
    return resource


@settings(derandomize=True, max_examples=1_500, deadline=None)
@given(altered_resources())
def test_what_we_accept_the_others_accept(resource: Json) -> None:
    """No alteration is let through by our rules that either library refuses; and none makes us crash."""
    if check_resource(resource) is None:
        assert refusals_by_others(resource) == []
