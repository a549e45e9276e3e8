"""How long a registration waits when it is answered only once a vault has it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, wait
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, Final

from nirantar.app.bench.figure import Figure, compared, percentile
from nirantar.app.bench.ground import Ground, running_node, scratch_directory
from nirantar.app.bench.registrations import CLERK
from nirantar.app.bench.synthetic import registration
from nirantar.app.node import Node
from nirantar.host.port import Host
from nirantar.interactions.transaction import Purpose

NAME: Final = "vault-latency"
_OFFERED_PER_SECOND: Final = 50
_SECONDS: Final = 6
_WAIT_SECONDS: Final = 30.0
_SEGMENT_BYTES: Final = 8 * 1024


def vault_latency(ground: Ground) -> Iterator[Figure]:
    """Milliseconds from the moment a registration was due to its answer, 50 a second, `durability = "vault"`."""
    with running_node(ground, durability="vault", with_vault=True) as node:
        taken = latencies(node)
    middle, late = percentile(taken, 50), percentile(taken, 99)
    yield Figure(
        NAME, "registration answered when the vault has it, p99", late, "ms", 100.0, "p99 ≤ 100 ms at 50/s",
        "Each round seals what came meanwhile: a journal commit, an encrypted segment, and its file's fsyncs.",
        f"{len(taken)} registrations at {_OFFERED_PER_SECOND}/s; p50 {middle:.1f} ms",
        (compared(late, "one durable new file of that size, p99", _file_milliseconds(ground.host, ground.directory)),),
        less_is_better=True,
    )


def latencies(node: Node) -> list[float]:
    """Milliseconds that each of the offered registrations waited for the node's vault."""
    node.doors.transact(CLERK, registration(0), Purpose("register"))
    taken: list[float] = []
    waiting: list[Future[Any]] = []
    started = perf_counter()
    for number in range(1, _OFFERED_PER_SECOND * _SECONDS + 1):
        due = started + number / _OFFERED_PER_SECOND
        sleep(max(0.0, due - perf_counter()))
        future = node.doors.transact.submit(CLERK, registration(number), Purpose("register"))
        # Measured from when it was due, so that a stall is counted against everyone who waits behind it.
        future.add_done_callback(lambda _, due=due: taken.append((perf_counter() - due) * 1_000))  # type: ignore[misc]
        waiting.append(future)
    for done in wait(waiting, _WAIT_SECONDS).done:
        done.result()
    return taken


def _file_milliseconds(host: Host, directory: Path) -> float:
    with scratch_directory(directory) as scratch:
        taken = []
        for number in range(100):
            started = perf_counter()
            host.files.put_new(scratch / f"{number}", bytes(_SEGMENT_BYTES))
            taken.append((perf_counter() - started) * 1_000)
    return percentile(taken, 99)
