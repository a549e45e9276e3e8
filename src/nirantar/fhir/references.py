"""Links inside a resource: finding them, and rewriting those that a transaction Bundle gives a new meaning.

A Bundle that is itself a resource (a document, a received message) is whole: its links are about its own entries, so
none is found and none rewritten. Source: R4 http §3.1.0.11.2 (transactions), bundle §2.36.4 (resolving references).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

# The elements of type uri, url, oid and uuid that may hold a link, and Reference.reference. Others of these types
# (Coding.system, Extension.url of a definition, ...) name a thing and lead nowhere; equal text elsewhere, such as an
# Identifier.value, is data.
_LINKS: Final = frozenset(
    {"reference", "url", "uri", "valueUri", "valueUrl", "valueOid", "valueUuid", "instantiatesUri", "sourceUri",
     "targetUri"}
)  # fmt: skip
_NARRATIVE: Final = "div"
_NARRATIVE_LINK = re.compile(r"""(\b(?:href|src)\s*=\s*)("[^"]*"|'[^']*')""")
_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]{0,63})\?(.+)", re.DOTALL)
_URN: Final = ("urn:uuid:", "urn:oid:")


def is_urn(reference: str) -> bool:
    """Whether a reference names its target by a urn, which only the Bundle around it can explain."""
    return reference.startswith(_URN)


def condition_of(reference: str) -> tuple[str, str] | None:
    """(type, query) of a conditional reference such as `Patient?identifier=…`, else None."""
    found = _CONDITIONAL.fullmatch(reference)
    return (found.group(1), found.group(2)) if found else None


def references_in(resource: dict[str, Any]) -> list[str]:
    """Every Reference.reference of a resource, in document order, contained resources included; none of a Bundle."""
    found: list[str] = []
    if not _is_whole(resource):
        _collect(resource, found)
    return found


def _collect(value: dict[str, Any], found: list[str]) -> None:
    """Append the references below `value`. JSON values have exactly these types, so no look at their classes' kin."""
    for key, item in value.items():
        kind = type(item)
        if kind is dict:
            _collect(item, found)
        elif kind is list:
            _collect_from_list(item, found)
        elif kind is str and key == "reference":
            found.append(item)


def _collect_from_list(items: list[Any], found: list[str]) -> None:
    for item in items:
        kind = type(item)
        if kind is dict:
            _collect(item, found)
        elif kind is list:
            _collect_from_list(item, found)


def rewrite_references(resource: dict[str, Any], mapping: Mapping[str, str]) -> dict[str, Any]:
    """The resource with every link that is a key of `mapping` replaced by its value.

    Links are references, elements of R4's uri types that may lead to a resource, and `href` and `src` in the
    narrative. Whole links are replaced, never parts of one; a fragment behind a `urn:` stays. Nothing else changes:
    decimals and other strings are the very same objects. The argument is not modified; parts without links are
    shared with the result, which is the argument itself when nothing changed.
    """
    return _rewritten_object(resource, mapping) if mapping and not _is_whole(resource) else resource


def _is_whole(resource: dict[str, Any]) -> bool:
    return resource.get("resourceType") == "Bundle"


def _rewritten_object(value: dict[str, Any], mapping: Mapping[str, str]) -> dict[str, Any]:
    changed: dict[str, Any] | None = None
    for key, item in value.items():
        kind = type(item)
        new: Any
        if kind is str:
            if key in _LINKS:
                new = _target(item, mapping)
            elif key == _NARRATIVE and ("href" in item or "src" in item):
                new = _NARRATIVE_LINK.sub(lambda link: _narrative_target(link, mapping), item)
            else:
                continue
        elif kind is dict:
            new = _rewritten_object(item, mapping)
        elif kind is list:
            new = _rewritten_list(key, item, mapping)
        else:
            continue
        if new is not item and new != item:
            if changed is None:
                changed = dict(value)
            changed[key] = new
    return value if changed is None else changed


def _rewritten_list(key: str, items: list[Any], mapping: Mapping[str, str]) -> list[Any]:
    changed: list[Any] | None = None
    for position, item in enumerate(items):
        kind = type(item)
        new: Any
        if kind is dict:
            new = _rewritten_object(item, mapping)
        elif kind is list:
            new = _rewritten_list(key, item, mapping)
        elif kind is str and key in _LINKS:
            new = _target(item, mapping)
        else:
            continue
        if new is not item:
            if changed is None:
                changed = list(items)
            changed[position] = new
    return items if changed is None else changed


def _target(link: str, mapping: Mapping[str, str]) -> str:
    """The link's new text. A urn may carry a fragment, which leads into the resource and goes along."""
    found = mapping.get(link)
    if found is None and "#" in link and is_urn(link):
        whole, _, fragment = link.partition("#")
        found = f"{mapping[whole]}#{fragment}" if whole in mapping else None
    return link if found is None else found


def _narrative_target(link: re.Match[str], mapping: Mapping[str, str]) -> str:
    quoted = link.group(2)
    return f"{link.group(1)}{quoted[0]}{_target(quoted[1:-1], mapping)}{quoted[0]}"
