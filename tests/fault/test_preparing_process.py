"""The process that prepares what waits for the writer: it helps, and nothing is lost when it does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from nirantar.app.bench.ground import make_node
from nirantar.app.bench.synthetic import registration
from nirantar.app.node import Node
from nirantar.app.preparing import PreparingProcess
from nirantar.app.verifying import verify_node
from nirantar.errors import ResourceInvalid
from nirantar.host.real import RealHost
from nirantar.interactions.authorize import Caller
from nirantar.interactions.operations import create
from nirantar.interactions.transaction import Outcome, Purpose, Transaction

CALLER = Caller("token:test", "Test", "integration", "api")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node whose writer runs only when asked, so that a test decides who prepares."""
    opened = Node(RealHost(), make_node(RealHost(), tmp_path))
    yield opened
    opened.close()


def members(node: Node, *numbers: int) -> list[Transaction]:
    """Registrations that nobody has prepared."""
    return [
        Transaction(
            node.host, "bench", node.view, registration(number), caller=CALLER, purpose=Purpose("register"),
            key_hash=None, searches=False, check=True,
        )
        for number in numbers
    ]


def started(seconds: float = 10.0) -> PreparingProcess:
    """A process that has said that it is ready."""
    process = PreparingProcess(seconds)
    until = time.monotonic() + 30
    while not process.begin([]):
        assert time.monotonic() < until, "the process did not start"
        time.sleep(0.02)
    process.finish()
    return process


def written(node: Node, waiting: list[Transaction]) -> list[Outcome]:
    """Their outcomes, from one commit batch."""
    futures: list[Future[Outcome]] = [node.sequencer.submit(member) for member in waiting]
    node.sequencer.step()
    return [future.result(0) for future in futures]


def test_what_it_prepared_is_written_as_if_prepared_here(node: Node) -> None:
    """The view made from its outlines is the one that the journal folds to, and no member validated again here."""
    process = started()
    waiting = members(node, *range(20))
    assert process.begin(waiting)
    process.finish()
    assert all(member._answer is not None for member in waiting)
    process.stop()
    assert [outcome.results[0].status for outcome in written(node, waiting)] == ["created"] * 20
    report = verify_node(node.host, node.directory)
    assert report.ok, report.findings
    assert report.entries == 20


def test_what_is_wrong_is_refused_alone(node: Node) -> None:
    """An invalid resource comes back as its own caller's error; the members beside it are written."""
    process = started()
    good = members(node, 1)
    wrong = Transaction(
        node.host, "bench", node.view, (create({"resourceType": "Patient", "gender": "unheard"}),), caller=CALLER,
        purpose=Purpose("register"), key_hash=None, searches=False, check=True,
    )
    assert process.begin([*good, wrong])
    process.finish()
    process.stop()
    refused = node.sequencer.submit(wrong)
    assert written(node, good)[0].results[0].status == "created"
    with pytest.raises(ResourceInvalid, match=r"Patient\.gender"):
        refused.result(0)


@pytest.mark.parametrize("trouble", [signal.SIGKILL, signal.SIGSTOP])
def test_without_its_answer_the_writer_does_the_work(node: Node, trouble: signal.Signals) -> None:
    """Killed or hung in the middle of its work it costs a moment, and no write; it is not asked again."""
    process = started(seconds=0.5)
    assert process._process is not None
    os.kill(process._process.pid, trouble)
    waiting = members(node, *range(30))
    if process.begin(waiting):
        process.finish()
    assert not process.begin(members(node, 99))
    process.stop()
    assert len(written(node, waiting)) == 30
    assert verify_node(node.host, node.directory).ok


def test_it_ends_with_its_node() -> None:
    """A node that was killed leaves no process behind: its questions end, and so does it."""
    parent = subprocess.Popen(
        [sys.executable, "-c", (
            "import sys, time; sys.path.insert(0, sys.argv[1]); from test_preparing_process import started\n"
            "print(started()._process.pid, flush=True); time.sleep(60)"
        ), str(Path(__file__).parent)],
        stdout=subprocess.PIPE, text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    until = time.monotonic() + 10
    while Path(f"/proc/{child}/cmdline").exists() and Path(f"/proc/{child}/cmdline").read_bytes():
        assert time.monotonic() < until, "it outlived its node"
        time.sleep(0.05)
    parent.stdout.close()
