"""An ASGI application called in the test's own process, a request at a time, without a server between."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote


@dataclass(frozen=True)
class Answer:
    """What the application answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


@dataclass(frozen=True)
class AsgiClient:
    """Sends the same token with each request; None sends none."""

    app: Any
    token: str | None = None

    def request(
        self, method: str, path: str, body: bytes = b"", *, declared: int | None = None, **headers: str
    ) -> Answer:
        """One request; `declared` is the Content-Length that is claimed, -1 none."""
        raw, _, query = path.partition("?")
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token is not None:
            sent["authorization"] = f"Bearer {self.token}"
        if declared != -1:
            sent["content-length"] = str(len(body) if declared is None else declared)
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": unquote(raw), "raw_path": raw.encode(), "query_string": query.encode(), "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()], "client": None, "server": None,
        }
        return asyncio.run(self._call(scope, body))

    async def _call(self, scope: dict[str, Any], body: bytes) -> Answer:
        messages: list[dict[str, Any]] = []
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            return waiting.pop() if waiting else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            messages.append(dict(message))

        await self.app(scope, receive, send)
        start = messages[0]
        return Answer(
            start["status"], {name.decode(): value.decode() for name, value in start["headers"]},
            b"".join(each.get("body", b"") for each in messages[1:]),
        )
