"""Reads: authorised, then answered from the last committed view, then noted in the access log."""

from __future__ import annotations

from nirantar.errors import Gone, NotFound
from nirantar.fhir.search_query import SearchQuery
from nirantar.interactions.access_log import AccessLog
from nirantar.interactions.authorize import Caller, authorize
from nirantar.interactions.transaction import SYSTEM_TYPE_PREFIX
from nirantar.store.port import Page, StoredVersion, View


class Read:
    """read, vread, history and search. Any thread may call; each call sees one consistent state.

    All raise Forbidden, and NotFound for system records, which do not exist for these doors.
    """

    def __init__(self, view: View, access_log: AccessLog) -> None:
        self._view = view
        self._access_log = access_log

    def read(self, caller: Caller, resource_type: str, id: str) -> StoredVersion:
        """The current version. Raises NotFound, or Gone when it was deleted."""
        self._admit(caller, resource_type)
        with self._view.reader() as state:
            version = state.read(resource_type, id)
        self._access_log.note(caller, "read", resource_type, id)
        return _present(version, resource_type, id)

    def read_version(self, caller: Caller, resource_type: str, id: str, version_id: str) -> StoredVersion:
        """One version, current or not. Raises NotFound, or Gone when that version is the deletion."""
        self._admit(caller, resource_type)
        with self._view.reader() as state:
            version = state.read_version(resource_type, id, version_id)
        self._access_log.note(caller, "vread", resource_type, id)
        return _present(version, resource_type, id)

    def heads(self, caller: Caller, resource_type: str, id: str) -> tuple[StoredVersion, ...]:
        """Every current version: more than one where concurrent edits wait for a decision. Empty if none ever was."""
        self._admit(caller, resource_type)
        with self._view.reader() as state:
            versions = state.heads(resource_type, id)
        self._access_log.note(caller, "read", resource_type, id)
        return versions

    def history(
        self, caller: Caller, resource_type: str, id: str | None, *, count: int, cursor: str | None = None
    ) -> Page:
        """Versions newest first, of one resource or of a type. Raises NotFound for a resource that never was."""
        self._admit(caller, resource_type)
        with self._view.reader() as state:
            page = state.history(resource_type, id, count=count, cursor=cursor)
        self._access_log.note(caller, "history", resource_type, id or "")
        if id is not None and not page.versions and cursor is None:
            raise NotFound(f"There is no {resource_type}/{id}.")
        return page

    def search(self, caller: Caller, query: SearchQuery) -> Page:
        """A page of matches. A search that finds nothing is logged too, without what was searched for."""
        self._admit(caller, query.type)
        with self._view.reader() as state:
            page = state.search(query)
        self._access_log.note(caller, "search" if page.versions else "search-nothing", query.type, "")
        return page

    def _admit(self, caller: Caller, resource_type: str) -> None:
        if resource_type.startswith(SYSTEM_TYPE_PREFIX):
            raise NotFound(f"{resource_type} is not a FHIR resource type.")
        authorize(caller, "read", (resource_type,))


def _present(version: StoredVersion | None, resource_type: str, id: str) -> StoredVersion:
    if version is None:
        raise NotFound(f"There is no {resource_type}/{id} of that version here.")
    if version.deleted:
        raise Gone(f"{resource_type}/{id} was deleted; its history is still there.")
    return version
