"""A second process that validates and makes ready what waits for the writer, while the writer commits.

Python computes on one core at a time; with 64 writers that core is the node's bound (docs/performance.md). The process
is started when many wait for the first time, so a node with little to do never has it. It holds nothing, knows no key
and opens no file of the node: resources come in and go out by one socket. Whatever goes wrong with it, the writer does
the work itself.

    python -m nirantar.app.preparing      the process: frames of 4 bytes of length and a list of questions or answers
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from select import select
from typing import IO, Final

import msgspec

from nirantar import limits
from nirantar.app.garbage import look_for_cycles_seldom
from nirantar.fhir import schema
from nirantar.interactions.readiness import Answer, answer
from nirantar.journal.sequencer import Member

_LENGTH_BYTES: Final = 4
_READY: Final = b"ready\n"
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(list[bytes])


class PreparingProcess:
    """A journal.sequencer.Preparation. Used by one thread, the writer's."""

    def __init__(self, wait_seconds_max: float = limits.PREPARED_ELSEWHERE_SECONDS_MAX) -> None:
        """Nothing is started yet. A process that takes longer than this to listen or to answer is given up."""
        self._wait_seconds_max = wait_seconds_max
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._greeted = False
        self._given_up = False
        self._asked: list[Member] = []

    def begin(self, members: Sequence[Member]) -> bool:
        """Send the questions of the members; False while the process is not there yet, or never will be."""
        line = self._listening()
        if line is None:
            return False
        asked = [(member, question) for member in members if (question := member.question()) is not None]
        self._asked = [member for member, _ in asked]
        try:
            line.sendall(_framed([question for _, question in asked]))
        except OSError:
            self.stop()
            return False
        return True

    def finish(self) -> None:
        """Hand each member its answer; none when the process died or takes too long."""
        answers = None
        if self._line is not None:
            with suppress(OSError, msgspec.MsgspecError):
                answers = _received(partial(_exactly, self._line))
        if answers is None or len(answers) != len(self._asked):
            self.stop()
            return
        for member, data in zip(self._asked, answers, strict=True):
            member.answered(data)

    def stop(self) -> None:
        """End the process for good: from now on the writer does its work itself."""
        self._given_up = True
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listening(self) -> socket.socket | None:
        """The line to a process that has said that it is ready; it is started if it was not. Waits for nothing."""
        if self._given_up:
            return None
        if self._line is None:
            try:
                self._start()
            except OSError:
                self.stop()
        elif not self._greeted and select([self._line], [], [], 0)[0]:
            with suppress(OSError):
                self._greeted = _exactly(self._line, len(_READY)) == _READY
            if not self._greeted:
                self.stop()
        return self._line if self._greeted else None

    def _start(self) -> None:
        self._line, theirs = socket.socketpair()
        self._line.settimeout(self._wait_seconds_max)
        with theirs:
            # Its standard error could quote what it was asked, so nobody hears it.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "nirantar.app.preparing"], stdin=theirs.fileno(), stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL, start_new_session=True,
            )


def _exactly(line: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer at the end. Raises OSError, also when they take too long."""
    parts: list[bytes] = []
    while size and (part := line.recv(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def serve(questions: IO[bytes], answers: IO[bytes]) -> None:
    """What the process does until its questions end."""
    look_for_cycles_seldom()
    schema.prepare()
    answers.write(_READY)
    answers.flush()
    while (asked := _received(questions.read)) is not None:
        answers.write(_framed([_answered(each) for each in asked]))
        answers.flush()


def _answered(question: bytes) -> bytes:
    try:
        return answer(question)
    except Exception:  # noqa: BLE001 - whatever it is, the writer meets it again and tells it to the caller
        return _encoder.encode(Answer())


def _framed(messages: list[bytes]) -> bytes:
    data = _encoder.encode(messages)
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data


def _received(read: Callable[[int], bytes]) -> list[bytes] | None:
    """The next list of messages, or None at the line's end."""
    length = read(_LENGTH_BYTES)
    data = read(int.from_bytes(length, "big")) if len(length) == _LENGTH_BYTES else b""
    return _decoder.decode(data) if data else None


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
