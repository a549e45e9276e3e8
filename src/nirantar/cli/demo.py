"""`nirantar demo`: a hospital to attack."""

from __future__ import annotations

import asyncio
import os
import signal
import webbrowser

from nirantar.app.demo.public import public_app
from nirantar.app.demo.supervisor import Supervisor
from nirantar.app.demo.unattended import walk_through
from nirantar.app.drill.calls import LOOPBACK
from nirantar.app.drill.processes import choose_port
from nirantar.app.drill.scratch import scratch
from nirantar.app.server import serve
from nirantar.cli import terminal
from nirantar.cli.drill import print_comparison
from nirantar.errors import SetupError
from nirantar.host.real import RealHost

PORT = 8080


def demo(
    *, port: int | None = None, exit: bool = False  # noqa: A002 - the option's name
) -> None:
    """Open a scratch hospital in your browser, register a patient, attack it, and see it come back with its proof.

    Four steps, led by a strip above every page. Everything lies in a temporary directory that disappears with the demo;
    the attacker works only there. Ctrl-C ends it.

    Parameters
    ----------
    port
        The port on this machine; by default 8080, or a free one if that is taken.
    exit
        Do all steps unattended over HTTP, print the promises beside the figures of 2022, and end: code 0 when every
        promise was kept, 1 otherwise.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = choose_port(port, PORT)
    with scratch() as place:
        supervisor = Supervisor(RealHost(), place, _say, in_a_hurry=exit)
        try:
            supervisor.open()
            asyncio.run(_serve(supervisor, chosen, unattended=exit))
        except OSError as reason:
            raise SetupError(f"Cannot serve: {reason}. Is the port taken? Choose another with --port.") from None
        finally:
            supervisor.close()
    report = supervisor.report
    if report is not None:
        print_comparison(report)
    if exit and (report is None or report.red or not supervisor.findings):
        raise SystemExit(terminal.EXIT_DAMAGE)


def _say(sentence: str) -> None:
    terminal.err.print(f"  {sentence}", markup=False)


async def _serve(supervisor: Supervisor, port: int, *, unattended: bool) -> None:
    """Serve the demo's address until Ctrl-C or, unattended, until the walk is over."""
    stop, opened = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    def ready() -> None:
        address = f"http://{LOOPBACK}:{port}/"
        terminal.out.print(f"\n  Open  [bold]{address}[/]  in a browser on this PC.   Ctrl-C ends the demo.\n")
        opened.set()
        if not unattended and _has_screen():
            webbrowser.open(address)

    serving = asyncio.ensure_future(
        serve(public_app(supervisor), LOOPBACK, port, kind="uvicorn", stop=stop, ready=ready)
    )
    if unattended:
        walking = asyncio.ensure_future(_walk(opened, port))
        await asyncio.wait({serving, walking}, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        await serving
        await walking
    else:
        await serving


def _has_screen() -> bool:
    """Whether a browser window can open; a text browser would take this terminal."""
    return terminal.out.is_terminal and any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


async def _walk(opened: asyncio.Event, port: int) -> None:
    await opened.wait()
    await asyncio.to_thread(walk_through, port, _say)
