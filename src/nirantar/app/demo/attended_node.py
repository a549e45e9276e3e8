"""The demo's node as a process: an ordinary node whose pages carry the strip.

Run as `python -m … DIR PORT STRIP TOKEN`. It leaves a token for the supervisor in TOKEN: tokens die with each
node.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from nirantar.app.demo.strip import FileStrip
from nirantar.app.drill.calls import LOOPBACK
from nirantar.app.node import Node
from nirantar.app.server import node_app, serve
from nirantar.host.real import RealHost


def main(directory: str, port: str, strip: str, token: str) -> None:
    """Serve until the signal TERM."""
    node = Node(RealHost(), Path(directory))
    try:
        node.start()
        Path(token).write_text(node.doors.credentials.issue_token("integration", "demo supervisor"), encoding="ascii")
        asyncio.run(_serve(node, int(port), FileStrip(Path(strip))))
    finally:
        node.close()


async def _serve(node: Node, port: int, strip: FileStrip) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await serve(node_app(node, demo=strip), LOOPBACK, port, stop=stop, ready=lambda: None)


if __name__ == "__main__":
    main(*sys.argv[1:])
