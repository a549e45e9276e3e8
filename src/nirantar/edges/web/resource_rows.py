"""Any resource as one row of a plain table: when, what, a detail and a status. Nothing is interpreted, only picked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

_WHEN: Final = (
    "effectiveDateTime", "performedDateTime", "occurrenceDateTime", "authoredOn", "recordedDate", "onsetDateTime",
    "issued", "date", "created", "sent", "recorded", "started", "whenHandedOver",
)
_PERIODS: Final = ("period", "effectivePeriod", "performedPeriod", "billablePeriod", "servicedPeriod")
_WHAT: Final = (
    "code", "medicationCodeableConcept", "vaccineCode", "type", "serviceType", "category", "class", "title", "name",
)
_TITLES: Final = {
    "AllergyIntolerance": "Allergies", "Condition": "Conditions", "Coverage": "Category and payer",
    "DiagnosticReport": "Reports", "DocumentReference": "Documents", "Encounter": "Visits",
    "Immunization": "Immunisations", "MedicationRequest": "Prescriptions", "Observation": "Observations",
    "Procedure": "Procedures", "ServiceRequest": "Orders", "CarePlan": "Care plans", "Claim": "Claims",
    "ExplanationOfBenefit": "Explanations of benefit", "ImagingStudy": "Imaging", "CareTeam": "Care teams",
}


@dataclass(frozen=True, slots=True)
class ResourceRow:
    """`when` is a FHIR date or dateTime, or ""; `what`, `detail` and `status` are words, perhaps empty."""

    type: str
    id: str
    when: str
    what: str
    detail: str
    status: str


def title_of(resource_type: str) -> str:
    """What a table of this type is called; the type itself where no plainer word is known."""
    return _TITLES.get(resource_type, resource_type)


def resource_row(resource: dict[str, Any]) -> ResourceRow:
    """The row of one resource."""
    return ResourceRow(
        type=str(resource.get("resourceType", "")),
        id=str(resource.get("id", "")),
        when=_when(resource),
        what=_what(resource),
        detail=_detail(resource),
        status=_status(resource),
    )


def _when(resource: dict[str, Any]) -> str:
    for name in _PERIODS:
        period = resource.get(name)
        if isinstance(period, dict) and "start" in period:
            return str(period["start"])
    return next((str(resource[name]) for name in _WHEN if isinstance(resource.get(name), str)), "")


def _what(resource: dict[str, Any]) -> str:
    if resource.get("resourceType") == "Encounter" and (service := words(resource.get("serviceType"))):
        return service
    return next((text for name in _WHAT if (text := words(resource.get(name)))), "")


def _detail(resource: dict[str, Any]) -> str:
    for name, value in resource.items():
        if name.startswith("value") and (text := words(value)):
            return text
    parts = [
        f"{words(part.get('code'))} {value}"
        for part in resource.get("component", [])
        if isinstance(part, dict)
        for name, found in part.items()
        if name.startswith("value") and (value := words(found))
    ]
    if parts:
        return "; ".join(parts)
    for name in ("class", "conclusion", "description", "payor", "reasonCode", "dosageInstruction"):
        if text := words(resource.get(name)):
            return text
    return ""


def _status(resource: dict[str, Any]) -> str:
    return words(resource.get("clinicalStatus")) or str(resource.get("status", ""))


def words(value: object) -> str:
    """The readable part of a FHIR value: text, display, code, quantity; "" when it has none."""
    if isinstance(value, list):
        return ", ".join(text for each in value[:3] if (text := words(each)))
    if isinstance(value, dict):
        if "value" in value:
            return f"{value.get('comparator', '')}{value['value']} {value.get('unit', '')}".strip()
        for name in ("text", "display", "title", "name"):
            if isinstance(value.get(name), str):
                return str(value[name])
        if "coding" in value:
            return words(value["coding"][:1])
        # A bare reference is an id: it tells a reader nothing.
        return str(value.get("code", ""))
    return value if isinstance(value, str) else "" if value is None or isinstance(value, bool) else str(value)
