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
    path = _path(uri)
    return DirectoryVault.create(host, path) if create else DirectoryVault(host, path)


def require_apart(directory: Path, uri: str) -> None:
    """Raise ConfigInvalid when a vault and a node lie within each other: one attack would take both."""
    path = _path(uri)
    if path == directory or path in directory.parents or directory in path.parents:
        raise ConfigInvalid(f"{uri} and {directory} lie within each other: whoever destroys one has both.")


def _path(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise ConfigInvalid(f"{uri!r} is not a vault that this version knows. Write file:///absolute/path.")
    return Path(unquote(parts.path))
