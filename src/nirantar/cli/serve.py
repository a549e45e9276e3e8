"""`nirantar serve`: run a node until it is told to stop."""

from __future__ import annotations

from pathlib import Path

from nirantar.app.node import Node
from nirantar.app.server import ServerKind
from nirantar.cli import terminal
from nirantar.cli.serving import serve_until_told
from nirantar.errors import DiskFull
from nirantar.host.real import RealHost


def serve(
    directory: Path, /, *, host: str | None = None, port: int | None = None, server: ServerKind = "granian"
) -> None:
    """Run the node in DIRECTORY: the desks at `/`, the FHIR base at `/fhir`, its state at `/health`.

    Ctrl-C, or the signal TERM, finishes what is under way, seals it to the vault, and ends.

    Parameters
    ----------
    directory
        A node made by `nirantar init`.
    host
        Address to listen on; the configuration's by default.
    port
        Port to listen on; the configuration's by default.
    server
        The HTTP server: `granian`, or `uvicorn`.
    """
    with terminal.progress("Bringing the view forward") as show:
        try:
            node = Node(RealHost(), directory.absolute(), progress=show)
        except DiskFull:
            raise DiskFull(
                f"The disk of {directory} is full, and starting needs a little of it. Free some space and start again; "
                "nothing is lost."
            ) from None
    serve_until_told(node, host, port, server)
