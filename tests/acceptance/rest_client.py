"""A node on a temporary disk and a client that speaks to its FHIR API without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from starlette.applications import Starlette

from nirantar.app.founding import found_hospital, write_directory
from nirantar.app.node import Node
from nirantar.edges.fhir_rest import mounted
from nirantar.fhir import json
from nirantar.host.real import RealHost

BASE = "http://node.test/fhir"
JSON = "application/fhir+json"


def found_node(directory: Path) -> None:
    """Make a node's directory, with no vault."""
    host = RealHost()
    founded, _ = found_hospital(host, "Test Hospital", "opd-1", vaults=[], durability="node")
    write_directory(host, directory, founded)


@contextmanager
def open_node(directory: Path) -> Iterator[Node]:
    """A new node in `directory`, open and writing."""
    found_node(directory)
    node = Node(RealHost(), directory)
    try:
        node.start()
        yield node
    finally:
        node.close()


class RestClient:
    """Sends requests to a node's API, each with the token of one role, and waits for the answers."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(Starlette(routes=mounted(node.doors)))
        self._client = httpx.AsyncClient(transport=transport, base_url=BASE)
        self._tokens: dict[str, str] = {}

    def token(self, role: str) -> str:
        """A token of this role, issued once."""
        if role not in self._tokens:
            self._tokens[role] = self.node.doors.credentials.issue_token(role, "Test")
        return self._tokens[role]

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        role: str | None = "integration",
        headers: dict[str, str] | None = None,
        content: bytes | AsyncIterator[bytes] | None = None,
    ) -> httpx.Response:
        """One request to `path` under the FHIR base (or to an absolute URL); `body` is sent as FHIR JSON."""
        sent = dict(headers or {})
        if role is not None:
            sent.setdefault("Authorization", f"Bearer {self.token(role)}")
        if body is not None:
            content = json.encode(body)
            sent.setdefault("Content-Type", JSON)
        url = path if path.startswith("http") else BASE + path
        return self._runner.run(self._client.request(method, url, content=content, headers=sent))

    def gather(self, requests: list[tuple[str, str, Any, dict[str, str]]]) -> list[httpx.Response]:
        """Several requests at once, in the role `integration`: (method, path, body, headers) each."""
        token = {"Authorization": f"Bearer {self.token('integration')}", "Content-Type": JSON}

        async def all_of_them() -> list[httpx.Response]:
            return await asyncio.gather(*(
                self._client.request(method, BASE + path, content=json.encode(body), headers={**token, **headers})
                for method, path, body, headers in requests
            ))

        return self._runner.run(all_of_them())

    def close(self) -> None:
        """End the event loop."""
        self._runner.run(self._client.aclose())
        self._runner.close()


def document(response: httpx.Response) -> Any:
    """The answer's JSON with exact decimals."""
    return json.decode(response.content)


def codes(response: httpx.Response) -> set[str]:
    """The issue codes of an OperationOutcome; fails when the answer is none."""
    outcome = document(response)
    assert outcome["resourceType"] == "OperationOutcome", response.text[:500]
    assert response.headers["content-type"].startswith(JSON)
    return {issue["code"] for issue in outcome["issue"]}


def patient(family: str = "Sharma", **more: Any) -> dict[str, Any]:
    """An invented patient."""
    return {"resourceType": "Patient", "name": [{"text": f"Asha {family}", "family": family}], **more}


def observation(patient_id: str, value: str = "72.50") -> dict[str, Any]:
    """A weight whose decimal has a trailing zero."""
    return {
        "resourceType": "Observation", "status": "final", "code": {"text": "Body weight"},
        "subject": {"reference": patient_id if ":" in patient_id else f"Patient/{patient_id}"},
        "valueQuantity": {"value": msgspec.Raw(value.encode()), "unit": "kg"},
    }
