"""Transactions and batches over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rest_client import RestClient, codes, document, observation, open_node, patient

from nirantar.limits import TRANSACTION_ENTRIES_MAX

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


def test_every_wrong_resource_of_a_transaction_is_named_by_its_entry(client: RestClient) -> None:
    """Whoever sends fifty resources learns which are wrong, all at once, and where in the Bundle that is."""
    response = client.call("POST", "", posted(
        "transaction",
        entry("POST", "Patient", patient(), full_url=MOTHER),
        entry("POST", "Observation", {**observation(MOTHER), "status": "no-such-status"}),
        entry("GET", "Patient/anybody"),
        entry("POST", "Encounter", {**visit(MOTHER), "bogus": 1}),
    ))
    assert response.status_code == 400
    places = {place for issue in document(response)["issue"] for place in issue["expression"]}
    assert places == {"Bundle.entry[1].resource.status", "Bundle.entry[3].resource.bogus"}


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


def test_a_key_belongs_to_one_request(client: RestClient) -> None:
    """The same key with anything else asked is a conflict, for every way to write; the first answer stays."""
    room = {"resourceType": "Location", "name": "Room"}
    key = {"Idempotency-Key": "counter-1/key"}
    first = client.call("POST", "/Location", room, headers=key)
    assert first.status_code == 201
    other = {"resourceType": "Location", "name": "Another"}
    for method, path, body, more in (
        ("POST", "/Location", other, {}),
        ("POST", "/Location", room, {"If-None-Exist": "name=Room"}),
        ("PUT", "/Location/x", {**room, "id": "x"}, {}),
        ("DELETE", "/Location/x", None, {}),
        ("POST", "", posted("transaction", entry("POST", "Location", room), entry("POST", "Location", other)), {}),
    ):
        answer = client.call(method, path, body, headers={**key, **more})
        assert (answer.status_code, codes(answer)) == (409, {"conflict"}), answer.text
    same = client.call("POST", "/Location", dict(reversed(room.items())), headers=key)
    assert (same.status_code, same.content, same.headers["etag"]) == (201, first.content, first.headers["etag"])


def test_a_key_belongs_to_one_content(client: RestClient) -> None:
    """Content that is uploaded again under its key is stored once; other content under that key is a conflict."""
    headers = {"Idempotency-Key": "scanner/1", "Content-Type": "application/pdf"}
    first, again = (client.call("POST", "/Binary", content=b"scan", headers=headers) for _ in range(2))
    assert (first.status_code, again.content) == (201, first.content)
    other = client.call("POST", "/Binary", content=b"another", headers=headers)
    assert (other.status_code, codes(other)) == (409, {"conflict"})


def test_a_key_of_a_batch_belongs_to_each_entry(client: RestClient) -> None:
    """Sent again, each entry is answered as before; only an entry that asks for something else is refused."""
    rooms = [entry("POST", "Location", {"resourceType": "Location", "name": name}) for name in ("A", "B")]
    headers = {"Idempotency-Key": "batch/1"}
    first = document(client.call("POST", "", posted("batch", *rooms), headers=headers))
    other = entry("POST", "Location", {"resourceType": "Location", "name": "C"})
    again = document(client.call("POST", "", posted("batch", rooms[0], other), headers=headers))
    assert again["entry"][0] == first["entry"][0]
    assert statuses(again) == [201, 409]


def test_every_entry_of_a_transaction_says_what_became_of_it(client: RestClient) -> None:
    """Status, location, ETag and time of each write; an outcome where one is preferred; what HEAD reads has no body."""
    client.call("PUT", "/Location/tx-old", {"resourceType": "Location", "id": "tx-old"})
    client.call("PUT", "/Location/tx-kept", {"resourceType": "Location", "id": "tx-kept", "name": "Kept"})
    response = client.call("POST", "", posted(
        "transaction",
        entry("HEAD", "Location/tx-new"),
        entry("GET", "Location/tx-old"),
        entry("PUT", "Location/tx-kept", {"resourceType": "Location", "id": "tx-kept"}),
        entry("PUT", "Location/tx-new", {"resourceType": "Location", "id": "tx-new"}),
        entry("DELETE", "Location/tx-old"),
        entry("DELETE", "Location/tx-never"),
        entry("POST", "Location", {"resourceType": "Location"}, ifNoneExist="name=Kept"),
    ), headers={"Prefer": "return=OperationOutcome"})
    assert response.status_code == 200, response.text
    answer = document(response)
    looked_at, gone, updated, created, deleted, nothing, made = (each["response"] for each in answer["entry"])
    assert statuses(answer) == [200, 410, 200, 201, 204, 204, 200]
    assert not any("resource" in each for each in answer["entry"])
    assert looked_at["etag"] == created["etag"]
    assert gone["outcome"]["issue"][0]["code"] == "deleted"
    for each, id in ((updated, "tx-kept"), (created, "tx-new"), (deleted, "tx-old"), (made, "tx-kept")):
        version = each["etag"][3:-1]
        assert each["location"] == f"Location/{id}/_history/{version}"
        assert each["lastModified"]
    assert updated["etag"] == created["etag"] == deleted["etag"] != made["etag"]
    assert "location" not in nothing
    for each in (updated, created, deleted, nothing, made):
        assert each["outcome"]["issue"][0]["severity"] == "information"
    assert client.call("GET", "/Location/tx-old").status_code == 410


def test_a_document_travels_whole_through_a_bundle(client: RestClient) -> None:
    """A Bundle as the resource of an entry keeps its inner links, in a transaction and in a batch."""
    inner = {"resourceType": "Bundle", "type": "collection", "entry": [
        {"fullUrl": MOTHER, "resource": {"resourceType": "Patient", "active": True}},
        {"fullUrl": VISIT, "resource": visit(MOTHER)},
    ]}
    for kind in ("transaction", "batch"):
        response = client.call("POST", "", posted(kind, entry("POST", "Bundle", inner)), headers={"Prefer": "return=representation"})
        answer = document(response)
        assert statuses(answer) == [201], response.text
        assert answer["entry"][0]["resource"]["entry"] == inner["entry"]


def test_a_bundle_has_a_largest_number_of_entries(client: RestClient) -> None:
    """One more than the bound is refused by its name before anything is written."""
    rooms = [entry("POST", "Location", {"resourceType": "Location", "name": "Too many"})] * (TRANSACTION_ENTRIES_MAX + 1)
    for kind in ("transaction", "batch"):
        response = client.call("POST", "", posted(kind, *rooms))
        assert (response.status_code, codes(response)) == (400, {"too-long"})
        assert "TRANSACTION_ENTRIES_MAX" in response.text
    assert document(client.call("GET", "/Location?name=Too%20many&_total=accurate"))["total"] == 0


def test_refusals_do_not_quote_what_was_sent(client: RestClient) -> None:
    """Whatever is wrong with a write, no value and no condition of the request comes back: only paths of elements."""
    secret = "Zaphodia"
    number = {"identifier": [{"system": "urn:test:secret", "value": secret}]}
    person = patient(secret)
    twice = [client.call("POST", "/Location", {"resourceType": "Location", **number}) for _ in range(2)]
    assert [each.status_code for each in twice] == [201, 201]
    subject = f"Patient?identifier=urn:test:secret|{secret}"
    wrong = [
        entry("POST", "Patient", {**person, "gender": secret}),
        entry("POST", "Patient", {**person, "birthDate": secret}),
        entry("POST", "Patient", {**person, "active": secret}),
        entry("POST", "Patient", {**person, "name": [{"famly": secret}]}),
        entry("POST", "Patient", {**person, "meta": secret}),
        entry("POST", "Patient", {**person, "id": secret + "/1"}),
        entry("POST", "Patient", {**person, "contact": [{"name": {"family": secret}, "gender": secret}]}),
        entry("POST", "Patient", {**person, "managingOrganization": {"reference": secret}}),
        entry("POST", "Patient", {**person, "text": {"status": "generated", "div": f"<script>{secret}</script>"}}),
        entry("POST", "Patient", {**person, "extension": [{"url": secret, "valueCode": secret, "valueString": secret}]}),
        entry("POST", "Patient", {**person, "contained": [{"resourceType": secret}]}),
        entry("POST", "Patient", {**person, "resourceType": secret}),
        entry("POST", secret, person),
        entry(secret, "Patient", person),
        entry("POST", "Patient", person, full_url=secret),
        entry("POST", "Patient", person, ifNoneExist=secret),
        entry("POST", "Patient", person, ifNoneExist=f"birthdate={secret}"),
        entry("POST", "Patient", person, ifNoneExist=f"name:exakt={secret}"),
        entry("POST", "Location", {"resourceType": "Location"}, ifNoneExist=f"identifier=urn:test:secret|{secret}"),
        entry("PUT", f"Location?identifier=urn:test:secret|{secret}", {"resourceType": "Location"}),
        entry("PUT", "Location/secret", {"resourceType": "Location", "id": secret}),
        entry("PUT", "Location/secret", {"resourceType": "Location", "id": "secret"}, ifMatch=secret),
        entry("PUT", "Location/secret", {"resourceType": "Location", "id": "secret"}, ifMatch=f'W/"{secret}"'),
        entry("DELETE", f"Location?identifier=urn:test:secret|{secret}"),
        entry("PATCH", "Location/secret", {"resourceType": "Parameters", "id": secret}),
        entry("POST", "Encounter", visit(subject)),
        entry("POST", "Encounter", visit(f"Patient?birthdate={secret}")),
        entry("POST", "Encounter", visit("urn:uuid:" + secret)),
        entry("POST", "Observation", {**observation("x"), "valueString": secret}),
        entry("POST", "Observation", {**observation("x"), "effectiveDateTime": secret, "status": secret}),
    ]
    for each in wrong:
        for kind in ("transaction", "batch"):
            response = client.call("POST", "", posted(kind, each))
            answer = document(response)
            failed = response.status_code if kind == "transaction" else statuses(answer)[0]
            assert 400 <= failed < 500, (each["request"], response.text)
            assert secret not in response.text, response.text
    assert client.call("POST", "", content=f'{{"resourceType": "{secret}'.encode(), headers={"Content-Type": "application/fhir+json"}).status_code == 400
