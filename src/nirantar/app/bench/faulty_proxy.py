"""An HTTP proxy before a server on this machine, which delays each request and can be told to misbehave.

For measuring a vault that is far away, and for testing one that hangs, fails, cuts its answers short or lists what is
no longer so. A request goes on as it came, with the same `Host`, so signatures stay good.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from time import sleep
from typing import Final, cast
from urllib.parse import parse_qs, urlsplit

ANSWER_SECONDS_MAX: Final = 30.0
_PASSED_BY: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "expect"})
_FULL: Final = b"<?xml version='1.0'?><Error><Code>InsufficientStorage</Code><Message>full</Message></Error>"
_BROKEN: Final = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>broken</Message></Error>"


class Fault(Enum):
    """What happens to requests."""

    NONE = "they go through"
    DROP = "the connection is closed without an answer"
    LOSE_ANSWER = "the server does what is asked, and its answer is lost"
    ERROR = "500"
    FULL = "507"
    TRUNCATE = "the connection is closed in the middle of the answer's body"
    SHORTEN = "half of a body comes as if it were all of it"
    HANG = "no answer, until the fault is over"
    STALE = "listings are answered as they last were before the fault"
    CLAIM = "what the server refuses is answered as done"


@dataclass(slots=True)
class FaultyProxy:
    """A running proxy. `fault` and `delay_seconds` may be changed at any time; `matching` confines the fault to
    requests whose line holds it. `requests` are the lines that came."""

    port: int
    upstream_port: int
    delay_seconds: float = 0.0
    matching: str = ""
    requests: list[str] = field(default_factory=list)
    _fault: Fault = Fault.NONE
    _over: Event = field(default_factory=Event)
    _listings: dict[str, tuple[int, list[tuple[str, str]], bytes]] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def fault(self) -> Fault:
        """What happens to requests now."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._fault = fault
        before, self._over = self._over, Event()
        before.set()

    def answer(self, asked: _Request) -> None:
        """Treat one request as `fault` says."""
        body = asked.rfile.read(int(asked.headers.get("Content-Length", 0)))
        line = f"{asked.command} {asked.path}"
        self.requests.append(line)
        fault, over = self._fault if self.matching in line else Fault.NONE, self._over
        sleep(self.delay_seconds)
        if fault is Fault.HANG:
            over.wait()
        if fault in (Fault.HANG, Fault.DROP):
            asked.close_connection = True
            return
        if fault is Fault.ERROR:
            asked.reply(500, [], _BROKEN)
            return
        if fault is Fault.FULL and asked.command == "PUT":
            asked.reply(507, [], _FULL)
            return
        listing = _is_listing(asked)
        if fault is Fault.STALE and listing and asked.path in self._listings:
            asked.reply(*self._listings[asked.path])
            return
        answer = asked.ask(self.upstream_port, body)
        if listing and fault is Fault.NONE:
            self._listings[asked.path] = answer
        self._pass_on(asked, fault, answer)

    def _pass_on(self, asked: _Request, fault: Fault, answer: tuple[int, list[tuple[str, str]], bytes]) -> None:
        status, headers, found = answer
        if fault is Fault.LOSE_ANSWER:
            asked.close_connection = True
        elif fault is Fault.SHORTEN and status < 300:
            asked.reply(status, headers, found[: len(found) // 2])
        elif fault is Fault.TRUNCATE and status < 300:
            asked.reply(status, headers, found, cut=len(found) // 2)
        elif fault is Fault.CLAIM and status == 403:
            asked.reply(204, [], b"")
        else:
            asked.reply(status, headers, found)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    proxy: FaultyProxy

    def handle_error(self, request: object, client_address: object) -> None:
        """A client or server that goes away in the middle is what this is for."""


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    upstream: HTTPConnection | None = None

    def ask(self, port: int, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """The server's answer to this request, over a connection that lives as long as the client's."""
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _PASSED_BY}
        if self.upstream is None:
            self.upstream = HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS_MAX)
        self.upstream.request(self.command, self.path, body, headers)
        answer = self.upstream.getresponse()
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _PASSED_BY]
        return answer.status, kept, answer.read()

    def finish(self) -> None:
        """Close both sides together."""
        if self.upstream is not None:
            self.upstream.close()
        with suppress(OSError):
            super().finish()

    def handle_expect_100(self) -> bool:
        """Ask for the body at once; a client would wait a second for that."""
        answered = super().handle_expect_100()
        self.wfile.flush()
        return answered

    def _answer(self) -> None:
        cast("_Server", self.server).proxy.answer(self)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - the library's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Nothing is logged."""

    def reply(self, status: int, headers: list[tuple[str, str]], body: bytes, *, cut: int | None = None) -> None:
        """Send an answer; with `cut`, that many bytes of its body, and close."""
        self.send_response_only(status)
        length = str(len(body))
        for name, value in headers:
            if name.lower() == "content-length" and self.command == "HEAD":
                length = value
            elif name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True


def _is_listing(asked: BaseHTTPRequestHandler) -> bool:
    parameters = parse_qs(urlsplit(asked.path).query, keep_blank_values=True)
    return asked.command == "GET" and ("versions" in parameters or "list-type" in parameters)


@contextmanager
def faulty_proxy(upstream_port: int, *, delay_seconds: float = 0.0) -> Iterator[FaultyProxy]:
    """A proxy on a free loopback port before another one, closed at the end."""
    with _Server(("127.0.0.1", 0), _Request) as server:
        server.proxy = proxy = FaultyProxy(server.server_address[1], upstream_port, delay_seconds)
        thread = Thread(target=server.serve_forever, name="faulty-proxy", daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.fault = Fault.DROP
            server.shutdown()
            thread.join()
