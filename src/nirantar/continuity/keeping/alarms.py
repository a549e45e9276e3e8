"""The keeper's alarms: an append-only file of JSON lines, told on without being flooded itself.

An alarm names a node and what was tried; it quotes no object. The same alarm about the same node within
KEEPER_ALARM_REPEAT_SECONDS is counted, not written again: whoever floods the keeper must not flood its memory.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final, Literal

import msgspec

from nirantar import limits
from nirantar.errors import DiskFull, FsyncFailed
from nirantar.host.port import Host
from nirantar.host.times import instant

ALARMS_FILE: Final = "alarms.jsonl"

AlarmKind = Literal[
    "closed", "delete", "flood", "forgery", "fork", "intrusion", "mirror", "overwrite", "rewind", "silence", "stranger",
    "trespass",
]


class Alarm(msgspec.Struct, frozen=True):
    """One line of the log. `node` is "" where nobody knows who it was; `more` counts the same ones left out before."""

    at: str
    kind: str
    node: str
    what: str
    more: int = 0


class Alarms:
    """Writes alarms and remembers the last ones. Safe between threads."""

    def __init__(self, host: Host, path: Path, tell: Callable[[Alarm], None]) -> None:
        """`tell` hears each alarm that is written, after it is on disk; it must not wait."""
        self._host = host
        self._path = path
        self._tell = tell
        self._turn = Lock()
        self._latest: deque[Alarm] = deque(read_alarms(host, path), maxlen=limits.KEEPER_ALARMS_SHOWN_MAX)
        self._written_us: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._left_out: dict[tuple[str, str], int] = {}

    def raise_alarm(self, kind: AlarmKind, node: str, what: str) -> None:
        """Write it down durably, unless the same was written a moment ago. A full disk keeps it in memory only."""
        now_us = self._host.monotonic_us()
        with self._turn:
            same = (kind, node)
            written_us = self._written_us.get(same)
            if written_us is not None and now_us - written_us < limits.KEEPER_ALARM_REPEAT_SECONDS * 1e6:
                self._left_out[same] = self._left_out.get(same, 0) + 1
                return
            self._written_us[same] = now_us
            self._written_us.move_to_end(same)
            if len(self._written_us) > limits.KEEPER_ALARM_KINDS_MAX:
                forgotten, _ = self._written_us.popitem(last=False)
                self._left_out.pop(forgotten, None)
            alarm = Alarm(
                instant(self._host.now_us()), kind, node, what[: limits.KEEPER_ALARM_LINE_BYTES_MAX // 4],
                self._left_out.pop(same, 0),
            )
            self._latest.append(alarm)
            line = msgspec.json.encode(alarm) + b"\n"
            # On a full disk the alarm still reaches whoever listens, and /status.
            try:
                with suppress(DiskFull):
                    self._host.files.append(self._path, line, mode=0o640)
            except FsyncFailed as failure:
                self._host.exit(f"{failure} The keeper stops; start it again.")
        self._tell(alarm)

    def latest(self) -> list[Alarm]:
        """The last ones, newest first."""
        with self._turn:
            return list(reversed(self._latest))


def read_alarms(host: Host, path: Path) -> list[Alarm]:
    """The last KEEPER_ALARMS_SHOWN_MAX alarms of the log, oldest first; a line that a crash tore is passed over."""
    files = host.files
    if not files.exists(path):
        return []
    wanted = limits.KEEPER_ALARMS_SHOWN_MAX * limits.KEEPER_ALARM_LINE_BYTES_MAX
    start = max(0, files.size(path) - wanted)
    lines = files.read(path, start).splitlines()
    found = []
    for line in lines[1:] if start else lines:
        try:
            found.append(msgspec.json.decode(line, type=Alarm))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
    return found[-limits.KEEPER_ALARMS_SHOWN_MAX :]
