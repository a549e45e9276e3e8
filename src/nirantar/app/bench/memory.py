"""How much memory a node's process holds while it serves many resources."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Final

from nirantar import limits
from nirantar.app.bench.figure import Figure
from nirantar.app.bench.ground import Ground, make_node, scratch_directory
from nirantar.app.bench.registrations import CLERK
from nirantar.app.bench.serving import client, request, served
from nirantar.app.bench.synthetic import chart
from nirantar.app.node import Node
from nirantar.interactions.credentials import CREDENTIALS_FILE, Credentials
from nirantar.interactions.transaction import Purpose

NAME: Final = "memory"
_RESOURCES_PROMISED: Final = 1_000_000
_RESOURCES_USUAL: Final = 10_000
_OBSERVATIONS: Final = 48
_READ_SECONDS: Final = 5.0
_PATIENTS_READ: Final = 2_000
_IN_FLIGHT: Final = 64
_RESIDENT: Final = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)


def memory(ground: Ground) -> Iterator[Figure]:
    """Megabytes resident after reads by id and searches."""
    wanted = _RESOURCES_PROMISED if ground.full else _RESOURCES_USUAL
    with scratch_directory(ground.directory) as scratch:
        home = make_node(ground.host, scratch)
        started = perf_counter()
        patients, resources = _fill(ground, home, wanted)
        filled = perf_counter() - started
        with closing(Credentials(ground.host, home / CREDENTIALS_FILE)) as credentials:
            token = credentials.issue_token("doctor", "bench")
        with served(home, b"") as server, client() as caller:
            resident = [_resident_megabytes(server.process_id)]
            for paths in (
                [f"/fhir/Patient/{each}" for each in patients],
                [f"/fhir/Observation?patient={each}&_count=50" for each in patients],
                ["/fhir/Patient?family=sharma&_count=100", "/fhir/Observation?code=718-7&_count=100"],
            ):
                caller.requests_per_second(server.port, [request(path, token) for path in paths], _READ_SECONDS)
                resident.append(_resident_megabytes(server.process_id))
    yield Figure(
        NAME, f"resident while serving {resources:,} resources", max(resident), "MB",
        400.0 if ground.full else None,
        "≤ 400 MB for 1,000,000 resources" + ("" if ground.full else ": `--only memory` measures that, in minutes"),
        f"SQLite's caches ({(limits.VIEW_CACHE_BYTES + limits.READERS_MAX * limits.READER_CACHE_BYTES) >> 20} MB at "
        "most), whatever the size of the view; the rest is Python and its libraries.",
        f"{resources:,} resources written in {filled:.0f} s; {resident[0]:.0f} MB after the start, then "
        f"{', '.join(f'{each:.0f}' for each in resident[1:])} after reads, searches of a patient, searches of all",
        less_is_better=True,
    )


def _fill(ground: Ground, home: Path, wanted: int) -> tuple[list[str], int]:
    """Write charts through the node's own door. Some patients' ids, and how many resources there are."""
    node = Node(ground.host, home)
    patients: list[str] = []
    written = 0
    try:
        node.start()
        numbers = iter(range(wanted // (_OBSERVATIONS + 2)))
        while numbered := list(islice(numbers, _IN_FLIGHT)):
            futures = [
                node.doors.transact.submit(CLERK, chart(number, observations=_OBSERVATIONS), Purpose("register"))
                for number in numbered
            ]
            for future in futures:
                results = future.result().results
                written += len(results)
                if len(patients) < _PATIENTS_READ:
                    patients.append(results[0].id)
    finally:
        node.close()
    return patients, written


def _resident_megabytes(process_id: int) -> float:
    found = _RESIDENT.search(Path(f"/proc/{process_id}/status").read_text(encoding="ascii"))
    return int(found[1]) * 1024 / 1e6 if found else 0.0
