"""The versions of one resource, from several origins in any order: which are current, and which one is shown.

Each version names the versions it was made from, its parents. A version is *superseded* once a version that names it
as a parent is known, and a *head* until then. Two heads are concurrent edits: both stay until a later version names
both. The answer is a function of the set of versions alone, so a child that arrives before its parent, or an origin
that arrives late, leads to the same heads (invariants 5 and 6 of ARCHITECTURE.md).

The head that is shown is the one of highest rank: (clock not suspect, hybrid logical clock, origin, entry index).
A version is *clock suspect* when its logical clock runs more than limits.CLOCK_AHEAD_SECONDS_MAX ahead of the time
at which its own entry says it was recorded: it is folded like any other, but never wins a tie by that clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from nirantar.limits import CLOCK_AHEAD_SECONDS_MAX

_AHEAD_US_MAX: Final = CLOCK_AHEAD_SECONDS_MAX * 1_000_000

Rank = tuple[bool, int, int, str, int]
"""(trusted clock, wall microseconds, counter, origin, entry index): compares as the fold's order does."""

UNDECIDED_BY_CLOCK: Final = frozenset({"Patient", "AllergyIntolerance", "MedicationRequest"})
"""Types whose concurrent edits no clock may decide: every head is shown, flagged, until a person decides
(invariant 6)."""


def version_id(origin: str, entry_index: int) -> str:
    """The FHIR version id of whatever entry `entry_index` of `origin` changed: `<node>.<entry_index>`.

    An entry holds at most one version of a resource, and a node name belongs to one origin of a hospital, so the id
    is unique among the versions of a resource without any agreement between nodes.
    """
    return f"{node_of(origin)}.{entry_index}"


def node_of(origin: str) -> str:
    """The node's name: what follows the last slash of a log's origin."""
    return origin.rsplit("/", 1)[-1]


def parse_version_id(text: str) -> tuple[str, int] | None:
    """(node, entry index) of a version id, or None when it is not written as `version_id` writes them."""
    node, _, digits = text.rpartition(".")
    if not node or len(digits) > 18 or not (digits.isascii() and digits.isdigit()):
        return None
    return (node, int(digits)) if digits == "0" or digits[0] != "0" else None


def rank(wall_us: int, counter: int, recorded_at_us: int, origin: str, entry_index: int) -> Rank:
    """Where a version stands among concurrent ones; the highest is shown."""
    return wall_us - recorded_at_us <= _AHEAD_US_MAX, wall_us, counter, origin, entry_index


@dataclass(frozen=True, slots=True)
class GraphNode:
    """What the graph needs to know of a version."""

    version_id: str
    parents: tuple[str, ...]
    rank: Rank


def heads(versions: Iterable[GraphNode]) -> tuple[GraphNode, ...]:
    """The current versions of one resource, highest rank first; the first one is shown. Never empty for any version.

    Entries that name each other as parents in a circle cannot be made by an honest node. Where they would leave no
    head at all, the highest version counts as the head, so that a forged circle hides nothing.
    """
    known: Sequence[GraphNode] = sorted(versions, key=_rank_of, reverse=True)
    superseded = {parent for version in known for parent in version.parents if parent != version.version_id}
    current = tuple(version for version in known if version.version_id not in superseded)
    return current or tuple(known[:1])


def _rank_of(version: GraphNode) -> Rank:
    return version.rank
