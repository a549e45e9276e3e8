"""Who looked at what: one JSON line a read, flushed each second, hash-chained, its digest journalled.

A line holds `n, at, actor, role, workstation, what, type, id` and `chain`, the SHA-256 over the previous chain and
the line without it. Searches are noted by type alone: what was searched for may itself be a patient's name.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Final

import msgspec

from nirantar import limits
from nirantar.errors import DiskFull, Finding, FsyncFailed, Overloaded
from nirantar.host.port import Host
from nirantar.host.times import instant
from nirantar.interactions.authorize import Caller

START_OF_CHAIN: Final = b"\0" * 32
_TAIL_BYTES: Final = 8 * 1024
_encode: Final = msgspec.json.Encoder().encode


class _Chained(msgspec.Struct):
    n: int
    chain: str


_decode: Final = msgspec.json.Decoder(_Chained).decode


class AccessLog:
    """Lines wait in memory for at most ACCESS_LOG_FLUSH_SECONDS, then go to the day's file in one fsynced append."""

    def __init__(self, host: Host, directory: Path) -> None:
        self._host = host
        self._directory = directory
        self._waiting: deque[tuple[int, Caller, str, str, str]] = deque()
        self._flushing = Lock()
        self._stopping = Event()
        self._thread: Thread | None = None
        host.files.make_directory(directory)
        self._path = directory
        self._chain, self._lines = self._resume()

    def note(self, caller: Caller, what: str, resource_type: str, id: str) -> None:
        """Note one access. Raises Overloaded when so many wait that a crash would lose too much of the record."""
        if len(self._waiting) >= limits.ACCESS_LOG_QUEUE_MAX:
            raise Overloaded(
                f"{limits.ACCESS_LOG_QUEUE_MAX} accesses wait for the disk (ACCESS_LOG_QUEUE_MAX): it is too slow."
            )
        self._waiting.append((self._host.now_us(), caller, what, resource_type, id))

    def start(self) -> None:
        """Flush each second in a thread of its own."""
        self._thread = Thread(target=self._serve, name="access-log", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Flush what waits and end the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def flush(self) -> None:
        """Write what waits, durably. Raises DiskFull (it then still waits) or FsyncFailed."""
        with self._flushing:
            pending = self._waiting.copy()  # in one step, so that others may go on noting
            if not pending:
                return
            lines, chain, number = [], self._chain, self._lines
            for at_us, caller, what, resource_type, id in pending:
                number += 1
                line = {
                    "n": number, "at": instant(at_us), "actor": caller.actor, "role": caller.role,
                    "workstation": caller.workstation, "what": what, "type": resource_type, "id": id,
                }
                unchained = _encode(line)
                chain = sha256(chain + unchained).digest()
                lines.append(unchained[:-1] + b',"chain":"' + chain.hex().encode() + b'"}')
            # Never an earlier file than the last: the chain follows the names, also with the clock set back.
            path = max(self._path, self._directory / f"access-{instant(pending[0][0])[:10]}.jsonl")
            self._host.files.append(path, b"\n".join(lines) + b"\n")
            self._path = path
            for _ in pending:
                self._waiting.popleft()
            self._chain, self._lines = chain, number

    def digest(self) -> tuple[int, str]:
        """(lines ever written here, chain value in hex): what is journalled so that no line can be cut or changed."""
        with self._flushing:
            return self._lines, self._chain.hex()

    def _serve(self) -> None:
        while not self._stopping.wait(limits.ACCESS_LOG_FLUSH_SECONDS):
            # On a full disk the lines stay in memory; `note` refuses reads before there are too many of them.
            try:
                with suppress(DiskFull, OSError):
                    self.flush()
            except FsyncFailed as failure:
                self._host.exit(f"{failure}, so the node stops; start it again.")

    def _resume(self) -> tuple[bytes, int]:
        """The chain's last value and the number of lines, from the newest whole line on disk.

        A crash may have torn the last line; it was never promised, so the next one begins on a line of its own. Torn
        just before its end it is a line all the same, and the chain goes on from it.
        """
        for path in sorted(self._host.files.walk(self._directory), reverse=True):
            self._path = max(self._path, path)
            start = max(0, self._host.files.size(path) - _TAIL_BYTES)
            tail = self._host.files.read(path, start)
            lines = tail.split(b"\n")
            if lines[-1]:
                self._host.files.append(path, b"\n")
            for text in reversed(lines):
                with suppress(msgspec.MsgspecError, ValueError, RecursionError):
                    line = _decode(text)
                    return bytes.fromhex(line.chain), line.n
        return START_OF_CHAIN, 0


def check_access_log(host: Host, directory: Path, *, digested: Iterable[tuple[int, str]]) -> Iterator[Finding]:
    """Every line's place in the chain, and every journalled digest (lines, chain value): a newer one heals nothing."""
    chain, number = START_OF_CHAIN, 0
    wanted = {(lines, value) for lines, value in digested if lines}
    for path in sorted(host.files.walk(directory)):
        for place, text in enumerate(host.files.read(path).split(b"\n"), 1):
            if not text:
                continue
            line, known = _unchained(text)
            if known is None:
                # A line torn by a crash was never promised; a changed one breaks the chain at the next.
                continue
            chain = sha256(chain + _encode(line)).digest()
            number += 1
            if line.get("n") != number or known != chain.hex():
                yield Finding(f"access log {path.name} line {place}", "it was changed, or lines before it are missing")
                return
            wanted.discard((number, known))
    if wanted:
        first = min(wanted)[0]
        yield Finding(
            "access log", f"it does not lead to what the journal says of line {first}: lines were cut or rewritten"
        )


def _unchained(text: bytes) -> tuple[dict[str, Any], str | None]:
    """A line without its chain value, and that value; None when it is not a line."""
    with suppress(msgspec.MsgspecError, ValueError, RecursionError):
        line = msgspec.json.decode(text)
        if isinstance(line, dict) and isinstance(line.get("chain"), str):
            return line, line.pop("chain")
    return {}, None
