"""Good and bad resources: name -> (resource, path of the expected issue, or None where it is valid).

Written by hand from R4's rules, with invented persons. Each bad case has one fault.
"""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any, Final

Json = dict[str, Any]

XHTML: Final = '<div xmlns="http://www.w3.org/1999/xhtml">%s</div>'
UCUM: Final = "http://unitsofmeasure.org"
TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem/"
ABSENT: Final = [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]


def concept(system: str, code: str) -> Json:
    """A CodeableConcept of one coding."""
    return {"coding": [{"system": system, "code": code}]}


def quantity(value: str, code: str = "g/dL") -> Json:
    """A UCUM quantity."""
    return {"value": Decimal(value), "unit": code, "system": UCUM, "code": code}


PATIENT: Final[Json] = {
    "resourceType": "Patient",
    "id": "kamla-1",
    "meta": {"versionId": "opd-1.7", "lastUpdated": "2026-11-23T08:30:05.123+05:30"},
    "identifier": [{"system": "urn:oid:1.2.36.146", "value": "900000123", "use": "official"}],
    "active": True,
    "name": [{"family": "Devi", "given": ["Kamla"]}],
    "telecom": [{"system": "phone", "value": "9000000001"}],
    "gender": "female",
    "birthDate": "1974",
    "address": [{"city": "Sitapur", "period": {"start": "2001", "end": "2001-04"}}],
    "contact": [{"name": {"text": "Ramesh"}}],
}
OBSERVATION: Final[Json] = {
    "resourceType": "Observation",
    "status": "final",
    "code": concept("http://loinc.org", "718-7"),
    "subject": {"reference": "Patient/kamla-1"},
    "effectiveDateTime": "2024-02-29T09:00:00+05:30",
    "valueQuantity": quantity("7.50"),
    "referenceRange": [{"low": quantity("12.0"), "high": quantity("15.0")}],
}
ENCOUNTER: Final[Json] = {
    "resourceType": "Encounter",
    "status": "arrived",
    "class": {"system": f"{TERMINOLOGY}v3-ActCode", "code": "AMB"},
    "subject": {"reference": "Patient/kamla-1"},
    "period": {"start": "2026-11-23T08:30:00+05:30"},
    "location": [{"location": {"reference": "Location/ward-3"}, "status": "active"}],
}
ALLERGY: Final[Json] = {
    "resourceType": "AllergyIntolerance",
    "clinicalStatus": concept(f"{TERMINOLOGY}allergyintolerance-clinical", "active"),
    "verificationStatus": concept(f"{TERMINOLOGY}allergyintolerance-verification", "confirmed"),
    "patient": {"reference": "Patient/kamla-1"},
}
CONDITION: Final[Json] = {
    "resourceType": "Condition",
    "clinicalStatus": concept(f"{TERMINOLOGY}condition-clinical", "resolved"),
    "verificationStatus": concept(f"{TERMINOLOGY}condition-ver-status", "confirmed"),
    "subject": {"reference": "Patient/kamla-1"},
    "abatementDateTime": "2026-10",
}
APPOINTMENT: Final[Json] = {
    "resourceType": "Appointment",
    "status": "booked",
    "start": "2026-11-24T09:00:00+05:30",
    "end": "2026-11-24T09:10:00+05:30",
    "participant": [{"actor": {"reference": "Patient/kamla-1"}, "status": "accepted"}],
}
PRESCRIPTION: Final[Json] = {
    "resourceType": "MedicationRequest",
    "status": "active",
    "intent": "order",
    "medicationReference": {"reference": "#m"},
    "subject": {"reference": "Patient/kamla-1"},
    "contained": [{"resourceType": "Medication", "id": "m", "code": {"text": "paracetamol"}}],
    "dosageInstruction": [
        {
            "timing": {"repeat": {"frequency": 3, "period": 1, "periodUnit": "d"}},
            "doseAndRate": [{"doseQuantity": quantity("500", "mg")}],
        }
    ],
}
DOCUMENT: Final[Json] = {
    "resourceType": "DocumentReference",
    "status": "current",
    "content": [{"attachment": {"contentType": "text/plain", "data": "bmlyYW50YXI="}}],
}
QUESTIONNAIRE_RESPONSE: Final[Json] = {
    "resourceType": "QuestionnaireResponse",
    "status": "completed",
    "item": [{"linkId": "1", "item": [{"linkId": "1.1", "answer": [{"valueBoolean": True}]}]}],
}
AUDIT_EVENT: Final[Json] = {
    "resourceType": "AuditEvent",
    "type": {"system": f"{TERMINOLOGY}audit-event-type", "code": "rest"},
    "action": "R",
    "recorded": "2026-11-23T08:30:00Z",
    "agent": [{"requestor": True}],
    "source": {"observer": {"display": "opd-1"}},
}
PAYMENT: Final[Json] = {
    "resourceType": "PaymentReconciliation",
    "status": "active",
    "created": "2026-11-23",
    "paymentDate": "2026-11-23",
    "paymentAmount": {"value": Decimal("10.00"), "currency": "INR"},
}
CONSENT: Final[Json] = {
    "resourceType": "Consent",
    "status": "active",
    "scope": {"text": "treatment"},
    "category": [{"text": "procedure"}],
    "policy": [{"uri": "https://example.org/policy"}],
}
TRANSACTION: Final[Json] = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [
        {
            "fullUrl": "urn:uuid:0193582b-6d5f-7c7e-8d39-2f5a0c0a1b2c",
            "resource": {"resourceType": "Basic", "code": {"text": "note"}},
            "request": {"method": "POST", "url": "Basic"},
        }
    ],
}

