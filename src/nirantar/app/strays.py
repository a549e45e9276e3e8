"""Identities where none may lie: in a node's directory, where whoever steals one has both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from nirantar import limits
from nirantar.errors import SetupError
from nirantar.host.port import Host
from nirantar.journal.attachments import ATTACHMENTS_DIRECTORY

SHEET_MARK: Final = '<meta name="nirantar-secret"'
"""How a printed sheet, whose secrets stand in groups and pictures, says that it is one."""

_IDENTITIES: Final = re.compile(
    rb"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}|PRIVATE\+KEY\+nirantar\.[a-z0-9-]+/authority\+|"
    rb"# Nirantar custody share [0-9]|" + re.escape(SHEET_MARK.encode()), re.IGNORECASE,
)
_AFTER_SLASH: Final = chr(ord("/") + 1)


def default_identity_path(directory: Path) -> Path:
    """Where `init` writes the recovery identity unless told otherwise: beside the node."""
    return directory.with_name(directory.name + ".recovery-identity")


def holds_identity(host: Host, path: Path) -> bool:
    """Whether a file holds an identity, a share of one, or a sheet to print. Large files and databases are not looked
    at, nor one that is gone meanwhile."""
    with suppress(FileNotFoundError):
        if ".db" not in path.name and host.files.size(path) <= limits.IDENTITY_SCAN_BYTES_MAX:
            return _IDENTITIES.search(host.files.read(path)) is not None
    return False


def strays(host: Host, directory: Path) -> Iterator[Path]:
    """Files of a node's directory that hold an identity. Attachments, which are many and encrypted, are passed over."""
    attachments = directory / ATTACHMENTS_DIRECTORY
    for path in host.files.walk(directory):
        if str(path) > f"{attachments}/":
            break
        if holds_identity(host, path):
            yield path
    for path in host.files.walk(directory, after=attachments.with_name(attachments.name + _AFTER_SLASH)):
        if holds_identity(host, path):
            yield path


def require_no_identity(host: Host, directory: Path) -> None:
    """Raise SetupError when a node's directory holds an identity: it must not start."""
    path = next(strays(host, directory), None)
    if path is not None:
        raise SetupError(
            f"{path} holds an identity, a share or a sheet: a node must never hold what opens its vault. Take it away "
            "from this machine, then start again."
        )
