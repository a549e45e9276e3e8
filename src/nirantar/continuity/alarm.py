"""The alarm: another process writes to a node's own files, and whoever could help is told before anything else.

Each alarm leaves for every vault first, in a thread of its own for each; then it is journalled and shown. What comes in
the seconds after is gathered into the next one. Nothing is ever called off: a person looks, and starts the node again.
Formats: docs/format.md, Alarm.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from queue import Queue
from threading import Event, Lock, Thread
from typing import Final

import msgspec

from nirantar import limits
from nirantar.errors import Conflict, NirantarError, SetupError
from nirantar.host.port import Host
from nirantar.host.times import instant
from nirantar.host.watching import Touched, Watch
from nirantar.interactions.doors import AlarmStatus
from nirantar.vault.keys import AlarmKey
from nirantar.vault.port import Vault

ALARM_TYPE: Final = "NirantarAlarm"
LOST: Final = "(more than the kernel could tell)"

_OPERATORS: Final = re.compile(
    r"""
    verify-[0-9a-f]{12}\.db(-wal|-shm|-journal)?\ .+             # nirantar verify folds a fresh view beside the old
    | credentials\.db(-wal|-shm|-journal)?\ (created|modified)   # nirantar token and prove issue what has no entry
    | [^/]+\.db-shm\ (created|modified)                          # SQLite's shared index holds nothing of its own
    | \.generation\.json\.[0-9a-f]{16}\.partial\ .+              # nirantar doctor --accept-move
    | generation\.json\ (modified|renamed)
    """,
    re.VERBOSE,
)
"""What this program's own commands do in a directory whose node serves: a path, a blank, and what happened to it."""


class TouchedFile(msgspec.Struct, frozen=True):
    """A file that another process changed: its path in the node's directory, what happened, and how often."""

    path: str
    what: str
    count: int


class Alarm(msgspec.Struct, frozen=True):
    """What leaves for the vaults, in clear: names of the node's files, never a content. `at` is when the first change
    was seen, `entries` how long the node's log was, `more` how many changes are only counted."""

    v: int
    origin: str
    at: str
    entries: int
    touched: tuple[TouchedFile, ...]
    more: int


def told_by_node(node: str, data: bytes) -> str:
    """An alarm object as a sentence, for whoever keeps it. One that cannot be read is an alarm no less."""
    try:
        alarm = msgspec.json.decode(data, type=Alarm)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return f"{node} brought an alarm that cannot be read."
    first = "".join(f": {_printable(each.path)[:200]} {_printable(each.what)[:40]}" for each in alarm.touched[:1])
    others = len(alarm.touched) + alarm.more - 1
    return (
        f"Another program changed files of {node}, first seen {_printable(alarm.at)[:40]}{first}"
        f"{f' and {others} more' if others > 0 else ''}."
    )


def is_operators(touched: Touched) -> bool:
    """Whether this program's own commands do this beside a serving node."""
    return _OPERATORS.fullmatch(f"{touched.path} {touched.what}") is not None


def gathered(touched: Iterable[Touched]) -> tuple[tuple[TouchedFile, ...], int]:
    """Each path and what happened to it once, with its count, in the order of the first; how many did not fit."""
    counts: dict[tuple[str, str], int] = {}
    more = 0
    for each in touched:
        key = (_printable(each.path) or LOST, each.what)
        if key in counts or len(counts) < limits.ALARM_FILES_MAX:
            counts[key] = counts.get(key, 0) + 1
        else:
            more += 1
    return tuple(TouchedFile(path, what, count) for (path, what), count in counts.items()), more


