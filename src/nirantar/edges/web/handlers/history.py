"""History: every version, newest first, who made it, when, why, and what it changed."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from nirantar import limits
from nirantar.edges.web.desk import Asked, Desk
from nirantar.edges.web.difference import FieldChange, difference
from nirantar.edges.web.handlers.registering import decoded
from nirantar.edges.web.resource_rows import title_of
from nirantar.edges.web.whereabouts import Whereabouts, whereabouts
from nirantar.errors import NotFound
from nirantar.fhir.compartment import patient_of
from nirantar.interactions.authorize import ROLES
from nirantar.interactions.read import Authorship

_ACTIONS = {
    "register": "Registered", "correct": "Corrected", "open-visit": "Visit opened", "import": "Imported",
    "fhir-create": "Created over FHIR", "fhir-update": "Updated over FHIR", "fhir-delete": "Deleted over FHIR",
    "fhir-transaction": "Written over FHIR",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One version, told: `first` when nothing was there before, `gone` when it is a deletion."""

    number: int
    what: str
    who: str
    role: str
    recorded_at_us: int
    author: Authorship
    safe: Whereabouts
    changes: tuple[FieldChange, ...]
    first: bool
    gone: bool


def of_patient(desk: Desk, asked: Asked) -> Response:
    """The history of the patient's own data."""
    return _history(desk, asked, "Patient", asked.parts["patient_id"])


def of_resource(desk: Desk, asked: Asked) -> Response:
    """The history of one resource of the patient's record."""
    return _history(desk, asked, asked.parts["type"], asked.parts["id"])


def _history(desk: Desk, asked: Asked, type: str, id: str) -> Response:
    patient_id, read = asked.parts["patient_id"], desk.doors.read
    patient = decoded(read.read(asked.caller, "Patient", patient_id))
    page = read.history(
        asked.caller, type, id, count=limits.HISTORY_COUNT_DEFAULT, cursor=asked.query.get("cursor") or None
    )
    resources = [decoded(version) for version in page.versions]
    if not any(patient_of(each) == patient_id for each in resources if each):
        raise NotFound(f"This patient's record holds no {type} of that id.")
    steps, status = [], desk.doors.status()
    for place, version in enumerate(page.versions):
        older = resources[place + 1] if place + 1 < len(resources) else None
        author = read.authorship(asked.caller, version)
        last = place + 1 == len(resources) and page.next_cursor is not None
        steps.append(Step(
            number=len(page.versions) - place, what=_ACTIONS.get(author.action, author.action or "Recorded"),
            who=desk.name_of(author.actor), role=ROLES[author.role].title if author.role in ROLES else author.role,
            recorded_at_us=version.recorded_at_us, author=author, safe=whereabouts(version, status),
            changes=() if last else difference(older, resources[place]), first=older is None and not last,
            gone=version.deleted,
        ))
    return desk.page(
        asked, "history.html", patient=desk.patient(patient),
        title=title_of(type), own=type == "Patient", steps=steps, next_cursor=page.next_cursor,
    )
