"""FHIR's own form of an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nirantar.errors import Issue
from nirantar.limits import ISSUES_MAX


def operation_outcome(issues: Sequence[Issue]) -> dict[str, Any]:
    """An OperationOutcome of the first limits.ISSUES_MAX issues; R4 wants at least one, so without any it says so."""
    shown = issues[:ISSUES_MAX] or (Issue("informational", "All went well.", severity="information"),)
    return {"resourceType": "OperationOutcome", "issue": [_issue(issue) for issue in shown]}


def _issue(issue: Issue) -> dict[str, Any]:
    written: dict[str, Any] = {
        "severity": issue.severity,
        "code": issue.code,
        "diagnostics": issue.diagnostics,
    }
    if issue.expression:
        written["expression"] = [issue.expression]
    return written
