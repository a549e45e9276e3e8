"""What is in a resource never leaves by an error, a log line, the health page or a process's output."""

from __future__ import annotations

import json
from typing import Any

import pytest

from serving_node import found_site, serving

MARK = "Zxqvandana"
NUMBER = "9876501234"


def patient(**more: Any) -> dict[str, Any]:
    """A patient whose every value is marked."""
    return {
        "resourceType": "Patient", "name": [{"text": f"{MARK} Rao", "family": MARK}],
        "telecom": [{"system": "phone", "value": NUMBER}], **more,
    }


def transaction(*entries: dict[str, Any]) -> dict[str, Any]:
    """A transaction Bundle."""
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


def post(resource: dict[str, Any], **request: str) -> dict[str, Any]:
    """One of its entries."""
    return {"resource": resource, "request": {"method": "POST", "url": resource["resourceType"], **request}}


CONDITION = {"If-None-Exist": f"name={MARK}"}

REFUSED: dict[str, tuple[str, str, Any, dict[str, str]]] = {
    "a code that is none": ("POST", "/fhir/Patient", patient(gender=MARK), {}),
    "a date that is none": ("POST", "/fhir/Patient", patient(birthDate=f"{MARK}-01-01"), {}),
    "a wrong kind": ("POST", "/fhir/Patient", patient(birthDate=[MARK], active=MARK), {}),
    "a wrong id": ("PUT", "/fhir/Patient/p", patient(id=f"{MARK}_{NUMBER}"), {}),
    "an invariant": ("POST", "/fhir/Patient", patient(contact=[{"gender": "male", "extension": [{"url": "urn:x"}]}], link=[{"other": {"display": MARK}}]), {}),
    "a reference that is none": ("POST", "/fhir/Patient", patient(generalPractitioner=[{"reference": f"{MARK} Rao"}]), {}),
    "a reference that finds nothing": ("POST", "/fhir/Patient", patient(generalPractitioner=[{"reference": f"Practitioner?name={MARK}"}]), {}),
    "a reference with an unknown search": ("POST", "/fhir/Patient", patient(generalPractitioner=[{"reference": f"Practitioner?colour={MARK}"}]), {}),
    "a condition that finds two": ("POST", "/fhir/Patient", patient(), CONDITION),
    "a condition with a bad value": ("POST", "/fhir/Patient", patient(), {"If-None-Exist": f"birthdate={MARK}"}),
    "a stale version": ("PUT", "/fhir/Patient/p1", patient(id="p1"), {"If-Match": 'W/"opd-1.999"'}),
    "two patients at once": ("POST", "/fhir", transaction(post(patient()), post(patient())), {}),
    "a wrong entry of a transaction": ("POST", "/fhir", transaction(post(patient(gender=MARK)), post(patient(), ifNoneExist=f"birthdate={MARK}")), {}),
    "a urn that nobody explains": ("POST", "/fhir", transaction(post(patient(managingOrganization={"reference": f"urn:uuid:{MARK}"}))), {}),
    "a search for a bad value": ("GET", f"/fhir/Patient?birthdate={MARK}", None, {}),
    "a search with a bad cursor": ("GET", f"/fhir/Patient?_cursor={MARK}&name={NUMBER}", None, {}),
    "a resource that is too large": ("POST", "/fhir/Patient", patient(address=[{"text": MARK * 500_000}]), {}),
    "torn JSON": ("POST", "/fhir/Patient", json.dumps(patient())[:-9], {}),
    "not UTF-8": ("POST", "/fhir/Patient", json.dumps(patient()).encode() + b"\xff", {}),
    "a name twice": ("POST", "/fhir/Patient", f'{{"resourceType":"Patient","id":"{MARK}","id":"{MARK}"}}', {}),
    "too deep": ("POST", "/fhir/Patient", f'{{"a":"{MARK}","b":' + "[" * 200 + f'"{MARK}"' + "]" * 200 + "}", {}),
    "a number too long": ("POST", "/fhir/Patient", f'{{"resourceType":"Patient","name":"{MARK}","x":{NUMBER * 20}}}', {}),
    "no object": ("POST", "/fhir/Patient", json.dumps([MARK]), {}),
    "another type than the URL": ("POST", "/fhir/Observation", patient(), {}),
    "another request's key": ("POST", "/fhir/Observation", {"resourceType": "Observation", "status": "final", "code": {"text": MARK}}, {"Idempotency-Key": "used"}),
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """Status and text of every refusal, and everything else that the node let out meanwhile."""
    site = found_site(tmp_path_factory.mktemp("site"))
    found: dict[str, tuple[int, str]] = {}
    with serving(site) as node:
        for number in range(2):
            assert node.request("PUT", f"/fhir/Patient/p{number}", patient(id=f"p{number}"))[0] == 201
        assert node.request("POST", "/fhir/Patient", patient(), **{"Idempotency-Key": "used"})[0] == 201
        node.request("GET", f"/fhir/Patient?name={MARK}")
        for name, (method, path, body, headers) in REFUSED.items():
            sent = body.encode() if isinstance(body, str) else body
            status, answer = node.request(method, path, sent, **headers)
            found[name] = status, answer.decode("utf-8", "replace")
        found["health"] = (200, node.request("GET", "/health")[1].decode())
        node.process.terminate()
        out, err = node.process.communicate(timeout=60)
    found["standard output"], found["standard error"] = (0, out), (0, err)
    for path in sorted((site.directory / "access").rglob("*")):
        found[f"access log {path.name}"] = (0, path.read_text())
    for path in [*site.directory.rglob("*"), *site.vault.rglob("*")]:
        if path.suffix in (".toml", ".json", ".note", ".jsonl", ".segment"):
            found[str(path.relative_to(site.directory.parent))] = (0, path.read_bytes().decode("latin-1"))
    return found


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_quotes_nothing_of_the_patient(said: dict[str, tuple[int, str]], name: str) -> None:
    """It is refused, with a sentence, and neither name nor number is in it."""
    status, text = said[name]
    assert 400 <= status < 500, text
    assert MARK not in text
    assert NUMBER not in text


def test_nothing_else_lets_the_patient_out(said: dict[str, tuple[int, str]]) -> None:
    """Output, access log, health, papers and sealed objects: none holds the name or the number."""
    leaks = [name for name, (_, text) in said.items() if name not in REFUSED and (MARK in text or NUMBER in text)]
    assert leaks == []
    assert any(name.startswith("access log") for name in said)
    assert any(name.endswith(".segment") for name in said)
