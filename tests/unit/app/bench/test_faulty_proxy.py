"""What the proxy does to requests, in front of a server that answers every one alike."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, IncompleteRead
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from nirantar.app.bench.faulty_proxy import Fault, FaultyProxy, faulty_proxy

BODY = b"0123456789"


class Upstream(BaseHTTPRequestHandler):
    """Answers with BODY, and with the Host that it was asked under; a DELETE is refused."""

    protocol_version = "HTTP/1.1"
    seen = 0

    def do_GET(self) -> None:
        Upstream.seen += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.send_header("X-Host", str(self.headers["Host"]))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(BODY)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def do_DELETE(self) -> None:
        self.send_error(403)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *said: object) -> None:
        pass


@pytest.fixture
def proxy() -> Iterator[FaultyProxy]:
    """A proxy before that server."""
    with HTTPServer(("127.0.0.1", 0), Upstream) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            with faulty_proxy(server.server_address[1]) as running:
                yield running
        finally:
            server.shutdown()
            thread.join()


def ask(proxy: FaultyProxy, method: str = "GET", path: str = "/a", body: bytes | None = None) -> tuple[int, bytes, str]:
    """Status, body and the Host that the server saw."""
    connection = HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers.get("X-Host", "")
    finally:
        connection.close()


def test_requests_go_through_as_they_came(proxy: FaultyProxy) -> None:
    """With the client's Host, which signatures cover, and late by the delay."""
    proxy.delay_seconds = 0.05
    started = time.monotonic()
    assert ask(proxy) == (200, BODY, f"127.0.0.1:{proxy.port}")
    assert time.monotonic() - started >= 0.05
    assert ask(proxy, "HEAD")[:2] == (200, b"")
    assert proxy.requests == ["GET /a", "HEAD /a"]


def test_each_fault_is_what_it_says(proxy: FaultyProxy) -> None:
    """No answer, a broken one, a short one, or one that says the opposite; only where the request matches."""
    for fault in (Fault.DROP, Fault.LOSE_ANSWER):
        seen = Upstream.seen
        proxy.fault = fault
        with pytest.raises((HTTPException, OSError)):
            ask(proxy)
        assert Upstream.seen - seen == (fault is Fault.LOSE_ANSWER)
    proxy.fault = Fault.TRUNCATE
    with pytest.raises(IncompleteRead):
        ask(proxy)
    for fault, method, status in (
        (Fault.ERROR, "GET", 500), (Fault.FULL, "PUT", 507), (Fault.FULL, "GET", 200), (Fault.CLAIM, "DELETE", 204),
    ):
        proxy.fault = fault
        assert ask(proxy, method, body=b"x" if method == "PUT" else None)[0] == status
    proxy.fault = Fault.SHORTEN
    assert ask(proxy)[1] == BODY[:5]
    proxy.matching = "/b"
    assert ask(proxy)[1] == BODY


def test_a_hanging_request_ends_with_the_fault(proxy: FaultyProxy) -> None:
    """Nothing waits for ever."""
    proxy.fault = Fault.HANG

    def fail() -> None:
        with suppress(HTTPException, OSError):
            ask(proxy)

    thread = Thread(target=fail)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    proxy.fault = Fault.NONE
    thread.join(10)
    assert not thread.is_alive()


def test_a_stale_listing_is_the_last_before_the_fault(proxy: FaultyProxy) -> None:
    """Other requests are answered as ever."""
    assert ask(proxy, path="/a?versions")[1] == BODY
    seen = Upstream.seen
    proxy.fault = Fault.STALE
    assert ask(proxy, path="/a?versions")[1] == BODY
    assert Upstream.seen == seen
    ask(proxy, path="/a")
    assert Upstream.seen == seen + 1
