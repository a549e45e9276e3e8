"""Hostile requests: every answer is a 4xx with an OperationOutcome, and the node goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rest_client import BASE, JSON, RestClient, codes, open_node, patient

from nirantar import limits

settings.register_profile("rest", derandomize=True, deadline=None, max_examples=150)
PROFILE = settings.get_profile("rest")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestClient]:
    """One node for all tests of this file: what one request does to it, the next would feel."""
    directory: Path = tmp_path_factory.mktemp("node") / "opd-1"
    with open_node(directory) as node:
        client = RestClient(node)
        yield client
        assert client.call("POST", "/Patient", patient()).status_code == 201
        client.close()


def send(client: RestClient, content: bytes, path: str = "/Patient", method: str = "POST") -> tuple[int, set[str]]:
    """Status and issue codes of a raw JSON body."""
    response = client.call(method, path, content=content, headers={"Content-Type": JSON})
    return response.status_code, codes(response)


BODIES = {
    "empty": (b"", 400),
    "spaces": (b"   ", 400),
    "null": (b"null", 400),
    "a list": (b"[]", 400),
    "a number": (b"1", 400),
    "cut": (b'{"resourceType":"Patient"', 400),
    "two values": (b'{"resourceType":"Patient"}{}', 400),
    "not UTF-8": (b'{"resourceType":"Patient","language":"\xff\xfe"}', 400),
    "byte order mark": (b'\xef\xbb\xbf{"resourceType":"Patient"}', 400),
    "UTF-16": ('{"resourceType":"Patient"}'.encode("utf-16"), 400),
    "lone surrogate": (b'{"resourceType":"Patient","language":"\\ud800"}', 400),
    "same name twice": (b'{"resourceType":"Patient","active":true,"active":false}', 400),
    "deep lists": (b'{"resourceType":"Patient","name":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    "deep objects": (b'{"resourceType":"Patient","contact":' + b'{"name":' * 50_000 + b"1" + b"}" * 50_000 + b"}", 400),
    "deep and cut": (b"[" * 1_000_000, 400),
    "long number": (b'{"resourceType":"Patient","multipleBirthInteger":' + b"9" * 1_000_000 + b"}", 400),
    "large exponent": (b'{"resourceType":"Patient","multipleBirthInteger":1e999999999}', 400),
    "not a number": (b'{"resourceType":"Patient","multipleBirthInteger":NaN}', 400),
    "type is a number": (b'{"resourceType":1}', 400),
    "type of our own": (b'{"resourceType":"NirantarAccount","id":"root"}', 400),
    "another type": (b'{"resourceType":"Observation"}', 400),
    "long string of quotes": (b'{"resourceType":"Patient","birthDate":"' + b'\\"' * 100_000 + b'"}', 422),
}


@pytest.mark.parametrize("name", BODIES)
def test_hostile_bodies(client: RestClient, name: str) -> None:
    """Each malformed body gets its status and an OperationOutcome."""
    body, status = BODIES[name]
    assert send(client, body)[0] == status


def test_a_body_without_length_stops_at_the_limit(client: RestClient) -> None:
    """A chunked body that never says how long it is gets 413 once it passes the limit."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(limits.REQUEST_BYTES_MAX // 65536 + 8):
            yield b" " * 65536

    response = client.call("POST", "/Patient", content=chunks(), headers={"Content-Type": JSON})
    assert (response.status_code, codes(response)) == (413, {"too-long"})


def test_a_resource_over_its_own_limit(client: RestClient) -> None:
    """A body within REQUEST_BYTES_MAX whose resource is over RESOURCE_BYTES_MAX is refused, and nothing is written."""
    note = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">' + "a" * limits.RESOURCE_BYTES_MAX + "</div>"}
    response = client.call("PUT", "/Patient/large", patient(id="large", text=note))
    assert (response.status_code, codes(response)) == (400, {"too-long"})
    assert client.call("GET", "/Patient/large").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/", "", "//", "/Patient/", "/patient/1", "/Patient/1/2/3/4/5", "/Patient/%00", "/Patient/a%2Fb", "/Patient/..%2F..",
        "/Patient/" + "a" * 65, "/Patient/a_b", "/Patient/%E2%82%AC", "/Patient/%FF", "/Nonsense/1", "/Nonsense", "/Resource/1",
        "/DomainResource", "/Patient/1/_history/", "/Patient/1/_history/%20", "/Patient/1/$everything", "/$validate", "/_history",
        "/Patient/_search", "/metadata/", "/Patient;x=1/1", "/Patient/1?_format=%ff",
    ],
)
def test_weird_paths(client: RestClient, path: str) -> None:
    """Paths that name nothing give 404 (or 405, 406) with an OperationOutcome, never a redirect or a failure."""
    response = client.call("GET", path)
    assert response.status_code in (404, 405, 406)
    assert codes(response)


