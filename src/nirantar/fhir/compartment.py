"""Whose record a resource belongs to: R4's Patient compartment.

The rule is R4's CompartmentDefinition: the resource refers to the patient by one of its type's listed search
parameters. A resource may concern several patients; it is filed under one, the one it is about. The order of looking
is ours: what a resource is about (`subject`, `patient`, `beneficiary`, …) comes before who had a part in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Final

import msgspec

from nirantar.fhir.index_rows import reference_values
from nirantar.fhir.search_expression import Step
from nirantar.fhir.search_parameters import routes_of_parameter

_ABOUT: Final = ("subject", "patient", "beneficiary", "individual", "for")
_PATIENT: Final = "Patient/"


@cache
def _members() -> dict[str, list[str]]:
    """Resource type → the search parameters that put it into a patient's compartment."""
    written = files("nirantar.fhir").joinpath("data", "compartment_patient.json").read_bytes()
    return msgspec.json.decode(written, type=dict[str, list[str]])


@cache
def _routes(type: str) -> tuple[tuple[Step, ...], ...]:
    """The ways from a resource of the type to the patients of its compartments, those whom it is about first."""
    found = [route.steps for code in _members().get(type, ()) for route in routes_of_parameter(type, code)]
    return tuple(sorted(dict.fromkeys(found), key=_rank))


def _rank(steps: tuple[Step, ...]) -> int:
    """Where a route stands in the order of looking; equal ones stay as R4 lists them."""
    return _ABOUT.index(steps[0].element) if len(steps) == 1 and steps[0].element in _ABOUT else len(_ABOUT)


@lru_cache(maxsize=256)
def _leading_element(type: str) -> str:
    """The element that nearly always names the patient, looked at before anything else; "" without one."""
    routes = _routes(type) if type != "Patient" and type in _members() else ()
    return routes[0][0].element if routes and len(routes[0]) == 1 else ""


def _targets(value: Any, steps: tuple[Step, ...], index: int = 0) -> Iterator[str]:
    """Every reference at the end of a route, in document order."""
    if isinstance(value, list):
        for item in value:
            yield from _targets(item, steps, index)
    elif index == len(steps):
        for (target,) in reference_values(value):
            yield target
    elif isinstance(value, dict):
        found = value.get(steps[index].element)
        if found is not None:
            yield from _targets(found, steps, index + 1)


def _patient_ids(resource: dict[str, Any]) -> Iterator[str]:
    """The ids of all patients of a resource, the foremost first, perhaps repeated."""
    type = resource.get("resourceType")
    if type == "Patient" and isinstance(resource.get("id"), str):
        yield resource["id"]
    if type not in _members():
        return
    for steps in _routes(type):
        for target in _targets(resource, steps):
            if target.startswith(_PATIENT) and "/" not in target[len(_PATIENT) :]:
                yield target[len(_PATIENT) :]


def patient_of(resource: dict[str, Any]) -> str | None:
    """The id of the patient in whose compartment a resource is filed: the first of `patients_of`.

    None for one that is in nobody's, such as a Practitioner. References are to be final (`Patient/id`): one by
    `urn:uuid:` or by another server's URL names no patient of ours.
    """
    leading = resource.get(_leading_element(resource.get("resourceType", "")))
    if isinstance(leading, dict):
        target = leading.get("reference")
        if isinstance(target, str) and target.startswith(_PATIENT) and target.count("/") == 1:
            return target[len(_PATIENT) :]
    return next(_patient_ids(resource), None)


def patients_of(resource: dict[str, Any]) -> tuple[str, ...]:
    """The ids of all patients that a resource concerns by R4's rule, each once, the foremost first.

    A Patient comes before those it is linked to; a resource that is about someone before those who took part in it.
    """
    return tuple(dict.fromkeys(_patient_ids(resource)))
