"""R4's invariants of severity error, written by hand from their FHIRPath: type -> constraints.

A type that is not here has none, or only ones for definitions and test scripts, which a hospital's records do not
use. Invariants on a whole resource's contained resources are in `structure`, on XHTML in `narrative`, on
references in `reference_targets`.
"""

from __future__ import annotations

import re
from typing import Any, Final

from nirantar.fhir.date_forms import is_certainly_after
from nirantar.fhir.definitions import TypeDefinition
from nirantar.fhir.invariant import (
    Constraint,
    Invariant,
    at_least_one,
    exactly_one,
    has_code,
    needs,
    needs_where,
    not_both,
    only_where,
    rule,
)

Json = dict[str, Any]

_UCUM: Final = "http://unitsofmeasure.org"
_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem/"
_ALLERGY_VERIFICATION: Final = f"{_TERMINOLOGY}allergyintolerance-verification"
_CONDITION_CLINICAL: Final = f"{_TERMINOLOGY}condition-clinical"
_CONDITION_VERIFICATION: Final = f"{_TERMINOLOGY}condition-ver-status"
_CURRENCY: Final = re.compile("[A-Z]{3}")


def _in_order(value: Json, earlier: str, later: str) -> bool:
    first, second = value.get(earlier), value.get(later)
    return first is None or second is None or not is_certainly_after(first, second)


def _range_in_order(value: Json) -> bool:
    low, high = value.get("low", {}), value.get("high", {})
    if "value" not in low or "value" not in high or _unit(low) != _unit(high):
        return True
    return bool(low["value"] <= high["value"])


def _unit(quantity: Json) -> Any:
    return quantity.get("code", quantity.get("unit"))


def _ratio_complete(value: Json) -> bool:
    return ("numerator" in value) is ("denominator" in value) and ("numerator" in value or "extension" in value)


def _ucum_with_code(value: Json) -> bool:
    return ("code" in value or "value" not in value) and value.get("system", _UCUM) == _UCUM


def _not_negative(name: str) -> Any:
    return lambda value: value.get(name, 0) >= 0


def _components_differ(value: Json) -> bool:
    codings = value["code"].get("coding", ()) if "code" in value else ()
    return not any(
        coding in codings
        for component in value.get("component", ())
        for coding in component.get("code", {}).get("coding", ())
    )


def _status_in(*statuses: str) -> Any:
    return lambda value: value.get("status") in statuses


def _status_not_in(*statuses: str) -> Any:
    return lambda value: value.get("status") not in statuses


def _allergy_is_error(value: Json) -> bool:
    return has_code(value, "verificationStatus", _ALLERGY_VERIFICATION, "entered-in-error")


def _condition_is_error(value: Json) -> bool:
    return has_code(value, "verificationStatus", _CONDITION_VERIFICATION, "entered-in-error")


def _condition_is_over(value: Json) -> bool:
    return has_code(value, "clinicalStatus", _CONDITION_CLINICAL, "resolved", "remission", "inactive")


def _no_home(name: str) -> Any:
    return lambda value: all(item.get("use") != "home" for item in value.get(name, ()))


