"""Salvage: the unsealed tail of a journal that survived on an old disk, entry by entry, for a person to accept.

The old node's key is presumed stolen, so its log is closed where recovery read it. What lies beyond is shown with what
can still be said for it: its bytes fit their hash, and the old key signed them. What a person accepts is entered again
by the new node under its own name, with the old time as `effective_at` and the old place as the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from nirantar import limits
from nirantar.app.node import Node
from nirantar.app.recovery_under_way import require_recovery_over
from nirantar.errors import Damaged, NirantarError, NotFound
from nirantar.fhir import json
from nirantar.host.database_files import remove_database
from nirantar.host.port import Host
from nirantar.interactions.authorize import SYSTEM_TYPE_PREFIX, Caller
from nirantar.interactions.operations import delete, update
from nirantar.interactions.transaction import Purpose
from nirantar.journal.attachments import ATTACHMENTS_DIRECTORY, Attachments
from nirantar.journal.entry import Entry, decode
from nirantar.journal.log import JOURNAL_FILE
from nirantar.journal.reader import JournalReader
from nirantar.tlog.merkle import Frontier, leaf_hash

SALVAGER: Final = Caller("operator:salvage", "Salvage", "integration", "terminal")


@dataclass(slots=True)
class SalvagedEntry:
    """One entry beyond what recovery has. `state` is "offered", "accepted", "already here", "refused" or "damaged";
    `why` says why for the last two. `signed` tells whether a checkpoint of the old key covers it."""

    origin: str
    entry_index: int
    recorded_at: str = ""
    actor: str = ""
    action: str = ""
    touches: tuple[str, ...] = ()
    signed: bool = False
    state: str = "offered"
    why: str = ""


@dataclass(slots=True)
class _Tail:
    """The unsealed end of one log on the old disk."""

    origin: str
    start: int
    entries: list[tuple[int, bytes, bytes]]
    signed_size: int


def salvage(
    host: Host, old_directory: Path, node: Node, *, accept_all: bool, accept: Sequence[int]
) -> list[SalvagedEntry]:
    """Look at the old directory's journal and enter what is accepted into the open, started `node`.

    `accept` are entry indexes as listed. Nothing is accepted unless asked for. Raises NotFound when there is no
    journal, Damaged when it does not continue a log that the node recovered, SetupError while that recovery is under
    way.
    """
    require_recovery_over(host, node.directory)
    found: list[SalvagedEntry] = []
    scans = Attachments(host, old_directory / ATTACHMENTS_DIRECTORY)
    for tail in _tails(host, old_directory, node):
        renamed: dict[str, str] = {}
        for entry_index, data, leaf in tail.entries:
            item = SalvagedEntry(tail.origin, entry_index, signed=entry_index < tail.signed_size)
            found.append(item)
            entry = _readable(item, data, leaf)
            if entry is not None and (accept_all or entry_index in accept):
                _enter(node, scans, item, entry, renamed)
            elif entry is not None and node.doors.read.is_repeat(SALVAGER, _key(item)):
                item.state = "already here"
    return found


def _key(item: SalvagedEntry) -> str:
    """The idempotency key under which an entry is entered again, at most once."""
    return f"salvage/{item.origin}/{item.entry_index}"


def _tails(host: Host, old_directory: Path, node: Node) -> list[_Tail]:
    """What the old disk holds beyond the node's copies, each shown to continue its log."""
    with _copied(host, old_directory, node.directory) as old:
        return [
            _tail(old, node.reader, origin, start)
            for origin in old.origins()
            if origin in node.reader.origins() and old.size(origin) > (start := _shown(node, origin))
        ]


