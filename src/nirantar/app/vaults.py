"""Vault URIs to vault backends."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from nirantar.errors import ConfigInvalid
from nirantar.host.port import Host
from nirantar.vault.directory import DirectoryVault
from nirantar.vault.port import Vault


def open_vault(host: Host, uri: str, *, create: bool = False) -> Vault:
    """The vault behind `uri`: `file:///absolute/path` (S3 and keepers are to come). Raises ConfigInvalid."""
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise ConfigInvalid(f"{uri!r} is not a vault that this version knows. Write file:///absolute/path.")
    path = Path(unquote(parts.path))
    return DirectoryVault.create(host, path) if create else DirectoryVault(host, path)
