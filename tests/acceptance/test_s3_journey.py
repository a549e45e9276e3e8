"""A hospital whose only vault is a bucket: opened, used, killed with its machine, and back from the bucket alone."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import nirantar, read_sheet_back

from nirantar.app.bench.object_store import ObjectStore, object_store
from nirantar.cli.identity_file import read_identity
from nirantar.host.real import RealHost
from s3_at_hand import put_over
from serving_node import Site, serving

BUCKET = "city-hospital"


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    """A real S3 server with a locked bucket; the node's login is in the environment, as an operator would set it."""
    with object_store() as running, pytest.MonkeyPatch.context() as environment:
        running.make_bucket(BUCKET)
        for name, value in running.node.environment.items():
            environment.setenv(name, value)
        yield running


def test_a_hospital_comes_back_from_its_bucket_alone(store: ObjectStore, tmp_path: Path) -> None:
    """init, register over HTTP until the bucket confirms, kill -9, the machine's directory gone, an attacker with the
    node's credentials at work on the bucket: recover shows every record byte for byte, proven; verify and doctor agree."""
    vault, node, new = store.uri(BUCKET, "live"), tmp_path / "node", tmp_path / "new"
    made = nirantar(
        "init", node, "--hospital", "City Hospital", "--node", "centre", "--vault", vault, "--durability", "vault", "--json",
    ).document
    assert made["vaults"] == [{"location": vault, "warning": "not safe from this machine's administrator"}]
    token = nirantar("token", node, "--role", "integration", "--name", "test").out.split()[-1]
    identity = node.with_name("node.recovery-identity")
    read_sheet_back(identity, vault)
    site = Site(node, tmp_path / "none", token, read_identity(RealHost(), identity), RealHost())
    written = {}
    with serving(site) as serving_node:
        for number in range(5):
            person = {"resourceType": "Patient", "identifier": [{"system": "urn:example:number", "value": f"{number}"}]}
            status, body = serving_node.request("POST", "/fhir/Patient", person)
            assert status == 201, body
            written[f"/fhir/Patient/{json.loads(body)['id']}"] = body
        examined = nirantar("doctor", node, "--json").document
        sentences = [each["sentence"] for each in examined["observations"] if each["what"] == "vault"]
        assert any("keeps its locks" in each for each in sentences), sentences
        assert any(each.endswith("holds every entry") for each in sentences), sentences
        serving_node.kill()
    shutil.rmtree(node)
    attacker = store.client(store.node)
    for each in store.client().list_object_versions(Bucket=BUCKET, Prefix="live/")["Versions"]:
        put_over(attacker, BUCKET, each["Key"], b"encrypted by the attacker")
        with pytest.raises(attacker.exceptions.ClientError, match="AccessDenied"):
            attacker.delete_object(Bucket=BUCKET, Key=each["Key"], VersionId=each["VersionId"])
        store.client().delete_object(Bucket=BUCKET, Key=each["Key"])
    verified = nirantar("verify", "--vault", vault, "--identity", identity, "--json").document
    assert (verified["ok"], verified["findings"], verified["entries"]) == (True, [], len(written))
    report = nirantar("recover", new, "--vault", vault, "--identity", identity, "--json").document
    assert (report["ok"], report["findings"]) == (True, [])
    token = nirantar("token", new, "--role", "integration", "--name", "test").out.split()[-1]
    with serving(Site(new, tmp_path / "none", token, site.identity, site.host)) as recovered:
        for path, body in written.items():
            assert recovered.request("GET", path) == (200, body)
        status, body = recovered.request("POST", "/fhir/Patient", {"resourceType": "Patient"})
        assert status == 201, body
        while recovered.health()["vaults"][0]["confirmed"] < 1:
            pass
        recovered.stop()


def test_init_refuses_what_would_not_protect_and_makes_nothing(store: ObjectStore, tmp_path: Path) -> None:
    """Credentials that could delete, a bucket without a lock, one that is not there, or a URI with a secret in it: a
    sentence, and neither node nor identity nor papers."""
    store.make_bucket("too-wide", denied=("s3:GetObjectAcl",))
    store.make_bucket("no-lock", lock=False)
    for uri, code, named in (
        (store.uri("too-wide"), 3, "s3:DeleteObjectVersion"), (store.uri("no-lock"), 3, "Object Lock"),
        (store.uri("not-there"), 4, "no such bucket"), ("s3://key:topsecret@records", 3, "never holds credentials"),
    ):
        ran = nirantar(
            "init", tmp_path / "node", "--hospital", "City Hospital", "--node", "centre", "--vault", uri, code=code,
        )
        said = " ".join(ran.err.split())
        assert named in said, said
        assert "topsecret" not in said
        assert list(tmp_path.iterdir()) == []
    left = store.client().list_object_versions(Bucket="too-wide").get("Versions", [])
    assert {each["Key"] for each in left} <= {".nirantar-probe-locked", ".nirantar-probe-free"}


def test_the_server_is_gone_after_the_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What tests start they end: the server's process is gone, and so is its directory."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with object_store() as running:
        assert running.process.poll() is None
        assert list(tmp_path.iterdir())
    assert running.process.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []
