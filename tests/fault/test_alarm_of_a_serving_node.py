"""A foreign process writes to a serving node's files: the alarm is in the vault within two seconds. Its own work is none."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from serving_node import Client, Site, found_site, serving

SECONDS_MAX = 2.0


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A hospital on disk."""
    return found_site(tmp_path)


def alarms(site: Site) -> list[Path]:
    """The alarm objects in the vault."""
    return sorted((site.vault / "opd-1" / "alarm").glob("*.json"))


def command(*words: str | Path) -> None:
    """Run a command beside the node, as its operator does."""
    done = subprocess.run(
        [sys.executable, "-m", "nirantar.cli", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_ordinary_work_and_the_operators_commands_raise_none(site: Site, tmp_path: Path) -> None:
    """Load from four clients, an attachment, a sign-in attempt, verify, doctor, token and prove beside it, and its end."""
    with serving(site) as node:
        client = Client()
        with client.writing(node, "load"):
            command("token", site.directory, "--role", "doctor", "--name", "app")
            command("verify", site.directory)
            command("doctor", site.directory)
        status, body = node.request("POST", "/fhir/Binary", b"%PDF-1.7 scan", **{"Content-Type": "application/pdf"})
        assert status == 201, body
        path = next(iter(client.acknowledged)).removeprefix("/fhir/").partition("/_history")[0]
        command("prove", site.directory, path, "--out", tmp_path / "proof.zip")
        command("verify", site.directory)
        health = node.health()
        node.stop()
    assert (health["alarm"], health["unwatched"], health["ok"]) == (None, None, True)
    assert len(client.acknowledged) > 20
    assert alarms(site) == []


@pytest.mark.parametrize(
    ("act", "touched"),
    [
        ("echo x >> nirantar.toml", "nirantar.toml modified"),
        ("mv keys/node.key keys/node.key.locked", "keys/node.key renamed"),
        ("printf x | dd of=view.db-wal bs=1 seek=3 conv=notrunc 2>/dev/null", "view.db-wal modified"),
        ("echo pay > access/READ_ME.txt", "access/READ_ME.txt created"),
    ],
)
def test_the_alarm_is_in_the_vault_within_two_seconds(site: Site, act: str, touched: str) -> None:
    """While clients write; then it is in the log, on the status page and in /health, and stays until the next start."""
    with serving(site) as node:
        with Client().writing(node, "load"):
            time.sleep(0.5)
            began = time.monotonic()
            subprocess.run(["sh", "-c", act], cwd=site.directory, check=True)
            while not alarms(site):
                assert time.monotonic() - began < SECONDS_MAX, "no alarm"
                time.sleep(0.01)
            # Whole at once: a vault's objects appear in one step.
            found = json.loads(alarms(site)[0].read_bytes())
        assert touched in {f"{each['path']} {each['what']}" for each in found["touched"]}
        assert found["origin"] == "nirantar.fault-hospital/opd-1"
        assert found["entries"] > 0
        health = node.health()
        assert health["ok"] is False
        assert touched in health["alarm"]["touched"]
        assert health["alarm"]["reached"].keys() == {site.vault_uri}
        node.kill()
