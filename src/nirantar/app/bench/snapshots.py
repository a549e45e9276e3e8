"""A snapshot of the view after five peak minutes, taken while desks go on writing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count, islice
from random import Random
from threading import Event, Thread
from time import perf_counter, sleep
from typing import Final

from nirantar.app.bench.figure import Figure, compared, percentile
from nirantar.app.bench.ground import Ground, running_node
from nirantar.app.bench.registrations import CLERK
from nirantar.app.bench.synthetic import chart, encounter, observation, registration
from nirantar.app.node import VIEW_FILE, Node
from nirantar.continuity.snapshotting import Snapshotter
from nirantar.errors import Damaged, NirantarError
from nirantar.fhir.transaction_bundle import Operation
from nirantar.interactions.operations import create
from nirantar.interactions.transaction import Purpose
from nirantar.vault.snapshots import open_with_keys, read_manifest

NAME: Final = "snapshot"
_VIEW_BYTES_PROMISED: Final = 3_000_000_000
_VIEW_BYTES_USUAL: Final = 12_000_000
_OBSERVATIONS: Final = 20
_IN_FLIGHT: Final = 64
_PEAK_RESOURCES: Final = 7_000
_DESKS: Final = 4
_THINKING_SECONDS: Final = 0.02
_WATCHED_SECONDS_MIN: Final = 5.0
_SECONDS_FLOOR: Final = 10.0
_RATIO_FLOOR: Final = 2.0


def snapshots(ground: Ground) -> Iterator[Figure]:
    """Seconds for a delta after 7,000 resources, half of the writes registrations and half visits of known patients;
    and the desks' p99 meanwhile."""
    wanted = _VIEW_BYTES_PROMISED if ground.full else _VIEW_BYTES_USUAL
    with running_node(ground, with_vault=True) as node:
        snapshotter = node.snapshotter
        if snapshotter is None:
            raise Damaged("This node takes no snapshots, so there is nothing to measure.")
        desks = _Desks(node, _fill(ground, node, wanted))
        first_seconds = _timed(snapshotter)
        first_megabytes, first_pause = snapshotter.status().new_bytes / 1e6, snapshotter.longest_pause_us / 1e3
        # Once more: what the first one's record, and the settling of the whole digest, changed.
        snapshotter.step()
        view_gigabytes = ground.host.files.size(node.directory / VIEW_FILE) / 1e9
        desks.write_peak(_PEAK_RESOURCES)
        before, _ = desks.watched(lambda: sleep(_WATCHED_SECONDS_MIN))
        during, seconds = desks.watched(lambda: _timed(snapshotter))
        status, pause = snapshotter.status(), snapshotter.longest_pause_us / 1e3
        pages = _require_whole(node, snapshotter)
        while len(during) < len(before):
            more, _ = desks.watched(lambda: _timed(snapshotter))
            during += more
    sample = (
        f"view of {view_gigabytes:.2f} GB, {desks.peak_resources:,} resources after the last snapshot: "
        f"{status.new_bytes / 1e6:.1f} MB in {pages:,} pages; longest pause of the writer {pause:.0f} ms. "
        f"The first, full: {first_seconds:.1f} s, {first_megabytes:.0f} MB, longest pause {first_pause:.0f} ms"
    )
    bounded = "One core: pages are read, compared, compressed and encrypted in a thread beside the desks."
    at_size = "on a 3 GB view" + ("" if ground.full else ": `--only snapshot` measures that, in a quarter of an hour")
    yield Figure(
        NAME, "delta snapshot after five peak minutes", seconds, "s", _SECONDS_FLOOR if ground.full else None,
        f"≤ {_SECONDS_FLOOR:.0f} s {at_size}", bounded, sample, (compared(seconds, "the full one, s", first_seconds),),
        less_is_better=True,
    )
    p99 = percentile(during, 99)
    yield Figure(
        NAME, "desks' p99 during snapshots", p99, "ms",
        _RATIO_FLOOR * percentile(before, 99) if ground.full else None, f"≤ 2 × before, {at_size}", bounded,
        f"{_DESKS} desks, {len(before):,} writes before and {len(during):,} during; "
        f"p50 {percentile(before, 50):.1f} and {percentile(during, 50):.1f} ms, "
        f"longest {max(before):.0f} and {max(during):.0f} ms",
        (compared(p99, "p99 before, ms", percentile(before, 99)),), less_is_better=True,
    )


