"""Registering a patient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from nirantar.edges.web.desk import Asked, Desk
from nirantar.edges.web.failures import kind_of
from nirantar.edges.web.patient_search import candidates
from nirantar.edges.web.typed import TYPED, unseal
from nirantar.errors import Conflict, FieldsInvalid, InvalidInput, NirantarError, Unavailable
from nirantar.fhir import json
from nirantar.host.identifiers import uuid7
from nirantar.interactions.results import StoredVersion
from nirantar.interactions.transaction import Purpose
from nirantar.workflows.likeness import likely_duplicates
from nirantar.workflows.patient_fields import (
    AGE_UNITS,
    CATEGORIES,
    GENDERS,
    LANGUAGES,
    PERSON_FIELDS,
    RELATIONS,
    PersonFields,
)
from nirantar.workflows.registration import RegisterPatient, check, register

UHID: Final = "uhid"
KEY_FIELD: Final = "key"
ANYWAY_FIELD: Final = "not_the_same"
_FORM_FIELDS: Final = (*PERSON_FIELDS, "category", "department")


def form(desk: Desk, asked: Asked) -> Response:
    """An empty registration form, with the name that was searched for in vain, and the key that makes sending it twice
    harmless."""
    filled = dict.fromkeys(_FORM_FIELDS, "") | {"age_unit": "years", "category": "general"}
    typed = unseal(asked.secret, asked.query.get(TYPED, ""))
    if typed and not any(character.isdigit() for character in typed):
        filled["name"] = typed
    return _form_page(desk, asked, filled, new_key(desk))


def submit(desk: Desk, asked: Asked) -> Response:
    """Register, unless a field is wrong or somebody likely is the same person: then ask."""
    key = asked.form.get(KEY_FIELD, "")
    if not 16 <= len(key) <= 64:
        raise InvalidInput("The form lacks the key that makes it safe to send twice. Open it again.")
    filled = {name: asked.form.get(name, "") for name in _FORM_FIELDS}
    try:
        command = check(RegisterPatient.from_form(filled), desk.local_date(), desk.settings.departments)
        if not desk.doors.read.is_repeat(asked.caller, key) and asked.form.get(ANYWAY_FIELD) != "yes":
            same = likely_duplicates(command.person, candidates(desk, asked.caller, command.person), desk.local_date())
            if same:
                likely = [(desk.patient(each.patient), each.why) for each in same]
                return desk.page(asked, "duplicates.html", likely=likely, filled=filled, key=key)
        return desk.go(f"/patients/{_register(desk, asked, command, key)}?new=yes")
    except FieldsInvalid as wrong:
        return _form_page(desk, asked, filled, key, wrong=wrong.fields)
    except (InvalidInput, Conflict, Unavailable) as refused:
        return _form_page(desk, asked, filled, key, refused=refused)


def new_key(desk: Desk) -> str:
    """An idempotency key for one form."""
    return uuid7(desk.settings.host.now_us(), desk.settings.host)


def choices(desk: Desk) -> dict[str, Any]:
    """What the form's lists offer."""
    return {
        "genders": GENDERS, "relations": RELATIONS, "age_units": tuple(AGE_UNITS), "categories": CATEGORIES,
        "languages": LANGUAGES, "departments": desk.settings.departments,
        "department_choices": [(each, each) for each in desk.settings.departments],
        "relation_choices": [(short, f"{short} · {long}") for short, long in RELATIONS.items()],
    }


def _register(desk: Desk, asked: Asked, command: RegisterPatient, key: str) -> str:
    operations = register(command, desk.doors.numbers.take(UHID), desk.place())
    outcome = desk.doors.transact(asked.caller, operations, Purpose("register", idempotency_key=key))
    return outcome.results[0].id


def _form_page(
    desk: Desk, asked: Asked, filled: Mapping[str, str], key: str, *, wrong: Mapping[str, str] | None = None,
    refused: NirantarError | None = None,
) -> Response:
    status = 200 if wrong is None and refused is None else 400 if refused is None else kind_of(refused)[0]
    return desk.page(
        asked, "register.html", status=status, filled=filled, key=key, wrong=wrong or {},
        sentence="" if refused is None else str(refused), numbers_left=desk.doors.numbers.left(UHID), **choices(desk),
    )


def decoded(version: StoredVersion) -> dict[str, Any]:
    """A version's resource; empty for a deletion."""
    resource: dict[str, Any] = {} if version.resource is None else json.decode(version.resource)
    return resource


def person_in(filled: Mapping[str, str]) -> PersonFields:
    """The person fields of a form."""
    return PersonFields(**{name: filled[name] for name in PERSON_FIELDS if name in filled})
