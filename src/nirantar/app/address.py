"""Where a serving node answers, for commands that run beside it: a file in its directory."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from nirantar.errors import DiskFull
from nirantar.host.port import Host

ADDRESS_FILE: Final = "address"
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared, not bound


def write_address(host: Host, directory: Path, address: str, port: int) -> None:
    """Note where the node answers. On a full disk there is none, and a command has to be told with --url."""
    reachable = _EVERYWHERE.get(address, address)
    shown = f"[{reachable}]" if ":" in reachable else reachable
    with suppress(DiskFull):
        host.files.replace(directory / ADDRESS_FILE, f"http://{shown}:{port}\n".encode())


def read_address(host: Host, directory: Path) -> str | None:
    """Where the node answers, if it is serving; None where it has never said so."""
    try:
        return host.files.read(directory / ADDRESS_FILE).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return None
