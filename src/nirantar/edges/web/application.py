"""The desk as an ASGI application: pages from the permission matrix, static files, and the headers of every answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nirantar.edges.web.desk import Asked, Desk
from nirantar.edges.web.failures import broken, nothing_here, wrong_method
from nirantar.edges.web.gate import asked_of, endpoint_of
from nirantar.edges.web.pages import MENU, PAGES
from nirantar.edges.web.settings import WebSettings
from nirantar.interactions.doors import Doors

SECURITY_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
}
_STATIC_CACHE: Final = "public, max-age=31536000, immutable"
_PRIVATE: Final = "no-store"


class Headers:
    """Puts the security headers on every answer, and keeps everything but static files out of every cache."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                static = scope["path"].startswith("/static/") and message["status"] == 200
                headers["cache-control"] = _STATIC_CACHE if static else _PRIVATE
            await send(message)

        await self._app(scope, receive, with_headers)


def web_app(doors: Doors, settings: WebSettings) -> Starlette:
    """The web desk of a node."""
    desk = Desk(doors, settings, MENU)
    static = files("nirantar.edges.web").joinpath("static")
    routes: list[BaseRoute] = [Mount("/static", StaticFiles(directory=str(static)), name="static")]
    if settings.demo is not None:
        routes += settings.demo.routes()
    routes += [Route(page.path, endpoint_of(desk, page), methods=[page.method]) for page in PAGES]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Headers)],
        exception_handlers={
            404: _handler(desk, nothing_here), 405: _handler(desk, wrong_method), Exception: _handler(desk, broken),
        },
    )


def _handler(
    desk: Desk, page: Callable[[Desk, Asked], Response]
) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(request: Request, _: Exception) -> Response:
        response = await run_in_threadpool(page, desk, asked_of(desk, request))
        # Starlette answers what nobody foresaw outside of every middleware, so this page brings its headers along.
        response.headers.update({**SECURITY_HEADERS, "cache-control": _PRIVATE})
        return response

    return handle
