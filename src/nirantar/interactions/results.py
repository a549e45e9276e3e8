"""What the doors give back.

Versions and pages belong to the view's port. An edge may not import storage (a layer contract), so it takes them from
here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nirantar.store.port import Page, StoredVersion

__all__ = ["OperationResult", "Page", "Status", "StoredVersion"]

Status = Literal["created", "updated", "deleted", "unchanged"]


@dataclass(frozen=True, slots=True)
class OperationResult:
    """What became of one operation, in the order of the request. `version` is None for a delete of nothing alone."""

    status: Status
    type: str
    id: str
    version: StoredVersion | None
