"""Checking a journal as `nirantar verify` does: every byte hashed again, every signature, every entry read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from time import perf_counter, process_time
from typing import Final

import msgspec

from nirantar.app.bench.figure import Figure, compared
from nirantar.app.bench.ground import Ground, scratch_directory
from nirantar.app.bench.synthetic import observation
from nirantar.errors import Damaged
from nirantar.fhir import json
from nirantar.host.identifiers import uuid7
from nirantar.host.port import Host
from nirantar.host.times import instant
from nirantar.journal.attachments import ATTACHMENTS_DIRECTORY, Attachments
from nirantar.journal.entry import ENTRY_VERSION, SALT_BYTES, Change, Entry, encode, encode_salt
from nirantar.journal.fsck import check_log
from nirantar.journal.log import JOURNAL_FILE, JournalWriter
from nirantar.journal.reader import JournalReader
from nirantar.tlog.note import Signer

NAME: Final = "verify"
ORIGIN: Final = "bench.nirantar/bench"
_ENTRIES: Final = 60_000
_ENTRIES_A_COMMIT: Final = 64


def verify(ground: Ground) -> Iterator[Figure]:
    """Entries a second of one core: bytes read, hashed into the tree, decoded; signed heads compared."""
    with scratch_directory(ground.directory) as scratch:
        signer = Signer(ORIGIN, ground.host.random_bytes(32))
        attachments = Attachments(ground.host, scratch / ATTACHMENTS_DIRECTORY)
        with closing(JournalWriter(ground.host, scratch / JOURNAL_FILE, ORIGIN, signer)) as journal:
            entry = write_entries(ground.host, journal, _ENTRIES)
        with closing(JournalReader(ground.host, scratch / JOURNAL_FILE)) as reader:
            seconds, core_seconds = min(_check(reader, attachments) for _ in range(3))
    done = _ENTRIES / core_seconds
    yield Figure(
        NAME, "entries hashed, decoded, their signed heads checked", done, "entries/s a core", 100_000.0,
        "≥ 100,000/s a core",
        "Python's loop over entries: two SHA-256 and one decoding each, and their bytes from SQLite.",
        f"{_ENTRIES:,} entries of {len(entry):,} bytes; {seconds:.2f} s by the clock",
        (compared(done, "SHA-256 alone of the same bytes in memory", _hashes_per_second(entry)),),
    )


def write_entries(host: Host, journal: JournalWriter, count: int) -> bytes:
    """Append so many entries of one resource each, committed as a busy node does; the last one's bytes."""
    resource = msgspec.Raw(json.encode({"id": "1", **observation("Patient/bench", "Encounter/bench", 1)}))
    data = b""
    for first in range(0, count, _ENTRIES_A_COMMIT):
        journal.begin()
        for entry_index in range(first, min(first + _ENTRIES_A_COMMIT, count)):
            now_us = host.now_us()
            data = encode(Entry(
                v=ENTRY_VERSION, id=uuid7(now_us, host), origin=ORIGIN, hlc=f"{now_us}.0", recorded_at=instant(now_us),
                actor="bench:clerk", role="integration", workstation="bench", action="register",
                changes=(Change("PUT", "Observation", f"{entry_index}", f"bench.{entry_index}", (), resource),),
                salt=encode_salt(host.random_bytes(SALT_BYTES)),
            ))
            journal.append(data)
        journal.commit()
    return data


def _check(reader: JournalReader, attachments: Attachments) -> tuple[float, float]:
    """(seconds, seconds of a core). Raises Damaged when the check finds something: then it measured nothing."""
    started, core_started = perf_counter(), process_time()
    check = check_log(reader, attachments, ORIGIN, progress=lambda done: None)
    taken = perf_counter() - started, process_time() - core_started
    if check.findings or check.entries != _ENTRIES:
        raise Damaged(f"The journal that was just written does not verify: {check.findings[:3]}")
    return taken


def _hashes_per_second(entry: bytes) -> float:
    started = process_time()
    for _ in range(_ENTRIES):
        sha256(entry).digest()
    return _ENTRIES / (process_time() - started)
