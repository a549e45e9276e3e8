"""The FHIR API as a client sees it, on a node with a real disk."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from rest_client import BASE, RestClient, codes, document, observation, open_node, patient

from nirantar.fhir.definitions import resource_types


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestClient]:
    """One node for all tests of this file; each test makes the resources that it reads."""
    directory: Path = tmp_path_factory.mktemp("node") / "opd-1"
    with open_node(directory) as node:
        client = RestClient(node)
        yield client
        client.close()


def make(client: RestClient, resource: dict[str, object]) -> str:
    """Create a resource and return its id."""
    response = client.call("POST", f"/{resource['resourceType']}", resource)
    assert response.status_code == 201, response.text
    return str(document(response)["id"])


def test_create_answers_with_the_stored_version_and_its_place(client: RestClient) -> None:
    """POST gives 201, an id, and the headers by which this version is found again."""
    response = client.call("POST", "/Patient", patient())
    body = document(response)
    assert response.status_code == 201
    version = body["meta"]["versionId"]
    assert response.headers["etag"] == f'W/"{version}"'
    assert response.headers["location"] == f"{BASE}/Patient/{body['id']}/_history/{version}"
    assert parsedate_to_datetime(response.headers["last-modified"]).tzinfo is not None
    again = client.call("GET", response.headers["location"])
    assert again.content == response.content


def test_read_serves_the_digits_that_were_written(client: RestClient) -> None:
    """72.50 comes back as 72.50, by read, search and history alike."""
    id = make(client, observation(make(client, patient())))
    for path in (f"/Observation/{id}", f"/Observation?_id={id}", f"/Observation/{id}/_history"):
        assert b'"value":72.50,' in client.call("GET", path).content


def test_read_knows_what_the_client_has(client: RestClient) -> None:
    """If-None-Match with the current ETag gives 304 without a body; another ETag gives the resource."""
    id = make(client, patient())
    first = client.call("GET", f"/Patient/{id}")
    same = client.call("GET", f"/Patient/{id}", headers={"If-None-Match": first.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["etag"] == first.headers["etag"]
    other = client.call("GET", f"/Patient/{id}", headers={"If-None-Match": 'W/"opd-1.999999"'})
    assert other.status_code == 200


def test_head_is_get_without_the_body(client: RestClient) -> None:
    """HEAD gives GET's headers, Content-Length included, and no body."""
    id = make(client, patient())
    whole, head = client.call("GET", f"/Patient/{id}"), client.call("HEAD", f"/Patient/{id}")
    assert head.headers["content-length"] == str(len(whole.content))
    assert head.content == b""


def test_update_refuses_a_stale_version(client: RestClient) -> None:
    """If-Match with the current version updates, with an older one gives 412 and changes nothing."""
    id = make(client, patient())
    tag = client.call("GET", f"/Patient/{id}").headers["etag"]
    changed = client.call("PUT", f"/Patient/{id}", patient("Verma", id=id), headers={"If-Match": tag})
    assert changed.status_code == 200
    stale = client.call("PUT", f"/Patient/{id}", patient("Rao", id=id), headers={"If-Match": tag})
    assert stale.status_code == 412
    assert codes(stale) == {"conflict"}
    assert document(client.call("GET", f"/Patient/{id}"))["name"][0]["family"] == "Verma"


def test_update_creates_what_is_not_there(client: RestClient) -> None:
    """PUT to a new id makes it under that id: 201, then 200; If-None-Match: * refuses the second."""
    resource = patient(id="asha-1")
    assert client.call("PUT", "/Patient/asha-1", resource).status_code == 201
    assert client.call("PUT", "/Patient/asha-1", resource).status_code == 200
    assert client.call("PUT", "/Patient/asha-1", resource, headers={"If-None-Match": "*"}).status_code == 412


def test_update_needs_the_id_and_type_of_its_url(client: RestClient) -> None:
    """A body whose id or type is not the URL's is refused with 400."""
    for body in (patient(), patient(id="other"), {"resourceType": "Group", "id": "x", "type": "person"}):
        assert client.call("PUT", "/Patient/asha-2", body).status_code == 400
    assert client.call("GET", "/Patient/asha-2").status_code == 404
    assert document(client.call("GET", "/Patient/asha-2"))["issue"][0]["diagnostics"] == "There is no Patient/asha-2 here."
    assert "of that version" in client.call("GET", "/Patient/asha-2/_history/x.1").text


def test_deleted_is_gone_but_its_history_is_not(client: RestClient) -> None:
    """After DELETE a read gives 410, the old version still 200, and the history names the deletion first."""
    id = make(client, patient())
    first = client.call("GET", f"/Patient/{id}")
    assert client.call("DELETE", f"/Patient/{id}").status_code == 204
    gone = client.call("GET", f"/Patient/{id}")
    assert (gone.status_code, codes(gone)) == (410, {"deleted"})
    old = client.call("GET", f"/Patient/{id}/_history/{first.headers['etag'][3:-1]}")
    assert old.content == first.content
    history = document(client.call("GET", f"/Patient/{id}/_history"))
    assert [entry["request"]["method"] for entry in history["entry"]] == ["DELETE", "PUT"]
    assert client.call("DELETE", f"/Patient/{id}").status_code == 204
    assert client.call("DELETE", "/Patient/never-was").status_code == 204


def test_conditional_create_counts_the_matches(client: RestClient) -> None:
    """If-None-Exist: none gives 201, one 200 with that resource, several 412."""
    one = patient(identifier=[{"system": "urn:test:mrn", "value": "C-1"}])
    condition = {"If-None-Exist": "identifier=urn:test:mrn|C-1"}
    made = client.call("POST", "/Patient", one, headers=condition)
    found = client.call("POST", "/Patient", one, headers=condition)
    assert (made.status_code, found.status_code) == (201, 200)
    assert made.content == found.content
    make(client, one)
    many = client.call("POST", "/Patient", one, headers=condition)
    assert (many.status_code, codes(many)) == (412, {"multiple-matches"})


@pytest.mark.parametrize("blank", ["", " ", "\t "])
def test_an_empty_condition_creates_nothing(client: RestClient, blank: str) -> None:
    """An If-None-Exist header without a search is 400: it is never taken for no condition."""
    before = document(client.call("GET", "/Patient?_summary=count"))["total"]
    answer = client.call("POST", "/Patient", patient(), headers={"If-None-Exist": blank})
    assert answer.status_code == 400
    assert document(client.call("GET", "/Patient?_summary=count"))["total"] == before


def test_conditional_creates_at_once_make_one(client: RestClient) -> None:
    """Twenty simultaneous creates under one condition make one resource."""
    one = patient(identifier=[{"system": "urn:test:mrn", "value": "RACE"}])
    condition = {"If-None-Exist": "identifier=urn:test:mrn|RACE"}
    answers = client.gather([("POST", "/Patient", one, condition)] * 20)
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({document(answer)["id"] for answer in answers}) == 1


def test_conditional_update_and_delete(client: RestClient) -> None:
    """PUT and DELETE by search: none creates or does nothing, one is changed, several are refused."""
    path = "/Patient?identifier=urn:test:mrn|U-1"
    one = patient(identifier=[{"system": "urn:test:mrn", "value": "U-1"}])
    made = client.call("PUT", path, one)
    changed = client.call("PUT", path, patient("Verma", identifier=one["identifier"]))
    assert (made.status_code, changed.status_code) == (201, 200)
    id = document(made)["id"]
    assert document(changed)["id"] == id
    assert client.call("PUT", path, {**one, "id": "another"}).status_code == 400
    assert client.call("DELETE", path).status_code == 204
    assert client.call("GET", f"/Patient/{id}").status_code == 410
    assert client.call("DELETE", path).status_code == 204
    make(client, one)
    make(client, one)
    assert client.call("DELETE", path).status_code == 412
    assert client.call("PUT", path, one).status_code == 412
    assert client.call("DELETE", "/Patient").status_code == 400


