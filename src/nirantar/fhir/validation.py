"""Whether a resource is valid FHIR R4: the one question that every write asks."""

from __future__ import annotations

from typing import Any

from nirantar import limits
from nirantar.errors import Issue, ResourceInvalid
from nirantar.fhir.structure import check_resource


def validate(resource: dict[str, Any], *, encoded: bytes | None = None) -> None:
    """Check one decoded resource."""
    problems = check_resource(resource)
    if problems is not None:
        root = resource.get("resourceType") if type(resource) is dict else None
        raise ResourceInvalid(tuple(Issue(p.code, p.rule, f"{root}{p.at}") for p in problems[: limits.ISSUES_MAX]))
