"""An S3 vault on a real server that a test has started, and what an operator does around it."""

from __future__ import annotations

from nirantar.app.bench.object_store import Login, ObjectStore
from nirantar.host.port import Host
from nirantar.host.real import RealHost
from nirantar.vault.retention import Retention
from nirantar.vault.s3 import S3Vault
from nirantar.vault.s3_address import S3Address, S3Credentials


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
