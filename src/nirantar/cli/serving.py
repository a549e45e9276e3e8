"""Serving a node from a command, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal

import uvloop

from nirantar.app.address import write_address
from nirantar.app.configuration import check_port
from nirantar.app.node import Node
from nirantar.app.server import ServerKind, node_app
from nirantar.app.server import serve as serve_app
from nirantar.app.strays import default_identity_path
from nirantar.cli import terminal
from nirantar.errors import SetupError

_LOOK_SECONDS = 1.0


def serve_until_told(node: Node, host: str | None, port: int | None, server: ServerKind = "granian") -> None:
    """Start the node, serve it at the address given or configured, and close it in the end. Raises SetupError where
    the port cannot be had."""
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
    telling: list[asyncio.Task[None]] = []

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
        if status.recovery is not None:
            telling.append(loop.create_task(_tell_recovery(node)))

    try:
        await serve_app(node_app(node), address, port, kind=kind, stop=stop, ready=ready)
    finally:
        for task in telling:
            task.cancel()


async def _tell_recovery(node: Node) -> None:
    """How far a recovery has come, until it is over."""
    status = node.status().recovery
    if status is not None and status.needs_identity:
        terminal.caution(
            "The old logs' entries come only with the recovery identity: stop this, then nirantar recover --resume."
        )
    told: str | None = None
    with terminal.progress("Still coming in the background", unit="pages and entries") as show:
        while (status := node.status().recovery) is not None:
            show(status.pages_here + status.entries_here, status.pages + status.entries)
            if status.trouble not in {None, told}:
                terminal.bad(str(status.trouble))
                told = status.trouble
            await asyncio.sleep(_LOOK_SECONDS)
    terminal.good("The recovery is over: everything is here and proven, and this is an ordinary node.")
