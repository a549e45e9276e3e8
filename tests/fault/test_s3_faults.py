"""A bucket that is slow, hangs, fails, fills, cuts its answers or lists what is old: the desks go on, the trouble is
shown, nothing is lost, and the node recovers by itself."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nirantar.app.bench.faulty_proxy import Fault, FaultyProxy, faulty_proxy
from nirantar.app.bench.object_store import ObjectStore, object_store
from nirantar.app.node import Node
from nirantar.app.recovering import recover
from nirantar.app.verifying import verify_vault
from nirantar.errors import NirantarError, VaultUnavailable
from nirantar.limits import S3_ANSWER_SECONDS_MAX, S3_SILENCE_SECONDS, VAULT_CONFIRM_SECONDS_MAX
from node_at_hand import opened, patient, write
from s3_at_hand import S3Site, s3_site
from serving_node import Client, ServingNode, serving

BUCKET = "faults"
DESK_SECONDS_MAX = 0.9 * S3_ANSWER_SECONDS_MAX
"""What a desk may wait for an answer on a machine that is busy with other tests: less than a silent bucket takes."""
_prefixes = itertools.count()


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    """A real S3 server."""
    with object_store() as running:
        running.make_bucket(BUCKET)
        yield running


@pytest.fixture
def proxy(store: ObjectStore) -> Iterator[FaultyProxy]:
    """The way to it that can go wrong."""
    with faulty_proxy(store.port) as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, store: ObjectStore, proxy: FaultyProxy) -> S3Site:
    """A hospital whose node has three entries, all in its bucket."""
    site = s3_site(tmp_path, store, store.uri(BUCKET, f"site-{next(_prefixes)}", endpoint=proxy.endpoint))
    with opened(site) as node:
        write(node, 1, 2, 3)
        node.sealer.step()
        assert node.status().vaults[0].trouble is None
    return site


def require_sealed(node: Node, entries: int) -> None:
    """Sealing works again by itself, at the latest when a silent server is asked again."""
    deadline = time.monotonic() + S3_SILENCE_SECONDS + 2 * S3_ANSWER_SECONDS_MAX
    while True:
        node.sealer.step()
        (vault,) = node.status().vaults
        if vault.trouble is None:
            break
        assert time.monotonic() < deadline, vault.trouble
        time.sleep(0.2)
    assert (vault.confirmed, vault.lag_seconds) == (entries, 0.0)


def require_recovered(site: S3Site, entries: int) -> None:
    """The bucket alone gives the whole log."""
    report = recover(site.host, [site.open_vault()], [site.uri], site.identity, site.directory.with_name("new"))
    assert (report.ok, report.findings, report.logs[0].entries) == (True, [], entries)


@pytest.mark.parametrize(
    "fault", [each for each in Fault if each not in (Fault.NONE, Fault.STALE, Fault.CLAIM)], ids=lambda each: each.name
)
def test_a_bucket_that_fails_is_shown_and_caught_up_with(site: S3Site, proxy: FaultyProxy, fault: Fault) -> None:
    """While every request fails in one way, writes are acknowledged, the status names the bucket and shows no
    credentials; afterwards everything is sealed, and the log is whole."""
    with opened(site) as node:
        node.sealer.step()
        proxy.fault = fault
        write(node, 4)
        node.sealer.step()
        write(node, 5)
        node.sealer.step()
        (status,) = node.status().vaults
        assert f"s3://{BUCKET}/site-" in str(status.trouble)
        assert "access_key" not in str(status.trouble)
        assert status.confirmed == 3
        proxy.fault = Fault.NONE
        require_sealed(node, 5)
    require_recovered(site, 5)


def test_a_stored_segment_whose_answer_was_lost_is_recognised(site: S3Site, proxy: FaultyProxy) -> None:
    """The server has it and the node does not know: it neither stores other bytes in its place nor stops."""
    with opened(site) as node:
        node.sealer.step()
        write(node, 4)
        proxy.fault, proxy.matching = Fault.LOSE_ANSWER, "PUT"
        node.sealer.step()
        proxy.fault = Fault.NONE
        assert len(list(site.open_vault().list("opd-1/live/"))) == 2
        require_sealed(node, 4)
        assert len(list(site.open_vault().list("opd-1/live/"))) == 2
    require_recovered(site, 4)


def test_late_listings_lose_nothing(site: S3Site, proxy: FaultyProxy) -> None:
    """After a start the bucket still lists what it held long before: the node seals again what it does not see, under
    the same keys or under others, and recovery takes it all once."""
    with opened(site) as node:
        write(node, 4)
        node.sealer.step()
    with opened(site) as node:
        write(node, 5)
        node.sealer.step()
        write(node, 6, 7)
        proxy.fault = Fault.STALE
        node.sealer.step()
    with opened(site) as node:
        write(node, 8)
        node.sealer.step()
        (status,) = node.status().vaults
        assert (status.trouble, status.confirmed) == (None, 8)
    proxy.fault = Fault.NONE
    require_recovered(site, 8)


def test_segments_that_come_short_are_damage_and_answers_that_break_off_are_not(
    site: S3Site, proxy: FaultyProxy
) -> None:
    """Half a segment, given as a whole one, is named by verification; one whose transmission breaks off is not called
    lost: the vault is unavailable, and later it is whole."""
    proxy.fault, proxy.matching = Fault.SHORTEN, ".segment?"
    report = verify_vault(site.host, [site.open_vault()], site.identity)
    assert not report.ok
    assert any("000000000000-3.segment" in each.where for each in report.findings)
    proxy.fault = Fault.TRUNCATE
    with pytest.raises(VaultUnavailable, match=r"000000000000-3\.segment.* 3 times"):
        verify_vault(site.host, [site.open_vault()], site.identity)
    proxy.fault = Fault.NONE
    assert verify_vault(site.host, [site.open_vault()], site.identity).ok


def test_recovery_from_a_bucket_that_fails_leaves_nothing_half_done(site: S3Site, proxy: FaultyProxy) -> None:
    """It ends with the vault's trouble, and the next attempt into the same directory succeeds."""
    new = site.directory.with_name("new")
    for fault, matching in ((Fault.ERROR, ".segment"), (Fault.DROP, "PUT"), (Fault.FULL, "PUT"), (Fault.SHORTEN, "versions")):
        proxy.fault, proxy.matching = fault, matching
        with pytest.raises(NirantarError, match=f"s3://{BUCKET}"):
            recover(site.host, [site.open_vault()], [site.uri], site.identity, new)
        assert not [path for path in new.rglob("*") if path.is_file()]
    proxy.fault = Fault.NONE
    require_recovered(site, 3)


