"""Vault URIs to vault backends."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from nirantar.errors import ConfigInvalid
from nirantar.host.port import Host
from nirantar.vault.directory import DirectoryVault
from nirantar.vault.keeper import SCHEMES, KeeperAddress, KeeperVault
from nirantar.vault.port import Vault


def open_vault(host: Host, uri: str, *, create: bool = False) -> Vault:
    """The vault behind `uri`: `file:///absolute/path`, or `keeper+https://host:port?token-file=/path`. Raises
    ConfigInvalid."""
    if _is_keeper(uri):
        return KeeperVault(host, KeeperAddress.parse(uri))
    path = _path(uri)
    return DirectoryVault.create(host, path) if create else DirectoryVault(host, path)


def begins_by_itself(uri: str) -> bool:
    """Whether `nirantar init` may begin this vault. A keeper knows its hospital only once it was set up with the
    authority's key, which init makes: so the node brings the papers when it first reaches it."""
    return not _is_keeper(uri)


def require_apart(directory: Path, uri: str) -> None:
    """Raise ConfigInvalid when a vault and a node lie within each other: one attack would take both."""
    if _is_keeper(uri):
        KeeperAddress.parse(uri)
        return
    path = _path(uri)
    if path == directory or path in directory.parents or directory in path.parents:
        raise ConfigInvalid(f"{uri} and {directory} lie within each other: whoever destroys one has both.")


def _is_keeper(uri: str) -> bool:
    return uri.partition(":")[0] in SCHEMES


def _path(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise ConfigInvalid(
            f"{uri!r} is not a vault that this version knows. Write file:///absolute/path, or "
            "keeper+https://HOST:PORT?token-file=/absolute/path."
        )
    return Path(unquote(parts.path))
