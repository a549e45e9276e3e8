"""A process that does a part of this one's computing: a module of ours, run by this interpreter, on one socket.

Python computes on one core at a time, so what can be asked and answered in messages goes to another process
(preparing.py, opening.py). It opens no file of the node and knows only what it is told on its line, never by arguments
or environment; it ends when the line does, also where this process was killed. A frame is 4 bytes of length, a kind of
one byte, and the content.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import suppress
from select import select
from typing import Final

_LENGTH_BYTES: Final = 4
_HEAD_BYTES: Final = _LENGTH_BYTES + 1

Frame = tuple[bytes, bytes]
"""(kind, content)."""


class HelperProcess:
    """A running helper, and the line to it."""

    def __init__(self, module: str, wait_seconds_max: float) -> None:
        """Start `module`, which has the other end as its standard input. Waiting for it longer than this is a
        TimeoutError. Raises OSError where no process can be started."""
        self.line, theirs = socket.socketpair()
        self.line.settimeout(wait_seconds_max)
        with theirs:
            try:
                # Its standard error could quote what it was told, so nobody hears it.
                self._process = subprocess.Popen(  # noqa: S603 - a module of our own, by our own interpreter
                    [sys.executable, "-P", "-m", module], stdin=theirs.fileno(), stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, start_new_session=True,
                )
            except OSError:
                self.line.close()
                raise

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def has_spoken(self) -> bool:
        """Whether a frame, or the line's end, is there to be received without waiting."""
        return bool(select([self.line], [], [], 0)[0])

    def end(self) -> None:
        """End the process, whatever it is at, and the line."""
        self._process.kill()
        self._process.wait()
        # Who still waits on the line, in another thread, hears its end.
        with suppress(OSError):
            self.line.shutdown(socket.SHUT_RDWR)
        self.line.close()


def send(line: socket.socket, kind: bytes, content: bytes) -> None:
    """Send a frame. Raises OSError, also when nobody takes it in time."""
    line.sendall(len(content).to_bytes(_LENGTH_BYTES, "big") + kind + content)


def receive(line: socket.socket) -> Frame | None:
    """The next frame, or None at the line's end. Raises OSError, also when it takes too long."""
    head = _exactly(line, _HEAD_BYTES)
    if len(head) != _HEAD_BYTES:
        return None
    size = int.from_bytes(head[:_LENGTH_BYTES], "big")
    content = _exactly(line, size)
    return (head[_LENGTH_BYTES:], content) if len(content) == size else None


def line_of_helper() -> socket.socket:
    """The helper's own end of its line: its standard input."""
    return socket.socket(fileno=sys.stdin.fileno())


def _exactly(line: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer at the end."""
    buffer = bytearray(size)
    view, got = memoryview(buffer), 0
    while got < size and (count := line.recv_into(view[got:])):
        got += count
    return bytes(view[:got])
