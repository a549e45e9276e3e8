"""What a node may write (invariant 11 of ARCHITECTURE.md): checked for every entry, also a node's own, before folding.

A grant is signed by the hospital's authority, never by a node. An entry outside its grant is kept as evidence and
not folded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

ANY: Final = "*"


class NumberBlock(msgspec.Struct, frozen=True):
    """A leased range of serial numbers [first, last] of one series, before the check digit is added."""

    series: str
    first: int
    last: int


class Grant(msgspec.Struct, frozen=True, omit_defaults=True):
    """One node's permission. `types` are FHIR resource types ("*" all), `roles` role names in kebab case ("*" all).
    `last_size`, when set, closes the log for good: entries from that index on are not folded, at any node, ever.
    `as_of_size`, when set, only looks back in time: later entries are not shown until a roster without it."""

    node: str
    origin: str
    vkey: str
    types: tuple[str, ...] = (ANY,)
    roles: tuple[str, ...] = (ANY,)
    numbers: tuple[NumberBlock, ...] = ()
    last_size: int | None = None
    as_of_size: int | None = None


def violation(grant: Grant | None, entry_index: int, role: str, types: Iterable[str]) -> str | None:
    """Why the entry lies outside `grant`, as a sentence; None when it is inside. No grant means outside."""
    if grant is None:
        return "its origin is not on the hospital's roster"
    if grant.last_size is not None and entry_index >= grant.last_size:
        return f"its node was revoked at size {grant.last_size}"
    if grant.as_of_size is not None and entry_index >= grant.as_of_size:
        return f"the hospital is shown as of size {grant.as_of_size} of this log"
    if ANY not in grant.roles and role not in grant.roles:
        return f"role {role} is not granted to node {grant.node}"
    if ANY not in grant.types:
        for resource_type in types:
            if resource_type not in grant.types:
                return f"{resource_type} is not granted to node {grant.node}"
    return None
