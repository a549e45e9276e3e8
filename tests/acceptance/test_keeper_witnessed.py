"""What a keeper's signature is worth to others: a chart's proof, a recovery and a verification that know its keys."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from commands import nirantar

from keeper_at_hand import NODE, KeptSite, found_kept_site, keeping
from nirantar.app.configuration import CONFIGURATION_FILE
from nirantar.tlog.cosignature import Cosigner
from serving_node import Client, serving

ORIGIN = f"nirantar.kept-hospital/{NODE}"
STRANGER = Cosigner("nirantar.kept-hospital/keepers/keeper-1", bytes(32)).vkey


@pytest.fixture
def site(tmp_path: Path) -> KeptSite:
    """A hospital whose only vault is a keeper, and whose recovery identity is a file."""
    made = found_kept_site(tmp_path)
    (tmp_path / "identity.txt").write_bytes(made.identity.encode("Kept Hospital"))
    return made


def pin(site: KeptSite, *vkeys: str) -> None:
    """Write the setting `witnesses`."""
    path = site.directory / CONFIGURATION_FILE
    listed = ", ".join(f'"{each}"' for each in vkeys)
    path.write_text(re.sub(r"(?m)^witnesses = .*$", f"witnesses = [{listed}]", path.read_text("utf-8")), "utf-8")


def test_the_keepers_keys_are_asked_for_and_checked(site: KeptSite, tmp_path: Path) -> None:
    """A node with the keeper's key pinned serves; the proof that it makes carries the cosignature, which verify-proof
    checks; verify and recover by the same key are whole, by a stranger's they say what nobody vouched for; and a vault
    whose end was cut off behind the keeper's back is not whole."""
    with keeping(site.keeper, site.port) as running:
        ed25519, ml_dsa = running.status()["vkeys"]
        pin(site, ml_dsa)
        client = Client()
        with serving(site) as node:
            with client.writing(node, "desk", threads=1):
                while len(client.acknowledged) < 5:
                    assert not client.refused, client.refused
            path = next(iter(client.acknowledged)).removeprefix("/fhir/").partition("/_history")[0]
            nirantar("prove", site.directory, path, "--reason", "audit", "--out", tmp_path / "proof.zip")
            node.stop()
        proof = tmp_path / "proof.zip"
        for key in (ed25519, ml_dsa):
            said = nirantar("verify-proof", proof, "--witness", key, "--json").document["sentences"]
            assert any(each.startswith(f"Witnesses of the log {ORIGIN} at ") for each in said), said
        said = nirantar("verify-proof", proof, "--witness", STRANGER, "--json").document["sentences"]
        assert any("no cosignature of a witness that was named" in each for each in said), said
        vault = ("--vault", site.uri_for("recovery", "auditor"), "--identity", tmp_path / "identity.txt")
        assert nirantar("verify", *vault, "--witness", ed25519, "--json").document["findings"] == []
        refused = nirantar("verify", *vault, "--witness", STRANGER, "--json", code=1).document
        assert [(each["where"], each["kind"]) for each in refused["findings"]] == [(ORIGIN, "unwitnessed")]
        newest = max((site.vault / NODE / "live").iterdir())
        newest.rename(tmp_path / newest.name)
        (finding,) = nirantar("verify", *vault, "--json", code=1).document["findings"]
        assert finding["kind"] == "lost"
        assert f"{ORIGIN} entr" in finding["where"]
        (tmp_path / newest.name).rename(newest)
        # The recoveries last: each takes the hospital over.
        report = nirantar("recover", tmp_path / "new", *vault, "--witness", ed25519, "--json").document
        assert (report["ok"], report["findings"]) == (True, [])
        assert ed25519 in (tmp_path / "new" / CONFIGURATION_FILE).read_text("utf-8")
        assert [each["kind"] for each in running.status()["alarms"]] == []
        running.stop()


def test_a_recovery_by_a_strangers_key_is_not_complete(site: KeptSite, tmp_path: Path) -> None:
    """Nobody whose key was given says how far the log had come."""
    with keeping(site.keeper, site.port) as running:
        with serving(site) as node:
            node.stop()
        vault = ("--vault", site.uri_for("recovery", "rescue"), "--identity", tmp_path / "identity.txt")
        report = nirantar("recover", tmp_path / "new", *vault, "--witness", STRANGER, "--json", code=1).document
        assert [(each["where"], each["kind"]) for each in report["findings"]] == [(ORIGIN, "unwitnessed")]
        assert not report["ok"]
        running.stop()


def test_a_node_believes_no_keeper_but_the_pinned_one(site: KeptSite) -> None:
    """With a stranger's key pinned nothing is sealed, what waits for this disk alone is taken, and status says why; a key that is none stops the start."""
    pin(site, STRANGER)
    with keeping(site.keeper, site.port) as running:
        with serving(site) as node:
            person = {"resourceType": "Patient", "name": [{"text": "Invented"}]}
            assert node.request("POST", "/fhir/Patient", person, **{"X-Nirantar-Durability": "node"})[0] == 201
            deadline = time.monotonic() + 20
            while "another keeper" not in str(node.health()["vaults"][0]["trouble"]):
                assert time.monotonic() < deadline, node.health()["vaults"]
                time.sleep(0.1)
            node.stop()
        running.stop()
    pin(site, "nirantar.kept-hospital/keepers/keeper-1+00000000+AAAA")
    assert "witnesses" in nirantar("doctor", site.directory, code=3).err
