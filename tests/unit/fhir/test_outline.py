"""The outline of a resource: whose chart, which identifiers, which index rows."""

from __future__ import annotations

from nirantar.fhir.index_rows import DateRow, ReferenceRow, StringRow, TokenRow
from nirantar.fhir.outline import outline_of
from nirantar.fhir.search_parameters import extract

OBSERVATION = {
    "resourceType": "Observation", "id": "o", "status": "final", "code": {"coding": [{"system": "urn:s", "code": "c"}]},
    "subject": {"reference": "Patient/p"}, "effectiveDateTime": "2024-05-01", "valueString": "Pale",
    "identifier": [{"system": "urn:i", "value": "7"}, {"value": "loose"}, "odd", {}],
}


def test_it_holds_every_index_row_but_the_id() -> None:
    """The rows are those of the index, each by its kind; the table of resources answers `_id`."""
    outline = outline_of(OBSERVATION)
    assert set(outline.rows()) == {row for row in extract(OBSERVATION) if row.param != "_id"}
    assert TokenRow("code", "urn:s", "c") in outline.tokens
    assert StringRow("value-string", "pale") in outline.strings
    assert {row.param for row in outline.dates} == {"date"}
    assert ReferenceRow("subject", "Patient/p") in outline.references


def test_whose_chart_and_which_identifiers() -> None:
    """What refers to a patient belongs to him, a Patient says nothing of another, and whole identifiers are kept."""
    assert outline_of(OBSERVATION).patient == "p"
    assert outline_of(OBSERVATION).identifiers == [("urn:i", "7")]
    linked = {"resourceType": "Patient", "id": "a", "link": [{"other": {"reference": "Patient/b"}, "type": "seealso"}]}
    assert outline_of(linked).patient is None
    assert outline_of({"resourceType": "Patient", "identifier": {"system": "urn:i", "value": "7"}}).identifiers == []


def test_rows_are_taken_out_and_a_date_put_in() -> None:
    """Replacing a resource writes the difference only, and the time of its change comes with the writer's turn."""
    outline = outline_of(OBSERVATION)
    kept = TokenRow("status", "", "final")
    assert set(outline.rows()) - set(outline.without({kept}).rows()) == {kept}
    dated = DateRow("_lastUpdated", 1, 2)
    assert set(outline.with_date(dated).rows()) - set(outline.rows()) == {dated}
