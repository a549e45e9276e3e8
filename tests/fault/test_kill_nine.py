"""kill -9 of a real serving node at random moments under load: what was acknowledged is there, byte for byte."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

from nirantar.app.recovering import recover
from nirantar.app.vaults import open_vault
from nirantar.app.verifying import verify_node
from serving_node import Client, Site, found_site, serving

KILLS = 20
SEED = 20_221_123


def kill_under_load(site: Site, client: Client, random: Random, number: int) -> None:
    """One life of the node: repeat what got no answer before, write on several connections, die."""
    with serving(site) as node:
        client.send_again(node)
        with client.writing(node, f"life-{number}"):
            time.sleep(random.uniform(0.0, 0.5))
            node.kill()
    report = verify_node(site.host, site.directory)
    assert report.ok, f"seed={SEED} life {number}: {report.findings}"
    assert report.entries >= len(client.acknowledged)


def kill_while_starting(site: Site, random: Random) -> None:
    """A node that dies before it serves, perhaps while it brings its view forward."""
    with serving(site, ready=False) as node:
        time.sleep(random.uniform(0.3, 1.2))
        node.kill()


def test_no_acknowledged_write_is_lost_by_kill_nine(tmp_path: Path) -> None:
    """Twenty deaths of one node. After each, its own verification is clean; at the end every acknowledged version is
    served with the acknowledged bytes, repeated keys made no second record, and the vault alone gives all of it."""
    random = Random(SEED)
    site, client = found_site(tmp_path), Client()
    for number in range(KILLS):
        if number % 5 == 4:
            kill_while_starting(site, random)
        else:
            kill_under_load(site, client, random, number)
    with serving(site) as node:
        client.send_again(node)
        client.require_all(node)
        node.stop()
    assert client.acknowledged
    assert client.refused == []
    vault = open_vault(site.host, site.vault_uri)
    recovered = recover(site.host, [vault], [site.vault_uri], site.identity, tmp_path / "new")
    assert recovered.ok, recovered.findings
    assert recovered.resources["Patient"] == len(client.acknowledged)
