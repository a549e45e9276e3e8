"""Finding a patient: one box."""

from __future__ import annotations

from starlette.responses import Response

from nirantar.edges.web.desk import Asked, Desk
from nirantar.edges.web.patient_search import find
from nirantar.edges.web.permissions import REGISTRARS


def patients(desk: Desk, asked: Asked) -> Response:
    """The box, and whom it found."""
    text = asked.query.get("q", "")[:200].strip()
    found = find(desk, asked.caller, text) if text else None
    views = () if found is None else found.patients
    return desk.page(
        asked, "find.html", text=text, found=found, may_register=asked.caller.role in REGISTRARS,
        patients=[desk.patient(each) for each in views],
    )
