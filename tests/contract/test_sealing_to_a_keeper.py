"""A node and a keeper together, step by step: merging, answers that were lost, a keeper that was emptied."""

from __future__ import annotations

from pathlib import Path

import pytest

from keeper_at_hand import NODE, KeptSite, found_kept_site, keeping
from nirantar import limits
from nirantar.app.node import Node
from nirantar.app.recovering import recover
from nirantar.app.vaults import open_vault
from nirantar.vault.keeper import KeeperVault
from node_at_hand import opened, write


@pytest.fixture
def site(tmp_path: Path) -> KeptSite:
    """A hospital whose only vault is a keeper."""
    return found_kept_site(tmp_path, durability="node")


def sealed(node: Node) -> None:
    """Seal once; nothing is left and nothing troubles."""
    node.sealer.step()
    (vault,) = node.status().vaults
    assert (vault.trouble, vault.confirmed) == (None, node.status().entries)


def test_merged_segments_are_taken_beside_the_live_ones(site: KeptSite, tmp_path: Path) -> None:
    """A minute's live segments are merged by the node and proven to the keeper, which keeps both; a recovery reads the
    merged one and the rest, and is complete."""
    with keeping(site.keeper, site.port) as running:
        with opened(site) as node:
            for number in range(limits.LEVEL_SEGMENTS_MAX["live"] + 5):
                write(node, number)
                sealed(node)
        assert len(list((site.vault / NODE / "minute").iterdir())) == 1
        assert running.status()["alarms"] == []
        uri = site.uri_for("recovery", "rescue")
        report = recover(site.host, [open_vault(site.host, uri)], [uri], site.identity, tmp_path / "new")
        assert (report.ok, report.resources["Patient"]) == (True, limits.LEVEL_SEGMENTS_MAX["live"] + 5)
        running.stop()


def test_a_put_whose_answer_was_lost_does_not_stop_sealing(site: KeptSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keeper stored the segment, the node never heard of it, and has more entries by the next attempt: it asks where
    the keeper stands and goes on from there. That is no attack, so it is no alarm."""
    with keeping(site.keeper, site.port) as running:
        with opened(site) as node:
            write(node, 1)
            sealed(node)
            (vault,) = node.vaults
            true_put = KeeperVault.put_new

            def answer_lost(self: KeeperVault, key: str, data: bytes) -> None:
                true_put(self, key, data)
                if "/live/" in key:
                    raise TimeoutError("the answer was lost")

            monkeypatch.setattr(KeeperVault, "put_new", answer_lost)
            write(node, 2, 3)
            node.sealer.step()
            assert "the answer was lost" in str(node.status().vaults[0].trouble)
            monkeypatch.undo()
            write(node, 4)
            node.sealer.step()
            assert "does not follow" in str(node.status().vaults[0].trouble)
            sealed(node)
            assert vault.location == f"keeper+http://127.0.0.1:{site.port}"
        assert len(list((site.vault / NODE / "live").iterdir())) == 3
        assert running.status()["alarms"] == []
        running.stop()


def test_a_node_waits_for_a_keeper_that_is_restarted(site: KeptSite) -> None:
    """Between two lives of the keeper the node goes on; the open connection of the first life is no trouble."""
    with opened(site) as node:
        for number in range(3):
            with keeping(site.keeper, site.port, again=True) as running:
                write(node, number)
                sealed(node)
                running.stop()
            write(node, 100 + number)
            node.sealer.step()
            assert "cannot be reached" in str(node.status().vaults[0].trouble)
        with keeping(site.keeper, site.port, again=True) as running:
            sealed(node)
            assert running.status()["ok"]
            running.stop()
