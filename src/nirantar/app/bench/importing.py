"""Import of third-party transaction Bundles: durable, validated, indexed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter, process_time
from typing import Final

import msgspec

from nirantar.app.bench.figure import Figure, Reference, compared
from nirantar.app.bench.ground import Ground, make_node, running_node, scratch_directory
from nirantar.app.bench.synthetic import chart_bundle
from nirantar.app.importing import ImportReport, import_files
from nirantar.errors import SetupError
from nirantar.fhir import json
from nirantar.host.port import Host

NAME: Final = "import"
_CHILD_SECONDS_MAX: Final = 120
_CHARTS: Final = 25
_OBSERVATIONS: Final = 110
_PUBLISHED: Final = "published elsewhere, on 8 cores: HAPI 2,214, Aidbox 2,678, Medplum 764"


def importing(ground: Ground) -> Iterator[Figure]:
    """Resources a second of a node that has imported before, and of a process that is started for it."""
    with scratch_directory(ground.directory) as scratch:
        data, origin = bundles(ground, scratch)
        _import_once(ground, data)
        report, seconds, core_seconds = min((_import_once(ground, data) for _ in range(2)), key=lambda each: each[1])
        resources = sum(report.resources.values())
        warm = resources / seconds
        cold = resources / _cold_seconds(ground.host, scratch, data)
        rows = _rows_per_second(ground, data, resources)
    yield Figure(
        NAME, "import, durable, validated, indexed", warm, "resources/s", 2_000.0,
        f"≥ 2,000/s, goal 4,000 ({_PUBLISHED})",
        "One core of Python: half reads, validates and rewrites, half indexes; SQLite takes a tenth.",
        f"{resources:,} resources of {origin} in {report.transactions} transactions in {seconds:.2f} s, "
        f"{core_seconds / resources * 1e6:,.0f} µs of a core each",
        (Reference("the same by a new process, its start included", cold, warm / cold),
         compared(warm, "the same files decoded and kept as rows, nothing more", rows)),
    )


def bundles(ground: Ground, scratch: Path) -> tuple[Path, str]:
    """A directory of transaction Bundles and what it is: the data given, else made-up charts."""
    if ground.data is not None:
        return ground.data, "Synthea's Bundles" if "synthea" in ground.data.name.lower() else ground.data.name
    directory = scratch / "charts"
    ground.host.files.make_directory(directory)
    for number in range(_CHARTS):
        chart = json.encode(chart_bundle(number, observations=_OBSERVATIONS))
        ground.host.files.put_new(directory / f"{number:03d}.json", chart)
    return directory, "synthetic charts"


def _import_once(ground: Ground, data: Path) -> tuple[ImportReport, float, float]:
    """(what was imported, seconds, seconds of a core)."""
    with running_node(ground) as node:
        started, core_started = perf_counter(), process_time()
        report = import_files(ground.host, node.doors.transact, [data], progress=lambda done, total: None)
        return report, perf_counter() - started, process_time() - core_started


def _cold_seconds(host: Host, scratch: Path, data: Path) -> float:
    """`nirantar import` from the start of its process to its end. Raises SetupError when it fails."""
    home = make_node(host, scratch)
    command = [sys.executable, "-m", "nirantar.cli", "import", str(home), str(data), "--json"]
    started = perf_counter()
    child = subprocess.run(command, capture_output=True, timeout=_CHILD_SECONDS_MAX, check=False)  # noqa: S603
    seconds = perf_counter() - started
    if child.returncode != 0:
        raise SetupError(f"The import that was to be measured failed: {child.stderr.decode()[-500:]}")
    return seconds


def _rows_per_second(ground: Ground, data: Path, resources: int) -> float:
    """The floor of the machine: each file read, decoded, encoded resource by resource, and committed as rows."""
    with scratch_directory(ground.directory) as scratch:
        connection = ground.host.database(scratch / "rows.db")
        connection.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, data BLOB)")
        started = perf_counter()
        for path in ground.host.files.walk(data):
            entries = msgspec.json.decode(ground.host.files.read(path)).get("entry", ())
            with connection:
                rows = [(msgspec.json.encode(each["resource"]),) for each in entries]
                connection.executemany("INSERT INTO row (data) VALUES (?)", rows)
        seconds = perf_counter() - started
        connection.close()
    return resources / seconds
