"""A second process that validates and makes ready what waits for the writer, while the writer commits.

With 64 writers the writer's core is the node's bound (docs/performance.md). The process is started when many wait for
the first time, so a node with little to do never has it. It holds nothing, knows no key and opens no file of the node.
Whatever goes wrong with it, the writer does the work itself.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec

from nirantar import limits
from nirantar.app.garbage import look_for_cycles_seldom
from nirantar.app.helper_process import HelperProcess, line_of_helper, receive, send
from nirantar.fhir import schema
from nirantar.interactions.readiness import Answer, answer
from nirantar.journal.sequencer import Member

_READY, _MESSAGES = b"r", b"m"
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[bytes]).decode


class PreparingProcess:
    """A journal.sequencer.Preparation. Used by one thread, the writer's."""

    def __init__(self, wait_seconds_max: float = limits.PREPARED_ELSEWHERE_SECONDS_MAX) -> None:
        """Nothing is started yet. A process that takes longer than this to listen or to answer is given up."""
        self._wait_seconds_max = wait_seconds_max
        self._process: HelperProcess | None = None
        self._ready = False
        self._given_up = False
        self._asked: list[Member] = []

    def begin(self, members: Sequence[Member]) -> bool:
        """Send the questions of the members; False while the process is not there yet, or never will be."""
        process = self._listening()
        if process is None:
            return False
        asked = [(member, question) for member in members if (question := member.question()) is not None]
        self._asked = [member for member, _ in asked]
        try:
            send(process.line, _MESSAGES, _encode([question for _, question in asked]))
        except OSError:
            self.stop()
            return False
        return True

    def finish(self) -> None:
        """Hand each member its answer; none when the process died or takes too long."""
        answers: list[bytes] | None = None
        if self._process is not None:
            with suppress(OSError, msgspec.MsgspecError):
                frame = receive(self._process.line)
                answers = None if frame is None else _decode(frame[1])
        if answers is None or len(answers) != len(self._asked):
            self.stop()
            return
        for member, data in zip(self._asked, answers, strict=True):
            member.answered(data)

    def stop(self) -> None:
        """End the process for good: from now on the writer does its work itself."""
        self._given_up = True
        if self._process is not None:
            self._process.end()
            self._process = None

    def _listening(self) -> HelperProcess | None:
        """A process that has said that it is ready; it is started if it was not. Waits for nothing."""
        if self._given_up:
            return None
        if self._process is None:
            try:
                self._process = HelperProcess("nirantar.app.preparing", self._wait_seconds_max)
            except OSError:
                self.stop()
        elif not self._ready and self._process.has_spoken():
            with suppress(OSError):
                self._ready = receive(self._process.line) == (_READY, b"")
            if not self._ready:
                self.stop()
        return self._process if self._ready else None


def serve(line: socket.socket) -> None:
    """What the process does until its line ends."""
    look_for_cycles_seldom()
    schema.prepare()
    send(line, _READY, b"")
    while (asked := receive(line)) is not None:
        send(line, _MESSAGES, _encode([_answered(each) for each in _decode(asked[1])]))


def _answered(question: bytes) -> bytes:
    try:
        return answer(question)
    except Exception:  # noqa: BLE001 - whatever it is, the writer meets it again and tells it to the caller
        return _encode(Answer())


if __name__ == "__main__":
    with suppress(OSError), line_of_helper() as line_here:
        serve(line_here)
