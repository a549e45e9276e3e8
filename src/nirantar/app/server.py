"""The node's HTTP server: every edge under one roof, on granian (or uvicorn)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import uvicorn
from granian.constants import Interfaces
from granian.server.embed import Server as GranianServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from nirantar.app.health import health_document
from nirantar.app.node import Node
from nirantar.edges.fhir_rest import mounted
from nirantar.edges.web import DemoStrip, WebSettings, web_app

ServerKind = Literal["granian", "uvicorn"]


def node_app(node: Node, *, demo: DemoStrip | None = None, extra: tuple[BaseRoute, ...] = ()) -> Starlette:
    """Everything that a node serves: `/health`, the FHIR base at `/fhir`, and the desks."""
    configuration = node.papers.configuration
    settings = WebSettings(
        host=node.host, hospital=node.papers.document.name, uhid_system=configuration.uhid_system,
        secure_cookies=configuration.secure_cookies, demo=demo,
    )

    async def health(_: Request) -> Response:
        return Response(health_document(node.status()), media_type="application/json")

    # Routes are tried in turn, so what is asked most stands first.
    return Starlette(routes=[
        *mounted(node.doors),
        Route("/health", health, methods=["GET"]),
        *extra,
        Mount("/", web_app(node.doors, settings)),
    ])


async def serve(
    app: Starlette, host: str, port: int, *, kind: ServerKind = "granian", stop: asyncio.Event,
    ready: Callable[[], None], tls: tuple[Path, Path] | None = None,
) -> None:
    """Serve until `stop` is set, by TLS with a certificate's file and its key's. `ready` is called once the port is
    open. Raises OSError when it is taken or a file cannot be read, or the server ends by itself."""
    _require_free(host, port)
    certificate, key = tls or (None, None)
    for file in tls or ():
        file.read_bytes()
    if kind == "uvicorn":
        await _serve_uvicorn(app, host, port, stop, ready, certificate=certificate, key=key)
        return
    server = GranianServer(
        app, address=host, port=port, interface=Interfaces.ASGI, log_enabled=False, ssl_cert=certificate, ssl_key=key
    )
    serving = asyncio.ensure_future(server.serve())
    await _wait_until_open(host, port, serving)
    ready()
    await _until(stop, serving)
    server.stop()  # type: ignore[no-untyped-call]  # granian publishes no types for it
    await serving


async def _serve_uvicorn(
    app: Starlette, host: str, port: int, stop: asyncio.Event, ready: Callable[[], None], *,
    certificate: Path | None, key: Path | None,
) -> None:
    server = uvicorn.Server(uvicorn.Config(
        app, host=host, port=port, log_level="error", lifespan="off", ssl_certfile=certificate, ssl_keyfile=key
    ))
    serving = asyncio.ensure_future(server.serve())
    await _wait_until_open(host, port, serving)
    ready()
    await _until(stop, serving)
    server.should_exit = True
    await serving


def _require_free(host: str, port: int) -> None:
    """Raise OSError unless the port can be had: the server would say so too late, after somebody else has answered."""
    for family, kind, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)


async def _until(stop: asyncio.Event, serving: asyncio.Future[None]) -> None:
    """Return when `stop` is set; raise when the server ended before."""
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait((stopping, serving), return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        stopping.cancel()
        await serving
        raise OSError("The server ended by itself")


async def _wait_until_open(host: str, port: int, serving: asyncio.Future[None]) -> None:
    """Return once a connection is accepted; raise what the server raised if it ended instead."""
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        return
    await serving
    raise OSError(f"The server ended before it listened on {host}:{port}.")