_DATATYPES: Final[dict[str, tuple[Constraint, ...]]] = {
    "Extension": (exactly_one("ext-1", "extension", "value[x]"),),
    "Age": (
        needs("qty-3", "code", "system"),
        rule("age-1", "needs a UCUM code and a value above 0", lambda v: _ucum_with_code(v) and v.get("value", 1) > 0),
    ),
    "Attachment": (needs("att-1", "data", "contentType"),),
    "ContactPoint": (needs("cpt-2", "value", "system"),),
    "Count": (
        needs("qty-3", "code", "system"),
        rule(
            "cnt-3",
            "needs the UCUM code 1 and a whole value",
            lambda v: _ucum_with_code(v) and v.get("code", "1") == "1" and "." not in str(v.get("value", "")),
        ),
    ),
    "Distance": (needs("qty-3", "code", "system"), rule("dis-1", "needs a UCUM code", _ucum_with_code)),
    "Duration": (
        needs("qty-3", "code", "system"),
        rule(
            "drt-1",
            "may have a code only with a value and the UCUM system",
            lambda v: "code" not in v or (v.get("system") == _UCUM and "value" in v),
        ),
    ),
    "Money": (
        rule(
            "currencies",
            "needs a currency of three capital letters (ISO 4217)",
            lambda v: "currency" not in v or _CURRENCY.fullmatch(v["currency"]) is not None,
        ),
    ),
    "Period": (rule("per-1", "start must not be after end", lambda v: _in_order(v, "start", "end")),),
    "Quantity": (needs("qty-3", "code", "system"),),
    "SimpleQuantity": (needs("qty-3", "code", "system"),),
    "Range": (rule("rng-2", "low must not be above high", _range_in_order),),
    "Ratio": (rule("rat-1", "needs both numerator and denominator, or only an extension", _ratio_complete),),
    "Timing.repeat": (
        needs("tim-1", "duration", "durationUnit"),
        needs("tim-2", "period", "periodUnit"),
        rule("tim-4", "duration must not be negative", _not_negative("duration")),
        rule("tim-5", "period must not be negative", _not_negative("period")),
        needs("tim-6", "periodMax", "period"),
        needs("tim-7", "durationMax", "duration"),
        needs("tim-8", "countMax", "count"),
        rule(
            "tim-9",
            "may have an offset only to a meal or another time that is not C, CM, CD or CV",
            lambda v: "offset" not in v or ("when" in v and {"C", "CM", "CD", "CV"}.isdisjoint(v["when"])),
        ),
        not_both("tim-10", "timeOfDay", "when"),
    ),
}

_RESOURCES: Final[dict[str, tuple[Constraint, ...]]] = {
    "AllergyIntolerance": (
        needs_where(
            "ait-1",
            "clinicalStatus",
            "needs a clinicalStatus unless entered in error",
            lambda v: not _allergy_is_error(v),
        ),
        only_where(
            "ait-2",
            "clinicalStatus",
            "must not have a clinicalStatus when entered in error",
            lambda v: not _allergy_is_error(v),
        ),
    ),
    "Appointment": (
        needs("app-2", "start", "end"),
        needs("app-2", "end", "start"),
        needs_where(
            "app-3",
            "start",
            "needs start and end unless proposed, cancelled or on the waiting list",
            _status_not_in("proposed", "cancelled", "waitlist"),
        ),
        only_where(
            "app-4",
            "cancelationReason",
            "may have a cancelationReason only when cancelled or noshow",
            _status_in("cancelled", "noshow"),
        ),
        rule("nirantar-app", "start must not be after end", lambda v: _in_order(v, "start", "end")),
    ),
    "Appointment.participant": (at_least_one("app-1", "type", "actor"),),
    "AppointmentResponse": (at_least_one("apr-1", "participantType", "actor"),),
    "AuditEvent.entity": (not_both("sev-1", "name", "query"),),
    "CarePlan.activity": (not_both("cpl-3", "detail", "reference"),),
    "Composition.section": (
        at_least_one("cmp-1", "text", "entry", "section"),
        not_both("cmp-2", "emptyReason", "entry"),
    ),
    "Condition": (
        only_where(
            "con-4", "abatement[x]", "may be abated only when inactive, in remission or resolved", _condition_is_over
        ),
        only_where(
            "con-5",
            "clinicalStatus",
            "must not have a clinicalStatus when entered in error",
            lambda v: not _condition_is_error(v),
        ),
    ),
    "Condition.stage": (at_least_one("con-1", "summary", "assessment"),),
    "Condition.evidence": (at_least_one("con-2", "code", "detail"),),
    "Consent": (at_least_one("ppc-1", "policy", "policyRule"),),
    "CoverageEligibilityResponse.insurance.item": (exactly_one("ces-1", "category", "productOrService"),),
    "FamilyMemberHistory": (
        not_both("fhs-1", "age[x]", "born[x]"),
        needs("fhs-2", "estimatedAge", "age[x]"),
    ),
    "Goal.target": (needs("gol-1", "detail[x]", "measure"),),
    "Group": (only_where("grp-1", "member", "may list members only when actual", lambda v: v.get("actual") is True),),
    "Immunization.education": (at_least_one("imm-1", "documentType", "reference"),),
    "ImmunizationRecommendation.recommendation": (at_least_one("imr-1", "vaccineCode", "targetDisease"),),
    "Linkage": (rule("lnk-1", "needs two items or more", lambda v: len(v["item"]) > 1),),
    "List": (
        not_both("lst-1", "emptyReason", "entry"),
        rule(
            "lst-2",
            "may mark entries deleted only in mode changes",
            lambda v: v.get("mode") == "changes" or all("deleted" not in entry for entry in v.get("entry", ())),
        ),
        rule(
            "lst-3",
            "may date entries only in mode working",
            lambda v: v.get("mode") == "working" or all("date" not in entry for entry in v.get("entry", ())),
        ),
    ),
    "MedicationAdministration.dosage": (at_least_one("mad-1", "dose", "rate[x]"),),
    "MedicationDispense": (
        rule(
            "mdd-1",
            "whenPrepared must not be after whenHandedOver",
            lambda v: _in_order(v, "whenPrepared", "whenHandedOver"),
        ),
    ),
    "Observation": (
        not_both("obs-6", "dataAbsentReason", "value[x]"),
        only_where(
            "obs-7", "value[x]", "may have a value only when no component has the same code", _components_differ
        ),
    ),
    "Observation.referenceRange": (at_least_one("obs-3", "low", "high", "text"),),
    "Organization": (
        at_least_one("org-1", "identifier", "name"),
        rule("org-2", "must not have an address for home use", _no_home("address")),
        rule("org-3", "must not have a telecom for home use", _no_home("telecom")),
    ),
    "Patient.contact": (at_least_one("pat-1", "name", "telecom", "address", "organization"),),
    "QuestionnaireResponse.item": (not_both("qrs-1", "answer", "item"),),
    "RequestGroup.action": (exactly_one("rqg-1", "resource", "action"),),
    "RiskAssessment.prediction": (
        rule("ras-2", "probability must not be above 100", lambda v: v.get("probabilityDecimal", 0) <= 100),
    ),
    "ServiceRequest": (needs("prr-1", "orderDetail", "code"),),
}

