"""`nirantar demo` from outside: unattended to its end, and by hand over HTTP."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from nirantar.app.demo.unattended import FIELDS, NAME, Visitor
from nirantar.continuity.drill.yardstick import HONEST_LINE

SECONDS_MAX = 120


def a_free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def remains() -> set[Path]:
    """Scratch places that exist now."""
    return set(Path(tempfile.gettempdir()).glob("nirantar-scratch-*"))


@contextmanager
def demo(*options: str) -> Iterator[subprocess.Popen[str]]:
    """A running demo, ended by Ctrl-C at the latest."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nirantar.cli", "demo", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=SECONDS_MAX)


def wait_for_page(port: int) -> httpx.Response:
    """The start page, once the demo serves."""
    stop = time.monotonic() + SECONDS_MAX
    while time.monotonic() < stop:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/patients", follow_redirects=True)
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the demo does not serve")


def test_the_unattended_demo_keeps_every_promise_and_leaves_nothing() -> None:
    """With --exit all steps run by themselves; it ends with the table, the honest line, code 0 and no scratch."""
    before = remains()
    with demo("--exit", f"--port={a_free_port()}") as process:
        printed, said = process.communicate(timeout=SECONDS_MAX)
    assert process.returncode == 0, said
    assert "0 of 13" in printed
    assert "2022" in printed
    assert HONEST_LINE in printed
    assert f"Registered {NAME}" in said
    assert "entry 14: its bytes differ from its leaf hash" in said
    assert remains() <= before


def test_a_visitor_sees_attack_counter_and_return() -> None:
    """The strip leads through the steps: a button works only when it is offered and with its form's token; during the
    outage the address answers 503 and shows the locked files; afterwards the record is back."""
    port = a_free_port()
    with demo(f"--port={port}"):
        assert "Step 1 of 4" in wait_for_page(port).text
        assert httpx.post(f"http://127.0.0.1:{port}/demo/attack", data={"csrf": "0" * 64}).status_code == 403
        visitor = Visitor(port)
        visitor.get("/patients")
        record = visitor.send(visitor.get("/patients/new"), "/patients/new", FIELDS).partition("?")[0]
        page = visitor.get(record)
        assert "Step 2 of 4" in page
        assert visitor.send(page, "/demo/attack", {}) == "/demo/attack"
        assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 503
        phases, locked = set(), 0
        stop = time.monotonic() + SECONDS_MAX
        while "back" not in phases and time.monotonic() < stop:
            now = httpx.get(f"http://127.0.0.1:{port}/demo/progress").json()
            phases.add(now["phase"])
            locked = max(locked, sum(name.endswith(".locked") for name in now["files"]))
            time.sleep(0.05)
        assert {"locking", "recovering", "back"} <= phases
        assert locked > 8
        page = visitor.get(record)
        assert NAME in page
        assert "Step 3 of 4" in page
        assert httpx.get(f"http://127.0.0.1:{port}/health").json()["recovered_from"]
        proof = httpx.get(f"http://127.0.0.1:{port}/demo/entry.tlog-proof")
        assert proof.text.startswith("c2sp.org/tlog-proof@v1\nindex 14\n")


def test_ctrl_c_ends_every_process_and_removes_everything() -> None:
    """An interrupted demo leaves neither a directory nor a node behind."""
    before = remains()
    port = a_free_port()
    with demo(f"--port={port}") as process:
        wait_for_page(port)
        places = [str(place) for place in remains() - before]
        assert running_in(places)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=SECONDS_MAX)
        assert not running_in(places)
    assert remains() <= before


def running_in(places: list[str]) -> list[str]:
    """Command lines of processes that name one of these places."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        lines += [line for place in places if place in line]
    return lines


def test_a_taken_port_is_named() -> None:
    """A port that somebody else has is refused with a sentence and code 3, before anything is opened."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with demo(f"--port={port}") as process:
            _, said = process.communicate(timeout=SECONDS_MAX)
    assert process.returncode == 3
    assert str(port) in said
