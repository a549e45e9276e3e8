"""Whose charts a recovered hospital needs first: those in its beds, those at its clinics today, those seen last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import msgspec

from nirantar.errors import NotHereYet
from nirantar.fhir.search_query import parse_query
from nirantar.host.times import instant
from nirantar.store.port import StoredVersion, View

_PAGE: Final = 100
_LOOKED_AT_MAX: Final = 10_000


def charts_first(view: View, now_us: int, charts_max: int) -> Iterator[None]:
    """Read these charts, one a step, so that their pages come: at most `charts_max`. What cannot be fetched now is
    passed over."""
    seen: set[str] = set()
    for patient_id in _patients(view, instant(now_us)[:10]):
        if patient_id in seen:
            continue
        seen.add(patient_id)
        with suppress(NotHereYet), view.reader() as state:
            for _ in state.compartment(patient_id):
                pass
        yield
        if len(seen) >= charts_max:
            return


def _patients(view: View, today: str) -> Iterator[str]:
    yield from _found(view, "Encounter", [("class", "IMP"), ("status", "in-progress")])
    yield from _found(view, "Appointment", [("date", f"ge{today}")])
    yield from _found(view, "Encounter", [("date", f"ge{today}")])
    yield from _found(view, "Patient", [])


def _found(view: View, kind: str, criteria: list[tuple[str, str]]) -> Iterator[str]:
    """The patients of what matches, newest first."""
    cursor: str | None = None
    for _ in range(0, _LOOKED_AT_MAX, _PAGE):
        pairs = [*criteria, ("_count", str(_PAGE)), *([] if cursor is None else [("_cursor", cursor)])]
        try:
            with view.reader() as state:
                page = state.search(parse_query(kind, pairs, strict=True))
        except NotHereYet:
            return
        for version in page.versions:
            yield from _patients_of(version)
        cursor = page.next_cursor
        if cursor is None:
            return


def _patients_of(version: StoredVersion) -> Iterator[str]:
    if version.type == "Patient":
        yield version.id
        return
    resource: dict[str, Any] = msgspec.json.decode(version.resource or b"{}")
    actors = [each.get("actor", {}) for each in resource.get("participant", []) if isinstance(each, dict)]
    for reference in (resource.get("subject", {}), *actors):
        kind, _, patient_id = str(reference.get("reference", "")).rpartition("/")
        if kind == "Patient":
            yield patient_id
