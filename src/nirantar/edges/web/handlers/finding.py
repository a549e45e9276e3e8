"""Finding a patient: one box."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from nirantar.edges.web.desk import Asked, Desk
from nirantar.edges.web.patient_search import find
from nirantar.edges.web.permissions import REGISTRARS
from nirantar.edges.web.typed import TYPED, seal, unseal

_CHARS_MAX: Final = 200


def patients(desk: Desk, asked: Asked) -> Response:
    """The box, and whom it found."""
    sealed = asked.query.get(TYPED, "")
    text = unseal(asked.secret, sealed)
    found = find(desk, asked.caller, text) if text else None
    views = () if found is None else found.patients
    return desk.page(
        asked, "find.html", text=text, found=found, sealed=sealed, may_register=asked.caller.role in REGISTRARS,
        patients=[desk.patient(each) for each in views],
    )


def search(desk: Desk, asked: Asked) -> Response:
    """From the box to the page of whom it found; what was typed goes along sealed."""
    text = asked.form.get("q", "")[:_CHARS_MAX].strip()
    return desk.go(f"/patients?{TYPED}={seal(desk.settings.host, asked.secret, text)}" if text else "/patients")