def test_prefer_says_what_comes_back(client: RestClient) -> None:
    """Prefer: return=minimal gives no body, OperationOutcome an outcome, representation the resource."""
    minimal = client.call("POST", "/Patient", patient(), headers={"Prefer": "return=minimal"})
    assert (minimal.status_code, minimal.content) == (201, b"")
    assert "location" in minimal.headers
    outcome = client.call("POST", "/Patient", patient(), headers={"Prefer": "return=OperationOutcome"})
    assert (outcome.status_code, codes(outcome)) == (201, {"informational"})
    whole = client.call("POST", "/Patient", patient(), headers={"Prefer": "handling=strict; return=representation"})
    assert document(whole)["resourceType"] == "Patient"
    id = document(whole)["id"]
    deleted = client.call("DELETE", f"/Patient/{id}", headers={"Prefer": "return=OperationOutcome"})
    assert (deleted.status_code, codes(deleted)) == (200, {"informational"})


def test_a_repeated_request_makes_no_second_record(client: RestClient) -> None:
    """The same Idempotency-Key gives the first answer again; another key makes another resource."""
    key = {"Idempotency-Key": "counter-3/17"}
    first = client.call("POST", "/Patient", patient(), headers=key)
    again = client.call("POST", "/Patient", patient(), headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    other = client.call("POST", "/Patient", patient(), headers={"Idempotency-Key": "counter-3/18"})
    assert document(other)["id"] != document(first)["id"]
    misused = client.call("POST", "/Location", {"resourceType": "Location"}, headers=key)
    assert (misused.status_code, codes(misused)) == (409, {"conflict"})
    assert client.call("POST", "/Patient", patient(), headers={"Idempotency-Key": "k" * 256}).status_code == 400


def test_search_pages_by_an_opaque_cursor(client: RestClient) -> None:
    """Pages of two of five: each match once, also when a sixth arrives in between; links lead through them."""
    for number in range(5):
        make(client, patient("Pageable", identifier=[{"system": "urn:test:page", "value": str(number)}]))
    seen: list[str] = []
    url: str | None = "/Patient?family=pageable&_count=2"
    while url is not None:
        page = document(client.call("GET", url))
        assert (page["resourceType"], page["type"]) == ("Bundle", "searchset")
        seen += [entry["resource"]["id"] for entry in page["entry"]]
        assert all(entry["search"]["mode"] == "match" for entry in page["entry"])
        assert all(entry["fullUrl"] == f"{BASE}/Patient/{entry['resource']['id']}" for entry in page["entry"])
        links = {link["relation"]: link["url"] for link in page["link"]}
        assert document(client.call("GET", links["self"]))["entry"] == page["entry"]
        url = links.get("next")
        make(client, patient("Pageable"))
    assert len(seen) == len(set(seen)) == 5


def test_search_by_post_is_search_by_get(client: RestClient) -> None:
    """POST _search with a form finds what GET finds; another content type is refused."""
    make(client, patient("Formful"))
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    posted = client.call("POST", "/Patient/_search", content=b"family=formful", headers=form)
    assert document(posted) == document(client.call("GET", "/Patient?family=formful"))
    assert len(document(posted)["entry"]) == 1
    both = client.call("POST", "/Patient/_search?family=formful", content=b"_count=0", headers=form)
    assert document(both)["total"] == 1
    assert client.call("POST", "/Patient/_search", patient()).status_code == 415


def test_search_says_what_it_ignored_or_refuses_it(client: RestClient) -> None:
    """An unknown parameter is named in an outcome entry; with handling=strict it is 400."""
    lenient = document(client.call("GET", "/Patient?colour=blue&family=nobody-of-this-name"))
    assert [entry["search"]["mode"] for entry in lenient["entry"]] == ["outcome"]
    assert "colour" not in lenient["link"][0]["url"]
    strict = client.call("GET", "/Patient?colour=blue", headers={"Prefer": "handling=strict"})
    assert (strict.status_code, codes(strict)) == (400, {"not-supported"})
    assert client.call("GET", "/Patient?_sort=name").status_code == 400


def test_history_of_a_type_pages(client: RestClient) -> None:
    """The history of a type lists versions newest first and goes on by its next link."""
    ids = [make(client, {"resourceType": "Location", "name": f"Room {number}"}) for number in range(3)]
    first = document(client.call("GET", "/Location/_history?_count=2"))
    links = {link["relation"]: link["url"] for link in first["link"]}
    second = document(client.call("GET", links["next"]))
    listed = [entry["resource"]["id"] for entry in first["entry"] + second["entry"]]
    assert listed == ids[::-1]
    assert client.call("GET", "/Location/_history?_since=2020-01-01").status_code == 400
    assert client.call("GET", "/Location/never-was/_history").status_code == 404


def test_metadata_tells_what_is_there(client: RestClient) -> None:
    """Without a token: FHIR version, formats, and only interactions and parameters that work when tried."""
    response = client.call("GET", "/metadata", role=None)
    statement = document(response)
    assert (response.status_code, statement["fhirVersion"]) == (200, "4.0.1")
    rest = statement["rest"][0]
    assert {each["code"] for each in rest["interaction"]} == {"transaction", "batch"}
    resources = {each["type"]: each for each in rest["resource"]}
    assert set(resources) == resource_types()
    described = resources["Patient"]
    assert {each["code"] for each in described["interaction"]} == {
        "read", "vread", "update", "delete", "history-instance", "history-type", "create", "search-type",
    }
    for parameter in described["searchParam"]:
        value = {"date": "2020", "token": "x", "reference": "Patient/1"}.get(parameter["type"], "x")
        tried = client.call("GET", f"/Patient?{parameter['name']}={value}", headers={"Prefer": "handling=strict"})
        assert tried.status_code == 200, (parameter, tried.text)


def test_system_records_do_not_exist_here(client: RestClient) -> None:
    """Types of our own can neither be read, searched nor written over FHIR."""
    assert client.call("GET", "/NirantarAccount/root").status_code == 404
    assert client.call("GET", "/NirantarAccount").status_code == 404
    account = {"resourceType": "NirantarAccount", "id": "root"}
    assert client.call("PUT", "/NirantarAccount/root", account).status_code == 404
    posted = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": account, "request": {"method": "PUT", "url": "NirantarAccount/root"}},
    ]}
    assert client.call("POST", "", posted).status_code == 400


def test_reads_are_noted(client: RestClient) -> None:
    """A read by id leaves a line in the access log that names reader, type and id."""
    id = make(client, patient())
    lines_before, _ = client.node.doors.access_log.digest()
    client.node.doors.access_log.flush()
    client.call("GET", f"/Patient/{id}")
    client.node.doors.access_log.flush()
    written = b"".join(path.read_bytes() for path in sorted((client.node.directory / "access").iterdir()))
    assert client.node.doors.access_log.digest()[0] > lines_before
    assert id.encode() in written.splitlines()[-1]


def test_an_invalid_resource_is_refused_with_every_issue(client: RestClient) -> None:
    """A broken rule is 422, a wrong structure 400, each issue with its element and without its value."""
    broken = client.call("POST", "/Patient", patient(gender="secret-value"))
    assert broken.status_code == 422
    assert document(broken)["issue"][0]["expression"] == ["Patient.gender"]
    assert "secret-value" not in broken.text
    assert client.call("POST", "/Patient", patient(nonsense=1)).status_code == 400
    assert client.call("POST", "/Patient", {"resourceType": "Patient", "name": "Asha"}).status_code == 400
