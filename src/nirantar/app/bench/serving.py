"""A node served by a process of its own, and a client that keeps it busy from another, for benchmarks over HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from time import perf_counter
from typing import Final

import uvloop
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from nirantar.app.garbage import look_for_cycles_seldom
from nirantar.app.node import Node
from nirantar.app.server import node_app, serve
from nirantar.errors import Unavailable
from nirantar.host.real import RealHost

_ADDRESS: Final = "127.0.0.1"
_READY_SECONDS_MAX: Final = 60.0
_END_SECONDS_MAX: Final = 20.0
_CONNECTIONS: Final = 8
CONSTANT_PATH: Final = "/constant"


@dataclass(frozen=True, slots=True)
class Served:
    """A node that answers on `port`; `process_id` is the serving process."""

    port: int
    process_id: int


class Constant:
    """An endpoint that answers with the same bytes and headers each time, reading nothing."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._headers = [(b"content-type", b"application/fhir+json"), (b"content-length", b"%d" % len(body))]

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the two messages of a response."""
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body})


@contextmanager
def served(directory: Path, constant: bytes) -> Iterator[Served]:
    """Serve the node in `directory` as `nirantar serve` does, and `constant` at CONSTANT_PATH beside it.

    Raises Unavailable when it does not come up.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(directory, constant, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(_READY_SECONDS_MAX):
            raise Unavailable(f"The server did not come up within {_READY_SECONDS_MAX:.0f} s.")
        try:
            yield Served(ours.recv(), process.pid or 0)
        except EOFError:
            raise Unavailable("The server ended before it was ready.") from None
    finally:
        ours.close()
        process.join(_END_SECONDS_MAX)
        if process.is_alive():
            process.kill()
            process.join()


def _serve(directory: Path, constant: bytes, pipe: Connection) -> None:
    """The server's process: it serves until its parent closes the pipe."""
    look_for_cycles_seldom()
    node = Node(RealHost(), directory)
    try:
        node.start()
        uvloop.run(_serve_until_closed(node, constant, pipe))
    finally:
        node.close()


async def _serve_until_closed(node: Node, constant: bytes, pipe: Connection) -> None:
    with socket.create_server((_ADDRESS, 0)) as free:
        port = free.getsockname()[1]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe.fileno(), stop.set)
    app = node_app(node, extra=(Route(CONSTANT_PATH, Constant(constant)),))
    await serve(app, _ADDRESS, port, stop=stop, ready=lambda: pipe.send(port))


@contextmanager
def client() -> Iterator[Client]:
    """A client in a process of its own."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_answer_rounds, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Client(ours)
    finally:
        ours.close()
        process.join(_END_SECONDS_MAX)


class Client:
    """Asks the client's process for one round of requests after another."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def requests_per_second(self, port: int, requests: list[bytes], seconds: float) -> float:
        """Keep each of several connections busy with these requests in turn. Raises Unavailable when one is not
        answered with 200."""
        self._pipe.send((port, requests, seconds))
        try:
            answered: float | str = self._pipe.recv()
        except EOFError:
            raise Unavailable("The client's process ended.") from None
        if isinstance(answered, str):
            raise Unavailable(answered)
        return answered


def request(path: str, token: str | None = None) -> bytes:
    """A GET as bytes."""
    authorization = "" if token is None else f"Authorization: Bearer {token}\r\n"
    return f"GET {path} HTTP/1.1\r\nHost: {_ADDRESS}\r\n{authorization}\r\n".encode()


def _answer_rounds(pipe: Connection) -> None:
    while True:
        try:
            port, requests, seconds = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(_round(port, requests, seconds))
        except (OSError, Unavailable) as failure:
            pipe.send(f"The request failed: {failure}")


def _round(port: int, requests: list[bytes], seconds: float) -> float:
    """Requests a second over several connections, one under way on each."""
    selector = DefaultSelector()
    connections = [socket.create_connection((_ADDRESS, port)) for _ in range(_CONNECTIONS)]
    unread: dict[socket.socket, bytes] = dict.fromkeys(connections, b"")
    number = 0
    for connection in connections:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, EVENT_READ)
        connection.sendall(requests[number % len(requests)])
        number += 1
    answered, started = 0, perf_counter()
    while (elapsed := perf_counter() - started) < seconds:
        for key, _ in selector.select(seconds - elapsed):
            connection = key.fileobj  # type: ignore[assignment]
            unread[connection] += connection.recv(65_536)
            if _is_whole(unread[connection]):
                unread[connection] = b""
                answered += 1
                connection.sendall(requests[number % len(requests)])
                number += 1
    for connection in connections:
        connection.close()
    selector.close()
    return answered / elapsed


def _is_whole(answer: bytes) -> bool:
    """Whether one whole answer is there. Raises Unavailable unless it is a 200."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    if not head.startswith(b"HTTP/1.1 200"):
        raise Unavailable(f"the answer begins with {head[:20]!r}")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return len(body) >= int(length)
