"""What an S3 vault promises beyond the port, on a real server: locks, oldest versions, few requests, clear refusals."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from nirantar.app.bench.faulty_proxy import Fault, FaultyProxy, faulty_proxy
from nirantar.app.bench.object_store import NOT_FOR_A_NODE, ObjectStore, object_store
from nirantar.errors import Conflict, NirantarError, NotFound, SetupError, VaultUnavailable
from nirantar.host.real import RealHost
from nirantar.vault.retention import DAY_US, Retention
from nirantar.vault.s3 import S3Vault
from nirantar.vault.s3_address import S3Address
from s3_at_hand import put_over, vault_at

BUCKET = "locked"
HOW_TO = Path(__file__).resolve().parents[2] / "docs/how-to/vault-on-s3.md"
_prefixes = itertools.count()


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    """A real S3 server with a bucket in which the node's login may only add and read."""
    with object_store() as running:
        running.make_bucket(BUCKET)
        yield running


@pytest.fixture(scope="module")
def proxy(store: ObjectStore) -> Iterator[FaultyProxy]:
    """A way to the server that counts requests."""
    with faulty_proxy(store.port) as running:
        yield running


@pytest.fixture
def prefix() -> str:
    """A place in the bucket that no other test uses."""
    return f"test-{next(_prefixes)}"


def segment_key() -> str:
    """A key under which only a segment belongs."""
    return "opd-1/live/000000000000-3.segment"


def test_the_oldest_version_is_the_object(store: ObjectStore, prefix: str) -> None:
    """An attacker with the node's credentials puts newer versions over a key, an administrator's hides it under
    delete markers: what is read, in whole and in part, and what is listed stay the same, for a reader who knew the
    key and for one who comes new."""
    known = vault_at(store, BUCKET, prefix)
    for key in ("a/1", "a/2", "a/3"):
        known.put_new(key, b"the first bytes of " + key.encode())
    assert known.get("a/2") == b"the first bytes of a/2"
    put_over(store.client(store.node), BUCKET, f"{prefix}/a/2", b"forged")
    store.client().delete_object(Bucket=BUCKET, Key=f"{prefix}/a/2")
    store.client().delete_object(Bucket=BUCKET, Key=f"{prefix}/a/3")
    put_over(store.client(store.node), BUCKET, f"{prefix}/a/3", b"")
    for vault in (known, vault_at(store, BUCKET, prefix)):
        assert list(vault.list("a/")) == ["a/1", "a/2", "a/3"]
        assert list(vault.list("a/", after="a/1")) == ["a/2", "a/3"]
        assert vault.get("a/2") == b"the first bytes of a/2"
        assert vault.get("a/3", 4, 5) == b"first"
        vault.put_new("a/3", b"the first bytes of a/3")
        with pytest.raises(Conflict):
            vault.put_new("a/2", b"forged")


def test_bytes_that_are_stored_under_a_delete_marker_do_not_take_the_keys_place(store: ObjectStore, prefix: str) -> None:
    """The server takes a new object where the newest thing is a marker; readers still see the first, and who has seen
    the key does not try."""
    vault = vault_at(store, BUCKET, prefix)
    vault.put_new("a", b"first")
    store.client().delete_object(Bucket=BUCKET, Key=f"{prefix}/a")
    vault.put_new("a", b"other")
    assert vault.get("a") == b"first"
    assert vault_at(store, BUCKET, prefix).get("a") == b"first"
    with pytest.raises(Conflict):
        vault.put_new("a", b"other")


def test_a_flood_of_versions_does_not_hide_the_first(store: ObjectStore, prefix: str) -> None:
    """More newer versions than a reader asks for at a time: the oldest is found behind them."""
    vault_at(store, BUCKET, prefix).put_new("a", b"first")
    client = store.client(store.node)
    for number in range(20):
        put_over(client, BUCKET, f"{prefix}/a", b"%d" % number)
    vault_at(store, BUCKET, prefix).put_new("b", b"")
    assert vault_at(store, BUCKET, prefix).get("a") == b"first"
    listed = vault_at(store, BUCKET, prefix)
    assert list(listed.list("")) == ["a", "b"]
    assert listed.get("a") == b"first"


def test_whoever_was_first_with_something_else_has_not_taken_an_attachments_place(
    store: ObjectStore, prefix: str
) -> None:
    """The key says what belongs under it, so the oldest version that is that is taken; with none, the oldest is given
    and its reader sees that it is damaged."""
    client = store.client(store.node)
    data = b"sealed scan"
    key = f"opd-1/attachment/{sha256(data).hexdigest()}"
    for each in (b"squatter", data, b"later forgery"):
        put_over(client, BUCKET, f"{prefix}/{key}", each)
    assert vault_at(store, BUCKET, prefix).get(key) == data
    for each in (b"squatter", b"another"):
        put_over(client, BUCKET, f"{prefix}/{segment_key()}", each)
    assert vault_at(store, BUCKET, prefix).get(segment_key()) == b"squatter"


