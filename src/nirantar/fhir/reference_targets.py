"""Where a Reference may point: its form, and the resource types that the element allows.

https://hl7.org/fhir/R4/references.html. Whether the target exists is not asked here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from nirantar.fhir.definitions import resource_types
from nirantar.fhir.problem import Problem, Problems, Scope

_TYPE_AND_ID: Final = re.compile(
    r"(https?://[^\s?#]*/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)
_CONDITIONAL: Final = re.compile(r"([A-Z][A-Za-z]+)\?\S+")
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_UUID: Final = re.compile(r"urn:uuid:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

_CONTAINER: Final = "#"

_FORM: Final = (
    Problem(
        "value",
        "is not a reference: write Type/id, #id, urn:uuid:..., Type?search or an absolute URL",
        ".reference",
    ),
)
_UNKNOWN_TYPE: Final = (Problem("value", "points to a resource type that R4 does not have", ".reference"),)
_NOT_CONTAINED: Final = (Problem("invariant", "points to no contained resource (ref-1)", ".reference"),)
_TYPES_DIFFER: Final = (Problem("value", "names another type than the reference does", ".type"),)


def reference_rule(targets: frozenset[str] | None) -> Callable[[dict[str, Any], Scope], Problems | None]:
    """The check of a well-formed Reference whose element allows `targets` (None: any type)."""
    allowed = "" if targets is None else ", ".join(sorted(targets))
    wrong_target = (Problem("value", f"must point to one of {allowed}", ".reference"),)
    wrong_type = (Problem("value", f"must be one of {allowed}", ".type"),)

    def check(value: dict[str, Any], scope: Scope) -> Problems | None:
        text = value.get("reference")
        pointed = None
        if text is not None:
            match = None if text.startswith("urn:") else _TYPE_AND_ID.fullmatch(text)
            if match is not None and match[1] is None:
                pointed = match[2]
                if pointed not in resource_types():
                    return _UNKNOWN_TYPE
            else:
                problems, pointed = _other_form(text, match[2] if match else None, scope)
                if problems:
                    return problems
        if targets is not None and pointed is not None and pointed not in targets:
            return wrong_target
        named = value.get("type")
        if named is not None:
            if pointed is not None and named in resource_types() and named != pointed:
                return _TYPES_DIFFER
            if targets is not None and named in resource_types() and named not in targets:
                return wrong_type
        return None

    return check


def _other_form(text: str, type_in_url: str | None, scope: Scope) -> tuple[Problems | None, str | None]:
    """The problems of a reference that is not `Type/id`, and the type it points to where that can be told."""
    if type_in_url is not None:
        return None, type_in_url if type_in_url in resource_types() else None
    if text.startswith(_CONTAINER):
        if text == _CONTAINER:
            return None, None
        pointed = scope.get(text[1:])
        return (None, pointed) if pointed else (_NOT_CONTAINED, None)
    conditional = _CONDITIONAL.fullmatch(text)
    if conditional is not None:
        known = conditional[1] in resource_types()
        return (None, conditional[1]) if known else (_UNKNOWN_TYPE, None)
    if text.startswith("urn:uuid:"):
        return (None if _UUID.fullmatch(text) else _FORM), None
    return (None if _ABSOLUTE.fullmatch(text) else _FORM), None
