"""`nirantar bench`: measure this machine against what Nirantar promises."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Sequence
from os import getloadavg, sched_getaffinity
from pathlib import Path
from typing import Annotated, Any

import apsw
from cyclopts import Parameter

from nirantar import __version__
from nirantar.app.bench.benchmarks import BENCHMARKS
from nirantar.app.bench.figure import Figure
from nirantar.app.bench.ground import Ground
from nirantar.cli import terminal
from nirantar.errors import InvalidInput
from nirantar.host.real import RealHost


def bench(
    *,
    only: Annotated[list[str] | None, Parameter(negative="")] = None,
    data: Path | None = None,
    directory: Path | None = None,
    json: bool = False,
) -> None:
    """Measure speed and memory, each figure beside a reference measured in the same run. About two minutes.

    The exit code is 0 also where a floor is not reached: it is printed in red. On a machine that does other work,
    read the ratios and not the figures.

    Parameters
    ----------
    only
        Run this one alone, in its full size: registrations, vault-latency, s3-latency, import, rebuild, read, verify,
        checkpoint, vault-verify, vault-restore, vault-space (minutes each: a gigabyte), instant-recovery (which then
        takes an hour: 100,000 patients, twice), snapshot (a quarter of an hour: a view of 3 GB) or memory (minutes: a
        million resources). May be repeated.
    data
        A directory of FHIR transaction Bundles for import and rebuild; ../shared/data/synthea if it is there, else
        made-up charts.
    directory
        On the disk of which directory to measure; the system's temporary one by default.
    json
        Report as one JSON object.
    """
    unknown = sorted(set(only or ()) - set(BENCHMARKS))
    if unknown:
        raise InvalidInput(f"There is no benchmark {unknown[0]!r}. There are: {', '.join(BENCHMARKS)}.")
    usual = Path("../shared/data/synthea")
    if data is None and usual.is_dir():
        data = usual
    ground = Ground(
        RealHost(), (directory or Path(tempfile.gettempdir())).absolute(), data.absolute() if data else None, bool(only)
    )
    figures: list[Figure] = []
    machine = _machine()
    if not json and machine["load"] > machine["cores"] / 2:
        terminal.caution(f"{machine['load']:.1f} processes are at work here already: read the ratios, not the figures.")
    for name in only or BENCHMARKS:
        if not json:
            terminal.err.print(f"[dim]measuring {name} …[/]")
        for figure in BENCHMARKS[name](ground):
            figures.append(figure)
            if not json:
                _print(figure)
    if json:
        terminal.print_json({"machine": machine, "figures": figures})
    else:
        _print_sum(figures, machine)


def _machine() -> dict[str, Any]:
    """What was measured on; `load` is how many processes wanted a core in the last minute."""
    return {
        "nirantar": __version__, "cores": len(sched_getaffinity(0)), "load": getloadavg()[0],
        "machine": platform.machine(), "python": platform.python_version(), "sqlite": apsw.sqlite_lib_version(),
    }


def _print(figure: Figure) -> None:
    digits = 1 if figure.value < 1_000 else 0
    facts = [
        (figure.what, f"{figure.value:,.{digits}f} {figure.unit}"),
        *((each.name, f"{each.value:,.1f}  (ratio {each.ratio:.2f})") for each in figure.references),
        ("floor", figure.floor_says),
        ("measured on", figure.sample),
        ("bounded by", figure.bounded_by),
    ]
    terminal.print_facts(figure.benchmark, facts)
    if figure.reached is None:
        terminal.note("· not held to a floor here")
    elif figure.reached:
        terminal.good("reached")
    else:
        terminal.bad("below its floor")


def _print_sum(figures: Sequence[Figure], machine: dict[str, Any]) -> None:
    held = [figure for figure in figures if figure.reached is not None]
    reached = sum(1 for figure in held if figure.reached)
    terminal.note(
        f"\n{reached} of {len(held)} floors reached on {machine['cores']} cores ({machine['machine']}, "
        f"Python {machine['python']}, SQLite {machine['sqlite']})."
    )
