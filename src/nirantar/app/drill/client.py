"""The drill's client: a process of its own that knows nothing but an address and a token.

It registers invented patients over several connections without a pause, keeps what was acknowledged on its own disk,
tries on while nobody answers, and at the end reads every acknowledged version back and compares the bytes. It imports
only the standard library and its two neighbours that do the same. Run as `python -m … SETTINGS.json`; the address and
the token stand in a file, since a recovered node has new tokens.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple

from nirantar.app.drill.acknowledgements import Acknowledged, Version, keep, kept, versions_in
from nirantar.app.drill.people import registration

_JSON: Final = "application/fhir+json"
_PAUSE_SECONDS: Final = 0.01
_STATUS_SECONDS: Final = 0.2
_COMPARE_TRIES: Final = 3
_NO_ANSWER: Final = (OSError, HTTPException)
_OUR_FAULT: Final = frozenset({400, 404, 412, 422})
"""Answers that no waiting mends: the client itself is wrong."""


class Assignment(NamedTuple):
    """Where the client works: `access` is the file with address and token, `records` its own directory, `status` and
    `report` what it writes for its starter. Seconds bound each answer and the whole outage."""

    access: str
    records: str
    status: str
    report: str
    connections: int
    answer_seconds: float
    outage_seconds: float
    year: int


class Access(NamedTuple):
    """How to reach the service: `generation` is 1 before the attack, 2 after recovery."""

    generation: int
    host: str
    port: int
    token: str


class Line:
    """One connection, made again after every failure, with the access that is valid by then."""

    def __init__(self, settings: Assignment) -> None:
        self._settings = settings
        self._http: HTTPConnection | None = None
        self.access = Access(0, "", 0, "")

    def call(self, method: str, path: str, body: bytes | None = None, key: str = "") -> tuple[int, bytes]:
        """Status and body of the answer. Raises OSError or HTTPException when none came; then nothing is known."""
        if self._http is None:
            self.access = Access(**json.loads(Path(self._settings.access).read_text(encoding="utf-8")))
            self._http = HTTPConnection(self.access.host, self.access.port, timeout=self._settings.answer_seconds)
        headers = {"Authorization": f"Bearer {self.access.token}", "Accept": _JSON}
        if body is not None:
            headers |= {"Content-Type": _JSON, "Prefer": "return=representation", "Idempotency-Key": key}
        try:
            self._http.request(method, path, body, headers)
            answer = self._http.getresponse()
            return answer.status, answer.read()
        except _NO_ANSWER:
            self.hang_up()
            raise

    def hang_up(self) -> None:
        """Close; the next call reads the access again."""
        if self._http is not None:
            self._http.close()
            self._http = None


class Tally:
    """What the client has seen so far, shared by its threads."""

    def __init__(self) -> None:
        self._turn = Lock()
        self.acknowledged = 0
        self.resumed = 0
        self.refused = 0
        self.last_refusal = ""
        self.first_write_at: float | None = None
        self.last_acknowledged_at: float | None = None
        self.vault_confirmed = 0
        self.answered_at = time.monotonic()

    def acknowledge(self, generation: int) -> None:
        """Count one acknowledged write."""
        with self._turn:
            self.answered_at = time.monotonic()
            if generation == 1:
                self.acknowledged += 1
                self.last_acknowledged_at = self.answered_at
            else:
                self.resumed += 1
                self.first_write_at = self.first_write_at or self.answered_at

    def refuse(self, why: str) -> None:
        """Count one request without success."""
        with self._turn:
            self.refused += 1
            self.last_refusal = why

    def write(self, status: str) -> None:
        """Leave what was counted in a file for whoever started the client."""
        _write_json(status, {
            "acknowledged": self.acknowledged, "refused": self.refused, "last_refusal": self.last_refusal,
        })

    def silent_seconds(self) -> float:
        """Seconds since the last acknowledged write."""
        return time.monotonic() - self.answered_at


def write_without_pause(worker: int, settings: Assignment, tally: Tally) -> None:
    """Register people until the service has failed and come back, and the write that it interrupted is through."""
    line = Line(settings)
    with (Path(settings.records) / f"acknowledged-{worker}.jsonl").open("ab") as record:
        number = worker
        while True:
            body = json.dumps(registration(number, settings.year), ensure_ascii=False).encode()
            versions = _insist(line, number, body, settings, tally)
            if versions is None:
                return
            keep(record, Acknowledged(number, line.access.generation, versions))
            tally.acknowledge(line.access.generation)
            if line.access.generation > 1:
                return
            number += settings.connections


def _insist(line: Line, number: int, body: bytes, settings: Assignment, tally: Tally) -> tuple[Version, ...] | None:
    """Repeat one write under one idempotency key until it is acknowledged; None when the outage lasts too long."""
    while tally.silent_seconds() < settings.outage_seconds:
        try:
            status, answer = line.call("POST", "/fhir", body, f"drill-{number}")
            if status == 200:
                return versions_in(answer)
            if status in _OUR_FAULT:
                raise RuntimeError(f"the server answers {status}: {answer.decode()}")
            line.hang_up()
            tally.refuse(f"{status} {answer.decode()}")
        except _NO_ANSWER as failure:
            tally.refuse(type(failure).__name__)
        time.sleep(_PAUSE_SECONDS)
    return None


def watch(settings: Assignment, tally: Tally, workers: Sequence[Future[None]]) -> float | None:
    """Follow the service until an acknowledged patient can be read from the recovered one; when that was.

    Before that, remember how many entries the service last said are in its vault. None when the outage lasts too long,
    the recovered one knows none of them, or a worker failed.
    """
    line = Line(settings)
    waiting: Iterator[Acknowledged] = iter(())
    answers = 0
    while tally.silent_seconds() < settings.outage_seconds and not _failed(workers):
        try:
            if line.access.generation < 2:
                _note_confirmed(line, tally)
            else:
                one = next(waiting, None)
                if one is None and answers >= tally.acknowledged:
                    return None
                if one is None:
                    waiting, answers = kept(Path(settings.records)), 0
                elif one.generation == 1:
                    if _matches(line, one.versions[0]):
                        return time.monotonic()
                    answers += 1
        except _NO_ANSWER:
            pass
        tally.write(settings.status)
        time.sleep(_PAUSE_SECONDS)
    return None


def _failed(workers: Sequence[Future[None]]) -> bool:
    return any(worker.done() and worker.exception() is not None for worker in workers)


def _note_confirmed(line: Line, tally: Tally) -> None:
    status, answer = line.call("GET", "/health")
    # The recovered node may answer here before its token is known: look again each time who is meant.
    line.hang_up()
    health: dict[str, Any] = json.loads(answer) if status == 200 else {}
    if health and not health["recovered_from"]:
        tally.vault_confirmed = max([tally.vault_confirmed, *(each["confirmed"] for each in health["vaults"])])


def _matches(line: Line, version: Version) -> bool:
    status, answer = line.call("GET", f"/fhir/{version.place}")
    if status not in (200, 404, 410):
        line.hang_up()
        raise HTTPException(f"no answer to the question: {status}")
    return status == 200 and answer == version.data


def compare_all(settings: Assignment) -> list[dict[str, Any]]:
    """What became of every write that was acknowledged before the attack, read from the client's own disk."""
    everything = [each for each in kept(Path(settings.records)) if each.generation == 1]
    shares = [everything[start :: settings.connections] for start in range(settings.connections)]
    with ThreadPoolExecutor(settings.connections) as pool:
        results = pool.map(lambda share: _compare(share, settings), shares)
        return sorted((one for share in results for one in share), key=lambda one: int(one["entry_index"]))


