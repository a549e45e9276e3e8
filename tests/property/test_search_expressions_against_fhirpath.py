"""The compiled search expressions find what a FHIRPath engine finds, on resources of a third party."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

import fhirpathpy
import msgspec
from fhirpathpy.models import models

from nirantar.fhir.index_rows import (
    date_values,
    normalised_text,
    reference_values,
    string_values,
    token_values,
    type_of_target,
)
from nirantar.fhir.search_parameters import extract, search_parameters_of
from third_party import bundles, is_synthea

RESOURCES_OF_A_TYPE = 6
VALUES = {
    "token": token_values,
    "uri": token_values,
    "string": string_values,
    "date": date_values,
    "reference": reference_values,
}
# FHIRPath's `as` is for single items only; R4 means it item by item, which is `ofType`.
AS_OPERATOR = re.compile(r"\(([\w.]+) as (\w+)\)")
AS_FUNCTION = re.compile(r"\.as\((\w+)\)")
RESOLVED = re.compile(r"\.where\(resolve\(\) is (\w+)\)")


def sampled_resources() -> list[dict[str, Any]]:
    """A few resources of each type, with references as they are once a server has numbered the resources."""
    by_type: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(bundles().glob("*.json"))[:8]:
        text = path.read_text(encoding="utf-8")
        for entry in json.loads(text)["entry"]:
            resource = entry["resource"]
            if "fullUrl" in entry:
                name = entry["fullUrl"].rpartition(":")[2]
                text = text.replace(f'"{entry["fullUrl"]}"', f'"{resource["resourceType"]}/{resource.get("id", name)}"')
        for entry in json.loads(text)["entry"]:
            resource = entry["resource"]
            kept = by_type.setdefault(resource["resourceType"], [])
            if len(kept) < RESOURCES_OF_A_TYPE:
                kept.append(resource)
    return [resource for kept in by_type.values() for resource in kept]


@cache
def expressions() -> dict[tuple[str, str], str]:
    """(base type, code) → R4's expression, from the definitions as they are in the package."""
    facts = msgspec.json.decode(files("nirantar.fhir").joinpath("data", "search_parameters.json").read_bytes())
    return {(base, fact["code"]): fact.get("expression", "") for fact in facts for base in fact["base"]}


@cache
def compiled(path: str) -> Any:
    """The engine's own compilation of one path."""
    return fhirpathpy.compile(path, models["r4"])


def rows_by_fhirpath(resource: dict[str, Any], code: str, kind: str, expression: str) -> set[tuple[Any, ...]]:
    """What the engine finds for a parameter. It cannot resolve references, so their type is tested here."""
    found: set[tuple[Any, ...]] = set()
    for part in expression.split("|"):
        path = part.strip()
        if re.match(r"\(?[A-Z]", path) and not re.match(rf"\(?({resource['resourceType']}|Resource)\b", path):
            continue
        wanted = RESOLVED.search(path)
        path = path.replace("Resource.", f"{resource['resourceType']}.")
        path = AS_FUNCTION.sub(r".ofType(\1)", AS_OPERATOR.sub(r"\1.as(\2)", path))
        for value in compiled(RESOLVED.sub("", path))(resource):
            if wanted is None or type_of_target(value) == wanted.group(1):
                found.update((code, *columns) for columns in VALUES[kind](value))
    return found


def test_extract_finds_what_fhirpath_finds() -> None:
    """For every indexed parameter of every sampled resource: the same rows as from a real FHIRPath engine."""
    compared = filled = 0
    for resource in sampled_resources():
        rows = extract(resource)
        for code, parameter in search_parameters_of(resource["resourceType"]).items():
            if not parameter.indexed:
                continue
            known = expressions()
            expression = known.get((resource["resourceType"], code)) or known[("Resource", code)]
            expected = rows_by_fhirpath(resource, code, parameter.kind, expression)
            assert {tuple(row) for row in rows if row.param == code} == expected, (resource["resourceType"], code)
            compared += 1
            filled += bool(expected)
    assert compared > (1_000 if is_synthea() else 300)
    assert filled > (500 if is_synthea() else 100)


def test_normalised_text_is_stable_on_real_names() -> None:
    """Names with accents, as the third party writes them, are normalised once and for all."""
    for resource in sampled_resources():
        for name in resource.get("name", []) if resource["resourceType"] == "Patient" else []:
            once = normalised_text(name["family"])
            assert once == normalised_text(once)
            assert once
