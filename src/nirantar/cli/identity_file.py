"""Reading the recovery identity's file where a command is given one."""

from __future__ import annotations

from pathlib import Path

from nirantar.continuity.identity import RecoveryIdentity
from nirantar.errors import IdentityWrong
from nirantar.host.port import Host


def read_identity(host: Host, path: Path) -> RecoveryIdentity:
    """The identity in `path`. Raises IdentityWrong naming the file."""
    try:
        return RecoveryIdentity.parse(host.files.read(path.absolute()))
    except FileNotFoundError:
        raise IdentityWrong(f"There is no identity file {path}.") from None
    except IsADirectoryError:
        raise IdentityWrong(f"{path} is a directory, not an identity file.") from None
