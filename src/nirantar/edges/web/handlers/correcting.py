"""Correcting a record, with a reason; and what happens when somebody else was faster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from starlette.responses import Response

from nirantar.edges.web.desk import Asked, Desk
from nirantar.edges.web.failures import kind_of
from nirantar.edges.web.handlers.registering import choices, decoded, person_in
from nirantar.errors import Conflict, FieldsInvalid, InvalidInput, NirantarError, Unavailable, VersionConflict
from nirantar.interactions.results import StoredVersion
from nirantar.interactions.transaction import Purpose
from nirantar.workflows.patient_fields import PERSON_FIELDS, PersonFields
from nirantar.workflows.patient_resource import fields_of
from nirantar.workflows.registration import correct

_LABELS: Final = {
    "unidentified": "Not identified",
    "name": "Name", "relation": "Relation", "relative_name": "Relative’s name", "gender": "Sex",
    "birth_date": "Birth date", "age": "Age", "age_unit": "Age in", "phone": "Phone", "address": "Address",
    "district": "District", "state": "State", "pin": "PIN code", "language": "Language",
}


@dataclass(frozen=True, slots=True)
class Clash:
    """One field in three versions; `both` when it was changed on both sides, differently."""

    label: str
    was: str
    now: str
    yours: str
    both: bool


def form(desk: Desk, asked: Asked) -> Response:
    """The record as a form."""
    version = desk.doors.read.read(asked.caller, "Patient", asked.parts["patient_id"])
    return _form_page(desk, asked, version, asdict(fields_of(decoded(version))), "")


def submit(desk: Desk, asked: Asked) -> Response:
    """Save the correction if nobody changed the record since the form was opened; else show both."""
    patient_id, version_id = asked.parts["patient_id"], asked.form.get("version_id", "")
    reason = asked.form.get("reason", "")
    base = desk.doors.read.read_version(asked.caller, "Patient", patient_id, version_id)
    before = fields_of(decoded(base))
    filled = asdict(before) | {name: asked.form[name] for name in PERSON_FIELDS if name in asked.form}
    try:
        operations = correct(decoded(base), before, person_in(filled), reason, version_id, desk.local_date())
        desk.doors.transact(asked.caller, operations, Purpose("correct", reason=" ".join(reason.split())))
    except VersionConflict:
        return _stale_page(desk, asked, before, person_in(filled), reason)
    except FieldsInvalid as wrong:
        return _form_page(desk, asked, base, filled, reason, wrong=wrong.fields)
    except (InvalidInput, Conflict, Unavailable) as refused:
        return _form_page(desk, asked, base, filled, reason, refused=refused)
    return desk.go(f"/patients/{patient_id}?new=correction")


def _stale_page(desk: Desk, asked: Asked, before: PersonFields, yours: PersonFields, reason: str) -> Response:
    """Both versions side by side, and a form that puts only the own changes upon the newer one."""
    version = desk.doors.read.read(asked.caller, "Patient", asked.parts["patient_id"])
    patient = decoded(version)
    was, now, mine = asdict(before), asdict(fields_of(patient)), asdict(yours)
    touched = {name for name in PERSON_FIELDS if mine[name] != was[name]}
    clashes = [
        Clash(
            _LABELS[name], was[name], now[name], mine[name],
            both=name in touched and now[name] not in (was[name], mine[name]),
        )
        for name in PERSON_FIELDS
        if name in touched or now[name] != was[name]
    ]
    author = desk.doors.read.authorship(asked.caller, version)
    return desk.page(
        asked, "stale.html", status=409, patient=desk.patient(patient), clashes=clashes, who=desk.name_of(author.actor),
        why=author.reason, recorded_at_us=version.recorded_at_us, version_id=version.version_id, reason=reason,
        merged={name: mine[name] if name in touched else now[name] for name in PERSON_FIELDS},
    )


def _form_page(
    desk: Desk, asked: Asked, version: StoredVersion, filled: Mapping[str, str], reason: str, *,
    wrong: Mapping[str, str] | None = None, refused: NirantarError | None = None,
) -> Response:
    status = 200 if wrong is None and refused is None else 400 if refused is None else kind_of(refused)[0]
    return desk.page(
        asked, "correct.html", status=status, patient=desk.patient(decoded(version)), filled=filled, reason=reason,
        version_id=version.version_id, wrong=wrong or {}, sentence="" if refused is None else str(refused),
        **choices(desk),
    )
