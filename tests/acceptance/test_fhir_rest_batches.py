"""Transactions and batches over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rest_client import RestClient, codes, document, observation, open_node, patient

MOTHER = "urn:uuid:0b5f0e0a-8f0e-4a52-9d2c-6a1c3d6f0a01"
VISIT = "urn:uuid:0b5f0e0a-8f0e-4a52-9d2c-6a1c3d6f0a02"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestClient]:
    """One node for all tests of this file."""
    directory: Path = tmp_path_factory.mktemp("node") / "opd-1"
    with open_node(directory) as node:
        client = RestClient(node)
        yield client
        client.close()


def entry(method: str, url: str, resource: dict[str, Any] | None = None, **request: Any) -> dict[str, Any]:
    """One entry; `full_url` among `request` becomes its fullUrl."""
    full_url = request.pop("full_url", None)
    made: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        made["resource"] = resource
    if full_url is not None:
        made["fullUrl"] = full_url
    return made


def posted(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    """A Bundle of these entries."""
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def statuses(answer: dict[str, Any]) -> list[int]:
    """The status numbers of the entries, in order."""
    return [int(each["response"]["status"][:3]) for each in answer["entry"]]


def visit(subject: str) -> dict[str, Any]:
    """An outpatient visit."""
    return {
        "resourceType": "Encounter", "status": "arrived", "subject": {"reference": subject},
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
    }


def test_a_transaction_links_its_own_resources(client: RestClient) -> None:
    """urn:uuid references become Type/id, GETs see what was written, answers stand in the order of the request."""
    response = client.call("POST", "", posted(
        "transaction",
        entry("GET", "Patient?identifier=urn:test:tx|1"),
        entry("POST", "Encounter", visit(MOTHER), full_url=VISIT),
        entry("POST", "Patient", patient(identifier=[{"system": "urn:test:tx", "value": "1"}]), full_url=MOTHER),
        entry("POST", "Observation", observation(MOTHER)),
    ), headers={"Prefer": "return=representation"})
    answer = document(response)
    assert response.status_code == 200, response.text
    assert answer["type"] == "transaction-response"
    assert statuses(answer) == [200, 201, 201, 201]
    found, encounter, person, weight = (each["resource"] for each in answer["entry"])
    assert encounter["subject"]["reference"] == weight["subject"]["reference"] == f"Patient/{person['id']}"
    assert [each["resource"]["id"] for each in found["entry"]] == [person["id"]]
    assert b'"value":72.50,' in response.content
    versions = {each["resource"]["meta"]["versionId"] for each in answer["entry"][1:]}
    assert len(versions) == 1
    location = answer["entry"][2]["response"]["location"]
    assert document(client.call("GET", f"/{location}"))["id"] == person["id"]


def test_the_base_answers_with_and_without_a_slash(client: RestClient) -> None:
    """POST /fhir and POST /fhir/ are the same place."""
    for base in ("", "/"):
        assert client.call("POST", base, posted("batch", entry("GET", "Patient?_count=0"))).status_code == 200


def test_a_transaction_is_all_or_nothing(client: RestClient) -> None:
    """One entry that is wrong, or that the state forbids, undoes all others."""
    key = [{"system": "urn:test:tx", "value": "2"}]
    good = entry("POST", "Patient", patient(identifier=key), full_url=MOTHER)
    broken = entry("POST", "Observation", {**observation(MOTHER), "status": "no-such-status"})
    stale = entry("PUT", "Encounter/tx-visit", {**visit(MOTHER), "id": "tx-visit"}, ifMatch='W/"opd-1.1"')
    unknown = entry("POST", "Encounter", visit("Patient?identifier=urn:test:tx|nobody"))
    for bad, status in ((broken, 422), (stale, 412), (unknown, 404)):
        response = client.call("POST", "", posted("transaction", good, bad))
        assert response.status_code == status, response.text
        assert codes(response)
    assert document(client.call("GET", "/Patient?identifier=urn:test:tx|2&_total=accurate"))["total"] == 0


def test_a_conditional_reference_finds_its_target(client: RestClient) -> None:
    """A reference that is a search becomes the one match's Type/id."""
    key = [{"system": "urn:test:tx", "value": "3"}]
    id = document(client.call("POST", "/Patient", patient(identifier=key)))["id"]
    made = client.call("POST", "/Encounter", visit("Patient?identifier=urn:test:tx|3"))
    assert document(made)["subject"]["reference"] == f"Patient/{id}"


