"""A node's configuration file, `nirantar.toml`: few settings, each with its bounds and a comment in the file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final, Literal

import msgspec

from nirantar import limits
from nirantar.errors import ConfigInvalid, InvalidInput
from nirantar.host.port import Host
from nirantar.tlog.cosignature import CosignatureVerifier
from nirantar.vault.keys import NODE_NAMES_RESERVED
from nirantar.vault.retention import Retention

CONFIGURATION_FILE: Final = "nirantar.toml"
NODE_NAME: Final = re.compile(rf"[a-z][a-z0-9-]{{0,{limits.NODE_NAME_CHARS_MAX - 1}}}")


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an operator may set.

    `node` is fixed by init. `vaults` are URIs (`file:///path`, `s3://bucket/prefix`). `witnesses` are
    verifier keys of keepers among them: where there are some, no other keeper's word counts. `retain_days` and
    `retain_lower_levels_days` are how long an S3 vault locks what it is given. `durability` is what a write waits for:
    "node" (this machine's disk) or "vault" (a vault, too). `host` and `port` are where `serve` listens.
    `secure_cookies` is for browsers that come through HTTPS. `uhid_system` names the hospital's number series in FHIR
    identifiers. `snapshot_seconds` is how often the view is copied to the vaults, 0 for never.
    """

    node: str
    vaults: list[str]
    witnesses: list[str] = msgspec.field(default_factory=list)
    retain_days: int = limits.RETAIN_DAYS
    retain_lower_levels_days: int = limits.RETAIN_LOWER_LEVELS_DAYS
    durability: Literal["node", "vault"] = "node"
    snapshot_seconds: int = 300
    host: str = "127.0.0.1"
    port: int = 8080
    secure_cookies: bool = False
    uhid_system: str


_TEMPLATE: Final = """\
# Configuration of a Nirantar node. Restart `nirantar serve` after a change; `nirantar doctor` checks it.

# This node's name. It is part of its log: never change it.
node = {node}

# Where sealed copies go, as URIs. file:///path is not safe from this machine's administrator: use a disk of its own.
# s3://BUCKET/PREFIX?endpoint=https://HOST&region=NAME is a bucket with Object Lock: see docs/how-to/vault-on-s3.md.
vaults = {vaults}

# Verifier keys of your keepers, as nirantar keeper init shows them. If there are some, no other keeper is believed.
witnesses = {witnesses}

# How many days an S3 vault locks what it is given, and segments that are merged into higher levels. A lock can never
# be shortened, by anybody.
retain_days = {retain_days}
retain_lower_levels_days = {retain_lower_levels_days}

# What a write waits for before it is acknowledged: "node" (this disk) or "vault" (a vault has it, too).
durability = {durability}

# How often, in seconds, what changed in the view is copied to the vaults, so that a recovery need not fold the whole
# log first. 0: never.
snapshot_seconds = {snapshot_seconds}

# Where `nirantar serve` listens, unless its options say otherwise.
host = {host}
port = {port}

# Send the session cookie over HTTPS only. Set it to true behind a TLS proxy.
secure_cookies = {secure_cookies}

# The identifier system of this hospital's patient numbers (UHID) in FHIR resources.
uhid_system = {uhid_system}
"""


def write(host: Host, directory: Path, configuration: Configuration) -> None:
    """Write the commented file for the first time."""
    values = {name: _toml(getattr(configuration, name)) for name in configuration.__struct_fields__}
    host.files.put_new(directory / CONFIGURATION_FILE, _TEMPLATE.format(**values).encode())


def read(host: Host, directory: Path) -> Configuration:
    """Read and check the file. Raises ConfigInvalid naming the file and the setting."""
    path = directory / CONFIGURATION_FILE
    try:
        document = tomllib.loads(host.files.read(path).decode())
        configuration = msgspec.convert(document, Configuration)
    except FileNotFoundError:
        raise ConfigInvalid(f"{directory} is not a Nirantar node: there is no {CONFIGURATION_FILE} in it.") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as reason:
        raise ConfigInvalid(f"{path}: {reason}") from None
    check(configuration)
    return configuration


def check(configuration: Configuration) -> None:
    """Raise ConfigInvalid for values that fit their type but not their purpose."""
    check_node_name(configuration.node)
    check_port(configuration.port)
    Retention(configuration.retain_days, configuration.retain_lower_levels_days).check()
    witness_keys(configuration)
    if not configuration.vaults and configuration.durability == "vault":
        raise ConfigInvalid('durability = "vault" needs at least one vault.')
    seconds = configuration.snapshot_seconds
    if seconds != 0 and not limits.SNAPSHOT_SECONDS_MIN <= seconds <= limits.SNAPSHOT_SECONDS_MAX:
        raise ConfigInvalid(
            f"snapshot_seconds = {seconds}: it is 0 (never) or {limits.SNAPSHOT_SECONDS_MIN} to "
            f"{limits.SNAPSHOT_SECONDS_MAX}."
        )
    if not configuration.uhid_system:
        raise ConfigInvalid("uhid_system is empty: patient numbers need a system to be told apart.")


def witness_keys(configuration: Configuration) -> tuple[CosignatureVerifier, ...]:
    """The pinned keys of keepers. Raises ConfigInvalid for one that is none."""
    try:
        return tuple(CosignatureVerifier.parse(each.strip()) for each in configuration.witnesses)
    except InvalidInput as reason:
        raise ConfigInvalid(f"witnesses: {reason} nirantar keeper status DIR shows a keeper's two keys.") from None


def check_port(port: int) -> None:
    """Raise ConfigInvalid for what is no TCP port that can be named beforehand."""
    if not 1 <= port <= 65_535:
        raise ConfigInvalid(f"port = {port}: a port is 1 to 65535.")


def check_node_name(name: str) -> None:
    """Raise ConfigInvalid unless `name` can name a node."""
    if not NODE_NAME.fullmatch(name):
        raise ConfigInvalid(
            f"A node's name is a letter, then letters, digits or hyphens, {limits.NODE_NAME_CHARS_MAX} at most, all "
            "in lower case."
        )
    if name in NODE_NAMES_RESERVED:
        raise ConfigInvalid(
            f"{name} cannot name a node: it is a directory of every vault, or the name of the hospital's own key."
        )


def _toml(value: object) -> str:
    """A value as TOML; its strings and lists of strings are written as JSON writes them."""
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
