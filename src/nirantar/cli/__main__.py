"""`nirantar`: gathers the commands, each loaded when it is called (the server alone costs a second of imports)."""

from __future__ import annotations

import sys

from cyclopts import App, CycloptsError

from nirantar import __version__
from nirantar.app.garbage import look_for_cycles_seldom
from nirantar.cli.terminal import EXIT_INPUT, fail
from nirantar.errors import NirantarError, SetupError

app = App(
    name="nirantar",
    version=__version__,
    help="The hospital system that a ransomware attack cannot stop. Begin with: nirantar demo",
    help_format="markdown",
)
for name in (
    "init", "serve", "token", "staff", "doctor", "import", "recover", "verify", "salvage", "drill", "demo", "bench",
):
    module = {"import": "importing"}.get(name, name)
    app.command(f"nirantar.cli.{module}:{module}", name=name)


def main() -> None:
    """Run one command and end with its exit code."""
    look_for_cycles_seldom()
    try:
        app(sys.argv[1:], exit_on_error=False)
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
