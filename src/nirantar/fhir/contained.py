"""R4's rules on contained resources: dom-2 to dom-5, https://hl7.org/fhir/R4/references.html#contained."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import Any

from nirantar.fhir.problem import Problem, Problems, Scope

_LOCAL = "#"


def scope_of(contained: Any) -> Scope:
    """Id -> resource type of the contained resources, as far as they can be told; takes any JSON value."""
    return {
        item["id"]: item["resourceType"]
        for item in (contained if type(contained) is list else ())
        if type(item) is dict and type(item.get("id")) is str and type(item.get("resourceType")) is str
    }


def misplaced(resource: dict[str, Any]) -> Problems | None:
    """dom-2, dom-4 and dom-5: what a contained resource must not have. Takes a resource not yet checked."""
    meta = resource.get("meta")
    keys = meta if type(meta) is dict else {}
    found = [
        Problem("invariant", f"must not be in a contained resource ({rule})", f".meta.{name}")
        for rule, name in (("dom-4", "versionId"), ("dom-4", "lastUpdated"), ("dom-5", "security"))
        if name in keys
    ]
    if "contained" in resource:
        found.append(Problem("invariant", "must not be in a contained resource (dom-2)", ".contained"))
    return tuple(found) or None


def unreferenced(resource: dict[str, Any]) -> Problems | None:
    """dom-3: each contained resource is referred to from the resource, or refers to it by `#`. Linear in its size."""
    outside = _local_references({name: item for name, item in resource.items() if name != "contained"})
    inside = [_local_references(item) for item in resource["contained"]]
    mentions = Counter(chain.from_iterable(inside))
    found = []
    for index, item in enumerate(resource["contained"]):
        name = f"#{item.get('id', '')}"
        by_others = mentions[name] - (name in inside[index])
        if name not in outside and not by_others and _LOCAL not in inside[index]:
            found.append(Problem("invariant", "is contained but nothing refers to it (dom-3)", f".contained[{index}]"))
    return tuple(found) or None


def _local_references(value: Any) -> set[str]:
    """All strings in the value that begin with `#`."""
    local: set[str] = set()
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if type(current) is str:
            if current.startswith(_LOCAL):
                local.add(current)
        elif type(current) is dict:
            waiting.extend(current.values())
        elif type(current) is list:
            waiting.extend(current)
    return local