def test_a_transaction_repeated_is_done_once(client: RestClient) -> None:
    """With the same Idempotency-Key the second answer is the first's, resource by resource."""
    body = posted("transaction", entry("POST", "Patient", patient(), full_url=MOTHER), entry("POST", "Encounter", visit(MOTHER)))
    headers = {"Idempotency-Key": "counter-1/9", "Prefer": "return=representation"}
    first, again = (client.call("POST", "", body, headers=headers) for _ in range(2))
    assert first.content == again.content


def test_a_transaction_concerns_one_patient(client: RestClient) -> None:
    """Two patients in one transaction are refused as a business rule."""
    response = client.call("POST", "", posted("transaction", entry("POST", "Patient", patient()), entry("POST", "Patient", patient())))
    assert (response.status_code, codes(response)) == (422, {"business-rule"})


def test_entries_of_a_batch_stand_for_themselves(client: RestClient) -> None:
    """Each entry has its own status; failures carry an outcome and stop nothing; GETs come after the writes."""
    answer = document(client.call("POST", "", posted(
        "batch",
        entry("GET", "Location/batch-room"),
        entry("PUT", "Location/batch-room", {"resourceType": "Location", "id": "batch-room", "name": "Room"}),
        entry("POST", "Patient", patient(gender="nonsense")),
        entry("DELETE", "Location/never-was"),
        entry("GET", "Location/never-was"),
        entry("POST", "Patient", patient()),
        entry("POST", "Patient", patient()),
        entry("PATCH", "Location/batch-room", {"resourceType": "Binary", "contentType": "application/json-patch+json"}),
        {"request": {"method": "SHOUT", "url": "Location"}},
        entry("GET", "Patient?no-such=1&_count=1"),
        entry("GET", "Location/_history"),
    )))
    assert answer["type"] == "batch-response"
    assert statuses(answer)[:8] == [200, 201, 422, 204, 404, 201, 201, 400]
    assert statuses(answer)[8] in (400, 422)
    assert statuses(answer)[9:] == [200, 400]
    assert answer["entry"][0]["resource"]["name"] == "Room"
    assert answer["entry"][4]["response"]["outcome"]["issue"][0]["code"] == "not-found"


def test_a_get_entry_answers_304_to_a_known_version(client: RestClient) -> None:
    """ifNoneMatch with the current version gives 304 in its entry, without the resource."""
    made = client.call("POST", "/Location", {"resourceType": "Location"})
    id = document(made)["id"]
    answer = document(client.call("POST", "", posted("batch", entry("GET", f"Location/{id}", ifNoneMatch=made.headers["etag"]))))
    assert statuses(answer) == [304]
    assert "resource" not in answer["entry"][0]


def test_roles_hold_inside_bundles(client: RestClient) -> None:
    """A role that may not write or read a type may not do so through a transaction, a batch or a condition."""
    weight = entry("POST", "Observation", observation("someone"))
    refused = client.call("POST", "", posted("transaction", weight), role="registration-clerk")
    assert (refused.status_code, codes(refused)) == (403, {"forbidden"})
    reading = posted("transaction", entry("POST", "Patient", patient()), entry("GET", "Observation?_count=1"))
    assert client.call("POST", "", reading, role="registration-clerk").status_code == 403
    answer = document(client.call("POST", "", posted("batch", weight, entry("GET", "Observation?_count=1")), role="registration-clerk"))
    assert statuses(answer) == [403, 403]
    note = {
        "resourceType": "Provenance", "target": [{"reference": "Patient/x"}], "recorded": "2026-11-23T08:30:00Z",
        "agent": [{"who": {"display": "Asha"}}],
    }
    peeking = client.call("POST", "/Provenance", note, role="pharmacist", headers={"If-None-Exist": "_id=anything"})
    assert peeking.status_code == 403


def test_other_bundles_are_no_request(client: RestClient) -> None:
    """Only transaction and batch Bundles can be posted to the base."""
    for body in (patient(), posted("searchset"), {"resourceType": "Bundle"}, posted("transaction", {"resource": patient()})):
        response = client.call("POST", "", body)
        assert response.status_code in (400, 422), response.text
        assert codes(response)


def test_a_large_batch_is_written_in_groups(client: RestClient) -> None:
    """Three hundred independent creates all succeed, whatever the queue of the writer holds."""
    rooms = [entry("POST", "Location", {"resourceType": "Location", "name": f"Bed {number}"}) for number in range(300)]
    answer = document(client.call("POST", "", posted("batch", *rooms)))
    assert statuses(answer) == [201] * 300
