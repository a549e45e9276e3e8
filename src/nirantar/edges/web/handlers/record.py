"""The record: banner, demographics, visits (and opening another), everything else by type, and where it is safe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from nirantar.edges.web.desk import Asked, Desk
from nirantar.edges.web.handlers.registering import KEY_FIELD, choices, decoded, new_key
from nirantar.edges.web.permissions import DISCLOSERS, REGISTRARS
from nirantar.edges.web.resource_rows import ResourceRow, resource_row, title_of
from nirantar.edges.web.whereabouts import whereabouts
from nirantar.errors import FieldsInvalid, InvalidInput
from nirantar.interactions.transaction import Purpose
from nirantar.workflows.patient_fields import LANGUAGES
from nirantar.workflows.patient_resource import fields_of
from nirantar.workflows.registration import visit

ROWS_SHOWN_MAX: Final = 30
"""Rows of one table before the rest is only counted."""


def record(desk: Desk, asked: Asked) -> Response:
    """One patient's record, as far as the role sees it."""
    return _record_page(desk, asked, {"department": ""}, new_key(desk), {})


def open_visit(desk: Desk, asked: Asked) -> Response:
    """Another visit of a known patient; the record again, with a sentence, when the department cannot stand."""
    patient_id = asked.parts["patient_id"]
    patient = desk.doors.read.read(asked.caller, "Patient", patient_id)
    key, department = asked.form.get(KEY_FIELD, ""), asked.form.get("department", "")
    if not 16 <= len(key) <= 64:
        raise InvalidInput("The form lacks the key that makes it safe to send twice. Open the record again.")
    try:
        operations = visit(department, patient.id, desk.place(), desk.settings.departments)
    except FieldsInvalid as wrong:
        return _record_page(desk, asked, {"department": department}, key, wrong.fields)
    desk.doors.transact(asked.caller, operations, Purpose("open-visit", idempotency_key=key))
    return desk.go(f"/patients/{patient_id}?new=visit")


def _record_page(
    desk: Desk, asked: Asked, filled: Mapping[str, str], key: str, wrong: Mapping[str, str]
) -> Response:
    """The record, with the visit form as it was `filled` and what is `wrong` in it."""
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
        asked, "record.html", status=400 if wrong else 200, filled=filled, wrong=wrong,
        patient=desk.patient(patient),
        person=person, language=LANGUAGES.get(person.language, person.language),
        identifiers=_identifiers(desk, patient),
        visits=visits, tables=[(title_of(each), each, tables[each]) for each in sorted(tables, key=title_of)],
        rows_max=ROWS_SHOWN_MAX, chart=chart, heads=chart.patient.heads, recorded_at_us=chart.patient.recorded_at_us,
        safe=whereabouts(chart.patient, desk.doors.status()), news=asked.query.get("new", ""),
        may_correct=asked.caller.role in REGISTRARS, may_disclose=asked.caller.role in DISCLOSERS,
        key=key, **choices(desk),
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


def disclose(desk: Desk, asked: Asked) -> Response:
    """The proof file of the whole chart, for an auditor or a court; journalled with the reason before it is made."""
    made = desk.doors.disclose.chart(asked.caller, asked.parts["patient_id"], asked.form.get("reason", ""))
    return Response(
        made.data, media_type="application/zip",
        headers={"content-disposition": f'attachment; filename="{made.file_name}"'},
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
