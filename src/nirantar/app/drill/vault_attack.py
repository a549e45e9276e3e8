"""The attacker with the node's own vault credentials: he overwrites, deletes, shortens locks, rewinds and floods.

Everything is tried on real objects of a scratch vault. What succeeds is undone at once, so that the drill can still
measure what a recovery brings back, and is reported as what it is: not refused.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from nirantar.app.bench.object_store import ObjectStore
from nirantar.app.drill.attacker import require_marker
from nirantar.continuity.drill.accounting import Attempt
from nirantar.errors import NirantarError, Unavailable
from nirantar.vault.keys import AttachmentKey, segments_prefix
from nirantar.vault.port import Vault

OVERWRITE: Final = "overwrite a sealed segment"
DELETE: Final = "delete a sealed segment"
HIDE: Final = "hide a sealed segment under a delete marker"
SHORTEN: Final = "shorten the retention of a sealed segment"
REWIND: Final = "rewind the log by hiding its newest segment"
FLOOD: Final = "flood the vault with new objects"
_NOISE: Final = b"noise" * 1_000
_SHORT_SECONDS: Final = 3_600
_FLOOD_OBJECTS: Final = 16
_NOBODY: Final = "nobody: not safe from this machine's administrator"
_NO_RETENTION: Final = "nobody: a directory has no retention, only file modes, which its user changes"
_NOBODY_LIMITS: Final = "nobody: who may add may fill; a keeper in front of the vault would limit it"
_OLDEST: Final = "the reader's rule: the oldest version counts, and Object Lock keeps it"


def attack_directory(directory: Path, node: str) -> list[Attempt]:
    """Every attempt on a `file://` vault by the user that owns it. Raises Forbidden without the scratch marker,
    Unavailable where nothing is sealed yet."""
    require_marker(directory)
    segments = sorted((directory / segments_prefix(node)).glob("*.segment"))
    if not segments:
        raise Unavailable("The vault holds no segment yet that could be attacked.")
    first, newest = segments[0], segments[-1]
    return [
        _tried(OVERWRITE, lambda: _overwrite(first)),
        _tried(DELETE, lambda: _take_away(first)),
        _tried(SHORTEN, lambda: _open_mode(first), by=_NO_RETENTION),
        _tried(REWIND, lambda: _take_away(newest)),
        _tried(FLOOD, lambda: _flood(directory, node)),
    ]


def attack_bucket(store: ObjectStore, bucket: str, opened: Callable[[], Vault], node: str) -> list[Attempt]:
    """Every attempt on an `s3://` vault at the top of a scratch bucket, by S3's own calls with the node's login.
    `opened` gives the vault to a reader who remembers nothing. Raises Unavailable where nothing is sealed yet."""
    client, vault = store.client(store.node), opened()
    keys = list(vault.list(segments_prefix(node)))
    if not keys:
        raise Unavailable("The vault holds no segment yet that could be attacked.")
    first, newest = keys[0], keys[-1]
    whole, end = vault.get(first), vault.get(newest)
    version = client.list_object_versions(Bucket=bucket, Prefix=first)["Versions"][-1]["VersionId"]

    def delete(**version: str) -> None:
        client.delete_object(Bucket=bucket, Key=first, **version)

    def shorten() -> None:
        soon = datetime.fromtimestamp(time.time() + _SHORT_SECONDS, UTC)
        client.put_object_retention(
            Bucket=bucket, Key=first, VersionId=version, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": soon},
        )

    def rewind() -> None:
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
        client.delete_object(Bucket=bucket, Key=newest)

    def flood() -> None:
        for key in _noise_keys(node):
            client.put_object(Bucket=bucket, Key=key, Body=_NOISE)

    return [
        _asked(OVERWRITE, lambda: client.put_object(Bucket=bucket, Key=first, Body=_NOISE), opened(), first, whole),
        _asked(DELETE, lambda: delete(VersionId=version), opened(), first, whole),
        _asked(HIDE, delete, opened(), first, whole),
        _refused(SHORTEN, shorten),
        _asked(REWIND, rewind, opened(), newest, end),
        _refused(FLOOD, flood, promised=False, by=_NOBODY_LIMITS),
    ]


def _tried(what: str, attempt: Callable[[], None], *, by: str = _NOBODY) -> Attempt:
    """An attempt on files, which promise nothing against their own user."""
    try:
        attempt()
    except OSError as refusal:
        return Attempt(what, refused=True, by=f"the directory's file mode ({refusal.strerror})", promised=False)
    return Attempt(what, refused=False, by=by, promised=False)


def _refused(what: str, attempt: Callable[[], Any], *, promised: bool = True, by: str = "nobody") -> Attempt:
    """An attempt that the server refuses, or nobody."""
    try:
        attempt()
    except ClientError as refusal:
        code = refusal.response.get("Error", {}).get("Code", "refused")
        return Attempt(what, refused=True, by=f"S3: Object Lock or the bucket's policy ({code})", promised=promised)
    return Attempt(what, refused=False, by=by, promised=promised)


def _asked(what: str, attempt: Callable[[], Any], vault: Vault, key: str, whole: bytes) -> Attempt:
    """An attempt on an object: where the server takes it, what counts is what a reader is given afterwards."""
    found = _refused(what, attempt)
    try:
        same = vault.get(key) == whole and key in set(vault.list(key))
    except NirantarError:
        same = False
    if not same:
        return Attempt(what, refused=False, by="nobody: a reader no longer gets what was sealed", promised=True)
    return found if found.refused else Attempt(what, refused=True, by=_OLDEST, promised=True)


def _overwrite(path: Path) -> None:
    """Open the file for writing and write its first byte, as it is."""
    mode = path.stat().st_mode
    path.chmod(0o600)
    try:
        with path.open("r+b") as file:
            byte = file.read(1)
            file.seek(0)
            file.write(byte)
    finally:
        path.chmod(mode)


def _take_away(path: Path) -> None:
    """Delete the file, whose bytes keep a second name, and put it back."""
    aside = path.with_name(f".{path.name}.aside")
    os.link(path, aside)
    try:
        path.unlink()
        os.link(aside, path)
    finally:
        aside.unlink()


def _open_mode(path: Path) -> None:
    """A directory knows no retention: the only guard is the file's mode, which its user can change."""
    mode = path.stat().st_mode
    path.chmod(0o600)
    path.chmod(mode)


def _flood(directory: Path, node: str) -> None:
    for key in _noise_keys(node):
        path = directory / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_NOISE)


def _noise_keys(node: str) -> Iterator[str]:
    """Keys of attachments that no entry names."""
    for number in range(_FLOOD_OBJECTS):
        yield str(AttachmentKey(node, sha256(f"flood {number}".encode()).hexdigest()))
