"""`nirantar import`: take in FHIR data."""

from __future__ import annotations

from pathlib import Path

from nirantar.app.importing import ImportReport, import_files
from nirantar.app.node import Node
from nirantar.cli import terminal
from nirantar.host.real import RealHost


def importing(directory: Path, paths: list[Path], /, *, json: bool = False) -> None:
    """Import FHIR transaction Bundles (.json) and resources (.ndjson, one a line) into the node in DIRECTORY.

    Everything is validated and durable before it counts. Importing the same files again adds nothing, so a broken
    import is simply repeated. The node must not be serving.

    Parameters
    ----------
    directory
        A node made by `nirantar init`.
    paths
        Files, or directories with their subdirectories.
    json
        Report as one JSON object.
    """
    host = RealHost()
    node = Node(host, directory.absolute())
    try:
        node.start()
        with terminal.progress("Importing", unit="files") as show:
            report = import_files(host, node.doors.transact, [path.absolute() for path in paths], progress=show)
    finally:
        node.close()
    if json:
        terminal.print_json(report)
    else:
        _print(report)
        for place, why in report.rejected:
            terminal.bad(f"{place}: {why}")
    if report.rejected:
        raise SystemExit(terminal.EXIT_INPUT)


def _print(report: ImportReport) -> None:
    files = terminal.counted(report.files, "file")
    there = terminal.counted(report.unchanged, "resource")
    if not report.resources:
        terminal.note(f"Nothing new in {files}: {there} there already.")
        return
    new = terminal.counted(sum(report.resources.values()), "resource")
    terminal.print_table(
        f"Imported {new} in {terminal.counted(report.transactions, 'transaction')} from {files} "
        f"({report.unchanged:,} there already)",
        ("type", "new"), [(kind, f"{count:,}") for kind, count in sorted(report.resources.items())],
    )