def test_a_key_that_somebody_took_before_the_node_is_still_the_nodes(store: ObjectStore, prefix: str) -> None:
    """Where a key tells what belongs under it, the node stores that behind what does not, locked, and is sure only when
    readers see it; what does not belong there either is refused, and so is anything under a key that tells nothing."""
    client, vault = store.client(store.node), vault_at(store, BUCKET, prefix)
    data = b"sealed scan"
    key, tile = f"opd-1/attachment/{sha256(data).hexdigest()}", "opd-1/tile/0/000"
    for each in (key, tile):
        put_over(client, BUCKET, f"{prefix}/{each}", b"squatter")
    with pytest.raises(Conflict):
        vault.put_new(key, b"not that either")
    vault.put_new(key, data)
    assert vault.get(key) == data
    assert vault_at(store, BUCKET, prefix).get(key) == data
    assert client.head_object(Bucket=BUCKET, Key=f"{prefix}/{key}")["ObjectLockMode"] == "COMPLIANCE"
    with pytest.raises(Conflict):
        vault.put_new(tile, b"a tile")


def test_each_object_is_locked_for_its_kind(store: ObjectStore, prefix: str) -> None:
    """In compliance mode, until the days that the settings say; and the administrator himself cannot end that."""
    host, client = RealHost(), store.client()
    vault = vault_at(store, BUCKET, prefix, retention=Retention(400, 20), host=host)
    for key, days in (("hospital.json", 400), (segment_key(), 20)):
        vault.put_new(key, b"x")
        head = client.head_object(Bucket=BUCKET, Key=f"{prefix}/{key}")
        assert head["ObjectLockMode"] == "COMPLIANCE"
        ends_us = head["ObjectLockRetainUntilDate"].timestamp() * 1e6
        assert abs(ends_us - host.now_us() - days * DAY_US) < DAY_US / 24
        with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
            client.delete_object(Bucket=BUCKET, Key=f"{prefix}/{key}", VersionId=head["VersionId"])
        with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
            client.put_object_retention(
                Bucket=BUCKET, Key=f"{prefix}/{key}", VersionId=head["VersionId"],
                Retention={"Mode": "COMPLIANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(days=1)},
            )


def test_a_thousand_keys_are_one_request(store: ObjectStore, proxy: FaultyProxy, prefix: str) -> None:
    """Listing asks once for each thousand, also from the middle; what was listed is then read with one request each."""
    client = store.client(store.node)
    keys = [f"opd-1/live/{number:012d}-1.segment" for number in range(1_050)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: put_over(client, BUCKET, f"{prefix}/{key}", key.encode()), keys))
    vault = vault_at(store, BUCKET, prefix, endpoint=proxy.endpoint)
    proxy.requests.clear()
    assert list(vault.list("opd-1/live/")) == keys
    assert len(proxy.requests) == 2
    assert list(vault.list("opd-1/live/", after=keys[99])) == keys[100:]
    assert len(proxy.requests) == 3
    assert next(iter(vault.list("opd-1/live/", after="opd-1/live/000000000100"))) == keys[100]
    assert len(proxy.requests) == 4
    assert vault.get(keys[7]) == keys[7].encode()
    assert len(proxy.requests) == 5
    assert list(vault.list("opd-1/live/", after="opd-1/m")) == []
    assert len(proxy.requests) == 5


def test_an_object_whose_lock_and_life_have_ended_is_looked_up_again(store: ObjectStore, prefix: str) -> None:
    """What was remembered of a key is not believed for ever: an operator's rule may have removed that version."""
    vault = vault_at(store, BUCKET, prefix)
    first = put_over(store.client(store.node), BUCKET, f"{prefix}/a", b"expired")
    assert vault.get("a") == b"expired"
    put_over(store.client(store.node), BUCKET, f"{prefix}/a", b"next")
    store.client().delete_object(Bucket=BUCKET, Key=f"{prefix}/a", VersionId=first)
    assert vault.get("a") == b"next"
    put_over(store.client(store.node), BUCKET, f"{prefix}/b", b"")
    assert vault.get("b", 0, 1) == b""


# --- the examination -------------------------------------------------------------------------------------------------


