"""What the doors give back, under the name by which an edge or workflow may know it.

The classes belong to the view's port. An edge may not import storage (a layer contract), so it takes them from here.
"""

from __future__ import annotations

from nirantar.store.port import Page, StoredVersion

__all__ = ["Page", "StoredVersion"]
