"""The Bundles that answer, and FHIR's form of an error."""

from __future__ import annotations

import msgspec

from nirantar.errors import Issue
from nirantar.fhir.operation_outcome import operation_outcome
from nirantar.fhir.response_bundle import (
    EntryResponse,
    HistoryEntry,
    Links,
    history_bundle,
    search_set,
    transaction_response,
)
from nirantar.limits import ISSUES_MAX

LINKS = Links("https://h/fhir", "https://h/fhir/Patient?name=x", "https://h/fhir/Patient?_cursor=c")
BYTES = b'{"resourceType":"Patient","x":72.50}'


def test_search_results_hold_the_stored_bytes() -> None:
    """A decimal's digits survive because the stored bytes are written as they are."""
    outcome = operation_outcome([Issue("not-supported", "colour was ignored.", severity="warning")])
    written = msgspec.json.encode(search_set([("Patient", "1", BYTES)], LINKS, total=1, outcome=outcome))
    assert BYTES in written
    page = msgspec.json.decode(written)
    assert page["total"] == 1
    assert [link["relation"] for link in page["link"]] == ["self", "next"]
    assert page["entry"][0]["fullUrl"] == "https://h/fhir/Patient/1"
    assert [entry["search"]["mode"] for entry in page["entry"]] == ["match", "outcome"]


def test_an_empty_page_has_no_empty_list() -> None:
    """R4 forbids empty lists."""
    assert search_set([], Links("b", "s"), total=0) == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 0,
        "link": [{"relation": "self", "url": "s"}],
    }
    assert transaction_response([]) == {"resourceType": "Bundle", "type": "transaction-response"}


def test_a_transactions_answer_names_each_version() -> None:
    """Status, location, ETag and time of what was written; the outcome of what failed in a batch."""
    made = EntryResponse("201 Created", "Patient", "1", "n.7", "2024-05-01T10:00:00.000Z")
    failed = EntryResponse("404 Not Found", outcome=operation_outcome([Issue("not-found", "No such resource.")]))
    answer = transaction_response([made, failed], kind="batch")
    assert answer["type"] == "batch-response"
    assert answer["entry"][0] == {
        "response": {
            "status": "201 Created",
            "location": "Patient/1/_history/n.7",
            "etag": 'W/"n.7"',
            "lastModified": "2024-05-01T10:00:00.000Z",
        }
    }
    assert answer["entry"][1]["response"]["outcome"]["issue"][0]["code"] == "not-found"


def test_a_history_tells_how_each_version_came_about() -> None:
    """Created by POST on the type, changed and deleted on the instance; a deletion has no resource."""
    versions = [
        HistoryEntry("Patient", "1", "n.8", "DELETE", "t2", None),
        HistoryEntry("Patient", "1", "n.7", "POST", "t1", BYTES),
    ]
    deleted, made = history_bundle(versions, LINKS, total=2)["entry"]
    assert deleted["request"] == {"method": "DELETE", "url": "Patient/1"}
    assert "resource" not in deleted
    assert made["request"] == {"method": "POST", "url": "Patient"}
    assert made["response"] == {"status": "201 Created", "etag": 'W/"n.7"', "lastModified": "t1"}


def test_an_outcome_has_at_least_one_issue_and_not_too_many() -> None:
    """R4 wants one; a flood of them helps nobody."""
    assert len(operation_outcome([])["issue"]) == 1
    assert operation_outcome([])["issue"][0]["severity"] == "information"
    assert len(operation_outcome([Issue("value", "x", "Patient.name")] * (ISSUES_MAX + 1))["issue"]) == ISSUES_MAX
    (issue,) = operation_outcome([Issue("value", "x", "Patient.name")])["issue"]
    assert issue == {"severity": "error", "code": "value", "diagnostics": "x", "expression": ["Patient.name"]}
