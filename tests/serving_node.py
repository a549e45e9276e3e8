"""A real `nirantar serve` in a process of its own, and a client that remembers what it was promised."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from nirantar.app.ceremony import check_identity
from nirantar.app.founding import found_hospital, publish, write_directory
from nirantar.app.vaults import open_vault
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.host.real import RealHost
from nirantar.interactions.credentials import CREDENTIALS_FILE, Credentials

READY_SECONDS_MAX = 60.0
ANSWER_SECONDS_MAX = 30.0
_NO_ANSWER = (OSError, HTTPException)


@dataclass
class Site:
    """A hospital on disk: its node's directory, its vault, a token, and the recovery identity."""

    directory: Path
    vault: Path
    token: str
    identity: RecoveryIdentity
    host: RealHost

    @property
    def vault_uri(self) -> str:
        """The vault as configured."""
        return self.vault.as_uri()


def found_site(place: Path, *, durability: str = "node") -> Site:
    """A new hospital below `place`, with one node, a directory vault, and a recovery sheet that was read back."""
    host = RealHost()
    vault = place / "vault"
    founded, identity = found_hospital(host, "Fault Hospital", "opd-1", vaults=[vault.as_uri()], durability=durability)
    opened = open_vault(host, vault.as_uri(), create=True)
    publish(opened, founded.document, founded.roster, founded.roster_note, founded.custody)
    check_identity(host, [opened], identity)
    directory = place / "node"
    write_directory(host, directory, founded)
    credentials = Credentials(host, directory / CREDENTIALS_FILE)
    token = credentials.issue_token("integration", "faults")
    credentials.close()
    return Site(directory, vault, token, identity, host)


@dataclass
class OwnProcess:
    """A server of ours in a session of its own, and the port that it listens on."""

    process: subprocess.Popen[str]
    port: int

    def kill(self) -> None:
        """kill -9, also of what it started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Ask it to end, as a service manager does, and see that it ends well."""
        os.killpg(self.process.pid, signal.SIGTERM)
        assert self.process.wait(READY_SECONDS_MAX) == 0, self.process.communicate()


@dataclass
class ServingNode(OwnProcess):
    """A node's."""

    site: Site

    def request(
        self, method: str, path: str, document: dict[str, Any] | bytes | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """Status and body of one request on a connection of its own; bytes are sent as they are."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS_MAX)
        try:
            body = json.dumps(document) if isinstance(document, dict) else document
            connection.request(method, path, body, _headers(self.site.token, headers))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def health(self) -> dict[str, Any]:
        """What GET /health says."""
        health: dict[str, Any] = json.loads(self.request("GET", "/health")[1])
        return health

    def wait_until_ready(self) -> None:
        """Return once /health answers; fail when the process ends instead."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"the node ended: {self.process.communicate()}"
            try:
                self.health()
            except _NO_ANSWER:
                time.sleep(0.02)
            else:
                return
        raise AssertionError("the node does not answer")


@contextmanager
def serving(site: Site, *wrapper: str, ready: bool = True, options: tuple[str, ...] = ()) -> Iterator[ServingNode]:
    """Serve the site's node by way of `wrapper` (strace), with more `options`; killed at the end if it still runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*wrapper, sys.executable, "-m", "nirantar.cli", "serve", str(site.directory), "--port", str(port)]
    command += options
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        node = ServingNode(process, port, site)
        try:
            if ready:
                node.wait_until_ready()
            yield node
        finally:
            if process.poll() is None:
                node.kill()


@dataclass
class Client:
    """Writes patients without a pause from several threads, each under its own idempotency key, and keeps the exact
    bytes of every acknowledged one by the path of its version; what got no answer is kept to be sent again."""

    acknowledged: dict[str, bytes] = field(default_factory=dict)
    unanswered: list[str] = field(default_factory=list)
    refused: list[tuple[int, bytes]] = field(default_factory=list)
    _turn: Lock = field(default_factory=Lock)

    @contextmanager
    def writing(self, node: ServingNode, name: str, threads: int = 4) -> Iterator[None]:
        """Write while the context lasts. `name` makes the keys of this round its own."""
        stop = Event()
        workers = [Thread(target=self._write, args=(node, f"{name}-{number}", stop)) for number in range(threads)]
        for worker in workers:
            worker.start()
        try:
            yield
        finally:
            stop.set()
            for worker in workers:
                worker.join()

    def send_again(self, node: ServingNode) -> None:
        """Repeat what got no answer, under the same keys."""
        keys, self.unanswered = self.unanswered, []
        for key in keys:
            connection = HTTPConnection("127.0.0.1", node.port, timeout=ANSWER_SECONDS_MAX)
            assert self._post(connection, node.site.token, key), "a running node gave no answer"
            connection.close()

    def require_all(self, node: ServingNode) -> None:
        """Every acknowledged version is served with the bytes that were acknowledged."""
        connection = HTTPConnection("127.0.0.1", node.port, timeout=ANSWER_SECONDS_MAX)
        for path, body in self.acknowledged.items():
            connection.request("GET", path, headers=_headers(node.site.token, {}))
            answer = connection.getresponse()
            found = answer.read()
            assert (answer.status, found) == (200, body), f"{path} was acknowledged and is now {answer.status}"
        connection.close()

    def _write(self, node: ServingNode, name: str, stop: Event) -> None:
        connection = HTTPConnection("127.0.0.1", node.port, timeout=ANSWER_SECONDS_MAX)
        number = 0
        while not stop.is_set() and self._post(connection, node.site.token, f"{name}-{number}"):
            number += 1
        connection.close()

    def _post(self, connection: HTTPConnection, token: str, key: str) -> bool:
        """One patient; whether there was an answer."""
        person = {"resourceType": "Patient", "identifier": [{"system": "urn:example:key", "value": key}]}
        try:
            connection.request("POST", "/fhir/Patient", json.dumps(person), _headers(token, {"Idempotency-Key": key}))
            answer = connection.getresponse()
            body = answer.read()
        except _NO_ANSWER:
            with self._turn:
                self.unanswered.append(key)
            return False
        with self._turn:
            if answer.status in (200, 201):
                made = json.loads(body)
                self.acknowledged[f"/fhir/Patient/{made['id']}/_history/{made['meta']['versionId']}"] = body
            else:
                self.refused.append((answer.status, body))
        return True


def _headers(token: str, more: dict[str, str]) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json", "Accept": "application/fhir+json",
        "Prefer": "return=representation", **{name.replace("_", "-"): value for name, value in more.items()},
    }


def failing_fsync(path: Path, *, first: int, log: Path) -> tuple[str, ...]:
    """An strace that makes the `first`-th and every later fsync of `path` fail with an input/output error."""
    calls = "fsync,fdatasync"
    return (
        "strace", "-f", "-qq", "-o", str(log), "-P", str(path), "-e", f"trace={calls}",
        "-e", f"inject={calls}:error=EIO:when={first}+",
    )
