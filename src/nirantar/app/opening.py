"""Processes that fetch, prove and open the segments of a vault, one for each core, so that all cores read a log.

Python computes on one core at a time, and what a segment costs (decryption, decompression, a hash and a decoding for
each entry) needs nothing but the segment: it proves itself. So each process takes whole segments, and whoever reads the
log only joins them, in order, as if it had opened them itself. The processes are started when a log has many entries to
read; whatever goes wrong with one, or with a segment, is done again here, so findings are the same with and without
them. What they hold ahead of the reader is bounded (OPENED_AHEAD_BYTES_MAX each).

The recovery identity reaches a process by its line alone (helper_process.py), never by arguments, environment or disk.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from os import sched_getaffinity
from queue import SimpleQueue
from threading import Condition, Thread
from typing import Final, Self

import msgspec

from nirantar import limits
from nirantar.app.garbage import look_for_cycles_seldom
from nirantar.app.helper_process import HelperProcess, line_of_helper, receive, send
from nirantar.app.vaults import open_vault
from nirantar.continuity.segment_opening import Fetched, Opener, Part, SegmentOpener
from nirantar.errors import NirantarError
from nirantar.host.port import Host
from nirantar.host.real import RealHost
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.note import Verifier
from nirantar.vault.keys import SegmentKey
from nirantar.vault.port import Vault
from nirantar.vault.segments import SegmentHeader

_HEAD, _PART, _WHOLE, _FAILED = b"h", b"p", b"w", b"f"
_LAST: Final = (_WHOLE, _FAILED)


class _Task(msgspec.Struct, frozen=True, array_like=True):
    """What a process is told first."""

    uris: list[str]
    identities: list[str]
    outline: bool


class _Question(msgspec.Struct, frozen=True, array_like=True):
    """One segment to fetch from the vault of that number."""

    vault: int
    key: str
    vkey: str


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """A header and the signed tree that proves it."""

    header: SegmentHeader
    tree_size: int
    root_hash: bytes
    extensions: tuple[str, ...]


_encode: Final = msgspec.msgpack.Encoder().encode
_tasks: Final = msgspec.msgpack.Decoder(_Task)
_questions: Final = msgspec.msgpack.Decoder(_Question)
_heads: Final = msgspec.msgpack.Decoder(_Head)
_parts: Final = msgspec.msgpack.Decoder(Part)


class _Ticket:
    """A segment that a process was asked for, and what came of it so far."""

    def __init__(self, vault: Vault, segment: SegmentKey, question: _Question) -> None:
        self.vault, self.segment, self.question = vault, segment, question
        self._frames: deque[tuple[bytes, bytes]] = deque()
        self._bytes = 0
        self._dropped = False
        self._changed = Condition()

    @property
    def dropped(self) -> bool:
        return self._dropped

    def is_for(self, vault: Vault, key: str) -> bool:
        return self.question.key == key and self.vault is vault

    def put(self, kind: bytes, data: bytes) -> None:
        """Keep a frame; waits while there is too much that nobody took."""
        with self._changed:
            self._changed.wait_for(lambda: self._dropped or self._bytes < limits.OPENED_AHEAD_BYTES_MAX)
            if not self._dropped:
                self._frames.append((kind, data))
                self._bytes += len(data)
                self._changed.notify_all()

    def take(self) -> tuple[bytes, bytes]:
        """The next frame, as soon as it is there."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._frames))
            kind, data = self._frames.popleft()
            self._bytes -= len(data)
            self._changed.notify_all()
            return kind, data

    def drop(self) -> None:
        """Nobody wants it any more."""
        with self._changed:
            self._dropped = True
            self._frames.clear()
            self._changed.notify_all()


@dataclass(slots=True)
class _Foresight:
    """What one level will be asked for: what no process was asked for yet, and what was."""

    needed: Iterator[tuple[Vault, SegmentKey]]
    verifier: Verifier
    asked: deque[_Ticket] = field(default_factory=deque)

    def drop(self) -> None:
        while self.asked:
            self.asked.popleft().drop()


