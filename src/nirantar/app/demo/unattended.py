"""The visitor of an unattended demo: does over HTTP what a person does in a browser, and looks at what comes back."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from html import unescape
from typing import Final
from urllib.parse import urlencode

import msgspec

from nirantar import limits
from nirantar.app.drill.calls import Called, call
from nirantar.errors import Unavailable

NAME: Final = "Aarti Visitor"
FIELDS: Final = {
    "name": NAME, "gender": "female", "age": "34", "age_unit": "years", "phone": "", "language": "hi",
    "category": "general", "department": "General Medicine",
}
"""The registration form as the visitor fills it in."""
_POLL_SECONDS: Final = 0.1


class Visitor:
    """A browser without a screen: one cookie, forms with their hidden fields."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._cookie = ""

    def get(self, path: str) -> str:
        """A page that must be there."""
        return self._ask("GET", path, 200).body.decode()

    def send(self, page: str, path: str, fields: dict[str, str]) -> str:
        """Fill in the form of `page` that posts to `path`; where it leads."""
        form = next(
            (each for each in re.findall(r"<form.*?</form>", page, re.DOTALL) if f'action="{path}"' in each), None
        )
        if form is None:
            raise Unavailable(f"The demo's page has no form for {path}.")
        hidden = {
            name: unescape(value)
            for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
        }
        body = urlencode(hidden | fields).encode()
        return self._ask("POST", path, 303, body).header("location")

    def _ask(self, method: str, path: str, status: int, body: bytes | None = None) -> Called:
        headers = {"Cookie": self._cookie, "Accept": "text/html"}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        answer = call(self._port, method, path, seconds=limits.DRILL_STEP_SECONDS_MAX, headers=headers, body=body)
        if answer is None or answer.status != status:
            raise Unavailable(f"The demo answers {method} {path} with {None if answer is None else answer.status}.")
        cookie = answer.header("set-cookie").partition(";")[0]
        self._cookie = cookie or self._cookie
        return answer


def walk_through(port: int, say: Callable[[str], None]) -> None:
    """Register, attack, wait, look at the record and its proof, flip a byte. Raises Unavailable where the demo does
    not do what it says."""
    visitor = Visitor(port)
    visitor.get("/patients")
    to = visitor.send(visitor.get("/patients/new"), "/patients/new", FIELDS)
    record = to.partition("?")[0]
    page = visitor.get(record)
    _require(NAME in page, "the record of the patient just registered")
    say(f"Registered {NAME}: the page shows the record")
    visitor.get(visitor.send(page, "/demo/attack", {}))
    _wait(lambda: _phase(visitor) in ("back", "failed"), "the recovery")
    page = visitor.get(record)
    _require(NAME in page, "the same record after recovery")
    say("The record is back on its page")
    proof = visitor.get(visitor.send(page, "/demo/proof", {}))
    _require("signed root" in proof, "the proof")
    visitor.send(page, "/demo/flip", {})
    _wait(lambda: "Verification runs" not in visitor.get("/demo/flip"), "the verification")
    _require("leaf hash" in visitor.get("/demo/flip"), "the damaged entry by name")
    visitor.get("/demo/promises")


def _phase(visitor: Visitor) -> str:
    return str(msgspec.json.decode(visitor.get("/demo/progress"))["phase"])


def _wait(done: Callable[[], bool], what: str) -> None:
    stop = time.monotonic() + limits.DRILL_STEP_SECONDS_MAX
    while not done():
        if time.monotonic() > stop:
            raise Unavailable(f"The demo waits for {what} longer than DRILL_STEP_SECONDS_MAX.")
        time.sleep(_POLL_SECONDS)


def _require(there: bool, what: str) -> None:
    if not there:
        raise Unavailable(f"The demo does not show {what}.")