def _compare(share: list[Acknowledged], settings: Assignment) -> list[dict[str, Any]]:
    line = Line(settings)
    results = []
    for write in share:
        outcomes = {_outcome(line, version) for version in write.versions}
        worst = next(each for each in ("altered", "lost", "recovered") if each in outcomes)
        results.append({"resource": write.name, "entry_index": write.entry_index, "outcome": worst})
    return results


def _outcome(line: Line, version: Version) -> str:
    """recovered, altered, or lost: what cannot be read counts as lost."""
    for _ in range(_COMPARE_TRIES):
        try:
            status, answer = line.call("GET", f"/fhir/{version.place}")
        except _NO_ANSWER:
            time.sleep(_PAUSE_SECONDS)
            continue
        if status == 200:
            return "recovered" if answer == version.data else "altered"
        if status in (404, 410):
            return "lost"
    return "lost"


def _write_json(path: str, document: Any) -> None:
    """Replace a file in one step, so that a reader never sees half of it."""
    half = Path(path + ".new")
    half.write_text(json.dumps(document), encoding="utf-8")
    half.replace(path)


def main(settings_path: str) -> None:
    """Write, wait, compare, report."""
    settings = Assignment(**json.loads(Path(settings_path).read_text(encoding="utf-8")))
    tally = Tally()
    with ThreadPoolExecutor(settings.connections) as pool:
        workers = [pool.submit(write_without_pause, number, settings, tally) for number in range(settings.connections)]
        first_read_at = watch(settings, tally, workers)
        while wait(workers, timeout=_STATUS_SECONDS).not_done:
            tally.write(settings.status)
        for worker in workers:
            worker.result()
    writes = compare_all(settings)
    _write_json(settings.report, {
        "refused": tally.refused, "resumed": tally.resumed, "vault_confirmed": tally.vault_confirmed,
        "last_acknowledged_at": tally.last_acknowledged_at, "first_read_at": first_read_at,
        "first_write_at": tally.first_write_at, "compared_at": time.monotonic(),
        "writes": writes,
    })


if __name__ == "__main__":
    main(sys.argv[1])
