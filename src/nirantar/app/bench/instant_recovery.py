"""From nothing but a vault and the identity to a hospital at work: the first patient found, shown, and one registered,
over HTTP, the process's start included; and charts that nobody has read yet, while the rest still comes.

Two sizes of hospital tell whether the time grows with it. Each was left with a tail of five peak minutes behind its
newest snapshot.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException
from itertools import count, islice
from pathlib import Path
from random import Random
from time import perf_counter, sleep
from typing import Any, Final

import msgspec

from nirantar.app.address import ADDRESS_FILE
from nirantar.app.bench.faulty_proxy import faulty_proxy
from nirantar.app.bench.figure import Figure, compared, percentile
from nirantar.app.bench.ground import Ground, scratch_directory
from nirantar.app.bench.object_store import object_store
from nirantar.app.bench.registrations import CLERK
from nirantar.app.bench.s3_latency import DELAY_SECONDS
from nirantar.app.bench.synthetic import chart, chart_bundle, encounter, observation
from nirantar.app.founding import found_hospital, publish, write_directory
from nirantar.app.node import Node
from nirantar.app.vaults import S3_CREDENTIALS_FILE, open_vault
from nirantar.errors import Damaged, Unavailable
from nirantar.fhir import schema
from nirantar.fhir.transaction_bundle import Operation
from nirantar.host.port import Host
from nirantar.interactions.credentials import CREDENTIALS_FILE, Credentials
from nirantar.interactions.operations import create
from nirantar.interactions.transaction import Purpose

NAME: Final = "instant-recovery"
_SIZES_PROMISED: Final = (10_000, 100_000)
_SIZES_USUAL: Final = (200, 1_000)
_OBSERVATIONS: Final = 8
_IN_FLIGHT: Final = 64
_VISITS: Final = 600
_VISIT_OBSERVATIONS: Final = (3, 4, 4)
_NEW: Final = 10_000_000
_CHARTS: Final = 300
_SECONDS_FLOOR: Final = 3.0
_S3_SECONDS_FLOOR: Final = 6.0
_CHART_FLOOR: Final = 25.0
_UP_SECONDS_MAX: Final = 120.0
_LOOK_SECONDS: Final = 0.005
_END_SECONDS_MAX: Final = 30.0


def instant_recovery(ground: Ground) -> Iterator[Figure]:
    """Seconds to work with a directory vault and with S3 30 ms away, at two sizes; milliseconds to a cold chart."""
    sizes = _SIZES_PROMISED if ground.full else _SIZES_USUAL
    schema.prepare()
    near = [_near(ground, size) for size in sizes]
    yield _opened(ground, near, "directory vault", _SECONDS_FLOOR)
    charts = near[-1].charts
    yield Figure(
        NAME, "cold chart during the background fill, p99", percentile(charts, 99), "ms",
        _CHART_FLOOR if ground.full else None, f"≤ {_CHART_FLOOR:.0f} ms{_size_note(ground)}",
        "Each page that is not here yet is read from its pack, decrypted and stored before SQLite goes on.",
        f"{len(charts)} charts of {sizes[-1]:,} over HTTP, p50 {percentile(charts, 50):.1f} ms, longest "
        f"{max(charts):.0f} ms; {near[-1].pages_here:,} of {near[-1].pages:,} pages were here before",
        (compared(percentile(charts, 99), "the same charts read again, p99, ms", percentile(near[-1].again, 99)),),
        less_is_better=True,
    )
    far = [_far(ground, size) for size in sizes]
    yield _opened(ground, far, f"S3 with {DELAY_SECONDS * 1e3:.0f} ms added to each request", _S3_SECONDS_FLOOR)


def _opened(ground: Ground, found: list[_Opened], where: str, floor: float) -> Figure:
    smaller, larger = found
    sizes = _SIZES_PROMISED if ground.full else _SIZES_USUAL
    return Figure(
        NAME, f"clean directory to first patient found, shown and registered, {where}", larger.seconds, "s",
        floor if ground.full else None, f"≤ {floor:.0f} s, ratio ≤ 1.2{_size_note(ground)}",
        "Python starts, the tail is proven and folded by one core; each page that it touches is fetched.",
        f"{sizes[1]:,} patients, tail of {larger.tail:,} resources; {larger.cpu_seconds:.1f} s of CPU; "
        f"answering after {larger.answering:.1f} s; {larger.pages_here:,} of {larger.pages:,} pages were here",
        (compared(larger.seconds, f"{sizes[0]:,} patients, s", smaller.seconds),), less_is_better=True,
    )


def _size_note(ground: Ground) -> str:
    return "" if ground.full else f" at {_SIZES_PROMISED[0]:,} and more: `--only {NAME}` measures that"


@dataclass(frozen=True, slots=True)
class _Lost:
    """A hospital whose node is gone: how to reach what is left."""

    vault: str
    identity: Path
    environment: Mapping[str, str]
    patients: list[str]
    tail: int


@dataclass(frozen=True, slots=True)
class _Opened:
    """How a recovery went, and milliseconds for cold charts and for the same again."""

    seconds: float
    answering: float
    cpu_seconds: float
    tail: int
    pages: int
    pages_here: int
    charts: list[float]
    again: list[float]


def _near(ground: Ground, size: int) -> _Opened:
    with scratch_directory(ground.directory) as scratch:
        uri = (scratch / "vault").as_uri()
        return _recover(ground, scratch, _lose(ground, scratch, uri, "", size, {}))


def _far(ground: Ground, size: int) -> _Opened:
    with (
        scratch_directory(ground.directory) as scratch, object_store() as store,
        faulty_proxy(store.port, delay_seconds=DELAY_SECONDS) as proxy,
    ):
        store.make_bucket(NAME)
        lost = _lose(
            ground, scratch, store.uri(NAME, "vault"), store.node.credentials_file, size, store.node.environment
        )
        return _recover(ground, scratch, replace(lost, vault=store.uri(NAME, "vault", endpoint=proxy.endpoint)))


def _lose(
    ground: Ground, scratch: Path, uri: str, s3_credentials: str, size: int, environment: Mapping[str, str]
) -> _Lost:
    """Found a hospital of that size, take a snapshot, and let five peak minutes follow: as many visits of new
    patients, each in one entry, as of known ones, each in several."""
    host, home = ground.host, scratch / "node"
    host.files.make_directory(home / "keys")
    if s3_credentials:
        host.files.put_new(home / S3_CREDENTIALS_FILE, s3_credentials.encode())
    founded, identity = found_hospital(host, "Bench", "bench", vaults=[uri], durability="node")
    vault = open_vault(host, uri, create=True, home=home)
    publish(vault, founded.document, founded.roster, founded.roster_note, founded.custody)
    founded = replace(founded, configuration=msgspec.structs.replace(founded.configuration, snapshot_seconds=0))
    write_directory(host, home, founded)
    host.files.put_new(scratch / "identity", identity.encode("Bench"))
    node = Node(host, home)
    try:
        node.start()
        patients = _write(node, (chart(number, observations=_OBSERVATIONS) for number in range(size)))
        if node.snapshotter is None:
            raise Damaged("This node takes no snapshots, so there is nothing to recover from at once.")
        node.snapshotter.step()
        visits = list(_visits(patients))
        _write(node, iter(visits))
    finally:
        node.close()
    trouble = next((each.trouble for each in node.sealer.status() if each.trouble), None)
    if trouble is not None:
        raise Damaged(f"The vault did not take the hospital: {trouble}")
    return _Lost(uri, scratch / "identity", environment, patients, sum(map(len, visits)))


def _visits(patients: list[str]) -> Iterator[tuple[Operation, ...]]:
    known = Random(2022)  # noqa: S311 - who comes again is the same in each run
    for number in islice(count(_NEW), _VISITS):
        subject = f"Patient/{known.choice(patients)}"
        visit = f"urn:uuid:00000000-0000-4000-9000-{number:012d}"
        if number % 2:
            yield chart(number, observations=sum(_VISIT_OBSERVATIONS) - 1)
            continue
        first, *later = _VISIT_OBSERVATIONS
        values = (create(observation(subject, visit, number)) for _ in range(first))
        yield create(encounter(subject, number), full_url=visit), *values
        for observations in later:
            yield tuple(create(_measured(subject, number)) for _ in range(observations))


def _measured(subject: str, number: int) -> dict[str, Any]:
    resource = observation(subject, "", number)
    del resource["encounter"]
    return resource


def _write(node: Node, transactions: Iterator[tuple[Operation, ...]]) -> list[str]:
    """Write them; the ids of the first resource of each."""
    made: list[str] = []
    while batch := list(islice(transactions, _IN_FLIGHT)):
        futures = [node.doors.transact.submit(CLERK, each, Purpose("register")) for each in batch]
        made += [future.result().results[0].id for future in futures]
    return made


def _recover(ground: Ground, scratch: Path, lost: _Lost) -> _Opened:
    home = scratch / "recovered"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    started = perf_counter()
    with _recovering(scratch, lost, home, port) as process:
        _wait_for(home / ADDRESS_FILE, process)
        answering = perf_counter() - started
        with closing(_Desk(ground.host, home, port)) as desk:
            found = desk.get(f"/fhir/Patient?_id={lost.patients[0]}")
            if found["total" if "total" in found else "entry"] in (0, []):
                raise Damaged("The first patient was not found.")
            desk.get(f"/fhir/Observation?patient={lost.patients[0]}")
            desk.post("/fhir", chart_bundle(2 * _NEW, observations=1))
            seconds, cpu_seconds = perf_counter() - started, _cpu_seconds(process.pid)
            status = desk.get("/health")["recovery"]
            if status is None:
                raise Damaged("The recovery was over before the first patient: this hospital is too small to measure.")
            chosen = Random(1).sample(lost.patients, min(_CHARTS, len(lost.patients)))  # noqa: S311 - as above
            charts = [desk.timed(f"/fhir/Observation?patient={each}&_count=100") for each in chosen]
            again = [desk.timed(f"/fhir/Observation?patient={each}&_count=100") for each in chosen]
    return _Opened(
        seconds, answering, cpu_seconds, lost.tail, status["pages"], status["pages_here"], charts, again
    )


@contextmanager
def _recovering(scratch: Path, lost: _Lost, home: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    words = [
        "recover", str(home), "--vault", lost.vault, "--identity", str(lost.identity), "--serve", "--port", str(port),
    ]
    with (scratch / "said").open("wb") as said:
        process = subprocess.Popen(  # noqa: S603 - this program itself
            [sys.executable, "-m", "nirantar.cli", *words], stdout=said, stderr=said, stdin=subprocess.DEVNULL,
            env={**os.environ, **lost.environment},
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_END_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    stop = perf_counter() + _UP_SECONDS_MAX
    while not path.exists():
        if process.poll() is not None or perf_counter() > stop:
            raise Unavailable("The recovery did not come to serve.")
        sleep(_LOOK_SECONDS)


def _cpu_seconds(process_id: int) -> float:
    """What a process has used so far, all threads together."""
    fields = Path(f"/proc/{process_id}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class _Desk:
    """A client of the recovered node, with a token of its own."""

    def __init__(self, host: Host, home: Path, port: int) -> None:
        with closing(Credentials(host, home / CREDENTIALS_FILE)) as credentials:
            token = credentials.issue_token("integration", "bench")
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
        self._connection = HTTPConnection("127.0.0.1", port, timeout=_END_SECONDS_MAX)

    def get(self, path: str) -> dict[str, Any]:
        """One answer. Raises Unavailable unless it is good."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The same for a POST."""
        return self._ask("POST", path, msgspec.json.encode(body))

    def timed(self, path: str) -> float:
        """Milliseconds for a GET."""
        started = perf_counter()
        self.get(path)
        return (perf_counter() - started) * 1e3

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _ask(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        try:
            self._connection.request(method, path, body, self._headers)
            response = self._connection.getresponse()
            data = response.read()
        except (OSError, HTTPException) as failure:
            raise Unavailable(f"The recovered node did not answer: {type(failure).__name__}.") from None
        if response.status >= 300:
            raise Unavailable(f"The recovered node answered a {method} with {response.status}.")
        answered: dict[str, Any] = msgspec.json.decode(data)
        return answered