_REMOVE: Final = object()
REMOVE: Final[Any] = _REMOVE


def changed(resource: Json, *path_and_value: Any) -> Json:
    """A deep copy with the value at the path set, or removed where the value is REMOVE."""
    *path, last, value = path_and_value
    result = copy.deepcopy(resource)
    place: Any = result
    for step in path:
        place = place[step]
    if value is REMOVE:
        del place[last]
    else:
        place[last] = value
    return result


def narrated(inner: str) -> Json:
    """A patient with this inside its narrative."""
    return changed(PATIENT, "text", {"status": "generated", "div": XHTML % inner})


def with_contained(*contained: Json) -> Json:
    """A prescription with these contained resources."""
    return changed(PRESCRIPTION, "contained", list(contained))


_MEDICATION: Final[Json] = PRESCRIPTION["contained"][0]
_ERROR_ALLERGY: Final = changed(
    ALLERGY,
    "verificationStatus",
    concept(f"{TERMINOLOGY}allergyintolerance-verification", "entered-in-error"),
)
_ERROR_CONDITION: Final = changed(
    changed(CONDITION, "verificationStatus", concept(f"{TERMINOLOGY}condition-ver-status", "entered-in-error")),
    "abatementDateTime",
    REMOVE,
)
_PAINTED: Final = changed(OBSERVATION, "valueQuantity", REMOVE)

