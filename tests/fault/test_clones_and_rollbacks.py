"""A log that exists twice, or an older one put back: such a node reads, never writes, and says why."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nirantar.app.node import Node
from nirantar.app.verifying import verify_node
from nirantar.errors import Damaged, DirectoryInUse, ReadOnly
from node_at_hand import Site, found_site, opened, write


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A hospital whose node has ten entries, all in its vault."""
    site = found_site(tmp_path)
    with opened(site) as node:
        write(node, *range(10))
        node.sealer.step()
    return site


def keep_aside(site: Site, name: str) -> Path:
    """A copy of the node's directory as it is now."""
    return Path(shutil.copytree(site.directory, site.directory.with_name(name)))


def put_back(site: Site, older: Path) -> None:
    """An administrator restores the databases in place; the generation file stays the same file."""
    for old in site.directory.glob("*.db*"):
        old.unlink()
    for database in older.glob("*.db*"):
        shutil.copy(database, site.directory)


def require_read_only(node: Node, why: str) -> None:
    """The node refuses to write with this reason, shows it, and still reads."""
    assert why in str(node.status().read_only)
    with pytest.raises(ReadOnly, match=why):
        write(node, 1_000)
    with node.view.reader() as state:
        assert state.counts()["Patient"] > 0


def test_a_directory_serves_once(site: Site) -> None:
    """While a node is open, the same directory cannot be opened again."""
    with opened(site), pytest.raises(DirectoryInUse), opened(site):
        raise AssertionError("one directory was opened twice")


def test_a_copied_directory_refuses_to_write(site: Site) -> None:
    """A copy started beside the original refuses every write and says that it is a copy; the original goes on."""
    copy = keep_aside(site, "copy")
    with opened(site) as original, opened(site, copy) as clone:
        require_read_only(clone, "copy of another one")
        assert write(original, 20)[0].appended is not None


def test_a_rolled_back_directory_refuses_to_write(site: Site) -> None:
    """An older copy restored in place passes every check of its own; the vault has seen more of its log."""
    older = keep_aside(site, "older")
    with opened(site) as node:
        write(node, *range(10, 15))
        node.sealer.step()
    put_back(site, older)
    with opened(site) as node:
        require_read_only(node, "its disk was rolled back")


def test_a_rollback_is_learned_when_the_vault_comes_back(site: Site) -> None:
    """The vault is not there when the rolled-back node starts, so it writes; at the first contact it stops, and what it
    wrote on its other way does not mix with what the vault has."""
    older = keep_aside(site, "older")
    with opened(site) as node:
        write(node, *range(10, 15))
        node.sealer.step()
    put_back(site, older)
    before = sorted(path.name for path in site.vault.rglob("*"))
    away = site.vault.rename(site.vault.with_name("away"))
    with opened(site) as node:
        write(node, 30)
        away.rename(site.vault)
        node.sealer.step()
        require_read_only(node, "its disk was rolled back")
    assert sorted(path.name for path in site.vault.rglob("*")) == before


def test_a_log_that_went_another_way_is_recognised(site: Site) -> None:
    """Rolled back, and longer again than what the vault has before anyone could compare: the entries differ."""
    older = keep_aside(site, "older")
    with opened(site) as node:
        write(node, *range(10, 15))
        node.sealer.step()
    put_back(site, older)
    away = site.vault.rename(site.vault.with_name("away"))
    with opened(site) as node:
        write(node, *range(40, 60))
    away.rename(site.vault)
    with opened(site) as node:
        require_read_only(node, "went on another way")
        node.sealer.step()
        assert "went on another way" in str(node.status().vaults[0].trouble)


def test_a_lost_write_ahead_log_is_noticed_by_the_view(site: Site) -> None:
    """Somebody deletes the journal's WAL of a node that died, and the vault did not have its entries yet. The view
    still shows them: the node reads, does not write, and verification names the gap."""
    with opened(site) as node:
        write(node, *range(10, 15))
        dead = keep_aside(site, "dead")
    put_back(site, dead)
    (site.directory / "journal.db-wal").unlink()
    with opened(site) as node:
        require_read_only(node, "the journal lost some")
        with node.view.reader() as state:
            assert state.counts()["Patient"] == 15
    assert "it shows 15 entries of 10" in {finding.what for finding in verify_node(site.host, site.directory).findings}
    assert verify_node(site.host, site.directory, heal=True).ok
    with opened(site) as node:
        assert node.status().read_only is None


def test_a_lost_journal_is_not_begun_anew(site: Site) -> None:
    """Without its journal a node that has a view refuses to start: a second log under its key would be a fork."""
    (site.directory / "journal.db").unlink()
    with pytest.raises(Damaged, match=r"lost its journal\.db"), opened(site):
        raise AssertionError("a second log was begun")


def test_the_same_copy_on_another_machine_refuses_to_write(site: Site) -> None:
    """The generation file names the machine; here it names another one."""
    generation = site.directory / "generation.json"
    text = generation.read_bytes().replace(site.host.machine_id.encode(), b"0" * 64)
    generation.write_bytes(text)
    with opened(site) as node:
        require_read_only(node, "made on another machine")
