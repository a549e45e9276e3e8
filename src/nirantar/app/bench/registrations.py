"""Durable registrations with 64 waiting writers, against SQLite doing nothing but making 4 KB rows durable."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from threading import Event, Thread
from time import perf_counter, process_time
from typing import Final

from nirantar.app.bench.figure import Figure, compared
from nirantar.app.bench.ground import Ground, running_node, scratch_directory
from nirantar.app.bench.synthetic import registration
from nirantar.errors import NirantarError
from nirantar.host.port import Host
from nirantar.host.pragmas import set_pragma
from nirantar.interactions.authorize import Caller
from nirantar.interactions.transact import Transact
from nirantar.interactions.transaction import Purpose

NAME: Final = "registrations"
CLERK: Final = Caller("bench:clerk", "Clerk", "integration", "bench")
WRITERS: Final = 64
_SECONDS: Final = 4.0
_REFERENCE_SECONDS: Final = 1.0
_ROW: Final = bytes(range(256)) * 16
_FLOOR: Final = 1_000.0
_FLOOR_NEEDS: Final = 2_000.0


def registrations(ground: Ground) -> Iterator[Figure]:
    """Registrations a second, each three validated resources, answered when fsynced (`durability = "node"`)."""
    with running_node(ground) as node:
        core_started = process_time()
        registered, seconds = _register(node.doors.transact)
        core_microseconds = (process_time() - core_started) / registered * 1e6
        done = registered / seconds
    single = rows_per_second(ground.host, ground.directory, 1)
    grouped = rows_per_second(ground.host, ground.directory, WRITERS)
    # The promise is for a disk that makes 2,000 single rows a second durable; a slower one can only confirm it.
    floor = _FLOOR if single >= _FLOOR_NEEDS or done >= _FLOOR else None
    yield Figure(
        NAME, "durable registrations, 64 waiting writers", done, "/s", floor,
        "≥ 1,000/s where one-row FULL commits reach 2,000/s",
        "One core: validation and indexing in Python share it between the writers; the disk waits for them.",
        f"{registered:,} registrations of 3 resources (4 KB) in {seconds:.1f} s, "
        f"{core_microseconds:,.0f} µs of a core each",
        (compared(done, "loop of one-row FULL commits", single),
         compared(done, f"bare group commit, {WRITERS} rows each", grouped)),
    )


def _register(transact: Transact) -> tuple[int, float]:
    """(registrations answered, seconds)."""
    stop, numbers, done, failures = Event(), count(1), [0] * WRITERS, list[NirantarError]()

    def write(writer: int) -> None:
        while not stop.is_set():
            try:
                transact(CLERK, registration(next(numbers)), Purpose("register"))
            except NirantarError as failure:
                failures.append(failure)
                return
            done[writer] += 1

    threads = [Thread(target=write, args=(each,), name="writer") for each in range(WRITERS)]
    # The first moments compile what a serving node has compiled.
    transact(CLERK, registration(0), Purpose("register"))
    started = perf_counter()
    for thread in threads:
        thread.start()
    stop.wait(_SECONDS)
    answered, seconds = sum(done), perf_counter() - started
    stop.set()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return answered, seconds


def rows_per_second(host: Host, directory: Path, rows_a_commit: int) -> float:
    """4 KB rows that SQLite alone makes durable (WAL, synchronous FULL), so many a commit."""
    with scratch_directory(directory) as scratch:
        connection = host.database(scratch / "rows.db")
        set_pragma(connection, "synchronous", 2)
        connection.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, data BLOB)")
        rows, started = 0, perf_counter()
        while perf_counter() - started < _REFERENCE_SECONDS:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO row (data) VALUES (?)", [(_ROW,)] * rows_a_commit)
            connection.execute("COMMIT")
            rows += rows_a_commit
        seconds = perf_counter() - started
        connection.close()
    return rows / seconds
