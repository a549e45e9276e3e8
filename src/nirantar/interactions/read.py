"""Reads: authorised, then answered from the last committed view, then noted in the access log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nirantar import limits
from nirantar.errors import Gone, NotFound
from nirantar.fhir.search_query import SearchQuery
from nirantar.interactions.access_log import AccessLog
from nirantar.interactions.authorize import SYSTEM_TYPE_PREFIX, Caller, allowed, authorize
from nirantar.interactions.repeats import key_hash
from nirantar.journal.entry import decode
from nirantar.store.port import Page, StoredVersion, View


@dataclass(frozen=True, slots=True)
class Authorship:
    """Who made a version, where, when and why, as its entry says. All empty where the entry cannot be read here."""

    actor: str = ""
    role: str = ""
    workstation: str = ""
    action: str = ""
    reason: str = ""
    effective_at: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A patient's record as far as the caller's role may see it, the Patient first. `withheld` counts what the role
    may not see, `cut` says that there is more than CHART_RESOURCES_MAX."""

    patient: StoredVersion
    others: tuple[StoredVersion, ...]
    withheld: int
    cut: bool


class Read:
    """read, vread, history and search. Any thread may call; each call sees one consistent state.

    All raise Forbidden, and NotFound for system records, which do not exist for these doors.
    """

    def __init__(
        self, view: View, access_log: AccessLog, entries: Callable[[str, int], bytes] | None = None
    ) -> None:
        """`entries` gives the exact bytes of an entry by (origin, index): JournalReader.entry."""
        self._view = view
        self._access_log = access_log
        self._entries = entries

    def read(self, caller: Caller, resource_type: str, id: str) -> StoredVersion:
        """The current version. Raises NotFound, or Gone when it was deleted."""
        self._admit(caller, resource_type)
        version = self._view.shown(resource_type, id)
        self._access_log.note(caller, "read", resource_type, id)
        return _present(version, resource_type, id)

    def read_version(self, caller: Caller, resource_type: str, id: str, version_id: str) -> StoredVersion:
        """One version, current or not. Raises NotFound, or Gone when that version is the deletion."""
        self._admit(caller, resource_type)
        with self._view.reader() as state:
            version = state.read_version(resource_type, id, version_id)
        self._access_log.note(caller, "vread", resource_type, id)
        return _present(version, resource_type, id, " of that version")

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

    def chart(self, caller: Caller, patient_id: str) -> Chart:
        """Everything filed under a patient that the caller may see. Raises NotFound, Gone."""
        self._admit(caller, "Patient")
        others: list[StoredVersion] = []
        withheld, cut = 0, False
        with self._view.reader() as state:
            patient = _present(state.read("Patient", patient_id), "Patient", patient_id)
            for version in state.compartment(patient_id):
                if version.type == "Patient" and version.id == patient_id:
                    continue
                if not allowed(caller.role, "read", version.type):
                    withheld += 1
                elif len(others) < limits.CHART_RESOURCES_MAX:
                    others.append(version)
                else:
                    cut = True
        self._access_log.note(caller, "chart", "Patient", patient_id)
        return Chart(patient, tuple(others), withheld, cut)

    def authorship(self, caller: Caller, version: StoredVersion) -> Authorship:
        """Who made a version that the caller may read, from the entry that made it."""
        self._admit(caller, version.type)
        if self._entries is None:
            return Authorship()
        entry = decode(self._entries(version.origin, version.entry_index), version.origin, version.entry_index)
        if entry is None:
            return Authorship()
        return Authorship(
            entry.actor, entry.role, entry.workstation, entry.action, entry.reason or "", entry.effective_at or ""
        )

    def is_repeat(self, caller: Caller, idempotency_key: str) -> bool:
        """Whether a write of this caller with this key is already done: repeating it would find its result."""
        with self._view.reader() as state:
            return state.entry_for_key(key_hash(caller.actor, idempotency_key)) is not None

    def _admit(self, caller: Caller, resource_type: str) -> None:
        if resource_type.startswith(SYSTEM_TYPE_PREFIX):
            raise NotFound(f"{resource_type} is not a FHIR resource type.")
        authorize(caller, "read", (resource_type,))


def _present(version: StoredVersion | None, resource_type: str, id: str, which: str = "") -> StoredVersion:
    if version is None:
        raise NotFound(f"There is no {resource_type}/{id}{which} here.")
    if version.deleted:
        raise Gone(f"{resource_type}/{id} was deleted; its history is still there.")
    return version
