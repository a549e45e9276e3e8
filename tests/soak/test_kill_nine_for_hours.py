"""kill -9 five hundred times: tests/fault's twenty, for as long as it takes."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import pytest

from nirantar.app.recovering import recover
from nirantar.app.vaults import open_vault
from nirantar.app.verifying import verify_node
from serving_node import Client, found_site, serving

pytestmark = pytest.mark.soak
HOSPITALS = 10
KILLS = 50


@pytest.mark.parametrize("seed", range(HOSPITALS))
def test_no_acknowledged_write_is_lost_by_kill_nine_for_many_deaths(tmp_path: Path, seed: int) -> None:
    """Fifty deaths of one node, at any time up to two seconds after it serves: nothing acknowledged is lost, repeated
    keys make no second record, verification is clean after each, and the vault alone gives all of it."""
    random = Random(seed)
    site, client = found_site(tmp_path), Client()
    for number in range(KILLS):
        with serving(site) as node:
            client.send_again(node)
            with client.writing(node, f"life-{number}"):
                time.sleep(random.uniform(0.0, 2.0))
                node.kill()
        report = verify_node(site.host, site.directory)
        assert report.ok, f"seed={seed} life {number}: {report.findings}"
    with serving(site) as node:
        client.send_again(node)
        client.require_all(node)
        node.stop()
    assert client.refused == []
    vault = open_vault(site.host, site.vault_uri)
    recovered = recover(site.host, [vault], [site.vault_uri], site.identity, tmp_path / "new")
    assert recovered.ok, recovered.findings
    assert recovered.resources["Patient"] == len(client.acknowledged)
