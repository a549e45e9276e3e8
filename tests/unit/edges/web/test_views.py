"""Resources as pages show them: rows of any type, the banner of any patient, the place in the log."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from nirantar.edges.web.desk import grouped
from nirantar.edges.web.patient_view import age_in_words, patient_view
from nirantar.edges.web.resource_rows import resource_row, title_of, words
from nirantar.edges.web.session import form_token, token_matches
from nirantar.edges.web.whereabouts import whereabouts
from nirantar.fhir import json
from nirantar.interactions.doors import NodeStatus, VaultStatus
from nirantar.interactions.results import StoredVersion
from nirantar.workflows.patient_fields import PersonFields
from nirantar.workflows.patient_resource import new_patient

TODAY = date(2026, 11, 23)


def test_an_observation_keeps_its_digits() -> None:
    """72.50 is shown as 72.50, with its unit, its test and its time."""
    row = resource_row(json.decode(
        b'{"resourceType":"Observation","id":"o","status":"final","code":{"text":"Weight"},'
        b'"effectiveDateTime":"2026-11-23T08:30:00+05:30","valueQuantity":{"value":72.50,"unit":"kg"}}'
    ))
    assert (row.what, row.detail, row.status, row.when) == ("Weight", "72.50 kg", "final", "2026-11-23T08:30:00+05:30")


@pytest.mark.parametrize(("resource", "what", "detail", "status"), [
    ({"resourceType": "Observation", "code": {"coding": [{"code": "85354-9", "display": "Blood pressure"}]}, "component": [
        {"code": {"text": "Systolic"}, "valueQuantity": {"value": 120, "unit": "mmHg"}},
        {"code": {"text": "Diastolic"}, "valueQuantity": {"value": 80, "unit": "mmHg"}}]},
     "Blood pressure", "Systolic 120 mmHg; Diastolic 80 mmHg", ""),
    ({"resourceType": "Condition", "code": {"text": "Asthma"}, "clinicalStatus": {"coding": [{"code": "active"}]}},
     "Asthma", "", "active"),
    ({"resourceType": "Encounter", "class": {"code": "AMB"}, "type": [{"text": "Follow-up"}], "serviceType": {"text": "ENT"}, "status": "arrived"},
     "ENT", "AMB", "arrived"),
    ({"resourceType": "Observation", "code": {"text": "Potassium"}, "valueQuantity": {"comparator": "<", "value": 3, "unit": "mmol/L"}},
     "Potassium", "<3 mmol/L", ""),
    ({"resourceType": "Basic"}, "", "", ""),
    ({}, "", "", ""),
])
def test_any_resource_is_a_row(resource: dict[str, Any], what: str, detail: str, status: str) -> None:
    """What a type has is picked, what it lacks is empty, and nothing fails."""
    row = resource_row(resource)
    assert (row.what, row.detail, row.status) == (what, detail, status)


def test_words_never_fail_on_odd_values() -> None:
    """Whatever JSON holds becomes text."""
    assert [words(each) for each in (None, True, 3, "x", [], {}, [{"text": "a"}, "b"])] == ["", "", "3", "x", "", "", "a, b"]
    assert title_of("Observation") == "Observations"
    assert title_of("Basic") == "Basic"


@pytest.mark.parametrize(("typed", "on", "shown"), [
    (PersonFields(name="A", gender="male", birth_date="1974-03-27"), TODAY, "52 y"),
    (PersonFields(name="A", gender="male", birth_date="1974-12-27"), TODAY, "51 y"),
    (PersonFields(name="A", gender="male", birth_date="2026-11-01"), TODAY, "22 d"),
    (PersonFields(name="A", gender="male", birth_date="2025-11-01"), TODAY, "12 mo"),
    (PersonFields(name="A", gender="male", birth_date="1974"), TODAY, "about 52 y"),
    (PersonFields(name="A", gender="male", age="45"), date(2028, 12, 1), "about 47 y"),
    (PersonFields(name="A", gender="male", age="20", age_unit="days"), date(2026, 12, 3), "about 30 d"),
    (PersonFields(name="A", gender="male", age="20", age_unit="days"), date(2027, 3, 3), "about 4 mo"),
    (PersonFields(name="A", gender="male", age="30", age_unit="months"), date(2028, 3, 3), "about 3 y"),
])
def test_an_age_is_told_as_exactly_as_it_is_known(typed: PersonFields, on: date, shown: str) -> None:
    """A date gives years (days and months for the small), an estimate grows with the time since it was made."""
    assert age_in_words(new_patient(typed, "1", "urn:x", TODAY), on) == shown


def test_a_patient_without_anything_is_still_shown() -> None:
    """An empty Patient has a banner that says what is not there."""
    view = patient_view({"resourceType": "Patient", "id": "p"}, "urn:x", TODAY)
    assert (view.name, view.sex, view.age, view.uhid) == ("No name recorded", "Sex not recorded", "age not recorded", "")


def status(confirmed: int, trouble: str | None = None, *, vaults: bool = True) -> NodeStatus:
    """A node whose vault holds so many entries."""
    vault = VaultStatus("file:///v", "not safe from this machine's administrator", confirmed, 0.0, trouble)
    return NodeStatus("H", "opd-1", "h/opd-1", "0", 9, "node", (vault,) if vaults else (), None, (), 0)


def version(origin: str = "h/opd-1") -> StoredVersion:
    """Entry 4 of a log."""
    return StoredVersion("Patient", "p", "opd-1.4", b"{}", origin, 4, 0)


@pytest.mark.parametrize(("confirmed", "in_vault"), [(4, False), (5, True)])
def test_an_entry_is_in_the_vault_once_the_count_passes_its_index(confirmed: int, in_vault: bool) -> None:
    """Indexes count from 0, so entry 4 is there when five are confirmed."""
    assert whereabouts(version(), status(confirmed)).in_vault is in_vault


def test_the_vaults_trouble_and_absence_are_told() -> None:
    """A vault that fails, no vault, and an entry that came back from one each have their sentence."""
    assert "refused" in whereabouts(version(), status(0, "refused")).note
    assert "no vault" in whereabouts(version(), status(0, vaults=False)).note
    assert "came back" in whereabouts(version("h/old"), status(0)).note


def test_a_number_is_grouped_for_reading_aloud() -> None:
    """Groups of four; anything but digits stays."""
    assert grouped("100000016") == "1000 0001 6"
    assert grouped("X-1") == "X-1"


def test_a_form_token_fits_its_secret_only() -> None:
    """Another secret's token, an empty secret and a malformed one never match."""
    secret, other = "a" * 43, "b" * 43
    assert token_matches(secret, form_token(secret))
    assert not token_matches(secret, form_token(other))
    assert not token_matches("", form_token(""))
    assert not token_matches("a b" * 20, form_token("a b" * 20))