def _timed(snapshotter: Snapshotter) -> float:
    started = perf_counter()
    snapshotter.step()
    trouble = snapshotter.status().trouble
    if trouble is not None:
        raise Damaged(f"The snapshot failed: {trouble}")
    return perf_counter() - started


def _fill(ground: Ground, node: Node, wanted: int) -> list[str]:
    """Charts until the view has so many bytes; the patients' ids."""
    patients: list[str] = []
    numbers = count()
    while ground.host.files.size(node.directory / VIEW_FILE) < wanted:
        futures = [
            node.doors.transact.submit(CLERK, chart(number, observations=_OBSERVATIONS), Purpose("register"))
            for number in islice(numbers, _IN_FLIGHT)
        ]
        patients.extend(future.result().results[0].id for future in futures)
    return patients


def _require_whole(node: Node, snapshotter: Snapshotter) -> int:
    """Read the newest snapshot back, every page; how many pages it has added. Raises Damaged."""
    last = snapshotter.last
    if last is None:
        raise Damaged("There is no snapshot to read back.")
    named = last.manifest
    manifest = read_manifest(
        node.vaults, node.papers.signer.verifier, slug=named.slug, node=named.node, serial=named.serial
    )
    pages = open_with_keys(node.vaults, manifest, {manifest.contents.epoch: last.data_key})
    found: set[int] = set()
    for frame in pages.fetch_many(range(pages.page_count)):
        found.update(frame)
    if len(found) != pages.page_count:
        raise Damaged(f"Of {pages.page_count} pages of the snapshot {len(found)} came back.")
    newest = {pack.number for pack in manifest.contents.packs if pack.name.startswith(f"{named.serial:08d}-")}
    return sum(uses for chunk in last.chunks for pack, uses in chunk.use.items() if pack in newest)


class _Desks:
    """Desks that write, each transaction a registration or a visit of a known patient, in turns."""

    def __init__(self, node: Node, patients: list[str]) -> None:
        self._transact = node.doors.transact
        self._patients = patients
        self._numbers = count(10_000_000)
        self._random = Random(2022)  # noqa: S311 - who comes again is the same in each run
        self.peak_resources = 0

    def write_peak(self, resources: int) -> None:
        """As fast as it goes."""
        while self.peak_resources < resources:
            futures = [
                self._transact.submit(CLERK, self._operations(), Purpose("register")) for _ in range(_IN_FLIGHT)
            ]
            self.peak_resources += sum(len(future.result().results) for future in futures)

    def watched(self, work: Callable[[], float | None]) -> tuple[list[float], float]:
        """Milliseconds that each write took while `work` ran, and what the work gave."""
        stop, failures = Event(), list[NirantarError]()
        times: list[list[float]] = [[] for _ in range(_DESKS)]

        def write(mine: list[float]) -> None:
            while not stop.wait(_THINKING_SECONDS):
                started = perf_counter()
                try:
                    self._transact(CLERK, self._operations(), Purpose("register"))
                except NirantarError as failure:
                    failures.append(failure)
                    return
                mine.append((perf_counter() - started) * 1e3)

        threads = [Thread(target=write, args=(each,), name="desk") for each in times]
        for thread in threads:
            thread.start()
        try:
            result = work()
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        if failures:
            raise failures[0]
        return [each for mine in times for each in mine], result or 0.0

    def _operations(self) -> tuple[Operation, ...]:
        number = next(self._numbers)
        if number % 2:
            return registration(number)
        subject = f"Patient/{self._random.choice(self._patients)}"
        visit = f"urn:uuid:00000000-0000-4000-9000-{number:012d}"
        return (
            create(encounter(subject, number), full_url=visit), create(observation(subject, visit, number))
        )
