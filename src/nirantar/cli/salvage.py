"""`nirantar salvage`: what an old disk still holds beyond the vault."""

from __future__ import annotations

from pathlib import Path

from nirantar.app.node import Node
from nirantar.app.salvaging import SalvagedEntry
from nirantar.app.salvaging import salvage as salvage_tail
from nirantar.cli import terminal
from nirantar.errors import InvalidInput
from nirantar.host.real import RealHost


def salvage(
    old_directory: Path,
    directory: Path,
    /,
    *,
    accept: str = "",
    json: bool = False,
) -> None:
    """List, and on request enter again, what OLD_DIRECTORY's journal holds beyond what DIRECTORY recovered.

    Each entry is shown with its time, author and what it touches (never its content), and whether its hash and the old
    key's signature hold. The old key may be stolen: accept what the departments confirm. Accepted entries are entered
    by the new node, with their old time and place on record; accepting twice adds nothing. Neither node may be serving.

    Parameters
    ----------
    old_directory
        The lost node's directory, or a copy of it; only its journal is read, and nothing in it is changed.
    directory
        The recovered node.
    accept
        `all`, or entry numbers separated by commas. Without it, entries are only listed.
    json
        Report as one JSON object.
    """
    accept_all = accept == "all"
    try:
        indexes = [] if accept_all else [int(number) for number in accept.split(",") if number.strip()]
    except ValueError:
        raise InvalidInput(f"--accept {accept}: write `all`, or entry numbers like 1041,1042.") from None
    host = RealHost()
    node = Node(host, directory.absolute())
    try:
        node.start()
        found = salvage_tail(host, old_directory.absolute(), node, accept_all=accept_all, accept=indexes)
    finally:
        node.close()
    if json:
        terminal.print_json({"entries": found})
    else:
        _print(found)
    if any(each.state in ("damaged", "refused") for each in found):
        raise SystemExit(terminal.EXIT_DAMAGE)


def _print(found: list[SalvagedEntry]) -> None:
    if not found:
        terminal.good("The old journal holds nothing beyond what was recovered.")
        return
    terminal.print_table(
        f"{terminal.counted(len(found), 'entry', 'entries')} beyond what was recovered",
        ("entry", "recorded", "by", "action", "touches", "old key signed", "state"),
        [
            (str(each.entry_index), each.recorded_at, each.actor, each.action, ", ".join(each.touches),
             "yes" if each.signed else "no", f"{each.state} {each.why}".strip())
            for each in found
        ],
    )
    if any(each.state == "offered" for each in found):
        terminal.note("Nothing was changed. Ask the departments, then: --accept all, or --accept NUMBER,NUMBER")
