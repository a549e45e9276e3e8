"""`nirantar prove`: a chart's proof file, made by the node itself, whether it is serving or not.

A directory in use has its one writer, so a serving node is asked over HTTP, with a token that is withdrawn afterwards:
the disclosure is journalled by the process that owns the journal either way.
"""

from __future__ import annotations

from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from nirantar import limits
from nirantar.app.address import read_address
from nirantar.app.node import Node
from nirantar.errors import (
    AccessDenied,
    Damaged,
    DirectoryInUse,
    Forbidden,
    InvalidInput,
    NirantarError,
    NotFound,
    Unavailable,
)
from nirantar.host.port import Host
from nirantar.interactions.authorize import Caller
from nirantar.interactions.credentials import CREDENTIALS_FILE, Credentials

OPERATOR_ROLE: Final = "mrd-officer"
"""Who can run a command on the machine can read its disk: he acts in the role that may, and the log names him."""
_BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_LARGE = 400, 401, 403, 404, 413


def prove_chart(
    host: Host, directory: Path, patient_id: str, *, operator: str, reason: str, url: str | None = None
) -> bytes:
    """The proof file. `operator` is who runs the command on this machine; `url` where the node serves, if it does not
    say so itself.

    Raises what `Disclose.chart` and opening a node raise, and Unavailable where the serving node gives no answer.
    """
    try:
        node = Node(host, directory)
    except DirectoryInUse:
        return _ask(host, directory, patient_id, operator, reason, url)
    try:
        node.start()
        caller = Caller(f"operator:{operator}", operator, OPERATOR_ROLE, "terminal")
        return node.doors.disclose.chart(caller, patient_id, reason).data
    finally:
        node.close()


def _ask(host: Host, directory: Path, patient_id: str, operator: str, reason: str, url: str | None) -> bytes:
    """Ask the serving node."""
    where = url or read_address(host, directory)
    if where is None:
        raise Unavailable("The node is serving, but does not say where: name its address with --url.")
    with closing(Credentials(host, directory / CREDENTIALS_FILE)) as credentials:
        token = credentials.issue_token(OPERATOR_ROLE, f"nirantar prove by {operator}")
        try:
            status, body = _post(where, f"/fhir/Patient/{patient_id}/$prove", token, reason)
        finally:
            credentials.withdraw(token)
    if status == 200:
        return body
    raise _refusal(status, body, where)


def _post(url: str, path: str, token: str, reason: str) -> tuple[int, bytes]:
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "reason", "valueString": reason}]}
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
    try:
        parts = urlsplit(url)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=limits.PROVE_SECONDS_MAX)
    except ValueError:
        raise InvalidInput(f"{url} is not an address like http://127.0.0.1:8080.") from None
    try:
        connection.request("POST", path, msgspec.json.encode(parameters), headers)
        answer = connection.getresponse()
        return answer.status, answer.read(limits.CHART_PROOF_BYTES_MAX + limits.NOTE_BYTES_MAX)
    except (OSError, HTTPException) as failure:
        raise Unavailable(
            f"The node is serving, but {url} gives no answer ({failure}). Name its address with --url."
        ) from None
    finally:
        connection.close()


def _refusal(status: int, body: bytes, url: str) -> NirantarError:
    """The node's own sentence as the error that it was there."""
    try:
        sentence = str(msgspec.json.decode(body)["issue"][0]["diagnostics"])
    except (msgspec.MsgspecError, LookupError, TypeError, UnicodeDecodeError):
        return Damaged(f"{url} answered {status} with something that is no answer of a node.")
    kinds: dict[int, type[NirantarError]] = {
        _BAD_REQUEST: InvalidInput, _UNAUTHORIZED: AccessDenied, _FORBIDDEN: Forbidden, _NOT_FOUND: NotFound,
        _TOO_LARGE: InvalidInput,
    }
    return kinds.get(status, Unavailable)(sentence)
