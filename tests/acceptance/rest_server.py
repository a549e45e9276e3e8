"""A program for tests: serve the FHIR API of a new node on a port. Arguments: directory, port, granian or uvicorn.

It prints a bearer token once it is ready to be connected to, and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvicorn
from granian.constants import Interfaces
from granian.server.embed import Server as GranianServer
from rest_client import open_node
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nirantar.edges.fhir_rest import mounted


async def constant(request: Request) -> Response:
    """What the read path is measured against."""
    return Response(b"x" * 512, media_type="application/json")


async def serve(app: Starlette, port: int, kind: str, token: str) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    if kind == "uvicorn":
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
        serving = asyncio.ensure_future(server.serve())
    else:
        granian = GranianServer(app, address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_enabled=False)
        serving = asyncio.ensure_future(granian.serve())
    sys.stdout.write(f"{token}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    if kind == "uvicorn":
        server.should_exit = True
    else:
        granian.stop()  # type: ignore[no-untyped-call]
    await serving


def main() -> None:
    """Run."""
    directory, port, kind = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    with open_node(directory) as node:
        token = node.doors.credentials.issue_token("integration", "Test")
        app = Starlette(routes=[*mounted(node.doors), Route("/constant", constant)])
        asyncio.run(serve(app, port, kind, token))


if __name__ == "__main__":
    main()
