"""A Patient as pages show it: the lines of the banner, from whatever source the resource came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from nirantar.workflows.patient_fields import GENDERS
from nirantar.workflows.patient_resource import age_in_years, estimated_age, fields_of, is_temporary, uhid_of

_SHORT: Final = {"years": "y", "months": "mo", "days": "d"}


@dataclass(frozen=True, slots=True)
class PatientView:
    """One patient in words. `age` begins with "about" where it was estimated; every text may be empty."""

    id: str
    name: str
    relative: str
    sex: str
    age: str
    born: str
    uhid: str
    phone: str
    address: str
    district: str
    temporary: bool
    active: bool


def patient_view(patient: Mapping[str, Any], uhid_system: str, today: date) -> PatientView:
    """The view of a Patient resource."""
    resource = dict(patient)
    person = fields_of(resource)
    places = (person.address, person.district, person.state, person.pin)
    return PatientView(
        id=str(resource.get("id", "")),
        name=person.name or "No name recorded",
        relative=f"{person.relation} {person.relative_name}" if person.relation else "",
        sex=GENDERS.get(person.gender, "Sex not recorded"),
        age=age_in_words(resource, today),
        born=str(resource.get("birthDate", "")),
        uhid=uhid_of(resource, uhid_system),
        phone=person.phone,
        address=", ".join(each for each in places if each),
        district=person.district,
        temporary=is_temporary(resource),
        active=resource.get("active", True) is not False,
    )


def age_in_words(patient: dict[str, Any], today: date) -> str:
    """The age now: "52 y", "7 mo", "about 45 y"; an estimate grows with the time since it was made."""
    estimate = estimated_age(patient)
    if estimate is not None:
        return f"about {_grown(*estimate, today)}"
    years = age_in_years(patient, today)
    if years is None:
        return "age not recorded"
    born = str(patient.get("birthDate", ""))
    if len(born) != 10:
        return f"about {years} y"
    if years >= 3:
        return f"{years} y"
    days = (today - date.fromisoformat(born)).days
    return f"{days} d" if days < 60 else f"{days * 12 // 365} mo"


def _grown(number: str, unit: str, recorded: str, today: date) -> str:
    try:
        days = (today - date.fromisoformat(recorded)).days
    except ValueError:
        days = 0
    if unit == "years":
        return f"{int(number) + days // 365} y"
    months = int(number) + days // 30 if unit == "months" else (int(number) + days) // 30
    if unit == "days" and months < 2:
        return f"{int(number) + days} d"
    return f"{months} mo" if months < 36 else f"{months // 12} y"
