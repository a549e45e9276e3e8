"""`nirantar doctor`: is everything about this node as it should be?"""

from __future__ import annotations

from pathlib import Path

from nirantar.app.examination import examine
from nirantar.app.founding import GENERATION_FILE
from nirantar.app.node import read_papers
from nirantar.cli import terminal
from nirantar.continuity import guard
from nirantar.host.real import RealHost


def doctor(directory: Path, /, *, accept_move: bool = False, json: bool = False) -> None:
    """Look at clock, disk, vault, permissions, versions and place of the node in DIRECTORY. Changes nothing.

    Works while the node serves. Exit code 1 when something is bad.

    Parameters
    ----------
    directory
        A node made by `nirantar init`.
    accept_move
        Declare that this directory was moved or restored here and that no other copy will ever run again.
    json
        Report as one JSON object.
    """
    host, directory = RealHost(), directory.absolute()
    if accept_move:
        read_papers(host, directory)
        guard.bind(host, directory / GENERATION_FILE)
    found = examine(host, directory)
    if json:
        terminal.print_json({"ok": all(each.verdict != "bad" for each in found), "observations": found})
    else:
        say = {"good": terminal.good, "caution": terminal.caution, "bad": terminal.bad}
        for each in found:
            say[each.verdict](f"{each.what}: {each.sentence}")
    if any(each.verdict == "bad" for each in found):
        raise SystemExit(terminal.EXIT_DAMAGE)
