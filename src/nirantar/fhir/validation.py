"""Whether a resource is valid FHIR R4 (4.0.1): the one question that every write asks."""

from __future__ import annotations

from typing import Any

from nirantar import limits
from nirantar.errors import Issue, ResourceInvalid
from nirantar.fhir.problem import Problems
from nirantar.fhir.schema import check_schema
from nirantar.fhir.structure import check_resource


def validate(resource: dict[str, Any]) -> None:
    """Return if `resource`, as `fhir.json.decode` gives it, is valid R4; else raise ResourceInvalid.

    Checked are names, JSON types, counts, choices, the forms of primitives, codes of required bindings, target types
    of references, narratives, contained resources and R4's invariants; resources inside transaction Bundles too.
    Not checked: profiles, terminology beyond required bindings, and whether references resolve.

    Every issue has the FHIRPath of its element and a rule, and never a value; there are at most limits.ISSUES_MAX.
    """
    problems = check_resource(resource)
    if problems is None:
        problems = check_schema(resource)
    if problems is not None:
        raise ResourceInvalid(_issues(resource, problems))


def _issues(resource: Any, problems: Problems) -> tuple[Issue, ...]:
    named = resource.get("resourceType") if type(resource) is dict else None
    # A wrong type name may be anything, so it is not repeated.
    root = "Resource" if any(problem.at == ".resourceType" for problem in problems) or named is None else named
    return tuple(
        Issue(problem.code, f"{root}{problem.at} {problem.rule}.", f"{root}{problem.at}")
        for problem in problems[: limits.ISSUES_MAX]
    )
