"""The record: banner, demographics, visits, everything else by type, and where it is safe."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from nirantar.edges.web.desk import Asked, Desk
from nirantar.edges.web.handlers.registering import choices, decoded, new_key
from nirantar.edges.web.permissions import REGISTRARS
from nirantar.edges.web.resource_rows import ResourceRow, resource_row, title_of
from nirantar.edges.web.whereabouts import whereabouts
from nirantar.workflows.patient_fields import LANGUAGES
from nirantar.workflows.patient_resource import fields_of

ROWS_SHOWN_MAX: Final = 30
"""Rows of one table before the rest is only counted."""


def record(desk: Desk, asked: Asked) -> Response:
    """One patient's record, as far as the role sees it."""
    patient_id = asked.parts["patient_id"]
    chart = desk.doors.read.chart(asked.caller, patient_id)
    patient = decoded(chart.patient)
    tables: dict[str, list[ResourceRow]] = {}
    for version in chart.others:
        tables.setdefault(version.type, []).append(resource_row(decoded(version)))
    for rows in tables.values():
        rows.sort(key=lambda row: row.when, reverse=True)
    visits = tables.pop("Encounter", [])
    person = fields_of(patient)
    return desk.page(
        asked, "record.html",
        patient=desk.patient(patient),
        person=person, language=LANGUAGES.get(person.language, person.language),
        identifiers=_identifiers(desk, patient),
        visits=visits, tables=[(title_of(each), each, tables[each]) for each in sorted(tables, key=title_of)],
        rows_max=ROWS_SHOWN_MAX, chart=chart, heads=chart.patient.heads, recorded_at_us=chart.patient.recorded_at_us,
        safe=whereabouts(chart.patient, desk.doors.status()), news=asked.query.get("new", ""),
        may_correct=asked.caller.role in REGISTRARS, key=new_key(desk), **choices(desk),
    )


def safe(desk: Desk, asked: Asked) -> Response:
    """Where the record is safe, as JSON, for the script that keeps the page's line up to date."""
    version = desk.doors.read.read(asked.caller, "Patient", asked.parts["patient_id"])
    return JSONResponse(asdict(whereabouts(version, desk.doors.status())))


def proof(desk: Desk, asked: Asked) -> Response:
    """The tlog-proof file of the record's newest version, verified just now, for anybody to verify again."""
    proven = desk.doors.prove.version(asked.caller, "Patient", asked.parts["patient_id"])
    return Response(
        proven.proof, media_type="text/plain; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{proven.file_name}"'},
    )


def _identifiers(desk: Desk, patient: dict[str, Any]) -> list[tuple[str, str]]:
    """Identifiers other than the hospital's own: (what kind, value)."""
    return [
        (_kind(each), str(each["value"]))
        for each in patient.get("identifier", [])
        if each.get("system") != desk.settings.uhid_system and "value" in each
    ]


def _kind(identifier: dict[str, Any]) -> str:
    kind = identifier.get("type", {})
    coding = (kind.get("coding") or [{}])[0]
    named = kind.get("text") or coding.get("display") or coding.get("code")
    return str(named or identifier.get("system", "Identifier"))