class Alarms:
    """Watches one node's directory. `journal` writes the record of an alarm into the node's log; `entries` tells how
    long that is."""

    def __init__(
        self, host: Host, watch: Callable[[], Watch], origin: str, vaults: Sequence[Vault],
        entries: Callable[[], int], journal: Callable[[dict[str, object]], object],
    ) -> None:
        self._host = host
        self._open_watch = watch
        self._origin = origin
        self._entries = entries
        self._journal = journal
        self._watch: Watch | None = None
        self._stopping = Event()
        self._turn = Lock()
        self._threads: list[Thread] = []
        self._leaving: list[tuple[Vault, Queue[tuple[str, bytes] | None]]] = [(vault, Queue()) for vault in vaults]
        self._recording: Queue[Alarm | None] = Queue()
        self._waiting: list[Touched] = []
        self._waiting_since_us: int | None = None
        self._uncounted = 0
        self._raised = 0
        self._next_us = 0
        self._alarm: Alarm | None = None
        self._reached: dict[str, str] = {}
        self._trouble: dict[str, str] = {}
        self.unwatched: str | None = "The watch over this node's files has not begun."

    def start(self) -> None:
        """Watch in the background; where this machine cannot, `unwatched` says why."""
        try:
            self._watch = self._open_watch()
        except SetupError as reason:
            self.unwatched = f"Nobody would notice if another program changed this node's files: {reason}"
            return
        self.unwatched = None
        for vault, queue in self._leaving:
            self._begin("alarm-leaves", self._leave, vault, queue)
        self._begin("alarm-is-journalled", self._record)
        self._begin("alarm", self._serve)

    def stop(self) -> None:
        """End the watch; what was seen has left, or its vault cannot be reached."""
        self._stopping.set()
        for _, queue in self._leaving:
            queue.put(None)
        self._recording.put(None)
        for thread in self._threads:
            thread.join()
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def status(self) -> AlarmStatus | None:
        """The first alarm since the start, and how far it got; None while there is none."""
        with self._turn:
            if self._alarm is None:
                return None
            touched = tuple(f"{each.path} {each.what}" for each in self._alarm.touched)
            more = self._alarm.more + self._uncounted
            return AlarmStatus(self._alarm.at, touched, more, dict(self._reached), dict(self._trouble))

    def note(self, touched: Sequence[Touched]) -> None:
        """Take what the watch saw, and raise what is due. The watching thread does this; a test does it by hand."""
        foreign = [each for each in touched if not is_operators(each)]
        if not foreign and not self._waiting:
            return
        if self._waiting_since_us is None:
            self._waiting_since_us = self._host.now_us()
        room = limits.ALARM_WAITING_MAX - len(self._waiting)
        self._waiting += foreign[:room]
        with self._turn:
            self._uncounted += len(foreign[room:])
        if self._waiting and self._host.monotonic_us() >= self._next_us and self._raised < limits.ALARMS_MAX:
            self._raise()

    def _raise(self) -> None:
        """The alarm leaves; only then anything else is done about it."""
        at_us = self._waiting_since_us or self._host.now_us()
        files, more = gathered(self._waiting)
        alarm = Alarm(1, self._origin, instant(at_us), self._entries(), files, more)
        key = str(AlarmKey(self._origin.rpartition("/")[2], at_us, self._raised))
        data = msgspec.json.encode(alarm)
        for _, queue in self._leaving:
            queue.put((key, data))
        self._recording.put(alarm)
        self._waiting, self._waiting_since_us = [], None
        self._raised += 1
        self._next_us = self._host.monotonic_us() + int(limits.ALARM_GATHER_SECONDS * 1e6)
        with self._turn:
            if self._alarm is None:
                self._alarm = alarm
            else:
                self._uncounted += sum(each.count for each in files) + more

    def _serve(self) -> None:
        watch = self._watch
        assert watch is not None, "started only with a watch"
        while not self._stopping.is_set():
            self.note(watch.wait(limits.ALARM_PAUSE_SECONDS * 4))
            # The node's own writes wake this thread too; in a short pause the kernel adds them up.
            self._stopping.wait(limits.ALARM_PAUSE_SECONDS)

    def _leave(self, vault: Vault, queue: Queue[tuple[str, bytes] | None]) -> None:
        """Bring alarms to one vault, each until it is there or the node stops."""
        while (item := queue.get()) is not None:
            key, data = item
            while True:
                try:
                    vault.put_new(key, data)
                except Conflict:
                    pass  # An attempt that reported failure had stored it.
                except (NirantarError, OSError) as failure:
                    with self._turn:
                        self._trouble[vault.location] = str(failure)
                    if self._stopping.wait(limits.ALARM_RETRY_SECONDS):
                        return
                    continue
                with self._turn:
                    self._reached.setdefault(vault.location, instant(self._host.now_us()))
                    self._trouble.pop(vault.location, None)
                break

    def _record(self) -> None:
        """Journal alarms. What cannot be journalled was seen all the same, so the page says why it is not there."""
        while (alarm := self._recording.get()) is not None:
            id = f"{alarm.at.translate(_NOT_IN_IDS)}-{self._origin.rpartition('/')[2]}"
            record = {
                "resourceType": ALARM_TYPE, "id": id,
                "at": alarm.at, "touched": msgspec.to_builtins(alarm.touched), "more": alarm.more,
            }
            try:
                self._journal(record)
            except NirantarError as failure:
                with self._turn:
                    self._trouble["the log"] = str(failure)

    def _begin(self, name: str, work: Callable[..., None], *arguments: object) -> None:
        thread = Thread(target=work, args=arguments, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)


_NOT_IN_IDS: Final = str.maketrans(":", "-")


def _printable(path: str) -> str:
    """A file name as it may stand on a page: others chose it."""
    return "".join(each if each.isprintable() else "?" for each in path[: limits.ALARM_PATH_CHARS_MAX])
