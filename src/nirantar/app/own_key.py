"""Whether a node's own private key can be read, for those who only look at a node and must name what is broken."""

from __future__ import annotations

from pathlib import Path

from nirantar.app.founding import NODE_KEY_FILE
from nirantar.errors import InvalidInput, SetupError
from nirantar.host.port import Host
from nirantar.tlog.note import Signer


def require_own_key(host: Host, directory: Path) -> None:
    """Raise SetupError, which names the file but nothing that stands in it, where the key of a node is damaged.

    A key that is missing is not spoken of here: `read_papers` says what a directory lacks to be a node.
    """
    path = directory / NODE_KEY_FILE
    if not host.files.exists(path):
        return
    try:
        Signer.parse(host.files.read(path).decode("utf-8", "replace").strip())
    except InvalidInput as reason:
        raise SetupError(
            f"{path} is damaged: {reason} Put the file back; if there is no copy, recover the hospital from its vault."
        ) from None