class ManyProcesses:
    """An Opener over processes; a context, at whose end they are gone. Used by one thread."""

    def __init__(
        self, vaults: Sequence[Vault], uris: Sequence[str], identities: Sequence[str], *, outline: bool, processes: int,
        entries_min: int = limits.OPENED_ELSEWHERE_ENTRIES_MIN,
    ) -> None:
        """`uris` are those of `vaults`, in the same order. Nothing is started before so many entries are needed."""
        self._here: Opener = SegmentOpener(identities, outline=outline)
        self._vaults = list(vaults)
        self._task = _Task(list(uris), list(identities), outline)
        self._processes = processes
        self._entries_min = entries_min
        self._tickets: SimpleQueue[_Ticket | None] = SimpleQueue()
        self._workers: list[_Worker] = []
        self._levels: list[_Foresight] = []
        self._taken: _Ticket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes, whatever they are at."""
        self._release()
        for level in self._levels:
            level.drop()
        for _worker in self._workers:
            self._tickets.put(None)
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    @property
    def started(self) -> int:
        """How many processes were started so far."""
        return len(self._workers)

    @contextmanager
    def foreseen(self, needed: Iterable[tuple[Vault, SegmentKey]], verifier: Verifier) -> Iterator[None]:
        """See the port. What an outer context was promised is asked for again after this one: two together could wait
        for each other."""
        wanted = list(needed)
        if not self._workers and sum(key.count for _, key in wanted) >= self._entries_min:
            self._start()
        if self._levels:
            outer = self._levels[-1]
            outer.needed = chain([(each.vault, each.segment) for each in outer.asked], outer.needed)
            outer.drop()
        self._levels.append(_Foresight(iter(wanted), verifier))
        try:
            yield
        finally:
            self._release()
            self._levels.pop().drop()

    def fetch(self, vault: Vault, key: str, verifier: Verifier) -> Fetched:
        """See the port."""
        self._release()
        ticket = self._ticket(vault, key)
        if ticket is None:
            return self._here.fetch(vault, key, verifier)
        kind, data = ticket.take()
        if kind != _HEAD:
            ticket.drop()
            return self._here.fetch(vault, key, verifier)
        self._taken = ticket
        head = _heads.decode(data)
        checkpoint = Checkpoint(head.header.origin, head.tree_size, head.root_hash, head.extensions)
        return Fetched(vault, key, head.header, checkpoint, None)

    def parts(self, fetched: Fetched) -> Iterator[Part]:
        """See the port."""
        given, ticket = 0, self._taken
        if ticket is not None and ticket.is_for(fetched.vault, fetched.key):
            kind, data = ticket.take()
            while kind == _PART:
                part = _parts.decode(data)
                given += part.count
                yield part
                kind, data = ticket.take()
            self._release()
            if kind == _WHOLE:
                return
        # What failed there is opened here, so that it says what it would have said here.
        for part in self._here.parts(fetched):
            if part.count > given:
                yield part.after(given)
            given = max(0, given - part.count)

    def _ticket(self, vault: Vault, key: str) -> _Ticket | None:
        """The ticket for a segment, if one was asked for; those before it in the order are not needed any more."""
        if not self._levels or not self._workers:
            return None
        level = self._levels[-1]
        self._ask(level)
        if not any(each.is_for(vault, key) for each in level.asked):
            return None
        while True:
            ticket = level.asked.popleft()
            if ticket.is_for(vault, key):
                self._ask(level)
                return ticket
            ticket.drop()

    def _ask(self, level: _Foresight) -> None:
        """Ask for as many as the processes can be at, and one more."""
        while len(level.asked) <= len(self._workers):
            vault, key = next(level.needed, (None, None))
            if vault is None or key is None:
                return
            number = next((place for place, each in enumerate(self._vaults) if each is vault), None)
            if number is not None:
                ticket = _Ticket(vault, key, _Question(number, str(key), level.verifier.vkey))
                level.asked.append(ticket)
                self._tickets.put(ticket)

    def _release(self) -> None:
        """What is left of the segment that was fetched last is not wanted."""
        if self._taken is not None:
            self._taken.drop()
            self._taken = None

    def _start(self) -> None:
        with suppress(OSError):
            for _ in range(self._processes):
                self._workers.append(_Worker(self._task, self._tickets))


@contextmanager
def opener_of(
    host: Host, vaults: Sequence[Vault], uris: Sequence[str], identities: Sequence[str], *, outline: bool
) -> Iterator[Opener]:
    """An Opener over one process for each core, where others can open these vaults by these `uris`: on a real host."""
    cores = len(sched_getaffinity(0))
    if not isinstance(host, RealHost) or len(uris) != len(vaults) or cores == 1:
        yield SegmentOpener(identities, outline=outline)
        return
    with ManyProcesses(vaults, uris, identities, outline=outline, processes=cores) as many:
        yield many


class _Worker:
    """One process, and the thread here that hands it tickets and takes in what it gives."""

    def __init__(self, task: _Task, tickets: SimpleQueue[_Ticket | None]) -> None:
        self._tickets = tickets
        self._process = HelperProcess("nirantar.app.opening", limits.OPENED_ELSEWHERE_SECONDS_MAX)
        self._thread = Thread(target=self._serve, args=(task,), name="opening", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End the process and its thread."""
        self._process.end()
        self._thread.join()

    def _serve(self, task: _Task) -> None:
        line, alive = self._process.line, True
        with suppress(OSError):
            send(line, _PART, _encode(task))
        while (ticket := self._tickets.get()) is not None:
            if ticket.dropped:
                continue
            kind = b""
            with suppress(OSError):
                if alive:
                    send(line, _PART, _encode(ticket.question))
                    while kind not in _LAST and (frame := receive(line)) is not None:
                        kind = frame[0]
                        ticket.put(*frame)
            if kind not in _LAST:
                alive = False
                ticket.put(_FAILED, b"")


def serve(line: socket.socket) -> None:
    """What the process does until its line ends."""
    look_for_cycles_seldom()
    first = receive(line)
    if first is None:
        return
    task = _tasks.decode(first[1])
    vaults = [open_vault(RealHost(), uri) for uri in task.uris]
    opener = SegmentOpener(task.identities, outline=task.outline)
    while (asked := receive(line)) is not None:
        question = _questions.decode(asked[1])
        last = _FAILED
        with suppress(NirantarError):
            verifier = Verifier.parse(question.vkey)
            fetched = opener.fetch(vaults[question.vault], question.key, verifier)
            if (signed := fetched.checkpoint) is not None:
                head = _Head(fetched.header, signed.tree_size, signed.root_hash, signed.extensions)
                send(line, _HEAD, _encode(head))
                for part in opener.parts(fetched):
                    send(line, _PART, _encode(part))
                last = _WHOLE
        send(line, last, b"")


if __name__ == "__main__":
    with suppress(OSError), line_of_helper() as line_here:
        serve(line_here)
