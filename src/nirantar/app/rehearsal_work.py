"""An hour of peak work, replayed on a restored node: invented registrations through the door that desks use."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from threading import Lock, Thread

from nirantar import limits
from nirantar.app.bench.synthetic import registration
from nirantar.app.node import Node
from nirantar.continuity.certificate import PeakWork
from nirantar.errors import InvalidInput, NirantarError
from nirantar.host.port import Host
from nirantar.interactions.authorize import Caller
from nirantar.interactions.transact import Transact
from nirantar.interactions.transaction import Purpose

_CLERK = Caller("operator:rehearsal", "Rehearsal", "integration", "rehearsal")
_FIRST_NUMBER = 800_000_000_000


def check_registrations(registrations: int) -> None:
    """Raise InvalidInput for a number of registrations out of bounds."""
    if not 0 <= registrations <= limits.REHEARSAL_REGISTRATIONS_MAX:
        raise InvalidInput(
            f"--registrations must be 0 to {limits.REHEARSAL_REGISTRATIONS_MAX:,} (REHEARSAL_REGISTRATIONS_MAX)."
        )


def replay_peak(host: Host, node: Node, registrations: int) -> PeakWork:
    """Register so many people, REHEARSAL_WRITERS at a time, as fast as the node answers; at least one.

    Raises what the first write that was refused raised.
    """
    node.start()
    transact = node.doors.transact
    numbers, took_us, failures, turn = iter(range(registrations)), list[int](), list[NirantarError](), Lock()

    def write() -> None:
        for number in _taken(numbers, turn):
            asked_us = host.monotonic_us()
            try:
                _register(transact, number)
            except NirantarError as failure:
                failures.append(failure)
                return
            took_us.append(host.monotonic_us() - asked_us)

    started_us = host.monotonic_us()
    writers = [Thread(target=write, name="rehearsal", daemon=True) for _ in range(limits.REHEARSAL_WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    if failures:
        raise failures[0]
    seconds = (host.monotonic_us() - started_us) / 1e6
    waited = sorted(took_us)
    return PeakWork(
        len(waited), round(seconds, 3), waited[len(waited) // 2] / 1e3, waited[len(waited) * 99 // 100] / 1e3
    )


def _taken(numbers: Iterator[int], turn: Lock) -> Iterator[int]:
    """Numbers that no other writer takes."""
    while True:
        with turn:
            taken = list(islice(numbers, 1))
        if not taken:
            return
        yield taken[0]


def _register(transact: Transact, number: int) -> None:
    transact(_CLERK, registration(_FIRST_NUMBER + number), Purpose("register", durability="node"))