def test_a_bucket_that_locks_is_asked_twelve_questions(
    store: ObjectStore, proxy: FaultyProxy, prefix: str
) -> None:
    """Three more and three seconds the first time; none of them changes anything, and no lifecycle rule appears."""
    vault = vault_at(store, BUCKET, prefix, endpoint=proxy.endpoint)
    for expected in (15, 12):
        proxy.requests.clear()
        assert "keeps its locks" in vault.require_protection()
        assert len(proxy.requests) == expected
    with pytest.raises(store.client().exceptions.ClientError, match="NoSuchLifecycleConfiguration"):
        store.client().get_bucket_lifecycle_configuration(Bucket=BUCKET)


def test_credentials_that_could_undo_the_protection_are_refused_with_each_right(store: ObjectStore) -> None:
    """Where nothing is denied, every right is named; where one is left, that one and no other. The refusal is kept for
    a while without asking again."""
    store.make_bucket("too-wide", denied=("s3:GetObjectAcl",))
    wide = store.administrator
    with pytest.raises(SetupError) as refusal:
        vault_at(store, "too-wide", login=wide).require_protection()
    assert all(right in str(refusal.value) for right in NOT_FOR_A_NODE)
    store.make_bucket("one-right", denied=[each for each in NOT_FOR_A_NODE if each != "s3:DeleteObjectVersion"])
    vault = vault_at(store, "one-right")
    with pytest.raises(SetupError) as refusal:
        vault.require_protection()
    named = str(refusal.value)
    assert [right for right in NOT_FOR_A_NODE if f"{right}." in named or f"{right}," in named] == ["s3:DeleteObjectVersion"]
    with pytest.raises(SetupError) as again:
        vault.require_protection()
    assert again.value is refusal.value


