"""The facts of R4 that the data file holds."""

from __future__ import annotations

import pytest

from nirantar.fhir.definitions import PRIMITIVE_TYPES, resource_types, type_definition, value_set_codes


def test_r4_has_146_resource_types() -> None:
    """R4 4.0.1 has 148, of which Resource and DomainResource are abstract; no vendor's or R5's type slipped in."""
    assert len(resource_types()) == 146
    assert {"Patient", "Observation", "Bundle", "Parameters"} <= resource_types()
    assert not {"Resource", "DomainResource", "SubscriptionStatus", "NirantarNode"} & resource_types()


def test_every_type_that_is_named_has_a_definition() -> None:
    """The definitions are closed: walking from the resources never meets an unknown type or value set."""
    waiting = set(resource_types())
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for element in type_definition(name).elements.values():
            assert element.type_names
            assert element.targets is None or element.targets <= resource_types()
            if element.value_set is not None:
                assert all(value_set_codes(element.value_set).values())
            waiting |= set(element.type_names) - PRIMITIVE_TYPES - {"Resource"} - seen
    assert len(seen) > 600


def test_facts_of_a_choice_and_of_a_reference() -> None:
    """Cardinality, choice names, targets and codes as R4's pages give them."""
    elements = type_definition("MedicationRequest").elements
    medication = elements["medication"]
    assert medication.json_names() == {
        "medicationCodeableConcept": "CodeableConcept",
        "medicationReference": "Reference",
    }
    assert (medication.minimum, medication.repeats, medication.targets) == (1, False, frozenset({"Medication"}))
    assert elements["subject"].targets == {"Patient", "Group"}
    assert elements["status"].value_set == "medicationrequest-status"
    assert elements["dosageInstruction"].repeats
    dose = type_definition("Dosage.doseAndRate").elements["dose"]
    assert dose.json_names() == {"doseRange": "Range", "doseQuantity": "SimpleQuantity"}


def test_codes_of_a_required_binding() -> None:
    """Codes of a whole code system, hierarchies included."""
    assert value_set_codes("administrative-gender") == {
        "http://hl7.org/fhir/administrative-gender": {"male", "female", "other", "unknown"}
    }
    (clinical,) = value_set_codes("condition-clinical").values()
    assert {"active", "recurrence", "resolved"} <= clinical


def test_an_element_refers_to_another_by_its_path() -> None:
    """`contentReference` is a type name like any other: items nest to any depth."""
    assert type_definition("Questionnaire.item").elements["item"].type_names == ("Questionnaire.item",)


@pytest.mark.parametrize("name", ["string", "Pateint", "Meta.project"])
def test_other_names_have_no_definition(name: str) -> None:
    """A KeyError, not an empty definition."""
    with pytest.raises(KeyError):
        type_definition(name)