def test_a_hanging_bucket_blocks_no_desk(site: S3Site, store: ObjectStore) -> None:
    """A real node while the server is stopped in the middle of everything: each write is answered at once, one that
    asks for the vault is told in time that it is saved here only, /health shows the trouble; a node that is started
    meanwhile serves. When the server goes on, all of it is sealed without help."""
    client = Client()
    with serving(site) as node:
        while node.health()["vaults"][0]["confirmed"] < 3:
            pass
        store.pause()
        try:
            slowest = _slowest_write(node, seconds=2 * S3_ANSWER_SECONDS_MAX)
            assert "did not answer" in node.health()["vaults"][0]["trouble"]
            started = time.monotonic()
            status, body = node.request("POST", "/fhir/Patient", patient(1), **{"X-Nirantar-Durability": "vault"})
            waited = time.monotonic() - started
            assert (status, b"did not answer" in body) == (503, True), body
            assert waited < VAULT_CONFIRM_SECONDS_MAX + 3 * S3_ANSWER_SECONDS_MAX
            node.stop()
            with serving(site) as again:
                with client.writing(again, "while-it-hangs", threads=1):
                    assert _slowest_write(again, seconds=1.0) < DESK_SECONDS_MAX
                store.resume()
                while (vault := again.health()["vaults"][0])["trouble"] or vault["lag_seconds"]:
                    time.sleep(0.1)
                assert vault["confirmed"] == again.health()["entries"]
                client.require_all(again)
                again.stop()
        finally:
            store.resume()
    assert slowest < DESK_SECONDS_MAX
    assert client.refused == []
    report = verify_vault(site.host, [site.open_vault()], site.identity)
    assert report.ok, report.findings
    assert report.entries > len(client.acknowledged)


