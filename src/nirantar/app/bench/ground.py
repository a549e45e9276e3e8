"""Scratch hospitals to measure on: beside the place that is asked about, and gone afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from nirantar.app.founding import found_hospital, publish, write_directory
from nirantar.app.node import Node
from nirantar.app.vaults import S3_CREDENTIALS_FILE, open_vault
from nirantar.fhir import schema
from nirantar.host.port import Host


@dataclass(frozen=True, slots=True)
class Ground:
    """Where and on what to measure. `data` is a directory of FHIR transaction Bundles, None for synthetic ones.
    `full` asks for the sizes of the promise where the usual run takes smaller ones."""

    host: Host
    directory: Path
    data: Path | None
    full: bool


@contextmanager
def scratch_directory(within: Path) -> Iterator[Path]:
    """An empty directory on the disk of `within`, deleted with all that is in it."""
    path = Path(tempfile.mkdtemp(prefix="nirantar-bench-", dir=within))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def make_node(
    host: Host, directory: Path, *, durability: str = "node", vault: str | None = None, s3_credentials: str = ""
) -> Path:
    """Found a hospital with one node below `directory` and return the node's directory. `vault` is a URI. It takes a
    snapshot of its view only when it is told to: one that came by itself would be in some measurements only."""
    vaults = [] if vault is None else [vault]
    home = directory / "node"
    host.files.make_directory(home)
    if s3_credentials:
        host.files.make_directory(home / "keys")
        host.files.put_new(home / S3_CREDENTIALS_FILE, s3_credentials.encode())
    founded, _ = found_hospital(host, "Bench", "bench", vaults=vaults, durability=durability)
    for uri in vaults:
        publish(open_vault(host, uri, create=True, home=home), founded.document, founded.roster, founded.roster_note)
    founded = replace(founded, configuration=msgspec.structs.replace(founded.configuration, snapshot_seconds=0))
    write_directory(host, home, founded)
    return home


@contextmanager
def running_node(
    ground: Ground, *, durability: str = "node", with_vault: bool = False, s3_vault: str = "", s3_credentials: str = ""
) -> Iterator[Node]:
    """A new node that takes writes, on a scratch directory, its validator compiled as in a node that has served.

    `with_vault` gives it a directory vault beside it, `s3_vault` the one of that URI.
    """
    schema.prepare()
    with scratch_directory(ground.directory) as directory:
        vault = s3_vault or ((directory / "vault").as_uri() if with_vault else None)
        home = make_node(
            ground.host, directory, durability=durability, vault=vault, s3_credentials=s3_credentials
        )
        node = Node(ground.host, home)
        try:
            node.start()
            yield node
        finally:
            node.close()
