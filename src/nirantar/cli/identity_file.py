"""Reading an identity's file where a command is given one."""

from __future__ import annotations

from pathlib import Path

from nirantar.continuity.identity import Identity, RecoveryIdentity, parse_identity
from nirantar.errors import IdentityWrong
from nirantar.host.port import Host


def read_identity(host: Host, path: Path) -> RecoveryIdentity:
    """The recovery identity in `path`. Raises IdentityWrong naming the file."""
    return RecoveryIdentity.parse(_read(host, path))


def read_either_identity(host: Host, path: Path) -> Identity:
    """The recovery or the rehearsal identity in `path`. Raises IdentityWrong naming the file."""
    return parse_identity(_read(host, path))


def _read(host: Host, path: Path) -> bytes:
    try:
        return host.files.read(path.absolute())
    except FileNotFoundError:
        raise IdentityWrong(f"There is no identity file {path}.") from None
    except IsADirectoryError:
        raise IdentityWrong(f"{path} is a directory, not an identity file.") from None