GOOD: Final[dict[str, Json]] = {
    "patient": PATIENT,
    "observation": OBSERVATION,
    "encounter": ENCOUNTER,
    "allergy": ALLERGY,
    "condition": CONDITION,
    "appointment": APPOINTMENT,
    "prescription with a contained medication": PRESCRIPTION,
    "document": DOCUMENT,
    "nested questionnaire items by content reference": QUESTIONNAIRE_RESPONSE,
    "audit event": AUDIT_EVENT,
    "payment": PAYMENT,
    "consent": CONSENT,
    "transaction": TRANSACTION,
    "year only": changed(PATIENT, "birthDate", "1974"),
    "year and month": changed(PATIENT, "birthDate", "1974-02"),
    "leap day": changed(PATIENT, "birthDate", "2000-02-29"),
    "unknown birth date as extension": changed(
        changed(PATIENT, "birthDate", REMOVE), "_birthDate", {"extension": ABSENT}
    ),
    "required status as extension": changed(changed(OBSERVATION, "status", REMOVE), "_status", {"extension": ABSENT}),
    "value with an id": changed(PATIENT, "_gender", {"id": "a"}),
    "null beside an extension": changed(
        PATIENT, "name", 0, {"given": ["Kamla", None], "_given": [None, {"extension": ABSENT}]}
    ),
    "allergy entered in error without clinical status": changed(_ERROR_ALLERGY, "clinicalStatus", REMOVE),
    "condition entered in error without clinical status": changed(_ERROR_CONDITION, "clinicalStatus", REMOVE),
    "appointment on the waiting list without times": changed(
        changed(changed(APPOINTMENT, "start", REMOVE), "end", REMOVE), "status", "waitlist"
    ),
    "value absent with a reason": changed(_PAINTED, "dataAbsentReason", {"text": "haemolysed"}),
    "formatted narrative": narrated("<p>Kamla <b>Devi</b><br/>&lt; 1 &#160; µg</p><table><tr><td>1</td></tr></table>"),
    "narrative with a safe link": narrated('<a href="https://example.org/a">a</a><a href="Patient/1">b</a>'),
    "logical reference only": changed(
        ENCOUNTER, "subject", {"identifier": {"system": "urn:oid:1.2.36.146", "value": "900000123"}}
    ),
    "reference by urn:uuid": changed(
        ENCOUNTER, "subject", {"reference": "urn:uuid:0193582b-6d5f-7c7e-8d39-2f5a0c0a1b2c"}
    ),
    "absolute reference": changed(ENCOUNTER, "subject", {"reference": "https://example.org/fhir/Patient/1"}),
    "versioned reference": changed(ENCOUNTER, "subject", {"reference": "Patient/1/_history/opd-1.7"}),
    "conditional reference": changed(ENCOUNTER, "subject", {"reference": "Patient?identifier=a|b"}),
    "complex extension": changed(
        PATIENT, "extension", [{"url": "https://example.org/a", "extension": [{"url": "b", "valueInteger": 1}]}]
    ),
    "period of one instant": changed(ENCOUNTER, "period", {"start": "2026-11-23", "end": "2026-11-23"}),
    "period across offsets": changed(
        ENCOUNTER, "period", {"start": "2026-11-23T08:30:00+05:30", "end": "2026-11-23T03:00:01Z"}
    ),
    "leap second": changed(AUDIT_EVENT, "recorded", "2016-12-31T23:59:60Z"),
    "no narrative, no id": {"resourceType": "Basic", "code": {"text": "note"}},
    "decimal in exponent form": changed(OBSERVATION, "valueQuantity", "value", Decimal("1.0E+2")),
    "text in Devanagari": changed(PATIENT, "name", 0, {"text": "कमला देवी", "family": "देवी"}),
}