@pytest.mark.parametrize(
    "query",
    [
        "_count=-1", "_count=abc", "_count=99999999999999999999", "_cursor=nonsense", "_cursor=", "family=", "birthdate=yesterday",
        "birthdate=9999999-99-99", "identifier=|", "name:nonsense=a", "_id=" + "a," * 100, "&".join(["name=a"] * 200), "name=%ff",
        "name=%00", "=", "&&&", "%", "name=" + "a" * 20_000, "_summary=text", "_total=maybe", "_include=*", "general-practitioner.name=x",
        "birthdate=ge2020&birthdate=lt", "name=\\", "identifier=" + "|" * 100,
    ],
)
def test_weird_queries(client: RestClient, query: str) -> None:
    """A search that makes no sense is a 4xx or finds nothing; so is the same query as a condition."""
    assert client.call("GET", f"{BASE}/Patient?{query}").status_code in (200, 400, 414)
    assert client.call("GET", f"{BASE}/Patient/_history?{query}").status_code in (200, 400, 414)
    assert client.call("DELETE", f"{BASE}/Patient?{query}").status_code in (204, 400, 412, 414)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"}, {"Content-Type": ""}, {"Accept": "image/png"}, {"If-None-Exist": "nonsense"},
        {"If-None-Exist": ""}, {"If-None-Exist": "_count=1"}, {"Idempotency-Key": "k" * 1000}, {"Idempotency-Key": " "},
        {"X-Nirantar-Durability": "none"}, {"Content-Encoding": "gzip"}, {"If-None-Exist": "name=" + "a" * 5000},
    ],
)
def test_weird_headers(client: RestClient, headers: dict[str, str]) -> None:
    """Headers that ask for the impossible give a 4xx and write nothing."""
    response = client.call("POST", "/Patient", content=b'{"resourceType":"Patient"}', headers={"Content-Type": JSON, **headers})
    assert 400 <= response.status_code < 500
    assert codes(response)


@given(path=st.text(max_size=60), method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "PATCH"]))
@settings(PROFILE)
def test_any_path(client: RestClient, path: str, method: str) -> None:
    """No path makes the server fail."""
    assert client.call(method, f"{BASE}/{quote(path, safe='/$_.-', errors='replace')}").status_code < 500


NAMES = st.sampled_from(["name", "_id", "birthdate", "identifier", "general-practitioner", "_lastUpdated", "_count", "_cursor", "gender", "link"])
MODIFIERS = st.sampled_from(["", ":exact", ":contains", ":missing", ":not", ":Patient", ":x"])
VALUES = st.one_of(
    st.text(max_size=30),
    st.from_regex(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?[0-9]{1,5}(-[0-9]{1,3}){0,2}(T[0-9:.+-]{0,12})?Z?", fullmatch=True),
    st.from_regex(r"[a-z:/]{0,6}\|?[a-z,\\$|]{0,6}", fullmatch=True),
)


@given(pairs=st.lists(st.tuples(NAMES, MODIFIERS, VALUES), max_size=4), strict=st.booleans())
@settings(PROFILE)
def test_any_query(client: RestClient, pairs: list[tuple[str, str, str]], strict: bool) -> None:
    """No search makes the server fail, and what it answers can be asked again by its own link."""
    query = "&".join(f"{name}{modifier}={quote(value, errors='replace')}" for name, modifier, value in pairs)
    headers = {"Prefer": "handling=strict"} if strict else {}
    response = client.call("GET", f"{BASE}/Patient?{query}", headers=headers)
    assert response.status_code in (200, 400)
    if response.status_code == 200:
        self_link = response.json()["link"][0]["url"]
        assert client.call("GET", self_link, headers={"Prefer": "handling=strict"}).status_code == 200


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["resourceType", "id", "meta", "name", "reference", "contained", "extension", "url", "versionId", "entry",
                         "request", "method", "type", "resource", "fullUrl", "ifNoneExist", "ifMatch", "subject", "link", "text"]),
        inner, max_size=4),
    max_leaves=12,
)


@given(
    fields=st.dictionaries(st.sampled_from(["id", "meta", "name", "link", "contained", "text", "generalPractitioner", "birthDate"]), VALUE, max_size=4),
    method=st.sampled_from(["POST", "PUT"]),
)
@settings(PROFILE)
def test_any_patient(client: RestClient, fields: dict[str, object], method: str) -> None:
    """No JSON in a patient's elements makes the server fail."""
    body = {"resourceType": "Patient", "id": "any", **fields}
    response = client.call(method, "/Patient" if method == "POST" else "/Patient/any", body)
    assert response.status_code < 500


@given(
    kind=st.sampled_from(["transaction", "batch"]),
    entries=VALUE | st.lists(
        st.fixed_dictionaries(
            {"request": st.fixed_dictionaries(
                {"method": st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]),
                 "url": st.sampled_from(["Patient", "Patient/a", "Patient?name=x", "Patient/a/_history", "Nonsense/1", "NirantarAccount/a", "Patient?_count=0", "", "/", "http://x/Patient/1"]) | VALUE},
                optional={"ifMatch": VALUE, "ifNoneExist": st.sampled_from(["name=x", "", "%ff=1"]) | VALUE, "ifNoneMatch": VALUE})},
            optional={"fullUrl": st.sampled_from(["urn:uuid:0b5f0e0a-8f0e-4a52-9d2c-6a1c3d6f0a01", "http://x/Patient/1"]) | VALUE,
                      "resource": st.sampled_from([{"resourceType": "Patient"}, {"resourceType": "Patient", "id": "a"}]) | VALUE}),
        max_size=4),
)
@settings(PROFILE)
def test_any_bundle(client: RestClient, kind: str, entries: object) -> None:
    """No Bundle makes the server fail, nor any entry in it."""
    response = client.call("POST", "", {"resourceType": "Bundle", "type": kind, "entry": entries})
    assert response.status_code < 500
    if response.status_code == 200:
        assert all(int(entry["response"]["status"][:3]) < 500 for entry in response.json().get("entry", []))


@given(content=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: b'{"resourceType":' + text.encode("utf-8", "replace")))
@settings(PROFILE)
def test_any_bytes(client: RestClient, content: bytes) -> None:
    """No bytes make the server fail."""
    assert 400 <= send(client, content)[0] < 500
