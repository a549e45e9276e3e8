"""Vault URIs to vault backends: the one place that knows which there are.

Also the one lazy loader: what speaks to S3 takes longer to import than a small command takes to run, so it is loaded
when a URI asks for it.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from configparser import ConfigParser
from configparser import Error as NotIni
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from nirantar import limits
from nirantar.app.configuration import Configuration
from nirantar.errors import ConfigInvalid
from nirantar.host.port import Host
from nirantar.vault.directory import DirectoryVault
from nirantar.vault.keeper import SCHEMES, KeeperAddress, KeeperVault
from nirantar.vault.port import Vault
from nirantar.vault.retention import Retention
from nirantar.vault.s3_address import S3Address, S3Credentials

if TYPE_CHECKING:
    from nirantar.vault.s3 import S3Vault

S3_CREDENTIALS_FILE: Final = "keys/s3-credentials"
_KNOWN: Final = (
    "Write file:///absolute/path, s3://BUCKET/PREFIX or keeper+https://HOST:PORT?token-file=/absolute/path."
)


def open_vault(
    host: Host, uri: str, *, create: bool = False, home: Path | None = None, retention: Retention | None = None
) -> Vault:
    """The vault behind `uri`: a directory's, a bucket's or a keeper's. `create` makes a directory.

    `home` is the node's directory, where credentials may lie; without them there they come from the environment.
    Nothing is asked of a server yet. Raises ConfigInvalid.
    """
    scheme = _scheme(uri)
    if scheme == "s3":
        address = S3Address.parse(uri)
        credentials = None if home is None else s3_credentials(host, home / S3_CREDENTIALS_FILE, address.bucket)
        return _s3_backend()(host, address, credentials=credentials, retention=retention)
    if scheme in SCHEMES:
        return KeeperVault(host, KeeperAddress.parse(uri))
    path = _path(uri)
    return DirectoryVault.create(host, path) if create else DirectoryVault(host, path)


def begins_by_itself(uri: str) -> bool:
    """Whether `nirantar init` may begin this vault. A keeper knows its hospital only once it was set up with the
    authority's key, which init makes: so the node brings the papers when it first reaches it."""
    return _scheme(uri) not in SCHEMES


def open_vaults(host: Host, settings: Configuration, home: Path) -> tuple[Vault, ...]:
    """The vaults of a node, by its settings and with its credentials. Raises ConfigInvalid."""
    retention = retention_of(settings)
    return tuple(open_vault(host, uri, home=home, retention=retention) for uri in settings.vaults)


def retention_of(settings: Configuration) -> Retention:
    """How long a node's settings have its vaults lock what they are given."""
    return Retention(settings.retain_days, settings.retain_lower_levels_days)


def credentials_note(directory: Path, uris: Sequence[str]) -> str | None:
    """What an operator must be told who made a node with the environment's credentials; None where it needs none."""
    if not any(_scheme(uri) == "s3" for uri in uris):
        return None
    return f"Give nirantar serve the S3 credentials, too: in its environment or in {directory / S3_CREDENTIALS_FILE}"


def secret_file(uri: str) -> Path | None:
    """The file with the secret that a vault is spoken to with, where its URI names one. Raises ConfigInvalid."""
    return KeeperAddress.parse(uri).token_file if _scheme(uri) in SCHEMES else None


def require_apart(directory: Path, uri: str) -> None:
    """Raise ConfigInvalid when a vault and a node lie within each other: one attack would take both."""
    if _scheme(uri) in SCHEMES:
        KeeperAddress.parse(uri)
    if _scheme(uri) != "file":
        return
    path = _path(uri)
    if path == directory or path in directory.parents or directory in path.parents:
        raise ConfigInvalid(f"{uri} and {directory} lie within each other: whoever destroys one has both.")


def s3_credentials(host: Host, path: Path, bucket: str) -> S3Credentials | None:
    """What the node's own file gives for a bucket: its section of that name, else `default`. None where there is none.

    The file is written as AWS's tools write theirs. Raises ConfigInvalid for one that others can read, or that lacks
    what a section needs; no error repeats what stands in it.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = host.files.read(path, 0, limits.S3_CREDENTIALS_BYTES_MAX).decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        raise ConfigInvalid(f"{path} cannot be read as text.") from None
    if mode & 0o077:
        raise ConfigInvalid(f"{path} is open to others ({mode:o}): chmod 600 {path}")
    file = ConfigParser(interpolation=None, default_section="")
    try:
        file.read_string(text)
    except NotIni:
        raise ConfigInvalid(f"{path} is not written as AWS's credentials files are.") from None
    section = bucket if file.has_section(bucket) else "default"
    if not file.has_section(section):
        return None
    keys = [file.get(section, name, fallback="") for name in ("aws_access_key_id", "aws_secret_access_key")]
    if not all(keys):
        raise ConfigInvalid(f"{path}: [{section}] lacks aws_access_key_id or aws_secret_access_key.")
    return S3Credentials(keys[0], keys[1], file.get(section, "aws_session_token", fallback=None))


def _scheme(uri: str) -> str:
    """Raises ConfigInvalid for a scheme that has no backend, without the URI: it may be a mistyped secret."""
    try:
        scheme = urlsplit(uri).scheme
    except ValueError:
        scheme = ""
    if scheme not in ("file", "s3", *SCHEMES):
        raise ConfigInvalid(f"A vault with {scheme or 'no scheme'!r} is none that this version knows. {_KNOWN}")
    return scheme


def _path(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise ConfigInvalid(f"{uri!r} is not a vault that this version knows. {_KNOWN}")
    return Path(unquote(parts.path))


def _s3_backend() -> type[S3Vault]:
    backend: type[S3Vault] = import_module("nirantar.vault.s3").S3Vault
    return backend
