"""The FHIR API as a Starlette application: one endpoint a path, each a bare ASGI callable.

No middleware stands before a read: an endpoint finds the caller, calls its handler and sends two messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Final

from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Receive, Scope, Send

from nirantar import limits
from nirantar.edges.fhir_rest.answers import CONTENT_TYPE, Answer, of_error
from nirantar.edges.fhir_rest.binaries import BINARY
from nirantar.edges.fhir_rest.bodies import ClientGone
from nirantar.edges.fhir_rest.capability import capability_statement
from nirantar.edges.fhir_rest.exchange import Edge, Exchange
from nirantar.edges.fhir_rest.headers import bearer_token, require_json_wanted
from nirantar.edges.fhir_rest.routes import BASE, INTERACTIONS, METADATA, Handler
from nirantar.edges.fhir_rest.statuses import HttpRefusal
from nirantar.errors import NotFound
from nirantar.fhir.definitions import resource_types
from nirantar.interactions.doors import Doors

_NOT_HERE: Final = "There is nothing at this path. GET /metadata under the FHIR base lists what there is."


def fhir_app(doors: Doors) -> Starlette:
    """The API of one node as an application of its own, its base at the root; `mounted` puts it into a larger one."""
    app = Starlette(routes=_routes(Edge(doors), ""))
    app.router.redirect_slashes = False
    app.router.default = _nothing_here
    return app


def mounted(doors: Doors, base: str = "/fhir") -> list[BaseRoute]:
    """The routes by which a larger application serves the API at `base`, with and without a slash at the end.

    They stand in that application's own list: a router within a router is matched twice for each request, which a read
    by id would pay for. What no route knows below `base` is answered here, too.
    """
    return [*_routes(Edge(doors), base), Mount(base, _nothing_here)]


def _routes(edge: Edge, base: str) -> list[BaseRoute]:
    methods: dict[str, dict[str, Handler]] = {}
    for each in INTERACTIONS:
        methods.setdefault(each.path, {})[each.method] = each.handler
    routes = [Route(base + path, _Endpoint(edge, base, handlers)) for path, handlers in methods.items()]
    routes.append(Route(base + METADATA, _Endpoint(edge, base, {"GET": _metadata(edge.doors)}, is_open=True)))
    if base:
        # FHIR posts transactions to the base as it is written, mostly without a slash.
        routes.append(Route(base, _Endpoint(edge, base, methods[BASE])))
    return list(routes)


class _Endpoint:
    """All methods of one path."""

    def __init__(self, edge: Edge, base: str, handlers: Mapping[str, Handler], *, is_open: bool = False) -> None:
        self._base = base
        self.handlers = dict(handlers)
        if "GET" in handlers:
            self.handlers["HEAD"] = handlers["GET"]
        self._edge = edge
        self._is_open = is_open
        self._types = resource_types()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["root_path"] = scope.get("root_path", "") + self._base
        exchange = Exchange(self._edge, scope, receive)
        try:
            answer = await self._answer(exchange)
        except ClientGone as gone:
            # A server that has answered broken HTTP by itself refuses a second answer; one that has not needs ours.
            with suppress(Exception):
                await _send(of_error(gone), scope["method"], send)
            return
        except Exception as error:  # noqa: BLE001 - the edge's boundary: every failure gets its answer here
            answer = of_error(error)
        finally:
            exchange.release()
        await _send(answer, scope["method"], send)

    async def _answer(self, exchange: Exchange) -> Answer:
        scope = exchange.scope
        handler = self.handlers.get(scope["method"])
        if handler is None:
            allowed = ", ".join(self.handlers)
            raise HttpRefusal(
                405, "not-supported", f"This path answers {allowed}.", ((b"allow", allowed.encode("ascii")),)
            )
        query = scope.get("query_string", b"")
        if len(query) > limits.REQUEST_QUERY_BYTES_MAX:
            raise HttpRefusal(
                414, "too-long",
                f"The query has more than {limits.REQUEST_QUERY_BYTES_MAX} bytes (REQUEST_QUERY_BYTES_MAX): POST it.",
            )
        if not self._is_open:
            exchange.caller = exchange.edge.doors.credentials.check("token", bearer_token(exchange.headers))
        type = exchange.path.get("type")
        # A Binary's content goes out in whatever type it has; its reader looks at Accept itself.
        if type != BINARY:
            require_json_wanted(exchange.headers, query)
        if type is not None and type not in self._types:
            raise NotFound("The URL names a resource type that R4 does not have.")
        return await handler(exchange)


def _metadata(doors: Doors) -> Handler:
    """The handler of /metadata; the statement is made once, at the first question."""

    @cache
    def statement() -> bytes:
        return capability_statement(doors.status())

    async def metadata(_: Exchange) -> Answer:
        return Answer(200, (CONTENT_TYPE,), await to_thread.run_sync(statement))

    return metadata


async def _send(answer: Answer, method: str, send: Send) -> None:
    headers = list(answer.headers)
    if answer.status not in (204, 304):
        headers.append((b"content-length", str(len(answer.body)).encode("ascii")))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})


async def _nothing_here(scope: Scope, _receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise HTTPException(404)
    await _send(of_error(HttpRefusal(404, "not-found", _NOT_HERE)), scope["method"], send)