BAD: Final[dict[str, tuple[Json, str]]] = {
    # names and JSON types
    "unknown resource type": (changed(PATIENT, "resourceType", "Pateint"), "Resource.resourceType"),
    "no resource type": (changed(PATIENT, "resourceType", REMOVE), "Resource.resourceType"),
    "abstract resource type": (changed(PATIENT, "resourceType", "DomainResource"), "Resource.resourceType"),
    "unknown element": (changed(PATIENT, "bloodGroup", "O"), "Patient.bloodGroup"),
    "unknown element below": (changed(PATIENT, "name", 0, "middle", "x"), "Patient.name[0].middle"),
    "element of R5": (
        changed(OBSERVATION, "bodyStructure", {"reference": "BodyStructure/1"}),
        "Observation.bodyStructure",
    ),
    "element of a vendor's Meta": (changed(PATIENT, "meta", "project", "x"), "Patient.meta.project"),
    "object for an array": (changed(PATIENT, "name", {"family": "Devi"}), "Patient.name"),
    "array for an object": (changed(ENCOUNTER, "period", [{"start": "2026"}]), "Encounter.period"),
    "string for a boolean": (changed(PATIENT, "active", "true"), "Patient.active"),
    "number for a string": (changed(PATIENT, "name", 0, "family", 7), "Patient.name[0].family"),
    "string for a decimal": (changed(OBSERVATION, "valueQuantity", "value", "7.5"), "Observation.valueQuantity.value"),
    "float for a decimal": (changed(OBSERVATION, "valueQuantity", "value", 7.5), "Observation.valueQuantity.value"),
    "boolean for an integer": (
        changed(PRESCRIPTION, "dosageInstruction", 0, "sequence", True),
        "MedicationRequest.dosageInstruction[0].sequence",
    ),
    "fraction for an integer": (
        changed(PRESCRIPTION, "dosageInstruction", 0, "sequence", Decimal("1.5")),
        "MedicationRequest.dosageInstruction[0].sequence",
    ),
    "zero for a positive integer": (
        changed(PRESCRIPTION, "dosageInstruction", 0, "timing", "repeat", "frequency", 0),
        "MedicationRequest.dosageInstruction[0].timing.repeat.frequency",
    ),
    "integer beyond 32 bits": (
        changed(PRESCRIPTION, "dosageInstruction", 0, "sequence", 2**31),
        "MedicationRequest.dosageInstruction[0].sequence",
    ),
    # nothing where something must be
    "empty object": (changed(PATIENT, "maritalStatus", {}), "Patient.maritalStatus"),
    "object with an id only": (changed(PATIENT, "maritalStatus", {"id": "a"}), "Patient.maritalStatus"),
    "empty array": (changed(PATIENT, "name", []), "Patient.name"),
    "empty string": (changed(PATIENT, "name", 0, "family", ""), "Patient.name[0].family"),
    "null": (changed(PATIENT, "gender", None), "Patient.gender"),
    "null in an array": (changed(PATIENT, "name", 0, "given", ["Kamla", None]), "Patient.name[0].given[1]"),
    "null in both arrays": (
        changed(PATIENT, "name", 0, {"given": ["A", None], "_given": [{"extension": ABSENT}, None]}),
        "Patient.name[0].given[1]",
    ),
    "companion array of another length": (
        changed(PATIENT, "name", 0, {"given": ["A", "B"], "_given": [{"extension": ABSENT}]}),
        "Patient.name[0].given",
    ),
    "companion of an id": (changed(PATIENT, "_id", {"extension": ABSENT}), "Patient._id"),
    "companion of a narrative": (
        changed(PATIENT, "text", {"status": "empty", "div": XHTML % "a", "_div": {"extension": ABSENT}}),
        "Patient.text._div",
    ),
    "companion of an extension's url": (
        changed(PATIENT, "extension", [{"url": "urn:a", "_url": {"extension": ABSENT}, "valueCode": "a"}]),
        "Patient.extension[0]._url",
    ),
    "null among objects": (changed(PATIENT, "name", [None]), "Patient.name[0]"),
    "empty companion": (changed(PATIENT, "_gender", {}), "Patient._gender"),
    "control character": (changed(PATIENT, "name", 0, "family", "De\x00vi"), "Patient.name[0].family"),
    # required
    "no status": (changed(OBSERVATION, "status", REMOVE), "Observation.status"),
    "an id for a status": (
        changed(changed(OBSERVATION, "status", REMOVE), "_status", {"id": "a"}),
        "Observation.status",
    ),
    "no code": (changed(OBSERVATION, "code", REMOVE), "Observation.code"),
    "no class": (changed(ENCOUNTER, "class", REMOVE), "Encounter.class"),
    "no subject of a condition": (changed(CONDITION, "subject", REMOVE), "Condition.subject"),
    "no medication": (changed(PRESCRIPTION, "medicationReference", REMOVE), "MedicationRequest.medication[x]"),
    "no participant status": (
        changed(APPOINTMENT, "participant", 0, "status", REMOVE),
        "Appointment.participant[0].status",
    ),
    "no requestor": (changed(AUDIT_EVENT, "agent", 0, {"name": "x"}), "AuditEvent.agent[0].requestor"),
    "no payment amount": (changed(PAYMENT, "paymentAmount", REMOVE), "PaymentReconciliation.paymentAmount"),
    "no extension url": (changed(PATIENT, "extension", [{"valueCode": "a"}]), "Patient.extension[0].url"),
    # choices
    "two values": (changed(OBSERVATION, "valueString", "x"), "Observation.valueString"),
    "value of a type that is not in the choice": (
        changed(_PAINTED, "valueAddress", {"city": "Sitapur"}),
        "Observation.valueAddress",
    ),
    # codes
    "gender outside its codes": (changed(PATIENT, "gender", "F"), "Patient.gender"),
    "status outside its codes": (changed(ENCOUNTER, "status", "checked-in"), "Encounter.status"),
    "code with white space": (changed(PATIENT, "language", " en"), "Patient.language"),
    "clinical status of another system": (
        changed(CONDITION, "clinicalStatus", concept("https://example.org", "resolved")),
        "Condition.clinicalStatus",
    ),
    "clinical status as text only": (
        changed(ALLERGY, "clinicalStatus", {"text": "active"}),
        "AllergyIntolerance.clinicalStatus",
    ),
    "currency in words": (
        changed(PAYMENT, "paymentAmount", "currency", "rupees"),
        "PaymentReconciliation.paymentAmount",
    ),
    # forms
    "id with an underscore": (changed(PATIENT, "id", "kamla_1"), "Patient.id"),
    "id too long": (changed(PATIENT, "id", "a" * 65), "Patient.id"),
    "impossible day": (changed(PATIENT, "birthDate", "2023-02-30"), "Patient.birthDate"),
    "leap day in a common year": (changed(PATIENT, "birthDate", "2023-02-29"), "Patient.birthDate"),
    "leap day in 1900": (changed(PATIENT, "birthDate", "1900-02-29"), "Patient.birthDate"),
    "April 31": (changed(OBSERVATION, "effectiveDateTime", "2024-04-31"), "Observation.effectiveDateTime"),
    "month 13": (changed(PATIENT, "birthDate", "1974-13"), "Patient.birthDate"),
    "day first": (changed(PATIENT, "birthDate", "23-11-1974"), "Patient.birthDate"),
    "time in a date": (changed(PATIENT, "birthDate", "1974-11-23T00:00:00Z"), "Patient.birthDate"),
    "time without an offset": (
        changed(OBSERVATION, "effectiveDateTime", "2026-11-23T08:30:00"),
        "Observation.effectiveDateTime",
    ),
    "instant without a time": (changed(AUDIT_EVENT, "recorded", "2026-11-23"), "AuditEvent.recorded"),
    "hour 24": (changed(AUDIT_EVENT, "recorded", "2026-11-23T24:00:00Z"), "AuditEvent.recorded"),
    "uri with a blank": (changed(PATIENT, "identifier", 0, "system", "urn: a"), "Patient.identifier[0].system"),
    "attachment that is not base64": (
        changed(DOCUMENT, "content", 0, "attachment", "data", "bmly*W50"),
        "DocumentReference.content[0].attachment.data",
    ),
    "base64 cut short": (
        changed(DOCUMENT, "content", 0, "attachment", "data", "bmlyYW50YXI"),
        "DocumentReference.content[0].attachment.data",
    ),
    # references
    "subject of a wrong type": (
        changed(ENCOUNTER, "subject", {"reference": "Practitioner/1"}),
        "Encounter.subject.reference",
    ),
    "absolute reference to a wrong type": (
        changed(ENCOUNTER, "subject", {"reference": "https://example.org/fhir/Medication/1"}),
        "Encounter.subject.reference",
    ),
    "reference to an unknown type": (
        changed(ENCOUNTER, "subject", {"reference": "Pateint/1"}),
        "Encounter.subject.reference",
    ),
    "reference without an id": (
        changed(ENCOUNTER, "subject", {"reference": "Patient/"}),
        "Encounter.subject.reference",
    ),
    "reference that is a name": (
        changed(ENCOUNTER, "subject", {"reference": "Kamla Devi"}),
        "Encounter.subject.reference",
    ),
    "reference whose type differs": (
        changed(ENCOUNTER, "subject", {"reference": "Patient/1", "type": "Group"}),
        "Encounter.subject.type",
    ),
    "logical reference of a wrong type": (
        changed(ENCOUNTER, "subject", {"type": "Medication", "identifier": {"value": "1"}}),
        "Encounter.subject.type",
    ),
    "reference to a missing contained resource": (
        changed(PRESCRIPTION, "medicationReference", "reference", "#n"),
        "MedicationRequest.medicationReference.reference",
    ),
    "reference to a contained resource of a wrong type": (
        changed(PRESCRIPTION, "requester", {"reference": "#m"}),
        "MedicationRequest.requester.reference",
    ),
    # contained
    "contained in contained": (
        with_contained({**_MEDICATION, "contained": [{"resourceType": "Organization", "id": "o", "name": "x"}]}),
        "MedicationRequest.contained[0].contained",
    ),
    "contained resource with a version": (
        with_contained({**_MEDICATION, "meta": {"versionId": "1"}}),
        "MedicationRequest.contained[0].meta.versionId",
    ),
    "contained resource with a security label": (
        with_contained({**_MEDICATION, "meta": {"security": [{"code": "R"}]}}),
        "MedicationRequest.contained[0].meta.security",
    ),
    "contained resource that nothing refers to": (
        with_contained(_MEDICATION, {"resourceType": "Organization", "id": "o", "name": "x"}),
        "MedicationRequest.contained[1]",
    ),
    "invalid contained resource": (
        with_contained({**_MEDICATION, "status": "brewing"}),
        "MedicationRequest.contained[0].status",
    ),
    # narrative
    "script": (narrated("<script>alert(1)</script>"), "Patient.text.div"),
    "event attribute": (narrated('<p onclick="x()">a</p>'), "Patient.text.div"),
    "javascript link": (narrated('<a href=" java&#10;script:x()">a</a>'), "Patient.text.div"),
    "frame": (narrated('<iframe src="https://example.org"/>'), "Patient.text.div"),
    "form": (narrated('<form action="https://example.org"><input/></form>'), "Patient.text.div"),
    "style that fetches": (narrated('<p style="background: url(https://example.org)">a</p>'), "Patient.text.div"),
    "foreign namespace": (narrated('<svg xmlns="http://www.w3.org/2000/svg"/>a'), "Patient.text.div"),
    "open tag": (narrated("<p>a"), "Patient.text.div"),
    "HTML entity": (narrated("a&nbsp;b"), "Patient.text.div"),
    "empty narrative": (narrated("  "), "Patient.text.div"),
    "narrative without namespace": (
        changed(PATIENT, "text", {"status": "generated", "div": "<div>a</div>"}),
        "Patient.text.div",
    ),
    "entity declaration": (
        changed(PATIENT, "text", {"status": "generated", "div": '<!DOCTYPE a [<!ENTITY b "c">]>' + XHTML % "&b;"}),
        "Patient.text.div",
    ),
    # invariants
    "ext-1 neither": (changed(PATIENT, "extension", [{"url": "https://example.org/a"}]), "Patient.extension[0]"),
    "ext-1 both": (
        changed(
            PATIENT,
            "extension",
            [{"url": "https://a.org", "valueCode": "a", "extension": [{"url": "b", "valueCode": "b"}]}],
        ),
        "Patient.extension[0]",
    ),
    "per-1": (changed(ENCOUNTER, "period", {"start": "2026-11-23", "end": "2026-11-22"}), "Encounter.period"),
    "per-1 across offsets": (
        changed(ENCOUNTER, "period", {"start": "2026-11-23T08:30:00+05:30", "end": "2026-11-23T02:59:00Z"}),
        "Encounter.period",
    ),
    "pat-1": (changed(PATIENT, "contact", [{"gender": "male"}]), "Patient.contact[0]"),
    "obs-3": (
        changed(OBSERVATION, "referenceRange", [{"age": {"low": {"value": 1}}}]),
        "Observation.referenceRange[0]",
    ),
    "obs-6": (changed(OBSERVATION, "dataAbsentReason", {"text": "x"}), "Observation"),
    "obs-7": (
        changed(OBSERVATION, "component", [{"code": OBSERVATION["code"], "valueInteger": 1}]),
        "Observation",
    ),
    "ait-1": (changed(ALLERGY, "clinicalStatus", REMOVE), "AllergyIntolerance"),
    "ait-2": (_ERROR_ALLERGY, "AllergyIntolerance"),
    "con-4": (
        changed(CONDITION, "clinicalStatus", concept(f"{TERMINOLOGY}condition-clinical", "active")),
        "Condition",
    ),
    "con-5": (_ERROR_CONDITION, "Condition"),
    "app-1": (changed(APPOINTMENT, "participant", [{"status": "accepted"}]), "Appointment.participant[0]"),
    "app-2": (changed(changed(APPOINTMENT, "end", REMOVE), "status", "proposed"), "Appointment"),
    "app-3": (changed(changed(APPOINTMENT, "start", REMOVE), "end", REMOVE), "Appointment"),
    "app-4": (changed(APPOINTMENT, "cancelationReason", {"text": "rain"}), "Appointment"),
    "appointment that ends before it starts": (changed(APPOINTMENT, "end", "2026-11-24T08:00:00+05:30"), "Appointment"),
    "att-1": (
        changed(DOCUMENT, "content", 0, "attachment", {"data": "bmlyYW50YXI="}),
        "DocumentReference.content[0].attachment",
    ),
    "cpt-2": (changed(PATIENT, "telecom", [{"value": "1"}]), "Patient.telecom[0]"),
    "qty-3": (changed(OBSERVATION, "valueQuantity", {"value": 1, "code": "g"}), "Observation.valueQuantity"),
    "rng-2": (
        changed(_PAINTED, "valueRange", {"low": quantity("2"), "high": quantity("1")}),
        "Observation.valueRange",
    ),
    "rat-1": (changed(_PAINTED, "valueRatio", {"numerator": quantity("2")}), "Observation.valueRatio"),
    "sqty-1": (
        changed(OBSERVATION, "referenceRange", [{"low": {"value": 1, "comparator": "<"}}]),
        "Observation.referenceRange[0].low.comparator",
    ),
    "tim-2": (
        changed(PRESCRIPTION, "dosageInstruction", 0, "timing", "repeat", {"period": 1}),
        "MedicationRequest.dosageInstruction[0].timing.repeat",
    ),
    "org-1": ({"resourceType": "Organization", "active": True}, "Organization"),
    "org-2": (
        {"resourceType": "Organization", "name": "x", "address": [{"use": "home", "city": "y"}]},
        "Organization",
    ),
    "ppc-1": (changed(CONSENT, "policy", REMOVE), "Consent"),
    "sev-1": (changed(AUDIT_EVENT, "entity", [{"name": "a", "query": "YQ=="}]), "AuditEvent.entity[0]"),
    "prr-1": (
        {
            "resourceType": "ServiceRequest",
            "status": "active",
            "intent": "order",
            "subject": {"reference": "Patient/1"},
            "orderDetail": [{"text": "x"}],
        },
        "ServiceRequest",
    ),
    "mdd-1": (
        {
            "resourceType": "MedicationDispense",
            "status": "completed",
            "medicationCodeableConcept": {"text": "x"},
            "whenPrepared": "2026-11-23",
            "whenHandedOver": "2026-11-22",
        },
        "MedicationDispense",
    ),
    "lnk-1": (
        {"resourceType": "Linkage", "item": [{"type": "source", "resource": {"reference": "Patient/1"}}]},
        "Linkage",
    ),
    "bdl-3": (changed(TRANSACTION, "entry", 0, "request", REMOVE), "Bundle"),
    "invalid resource in a transaction": (
        changed(TRANSACTION, "entry", 0, "resource", "code", REMOVE),
        "Bundle.entry[0].resource.code",
    ),
}
