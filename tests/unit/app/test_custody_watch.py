"""The node's watch on custody: it asks seldom, follows the authority only, and carries papers from vault to vault."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nirantar import limits
from nirantar.app.ceremony import check_identity, rotate
from nirantar.app.custody_watch import CustodyWatch, authority_in_force, red_of
from nirantar.app.founding import publish
from nirantar.app.vaults import open_vault
from nirantar.continuity.custody import read_back_at
from nirantar.errors import Unavailable
from nirantar.host.simulated import SimulatedHost
from nirantar.tlog.note import Signer
from nirantar.vault.keys import CUSTODY_PREFIX, HOSPITAL_KEY, CustodyKey
from nirantar.vault.port import Vault
from simulated_site import NODE, Site, found_site

MINUTE_US = int(limits.CUSTODY_LOOK_SECONDS * 1e6) + 1


@pytest.fixture
def site() -> Iterator[Site]:
    """A hospital whose vault has its papers."""
    with SimulatedHost(5) as host:
        made = found_site(host)
        founded = made.founded
        publish(made.vault, founded.document, founded.roster, founded.roster_note, founded.custody)
        yield made


def watch_of(site: Site, *, legacy: bool = False) -> CustodyWatch:
    """The watch of the site's node; with `legacy` of one from before there were custody notes."""
    founded = site.founded
    custody = None if legacy else founded.custody
    return CustodyWatch(site.host, NODE, founded.document, custody, founded.roster, founded.roster_note)


def notes(vault: Vault) -> list[str]:
    """The custody notes in a vault."""
    return list(vault.list(CUSTODY_PREFIX))


def test_a_vault_is_asked_once_a_minute(site: Site) -> None:
    """A newer note is taken at the first look and kept in the directory; the next one waits for its minute."""
    watch = watch_of(site)
    watch.look(site.vault)
    assert watch.red()
    check_identity(site.host, [site.vault], site.identity)
    watch.look(site.vault)
    assert watch.red()
    site.host.advance(MINUTE_US)
    watch.look(site.vault)
    assert watch.red() == ()
    assert watch.custody is not None
    assert site.host.files.read(NODE / "custody.note") == watch.custody.note


def test_what_the_authority_did_not_sign_is_not_taken(site: Site) -> None:
    """A stranger's note, and one for another founding document, leave everything as it was."""
    watch, founded = watch_of(site), site.founded.custody
    assert founded is not None
    stranger = type(site.identity)(site.identity.age_identity, Signer(site.identity.authority.name, b"x" * 32))
    site.vault.put_new(str(CustodyKey(2)), read_back_at(founded, stranger, "x", serial=2).note)
    other = type(founded).sign(
        founded.slug, 3, type(founded.terms)("0" * 64, founded.terms.authority, "age1x", 1, b""), site.identity.authority
    )
    site.vault.put_new(str(CustodyKey(3)), other.note)
    watch.look(site.vault)
    assert watch.custody == founded
    assert watch.recipients() == site.founded.document.recipients


def test_papers_go_to_a_vault_that_was_met_and_to_no_other(site: Site) -> None:
    """Looking alone writes nothing into an empty place; once published to, a vault that missed a note gets it."""
    watch, second = watch_of(site), open_vault(site.host, "file:///second", create=True)
    watch.look(second)
    assert list(second.list("")) == []
    watch.publish(second)
    assert notes(second) == ["custody/00000001.note"]
    check_identity(site.host, [site.vault], site.identity)
    watch.look(site.vault)
    site.host.advance(MINUTE_US)
    watch.look(second)
    assert notes(second) == ["custody/00000001.note", "custody/00000002.note"]
    assert second.get(HOSPITAL_KEY) == site.founded.document.encode()


def test_without_a_note_the_founding_document_counts(site: Site) -> None:
    """Its recipients and authority, until the first note comes."""
    watch = watch_of(site, legacy=True)
    assert watch.recipients() == site.founded.document.recipients
    assert watch.authority.vkey == authority_in_force(site.founded.document, None).vkey == site.identity.authority.vkey
    assert watch.red() == red_of(None)
    watch.look(site.vault)
    assert watch.custody == site.founded.custody


def test_a_rotation_is_kept_so_that_proofs_can_be_followed(site: Site) -> None:
    """The note that replaced the authority is in the directory from the look on that took it, and found there again."""
    watch = watch_of(site)
    assert watch.handovers() == ()
    rotate(site.host, [site.vault], site.identity, Path("/safe/new"))
    watch.look(site.vault)
    (handover,) = watch.handovers()
    assert handover.authority.vkey == watch.authority.vkey != site.founded.document.authority
    assert site.host.files.read(NODE / "custody" / "00000002.note") == handover.note
    again = CustodyWatch(
        site.host, NODE, site.founded.document, watch.custody, watch.roster, watch.roster_note
    )
    assert again.handovers() == (handover,)


def test_a_node_that_lacks_a_handover_learns_it_from_a_vault(site: Site) -> None:
    """A node that rotated before it kept them has nothing to prove with until it asked a vault that has them all."""
    rotate(site.host, [site.vault], site.identity, Path("/safe/new"))
    before = watch_of(site)
    before.look(site.vault)
    site.host.files.remove(NODE / "custody" / "00000002.note")
    watch = CustodyWatch(site.host, NODE, site.founded.document, before.custody, before.roster, before.roster_note)
    with pytest.raises(Unavailable, match="are not all here"):
        watch.handovers()
    watch.look(open_vault(site.host, "file:///second", create=True))
    with pytest.raises(Unavailable, match="are not all here"):
        watch.handovers()
    watch.look(site.vault)
    assert len(watch.handovers()) == 1
