"""Founding: each node with a key, a grant and numbers of its own; a vault belongs to one hospital."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nirantar.app.founding import (
    found_hospital,
    name_node,
    new_signer,
    publish,
    read_published,
    require_empty,
    require_no_hospital,
    write_directory,
)
from nirantar.app.health import health_document
from nirantar.app.node import Node, read_papers
from nirantar.app.service import systemd_unit
from nirantar.app.vaults import open_vault
from nirantar.errors import ConfigInvalid, Damaged, NotFound, ProofInvalid, SetupError
from nirantar.fhir import json
from nirantar.fold.roster import Roster
from nirantar.host.simulated import SimulatedHost
from nirantar.vault.keys import RosterKey
from simulated_site import NODE, Site, found_site


@pytest.fixture
def site() -> Iterator[Site]:
    """A hospital that was just founded."""
    with SimulatedHost(5) as host:
        yield found_site(host)


def test_no_secret_of_the_hospital_is_on_the_node(site: Site) -> None:
    """Neither the age identity nor the authority's key is in its directory or its vault."""
    secrets = (site.identity.age_identity.encode(), site.identity.authority.skey.encode())
    for folder in (NODE, Path("/vault")):
        for path in site.host.files.walk(folder):
            data = site.host.files.read(path)
            assert not any(secret in data for secret in secrets), path


def test_papers_read_back_and_belong_together(site: Site) -> None:
    """Configuration, document, roster and key name the same node."""
    papers = read_papers(site.host, NODE)
    assert papers.origin == "nirantar.test-hospital/opd"
    assert papers.roster == site.founded.roster


def test_a_second_node_gets_everything_of_its_own(site: Site) -> None:
    """Another key, another block of numbers, the next serial; a name is never used again."""
    founded, before = site.founded, site.founded.roster
    signer = new_signer(site.host, founded.document, before, "lab")
    settings = type(founded.configuration)(node="lab", vaults=[], uhid_system="urn:x")
    second = name_node(founded.document, before, site.identity.authority, settings, signer)
    one, two = second.roster.grants
    assert (second.roster.serial, two.node) == (2, "lab")
    assert one.vkey != two.vkey
    assert one.numbers[0].last < two.numbers[0].first
    with pytest.raises(SetupError, match="never used again"):
        new_signer(site.host, founded.document, second.roster, "lab")


def test_a_key_that_the_roster_does_not_name_opens_no_node(site: Site) -> None:
    """A stolen directory with another key, or a roster signed by another authority, is refused."""
    other, _ = found_hospital(site.host, "Test Hospital", "opd", vaults=[], durability="node")
    site.host.files.replace(NODE / "keys/node.key", other.signer.skey.encode())
    with pytest.raises(SetupError, match="does not name the node opd"):
        Node(site.host, NODE)
    site.host.files.replace(NODE / "roster.note", other.roster_note)
    with pytest.raises(ProofInvalid):
        Node(site.host, NODE)


def test_a_vault_belongs_to_one_hospital(site: Site) -> None:
    """The same papers again change nothing; another hospital's are refused; a newcomer is told before it begins."""
    founded = site.founded
    publish(site.vault, founded.document, founded.roster, founded.roster_note)
    other, _ = found_hospital(site.host, "Other", "opd", vaults=[], durability="node")
    with pytest.raises(SetupError, match="another hospital"):
        publish(site.vault, other.document, other.roster, other.roster_note)
    with pytest.raises(SetupError, match="Choose an empty vault"):
        require_no_hospital(site.vault)
    require_no_hospital(open_vault(site.host, "file:///not/there"))
    published = read_published([site.vault], site.identity)
    assert (published.document, published.roster, published.findings) == (founded.document, founded.roster, ())


def test_only_the_authority_says_what_the_newest_roster_is(site: Site) -> None:
    """The highest serial counts, in whatever order; a forged one is told and not believed, an empty vault a sentence."""
    founded = site.founded
    for serial in (12, 3):
        roster = Roster(founded.document.slug, serial, founded.roster.grants)
        site.vault.put_new(str(RosterKey(serial)), roster.sign(site.identity.authority))
    assert read_published([site.vault], site.identity).roster.serial == 12
    site.vault.put_new(str(RosterKey(13)), Roster(founded.document.slug, 13, ()).sign(founded.signer))
    published = read_published([site.vault], site.identity)
    assert (published.roster.serial, len(published.findings)) == (12, 1)
    with pytest.raises(NotFound, match="holds no hospital"):
        read_published([open_vault(site.host, "file:///empty", create=True)], site.identity)


def test_a_directory_is_used_once(site: Site) -> None:
    """Neither an occupied directory nor a node's files are written over."""
    with pytest.raises(SetupError, match="is not empty"):
        require_empty(site.host, NODE)
    with pytest.raises(FileExistsError):
        write_directory(site.host, NODE, site.founded)
    require_empty(site.host, Path("/free"))


def test_a_node_without_its_journal_does_not_begin_another(site: Site) -> None:
    """Also one that has not written yet: its journal was made with it."""
    site.host.files.remove(NODE / "journal.db")
    with pytest.raises(Damaged, match="nirantar recover"):
        Node(site.host, NODE)


@pytest.mark.parametrize("uri", ["", "x", "/vault", "file://", "file://host/vault", "file:vault", "http://x/y"])
def test_a_vault_is_named_in_full(site: Site, uri: str) -> None:
    """Anything that might be mistaken for another place is refused."""
    with pytest.raises(ConfigInvalid, match="file:///absolute/path"):
        open_vault(site.host, uri)


def test_health_tells_the_node_and_nothing_else(site: Site) -> None:
    """The fields are fixed: a monitor scripts by them, and nothing about patients or secrets can come in unseen."""
    node = Node(site.host, NODE)
    document = json.decode(health_document(node.status()))
    node.close()
    assert set(document) == {
        "ok", "hospital", "node", "origin", "version", "entries", "durability", "vaults", "read_only", "recovered_from",
        "started_at", "alarm", "unwatched", "red", "snapshot", "recovery", "last_proven_restore",
    }
    assert document["ok"] is True
    assert document["started_at"].startswith("2026-01-01T00:00:0")
    assert site.founded.signer.skey not in str(document)


def test_a_node_that_only_reads_is_not_well(site: Site) -> None:
    """A monitor sees `ok` false and the sentence."""
    generation = NODE / "generation.json"
    site.host.files.replace(generation, site.host.files.read(generation))
    node = Node(site.host, NODE)
    document = json.decode(health_document(node.status()))
    node.close()
    assert document["ok"] is False
    assert "--accept-move" in document["read_only"]


@pytest.mark.parametrize("directory", ["/srv/nirantar", "/srv/city hospital", '/srv/100%"$HOME'])
def test_the_unit_names_the_directory_as_systemd_reads_it(directory: str) -> None:
    """Blanks, quotes, specifiers and variables in the path stay part of the path."""
    unit = systemd_unit(Path(directory)).decode()
    escaped = directory.replace('"', '\\"').replace("%", "%%")
    (start,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    assert start.endswith(f'"serve" "{escaped.replace("$", "$$")}"')
    assert f'ReadWritePaths="{escaped}"' in unit
    assert "NoNewPrivileges=yes" in unit