_BUNDLES: Final[dict[str, tuple[Constraint, ...]]] = {
    "Bundle": (
        only_where(
            "bdl-1",
            "total",
            "may have a total only as searchset or history",
            lambda v: v.get("type") in ("searchset", "history"),
        ),
        rule(
            "bdl-2",
            "may have search in entries only as searchset",
            lambda v: v.get("type") == "searchset" or all("search" not in entry for entry in v.get("entry", ())),
        ),
        rule(
            "bdl-3",
            "needs a request in every entry as batch, transaction or history, and in none otherwise",
            lambda v: all(
                ("request" in entry) is (v.get("type") in ("batch", "transaction", "history"))
                for entry in v.get("entry", ())
            ),
        ),
        rule(
            "bdl-4",
            "needs a response in every entry as response or history, and in none otherwise",
            lambda v: all(
                ("response" in entry) is (v.get("type") in ("batch-response", "transaction-response", "history"))
                for entry in v.get("entry", ())
            ),
        ),
        needs_where("bdl-10", "timestamp", "needs a timestamp as a document", lambda v: v.get("type") == "document"),
        rule(
            "bdl-9",
            "needs an identifier with system and value as a document",
            lambda v: v.get("type") != "document" or {"system", "value"} <= v.get("identifier", {}).keys(),
        ),
    ),
    "Bundle.entry": (
        at_least_one("bdl-5", "resource", "request", "response"),
        rule("bdl-8", "fullUrl must not name a version", lambda v: "/_history/" not in v.get("fullUrl", "")),
    ),
    "Parameters.parameter": (
        rule(
            "inv-1",
            "needs exactly one of part, value[x] and resource",
            lambda v: sum(("part" in v, "resource" in v, any(name.startswith("value") for name in v))) == 1,
        ),
    ),
}

CONSTRAINTS: Final = {**_DATATYPES, **_RESOURCES, **_BUNDLES}


def invariants_of(definition: TypeDefinition) -> tuple[Invariant, ...]:
    """The invariants on the elements of a type."""
    return tuple(constrain(definition) for constrain in CONSTRAINTS.get(definition.name, ()))