@contextmanager
def _copied(host: Host, old_directory: Path, directory: Path) -> Iterator[JournalReader]:
    """The old journal, copied so that evidence is never written to: even reading a WAL database writes beside it."""
    source = old_directory / JOURNAL_FILE
    copy = directory / f"salvage-{host.random_bytes(6).hex()}.db"
    if not host.files.exists(source):
        raise NotFound(f"{old_directory} holds no {JOURNAL_FILE}: nothing can be salvaged from it.")
    try:
        host.files.put_new(copy, host.files.read(source))
        log = source.with_name(source.name + "-wal")
        if host.files.exists(log):
            host.files.put_new(copy.with_name(copy.name + "-wal"), host.files.read(log))
        host.database(copy).close()
        with closing(JournalReader(host, copy)) as reader:
            yield reader
    finally:
        remove_database(host, copy)


def _shown(node: Node, origin: str) -> int:
    """How many entries of a log this node holds and folds: what an earlier recovery closed off is not among them."""
    grant, size = node.papers.roster.by_origin().get(origin), node.reader.size(origin)
    return size if grant is None or grant.last_size is None else min(size, grant.last_size)


def _tail(old: JournalReader, ours: JournalReader, origin: str, start: int) -> _Tail:
    frontier = Frontier()
    for place in range(0, start, limits.SEGMENT_ENTRIES_MAX):
        stop = min(start, place + limits.SEGMENT_ENTRIES_MAX)
        leaves = old.leaf_hashes(origin, place, stop)
        if leaves != ours.leaf_hashes(origin, place, stop):
            raise Damaged(f"The old journal of {origin} differs from what was recovered before entry {stop}.")
        for leaf in leaves:
            frontier.append(leaf)
    signed = old.checkpoint(origin)
    entries = list(old.entries(origin, start, old.size(origin)))
    signed_size = 0
    for entry_index, _, leaf in entries:
        frontier.append(leaf)
        if signed is not None and entry_index + 1 == signed[0].tree_size and frontier.root() == signed[0].root_hash:
            signed_size = entry_index + 1
    return _Tail(origin, start, entries, signed_size)


def _readable(item: SalvagedEntry, data: bytes, leaf: bytes) -> Entry | None:
    try:
        entry = decode(data, item.origin, item.entry_index) if leaf_hash(data) == leaf else None
    except Damaged:
        entry = None
    if entry is None:
        item.state, item.why = "damaged", "its bytes differ from its leaf hash or cannot be read"
        return None
    item.recorded_at, item.actor, item.action = entry.recorded_at, entry.actor, entry.action
    item.touches = tuple(f"{change.method} {change.type}" for change in entry.changes)
    return entry


def _enter(node: Node, scans: Attachments, item: SalvagedEntry, entry: Entry, renamed: dict[str, str]) -> None:
    """Enter an accepted entry again. `renamed` maps version ids of the old tail to those they got here."""
    try:
        for attachment in entry.attachments:
            scans.content(attachment)
            node.attachments.keep(attachment.sha256, scans.sealed(attachment.sha256))
    except NirantarError as reason:
        item.state, item.why = "damaged", str(reason)
        return
    purpose = Purpose(
        "salvage", reason=f"Salvaged from {item.origin} entry {item.entry_index}, by {entry.actor} ({entry.role})",
        effective_at=entry.effective_at or entry.recorded_at,
        idempotency_key=_key(item), attachments=entry.attachments,
    )
    transact = node.doors.transact
    try:
        if any(change.type.startswith(SYSTEM_TYPE_PREFIX) for change in entry.changes):
            record = msgspec.json.decode(entry.changes[0].resource_bytes or b"{}")
            record.pop("meta", None)
            outcome = transact.system_record(SALVAGER, record, purpose)
        else:
            operations = []
            for change in entry.changes:
                expected = renamed.get(change.parents[0], change.parents[0]) if change.parents else None
                if change.resource_bytes is None:
                    operations.append(delete(change.type, change.id, if_match=expected))
                else:
                    operations.append(update(json.decode(change.resource_bytes), if_match=expected))
            outcome = transact(SALVAGER, operations, purpose)
    except NirantarError as reason:
        item.state, item.why = "refused", str(reason)
        return
    item.state = "already here" if outcome.replayed else "accepted"
    for change, result in zip(entry.changes, outcome.results, strict=True):
        if result.version is not None:
            renamed[change.version_id] = result.version.version_id
