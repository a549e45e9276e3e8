"""An S3 vault on a real server that a test has started, a hospital that seals to it, and an attacker who has its
credentials."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nirantar.app.bench.object_store import Login, ObjectStore
from nirantar.app.founding import found_hospital, publish, write_directory
from nirantar.app.vaults import S3_CREDENTIALS_FILE, open_vault
from nirantar.host.port import Host
from nirantar.host.real import RealHost
from nirantar.interactions.credentials import CREDENTIALS_FILE, Credentials
from nirantar.vault.port import Vault
from nirantar.vault.retention import Retention
from nirantar.vault.s3 import S3Vault
from nirantar.vault.s3_address import S3Address, S3Credentials
from serving_node import Site

__all__ = ["S3Site", "put_over", "s3_site", "vault_at"]


def vault_at(
    store: ObjectStore, bucket: str, prefix: str = "", *, login: Login | None = None, endpoint: str | None = None,
    retention: Retention | None = None, host: Host | None = None,
) -> S3Vault:
    """The vault in a bucket, with the node's login or another, perhaps by way of a proxy's `endpoint`."""
    who = login or store.node
    return S3Vault(
        host or RealHost(), S3Address.parse(store.uri(bucket, prefix, endpoint=endpoint)),
        credentials=S3Credentials(who.access_key, who.secret_key), retention=retention,
    )


def put_over(client: Any, bucket: str, name: str, data: bytes) -> str:
    """What whoever has the node's credentials can do to a key, whether it is there or not; the version that it made."""
    version: str = client.put_object(Bucket=bucket, Key=name, Body=data)["VersionId"]
    return version


@dataclass
class S3Site(Site):
    """A site whose vault is a bucket; `vault` is no directory of its."""

    uri: str

    @property
    def vault_uri(self) -> str:
        """The vault as configured."""
        return self.uri

    def open_vault(self, uri: str | None = None) -> Vault:
        """The vault with the node's credentials, perhaps by way of another URI."""
        return open_vault(self.host, uri or self.uri, home=self.directory)


def s3_site(place: Path, store: ObjectStore, uri: str, *, durability: str = "node") -> S3Site:
    """A new hospital below `place`, with one node that seals to `uri` with the node's login."""
    host, directory = RealHost(), place / "node"
    founded, identity = found_hospital(host, "Fault Hospital", "opd-1", vaults=[uri], durability=durability)
    host.files.make_directory(directory / "keys")
    host.files.put_new(directory / S3_CREDENTIALS_FILE, store.node.credentials_file.encode())
    publish(open_vault(host, uri, home=directory), founded.document, founded.roster, founded.roster_note)
    write_directory(host, directory, founded)
    credentials = Credentials(host, directory / CREDENTIALS_FILE)
    token = credentials.issue_token("integration", "faults")
    credentials.close()
    return S3Site(directory, place / "no-directory", token, identity, host, uri)
