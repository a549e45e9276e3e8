"""A keeper with its mirror in a real bucket: the node has no credentials, and the bucket alone brings the hospital back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from keeper_at_hand import NODE, KeptSite, RunningKeeper, found_kept_site, keeping
from nirantar.app.bench.object_store import ObjectStore, object_store
from nirantar.app.keeping import KEEPER_FILE, KeeperPapers
from nirantar.app.recovering import recover
from nirantar.app.vaults import S3_CREDENTIALS_FILE
from nirantar.vault.directory import DirectoryVault
from node_at_hand import opened, write
from s3_at_hand import vault_at

BUCKET = "kept"


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    """A real S3 server with a locked bucket."""
    with object_store() as running:
        running.make_bucket(BUCKET)
        yield running


@pytest.fixture
def site(tmp_path: Path, store: ObjectStore) -> KeptSite:
    """A hospital whose only vault is a keeper, whose mirror is the bucket."""
    made = found_kept_site(tmp_path, durability="node", mirror=store.uri(BUCKET, "hospital"))
    made.host.files.put_new(made.keeper / S3_CREDENTIALS_FILE, store.node.credentials_file.encode(), mode=0o400)
    return made


def eventually(running: RunningKeeper, holds: Callable[[dict[str, object]], bool]) -> None:
    """Wait until this holds of the mirror's status."""
    deadline = time.monotonic() + 60
    while not holds(running.status()["mirror"]):
        assert time.monotonic() < deadline, running.status()["mirror"]
        time.sleep(0.1)


def sealed(site: KeptSite, *numbers: int) -> None:
    """Let the node register and seal."""
    with opened(site) as node:
        for number in numbers:
            write(node, number)
            node.sealer.step()
            assert node.status().vaults[0].trouble is None


def test_the_bucket_alone_brings_the_hospital_back(site: KeptSite, store: ObjectStore, tmp_path: Path) -> None:
    """Everything that the keeper took is in the bucket, byte for byte; the bucket hangs, the node seals on and the status
    says so; the keeper is killed and started again, the bucket answers again, and from it a recovery is complete."""
    with keeping(site.keeper, site.port) as running:
        sealed(site, 1, 2)
        eventually(running, lambda mirror: mirror["waiting"] == 0 and mirror["trouble"] is None)
        store.pause()
        sealed(site, 3)
        eventually(running, lambda mirror: int(str(mirror["waiting"])) > 0)
        running.kill()
    store.resume()
    with keeping(site.keeper, site.port) as running:
        eventually(running, lambda mirror: mirror["waiting"] == 0 and mirror["trouble"] is None)
        assert running.status()["alarms"] == []
        running.stop()
    bucket, kept = vault_at(store, BUCKET, "hospital"), DirectoryVault(site.host, site.vault)
    assert list(bucket.list("")) == list(kept.list(""))
    assert all(bucket.get(key) == kept.get(key) for key in kept.list(""))
    assert not (site.directory / S3_CREDENTIALS_FILE).exists(), "the node has no credentials of the bucket"
    uri = store.uri(BUCKET, "hospital")
    report = recover(site.host, [bucket], [uri], site.identity, tmp_path / "new")
    assert (report.ok, report.findings, report.resources["Patient"]) == (True, [], 3)


def test_a_bucket_from_which_the_keeper_could_delete_is_not_written_to(site: KeptSite, store: ObjectStore) -> None:
    """It is shown as trouble, and the keeper itself goes on."""
    store.make_bucket("open", denied=(), lock=False)
    path = site.keeper / KEEPER_FILE
    papers = msgspec.json.decode(path.read_bytes(), type=KeeperPapers)
    path.chmod(0o640)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(papers, mirror=store.uri("open", "hospital"))))
    with keeping(site.keeper, site.port) as running:
        sealed(site, 1)
        eventually(running, lambda mirror: mirror["trouble"] is not None)
        assert list(vault_at(store, "open", "hospital").list("")) == []
        assert len(list((site.vault / NODE / "live").iterdir())) == 1
        running.stop()
