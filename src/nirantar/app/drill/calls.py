"""One HTTP request to a process on this machine, with a bound on the wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Final

LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Called:
    """What came back: `headers` as they came, in order, names as the server wrote them."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """The first header of this name, whatever its case; "" if there is none."""
        return next((value for each, value in self.headers if each.lower() == name.lower()), "")


def call(
    port: int, method: str, path: str, *, seconds: float, headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Called | None:
    """The answer, or None when there was none within `seconds` (or no whole one)."""
    connection = HTTPConnection(LOOPBACK, port, timeout=seconds)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return Called(answer.status, answer.getheaders(), answer.read())
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
