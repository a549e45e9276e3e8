"""`nirantar`: gathers the commands, each loaded when it is called (the server alone costs a second of imports)."""

from __future__ import annotations

import sys
from typing import Final

from cyclopts import App, CycloptsError, Parameter

from nirantar import __version__
from nirantar.app.garbage import look_for_cycles_seldom
from nirantar.cli.terminal import EXIT_INPUT, fail
from nirantar.errors import NirantarError, SetupError

COMMANDS: Final = {
    "demo": "A hospital to try out: register yourself, attack it, and watch it come back.",
    "init": "Make a hospital's first node: its keys, its vault, and the recovery identity.",
    "serve": "Run a node: the desks, and the FHIR API.",
    "token": "Issue a token for a program that uses the FHIR API.",
    "staff": "Create, change or disable the account of a person who uses the desks.",
    "import": "Import FHIR transaction Bundles and resources.",
    "doctor": "Is everything about a node as it should be?",
    "verify": "Is everything in a node or a vault there, unchanged, and provably so?",
    "custody": "Print, try, split, join and change the recovery identity.",
    "prove": "One patient's chart with everything that proves it, for an auditor.",
    "verify-proof": "What does a proof file or a recovery report prove?",
    "recover": "Build the hospital again from a vault and the recovery identity.",
    "keeper": "The put-only server for another machine: it keeps sealed copies and witnesses the logs.",
    "salvage": "What an old disk still holds beyond the vault.",
    "drill": "Attack a scratch hospital in the middle of its work, and measure every promise.",
    "bench": "Measure this machine, each figure beside its reference.",
}
"""Each command and its line in the overview, in the order in which a hospital meets them."""

_MODULES: Final = {"import": "importing", "verify-proof": "verify_proof"}
"""The files, and the functions in them, of commands whose names Python cannot use."""


def command_line(*, overview: bool) -> App:
    """The commands, none of them loaded. With `overview` each has its line, which would stand in place of the
    command's own, longer help."""
    commands = App(
        name="nirantar",
        version=__version__,
        help="The hospital system that a ransomware attack cannot stop. Begin with: nirantar demo",
        help_format="markdown",
        # No --no-heal beside --heal and no --empty-vault: what is not asked for is not done.
        default_parameter=Parameter(negative=""),
    )
    for place, (name, line) in enumerate(COMMANDS.items()):
        module = _MODULES.get(name, name)
        commands.command(
            f"nirantar.cli.{module}:{module}", name=name, help=line if overview else None, sort_key=place
        )
    return commands


def main() -> None:
    """Run one command and end with its exit code."""
    look_for_cycles_seldom()
    words = sys.argv[1:]
    try:
        command_line(overview=words[:1] in ([], ["--help"], ["-h"]))(words, exit_on_error=False)
    except CycloptsError:
        sys.exit(EXIT_INPUT)
    except NirantarError as error:
        fail(error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        fail(SetupError(f"{where}{error.strerror or error}. Check the path and who may write there."))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
