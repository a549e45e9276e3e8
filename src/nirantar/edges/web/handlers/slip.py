"""The slip that the patient carries: A5, bilingual, with the UHID as a QR code for the next counter's scanner."""

from __future__ import annotations

from typing import Final

import segno
from markupsafe import Markup
from starlette.responses import Response

from nirantar.edges.web.desk import Asked, Desk
from nirantar.edges.web.handlers.registering import decoded
from nirantar.edges.web.resource_rows import resource_row

_SCALE: Final = 4


def slip(desk: Desk, asked: Asked) -> Response:
    """The slip of the newest visit."""
    chart = desk.doors.read.chart(asked.caller, asked.parts["patient_id"])
    patient = desk.patient(decoded(chart.patient))
    visits = sorted(
        (resource_row(decoded(each)) for each in chart.others if each.type == "Encounter"),
        key=lambda row: row.when, reverse=True,
    )
    coverage = [resource_row(decoded(each)) for each in chart.others if each.type == "Coverage"]
    return desk.page(
        asked, "slip.html", patient=patient, visit=visits[0] if visits else None,
        category=coverage[0].what if coverage else "", code=_code(patient.uhid) if patient.uhid else "",
        origin=chart.patient.origin, entry_index=chart.patient.entry_index,
        version_id=chart.patient.version_id, printed_at_us=desk.settings.host.now_us(),
    )


def _code(uhid: str) -> Markup:
    """The QR code as an SVG element. It is made from digits by a library, so it is markup and needs no escaping."""
    return Markup(segno.make(uhid, error="m", micro=False).svg_inline(scale=_SCALE, border=0, omitsize=True))  # noqa: S704
