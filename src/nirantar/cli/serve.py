"""`nirantar serve`: run a node until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import uvloop

from nirantar.app.address import write_address
from nirantar.app.configuration import check_port
from nirantar.app.node import Node
from nirantar.app.server import ServerKind, node_app
from nirantar.app.server import serve as serve_app
from nirantar.app.strays import default_identity_path
from nirantar.cli import terminal
from nirantar.errors import DiskFull, SetupError
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
    try:
        node.start()
        settings = node.papers.configuration
        address, chosen = host or settings.host, settings.port if port is None else port
        check_port(chosen)
        uvloop.run(_serve(node, address, chosen, server))
    except OSError as reason:
        raise SetupError(f"Cannot serve: {reason}. Is the port taken? Choose another with --port.") from None
    finally:
        node.close()


async def _serve(node: Node, address: str, port: int, kind: ServerKind) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    def ready() -> None:
        write_address(node.host, node.directory, address, port)
        status = node.status()
        terminal.good(f"{status.hospital}, node {status.node}: http://{address}:{port}/  FHIR /fhir  state /health")
        if status.read_only:
            terminal.bad(status.read_only)
        for sentence in status.red:
            terminal.bad(sentence)
        beside = default_identity_path(node.directory)
        if node.host.files.exists(beside):
            terminal.caution(f"{beside} lies beside the node. Print it, take it away, delete it here.")
        for vault in status.vaults:
            if vault.warning:
                terminal.caution(f"Vault {vault.location} is {vault.warning}.")

    await serve_app(node_app(node), address, port, kind=kind, stop=stop, ready=ready)