def _slowest_write(node: ServingNode, *, seconds: float) -> float:
    """Register one after the other for a while; the longest that one took."""
    slowest, end = 0.0, time.monotonic() + seconds
    while (started := time.monotonic()) < end:
        status, body = node.request("POST", "/fhir/Patient", patient(2))
        assert status == 201, body
        slowest = max(slowest, time.monotonic() - started)
    return slowest


def test_a_slow_bucket_keeps_up(tmp_path: Path, store: ObjectStore, proxy: FaultyProxy) -> None:
    """With 30 ms added to each request and durability "vault", each write is answered once the bucket has it."""
    proxy.delay_seconds = 0.03
    uri = store.uri(BUCKET, f"site-{next(_prefixes)}", endpoint=proxy.endpoint)
    site, client = s3_site(tmp_path, store, uri, durability="vault"), Client()
    with serving(site) as node:
        with client.writing(node, "slow", threads=4):
            while len(client.acknowledged) < 20:
                time.sleep(0.05)
        node.kill()
    assert client.refused == []
    proxy.delay_seconds = 0.0
    report = recover(site.host, [site.open_vault()], [uri], site.identity, tmp_path / "new")
    assert report.ok, report.findings
    assert report.logs[0].entries >= len(client.acknowledged)


def test_a_directory_confirms_while_the_bucket_hangs(site: S3Site, proxy: FaultyProxy, tmp_path: Path) -> None:
    """Two vaults, one silent: who waits for "a vault" has it from the other one at once, the silent one's trouble is
    shown, and both have everything in the end."""
    second = tmp_path / "second"
    second.mkdir()
    settings = site.directory / "nirantar.toml"
    settings.write_text(settings.read_text().replace(f'["{site.uri}"]', f'["{site.uri}", "{second.as_uri()}"]'))
    with serving(site) as node:
        while any(each["confirmed"] < 3 for each in node.health()["vaults"]):
            time.sleep(0.05)
        proxy.fault = Fault.HANG
        slowest = 0.0
        while not (bucket := node.health()["vaults"][0])["trouble"]:
            started = time.monotonic()
            status, body = node.request("POST", "/fhir/Patient", patient(1), **{"X-Nirantar-Durability": "vault"})
            assert status == 201, body
            slowest = max(slowest, time.monotonic() - started)
        assert slowest < DESK_SECONDS_MAX
        assert "did not answer" in bucket["trouble"]
        proxy.fault = Fault.NONE
        while any(each["trouble"] or each["lag_seconds"] for each in node.health()["vaults"]):
            time.sleep(0.1)
        entries = node.health()["entries"]
        node.stop()
    for vault in (site.open_vault(), site.open_vault(second.as_uri())):
        report = verify_vault(site.host, [vault], site.identity)
        assert (report.ok, report.entries) == (True, entries), report.findings


def test_credentials_that_could_delete_are_not_used(tmp_path: Path, store: ObjectStore) -> None:
    """The node serves, seals nothing into that bucket, and says on its status which rights to remove."""
    store.make_bucket("too-wide", denied=("s3:PutBucketPolicy",))
    site = s3_site(tmp_path, store, store.uri("too-wide"))
    with opened(site) as node:
        write(node, 1)
        node.sealer.step()
        (status,) = node.status().vaults
        assert "s3:DeleteObjectVersion" in str(status.trouble)
        assert status.confirmed == 0
    assert list(site.open_vault().list("opd-1/")) == []