def documented(name: str, bucket: str, login: str) -> dict[str, Any]:
    """A policy of the how-to, for a bucket and a login of the test's server."""
    found = re.search(rf"```json {name}\n(.*?)```", HOW_TO.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    text = found[1].replace("BUCKET", bucket).replace("PREFIX", "live").replace('"MAX"', '"1200"')
    policy: dict[str, Any] = json.loads(text)
    for statement in policy["Statement"]:
        statement["Principal"] = {"AWS": f"arn:aws:iam::000000000000:user/{login}"}
    return policy


def test_the_documented_node_policy_is_enough_and_not_too_much(store: ObjectStore) -> None:
    """A login with nothing else passes the examination, stores, reads and lists below its prefix and nowhere else."""
    store.make_bucket("by-the-book", denied=())
    policy = documented("node-policy", "by-the-book", "guest")
    store.client().put_bucket_policy(Bucket="by-the-book", Policy=json.dumps(policy))
    vault = vault_at(store, "by-the-book", "live", login=store.guest)
    vault.require_protection()
    vault.put_new("hospital.json", b"x")
    assert (vault.get("hospital.json"), list(vault.list(""))) == (b"x", ["hospital.json"])
    with pytest.raises(VaultUnavailable, match="have no right to it"):
        vault_at(store, "by-the-book", "elsewhere", login=store.guest).put_new("hospital.json", b"x")


def test_the_documented_bucket_policy_takes_away_what_a_login_has_too_much(store: ObjectStore) -> None:
    """The test server's plain "write" could delete; with the policy on the bucket it passes."""
    store.make_bucket("shielded", denied=())
    with pytest.raises(SetupError, match="s3:DeleteObject"):
        vault_at(store, "shielded", "live").require_protection()
    policy = documented("bucket-policy", "shielded", "node")
    store.client().put_bucket_policy(Bucket="shielded", Policy=json.dumps(policy))
    vault_at(store, "shielded", "live").require_protection()


def test_the_documented_reader_policy_reads_and_nothing_else(store: ObjectStore) -> None:
    """Enough to verify a vault; storing is refused."""
    store.make_bucket("for-readers", denied=())
    policy = documented("reader-policy", "for-readers", "guest")
    store.client().put_bucket_policy(Bucket="for-readers", Policy=json.dumps(policy))
    put_over(store.client(), "for-readers", "live/a/b", b"x")
    vault = vault_at(store, "for-readers", "live", login=store.guest)
    assert (list(vault.list("")), vault.get("a/b")) == (["a/b"], b"x")
    with pytest.raises(VaultUnavailable, match="have no right to it"):
        vault.put_new("a/c", b"x")


def test_a_buckets_default_lock_does_not_confuse_the_examination(store: ObjectStore) -> None:
    """An operator may have set one: whether these credentials could delete is told all the same."""
    store.make_bucket("with-default", denied=[each for each in NOT_FOR_A_NODE if each != "s3:DeleteObjectVersion"])
    store.client().put_object_lock_configuration(Bucket="with-default", ObjectLockConfiguration={
        "ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 30}},
    })
    with pytest.raises(SetupError, match=r"s3:DeleteObjectVersion\."):
        vault_at(store, "with-default").require_protection()


def test_an_operators_lifecycle_survives_the_examination(store: ObjectStore) -> None:
    """Also where the credentials could have changed it."""
    store.make_bucket("with-lifecycle", denied=("s3:GetObjectAcl",))
    client = store.client()
    rules = [{
        "ID": "merged", "Status": "Enabled", "Filter": {"Prefix": "opd-1/live/"}, "Expiration": {"Days": 200},
    }]
    client.put_bucket_lifecycle_configuration(Bucket="with-lifecycle", LifecycleConfiguration={"Rules": rules})
    with pytest.raises(SetupError, match="s3:PutLifecycleConfiguration"):
        vault_at(store, "with-lifecycle", login=store.administrator).require_protection()
    assert client.get_bucket_lifecycle_configuration(Bucket="with-lifecycle")["Rules"] == rules


def test_a_bucket_without_a_lock_is_refused(store: ObjectStore) -> None:
    """By name, with what to do."""
    store.make_bucket("open-bucket", lock=False)
    with pytest.raises(SetupError, match="Make a bucket with Object Lock"):
        vault_at(store, "open-bucket").require_protection()


def test_a_server_that_does_not_keep_its_locks_is_refused(store: ObjectStore, prefix: str) -> None:
    """One that says it deleted what is locked, or shortened a lock, is told from one that refuses."""
    with faulty_proxy(store.port) as lying:
        vault_at(store, BUCKET, prefix).require_protection()
        for matching, said in (("DELETE", "deleted an object under a lock"), ("?retention", "shortened a lock")):
            lying.fault, lying.matching = Fault.CLAIM, matching
            with pytest.raises(SetupError, match=said):
                vault_at(store, BUCKET, prefix, endpoint=lying.endpoint).require_protection()


# --- errors ----------------------------------------------------------------------------------------------------------


def tried(vault: S3Vault) -> Iterator[NirantarError]:
    """The error of each thing that one does with a vault that cannot be used."""
    for act in (
        lambda: vault.put_new("a", b""), lambda: vault.get("a"), lambda: list(vault.list("")), vault.require_protection,
    ):
        with pytest.raises(VaultUnavailable) as failure:
            act()
        yield failure.value


def test_every_refusal_is_a_sentence_without_credentials(store: ObjectStore, prefix: str) -> None:
    """Wrong key, unknown login, a bucket that is not there, a login without rights, no server: each says what is wrong
    with which bucket, and shows nothing of what requests are signed with."""
    wrong = replace(store.node, secret_key="topsecret" * 4)
    unknown = replace(store.node, access_key="TOPSECRET")
    cases = [
        (vault_at(store, BUCKET, prefix, login=wrong), "Renew them"),
        (vault_at(store, BUCKET, prefix, login=unknown), "Renew them"),
        (vault_at(store, "no-such-bucket"), "no such bucket"),
        (vault_at(store, BUCKET, prefix, endpoint="http://127.0.0.1:9"), "3 times"),
    ]
    for vault, expected in cases:
        for failure in tried(vault):
            assert expected in str(failure), failure
            assert f"s3://{BUCKET}/{prefix}" in str(failure) or "no-such-bucket" in str(failure)
            for secret in (store.node.access_key, store.node.secret_key, "topsecret", "TOPSECRET"):
                assert secret not in str(failure)
            assert failure.__context__ is None or failure.__suppress_context__


def test_missing_rights_are_told_from_missing_objects(store: ObjectStore) -> None:
    """A login that may not read is not told that there is nothing."""
    store.make_bucket("no-reading", denied=("s3:GetObjectVersion", "s3:GetObject"))
    vault = vault_at(store, "no-reading")
    vault.put_new("a", b"")
    with pytest.raises(VaultUnavailable, match="have no right to it"):
        vault.get("a")
    with pytest.raises(NotFound):
        vault.get("b")


def test_without_credentials_it_says_where_they_go(monkeypatch: pytest.MonkeyPatch, store: ObjectStore) -> None:
    """Neither in the node's directory nor in the environment."""
    for name, value in (
        ("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent"),
        ("AWS_CONFIG_FILE", "/nonexistent"),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    vault = S3Vault(RealHost(), S3Address.parse(store.uri(BUCKET)))
    with pytest.raises(VaultUnavailable, match="keys/s3-credentials"):
        vault.get("a")
