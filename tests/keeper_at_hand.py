"""A real `nirantar keeper` in a process of its own, or its parts in the test's, with a hospital whose logs it keeps."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from nirantar import limits
from nirantar.app.founding import found_hospital, write_directory
from nirantar.app.keeping import issue_token, set_up_keeper
from nirantar.continuity.keeping.records import TokenKind
from nirantar.host.port import Host
from nirantar.host.real import RealHost
from nirantar.interactions.credentials import CREDENTIALS_FILE, Credentials
from serving_node import READY_SECONDS_MAX, OwnProcess, Site

NODE = "opd-1"


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class KeptSite(Site):
    """A hospital whose one vault is a keeper at `port`, set up in `keeper` for its authority."""

    keeper: Path
    port: int
    node_token: str
    uri: str

    @property
    def vault_uri(self) -> str:
        """The keeper's URI with the node's token file."""
        return self.uri

    def uri_for(self, kind: TokenKind, name: str) -> str:
        """The keeper's URI with the file of a fresh token."""
        return uri_with_token(self.host, self.keeper, self.port, kind, name)[0]


def uri_with_token(
    host: Host, keeper: Path, port: int, kind: TokenKind, name: str, *, scheme: str = "keeper+http"
) -> tuple[str, str]:
    """A keeper's URI with a file that holds a fresh token, and the token."""
    token = issue_token(host, keeper, kind, name)
    file = keeper.with_name(f"{kind}-{name}-{host.random_bytes(4).hex()}.token")
    host.files.put_new(file, token.encode())
    return f"{scheme}://127.0.0.1:{port}?token-file={file}", token


def found_kept_site(place: Path, *, durability: str = "vault", mirror: str = "") -> KeptSite:
    """A new hospital below `place` with one node, and a keeper for it that is not running yet."""
    host, port = RealHost(), free_port()
    keeper, directory = place / "keeper", place / "node"
    uri = f"keeper+http://127.0.0.1:{port}?token-file={place / 'node.token'}"
    founded, identity = found_hospital(host, "Kept Hospital", NODE, vaults=[uri], durability=durability)
    set_up_keeper(host, keeper, founded.document.authority, "keeper-1", mirror=mirror)
    token = issue_token(host, keeper, "node", NODE)
    host.files.put_new(place / "node.token", token.encode())
    write_directory(host, directory, founded)
    credentials = Credentials(host, directory / CREDENTIALS_FILE)
    desk_token = credentials.issue_token("integration", "faults")
    credentials.close()
    return KeptSite(directory, keeper / "vault", desk_token, identity, host, keeper, port, token, uri)


@dataclass
class RunningKeeper(OwnProcess):
    """A keeper's."""

    def request(
        self, method: str, path: str, body: bytes | None = None, *, token: str | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """Status and body of one request on a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {} if token is None else {"Authorization": f"Bearer {token}"}
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        """What GET /status says."""
        found: dict[str, Any] = json.loads(self.request("GET", "/status")[1])
        return found


@contextmanager
def keeping(keeper: Path, port: int, *options: str | Path, again: bool = False) -> Iterator[RunningKeeper]:
    """Run the keeper of a directory; killed at the end if it still runs. `again`: it comes after one that clients may
    have found away, whom they ask anew only after KEEPER_AWAY_SECONDS."""
    words = options or ("--plain-http",)
    command = [sys.executable, "-m", "nirantar.cli", "keeper", str(keeper), "--port", str(port), *map(str, words)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        running = RunningKeeper(process, port)
        try:
            _wait_until_open(running)
            if again:
                time.sleep(limits.KEEPER_AWAY_SECONDS)
            yield running
        finally:
            if process.poll() is None:
                running.kill()


def _wait_until_open(running: RunningKeeper) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        assert running.process.poll() is None, f"the keeper ended: {running.process.communicate()}"
        try:
            with socket.create_connection(("127.0.0.1", running.port), timeout=1):
                return
        except (OSError, HTTPException):
            time.sleep(0.05)
    raise AssertionError("the keeper does not answer")
