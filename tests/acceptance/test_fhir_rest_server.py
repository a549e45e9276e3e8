"""The FHIR API behind a real server in a process of its own, over a socket."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rest_client import JSON, patient

from nirantar.fhir import json

BROKEN_BODIES = {
    "a chunk without a length": b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
    "a chunk longer than it says": b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}}}\r\n0\r\n\r\n",
}

PROGRAM = Path(__file__).with_name("rest_server.py")
CHUNK = b" " * 65536


@dataclass(frozen=True)
class Server:
    """A running server process."""

    port: int
    pid: int
    headers: dict[str, str]

    def connect(self) -> http.client.HTTPConnection:
        """A new connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def resident_bytes(self) -> int:
        """Memory that the process holds now."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the process has ended")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_open(port: int, process: subprocess.Popen[str]) -> None:
    """Return once the port accepts connections."""
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"the server ended with {process.returncode}")


@pytest.fixture(scope="module", params=["granian", "uvicorn"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server of each kind for all tests of this file."""
    port = free_port()
    directory = tmp_path_factory.mktemp("node") / "opd-1"
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), str(directory), str(port), request.param],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    try:
        assert process.stdout is not None
        token = process.stdout.readline().strip()
        wait_until_open(port, process)
        yield Server(port, process.pid, {"Authorization": f"Bearer {token}", "Content-Type": JSON})
    finally:
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_written_bytes_come_back(server: Server) -> None:
    """Create, read, 304 and delete over one kept connection."""
    connection = server.connect()
    connection.request("POST", "/fhir/Patient", json.encode(patient()), server.headers)
    made = connection.getresponse()
    body = made.read()
    assert made.status == 201
    location = made.headers["Location"].partition(f":{server.port}")[2]
    connection.request("GET", location, headers=server.headers)
    assert connection.getresponse().read() == body
    path = location.partition("/_history")[0]
    connection.request("GET", path, headers={**server.headers, "If-None-Match": made.headers["ETag"]})
    known = connection.getresponse()
    assert (known.status, known.read()) == (304, b"")
    connection.request("HEAD", path, headers=server.headers)
    assert connection.getresponse().headers["Content-Length"] == str(len(body))
    connection.close()
    connection = server.connect()
    connection.request("DELETE", path, headers=server.headers)
    assert connection.getresponse().status == 204
    connection.close()


def test_a_hundred_megabytes_cost_no_memory(server: Server) -> None:
    """100 MB without a length are refused with 413 while the process stays near its size."""
    before = server.resident_bytes()
    connection = server.connect()
    connection.putrequest("POST", "/fhir/Patient")
    for name, value in {**server.headers, "Transfer-Encoding": "chunked"}.items():
        connection.putheader(name, value)
    connection.endheaders()
    largest = before
    for number in range(100 * 1024 * 1024 // len(CHUNK)):
        connection.send(b"%x\r\n" % len(CHUNK) + CHUNK + b"\r\n")
        if number % 50 == 0:
            largest = max(largest, server.resident_bytes())
    connection.send(b"0\r\n\r\n")
    answer = connection.getresponse()
    outcome = json.decode(answer.read())
    connection.close()
    assert (answer.status, outcome["issue"][0]["code"]) == (413, "too-long")
    assert largest - before < 64 * 1024 * 1024


def test_a_client_that_leaves_harms_nobody(server: Server) -> None:
    """After clients that hang up within a body or before their answer, the next is served."""
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as half:
            head = f"POST /fhir/Patient HTTP/1.1\r\nHost: x\r\nAuthorization: {server.headers['Authorization']}\r\n"
            half.sendall(f"{head}Content-Type: {JSON}\r\nContent-Length: 1000\r\n\r\n{{".encode())
    body = json.encode(patient())
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as hasty:
            head = f"POST /fhir/Patient HTTP/1.1\r\nHost: x\r\nAuthorization: {server.headers['Authorization']}\r\n"
            hasty.sendall(f"{head}Content-Type: {JSON}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    connection = server.connect()
    connection.request("POST", "/fhir/Patient", body, server.headers)
    assert connection.getresponse().status == 201
    connection.close()


@pytest.mark.parametrize("broken", BROKEN_BODIES)
def test_a_body_that_is_wrong_as_http_is_the_clients_fault(server: Server, broken: str) -> None:
    """It is a 400, not a failure of the server's, and the next request is served."""
    lines = [b"POST /fhir/Patient HTTP/1.1", b"Host: h", *(f"{name}: {value}".encode() for name, value in server.headers.items())]
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"\r\n".join(lines) + b"\r\n" + BROKEN_BODIES[broken])
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    alive = server.connect()
    alive.request("GET", "/fhir/metadata")
    assert alive.getresponse().status == 200
    alive.close()
