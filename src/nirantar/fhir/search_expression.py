"""R4's search expressions as routes through a resource.

The expressions of R4's search parameters are FHIRPath, but of a small dialect: a union of element paths, each perhaps
narrowed to one type of a choice (`as`), to items with a given code (`where(system='phone')`) or to references of one
type (`where(resolve() is Patient)`). That dialect is read here; running real FHIRPath for every parameter of every
resource would cost more than all the rest of a write. Anything else is refused, never half understood.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Step:
    """Go to an element; with `where` (element, code) keep only the items whose element has that code."""

    element: str
    where: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """From a resource to the elements a parameter indexes.

    With `target_type`, only references to that type count. With `presence`, the one step's element is not the value
    indexed: whether it is there, and not `false`, is.
    """

    steps: tuple[Step, ...]
    target_type: str | None = None
    presence: bool = False


# Choice elements that R4's expressions name without a type: how their JSON names go on, of those types that the
# parameter can index (a `performedString` is no date). From R4's structure definitions.
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "CarePlan.activity.detail.scheduled": ("Timing", "Period"),
    "ChargeItem.occurrence": ("DateTime", "Period", "Timing"),
    "Consent.source": ("Reference",),
    "DetectedIssue.identified": ("DateTime", "Period"),
    "DiagnosticReport.effective": ("DateTime", "Period"),
    "Immunization.occurrence": ("DateTime",),
    "Media.created": ("DateTime", "Period"),
    "MedicationAdministration.effective": ("DateTime", "Period"),
    "MedicationStatement.effective": ("DateTime", "Period"),
    "MessageDefinition.event": ("Coding", "Uri"),
    "MessageHeader.event": ("Coding", "Uri"),
    "Observation.effective": ("DateTime", "Period", "Timing", "Instant"),
    "Patient.deceased": ("Boolean", "DateTime"),
    "PlanDefinition.action.definition": ("Canonical", "Uri"),
    "Procedure.performed": ("DateTime", "Period"),
    "ServiceRequest.occurrence": ("DateTime", "Period", "Timing"),
    "Specimen.collection.collected": ("DateTime", "Period"),
}

_AS_OPERATOR = re.compile(r"\(([\w.]+) as (\w+)\)")
_PRESENCE = re.compile(r"(\w+)\.(\w+)\.exists\(\) and \1\.\2 != false")
_ROOT = re.compile(r"[A-Z]\w*")
_STEP = re.compile(
    r"\.(?:(?:as|ofType)\((?P<type>\w+)\)"
    r"|where\(resolve\(\) is (?P<target>\w+)\)"
    r"|where\((?P<element>\w+)='(?P<code>[^']*)'\)"
    r"|(?P<name>[a-z]\w*)(?![\w(\[]))"
)


class UnreadableExpression(ValueError):
    """An expression outside the dialect that this module reads."""


def routes_of(expression: str, type: str) -> tuple[Route, ...]:
    """The routes of an expression that start at a resource of `type`; () if it speaks of other types only.

    Paths from `Resource` and `DomainResource` start at every type. Raises UnreadableExpression when a part that
    concerns the type is outside the dialect.
    """
    routes: list[Route] = []
    for part in expression.split("|"):
        written = _AS_OPERATOR.sub(r"\1.as(\2)", part.strip())
        rooted = written if _ROOT.match(written) or written.startswith("(") else f"{type}.{written}"
        root = _ROOT.match(rooted)
        if root is not None and root.group() not in (type, "Resource", "DomainResource"):
            continue
        if root is None:
            raise UnreadableExpression(expression)
        presence = _PRESENCE.fullmatch(rooted)
        if presence is not None:
            routes.extend(_named(root.group(), [], presence.group(2), presence=True))
        else:
            routes.extend(_path(rooted, root.group()))
    return tuple(dict.fromkeys(routes))


def _path(written: str, root: str) -> list[Route]:
    """The routes of one path, several where it ends at a choice of types."""
    steps: list[Step] = []
    target: str | None = None
    position = len(root)
    while position < len(written):
        found = _STEP.match(written, position)
        if found is None or target is not None:
            raise UnreadableExpression(written)
        position = found.end()
        if found["name"]:
            steps.append(Step(found["name"]))
        elif found["target"]:
            target = found["target"]
        elif not steps:
            raise UnreadableExpression(written)
        elif found["type"]:
            last = steps.pop()
            steps.append(Step(last.element + found["type"][0].upper() + found["type"][1:], last.where))
        else:
            steps[-1] = Step(steps[-1].element, (found["element"], found["code"]))
    if not steps:
        raise UnreadableExpression(written)
    return _named(root, steps[:-1], steps[-1].element, where=steps[-1].where, target=target)


def _named(
    root: str,
    before: list[Step],
    element: str,
    *,
    where: tuple[str, str] | None = None,
    target: str | None = None,
    presence: bool = False,
) -> list[Route]:
    """One route for each JSON name that the last element may have."""
    path = ".".join([root, *(step.element for step in before), element])
    return [Route((*before, Step(element + suffix, where)), target, presence) for suffix in _CHOICES.get(path, ("",))]
