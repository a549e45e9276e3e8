"""Trying, changing and extending custody, with a node that takes what custodians sign, and recovery after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from nirantar import limits
from nirantar.app.ceremony import check_identity, name_rehearsal, rotate, write_identity
from nirantar.app.founding import publish, read_published
from nirantar.app.node import read_papers
from nirantar.app.recovering import recover
from nirantar.app.vaults import open_vault
from nirantar.app.verifying import verify_vault
from nirantar.continuity.identity import RecoveryIdentity, RehearsalIdentity, parse_identity
from nirantar.errors import IdentityWrong, ProofInvalid, SetupError
from nirantar.fold.roster import Roster
from nirantar.host.simulated import SimulatedHost
from nirantar.interactions.operations import create
from nirantar.tlog.note import Signer
from nirantar.vault.encryption import new_identity
from nirantar.vault.keys import HOSPITAL_KEY, CustodyKey, RosterKey, SegmentKey
from nirantar.vault.segments import open_segment
from simulated_site import NEW, NODE, Site, found_site, opened, write

OUT = Path("/offline/new-identity")
MINUTE_US = int(limits.CUSTODY_LOOK_SECONDS * 1e6) + 1
PATIENT = {"resourceType": "Patient"}


@pytest.fixture
def site() -> Iterator[Site]:
    """A hospital with one sealed patient."""
    with SimulatedHost(5) as host:
        made = found_site(host)
        with opened(made) as node:
            write(node, create(PATIENT))
        yield made


def turned(site: Site, out: Path = OUT) -> Site:
    """The hospital after a rotation, in its new identity's hands."""
    rotate(site.host, [site.vault], site.identity, out)
    return replace(site, identity=RecoveryIdentity.parse(site.host.files.read(out)))


def sealed_to(site: Site, first: int, identity: str) -> bool:
    """Whether the segment that begins at this entry opens with this age identity."""
    key = str(SegmentKey("opd", "live", first, 1))
    try:
        open_segment(site.vault.get(key), (identity,), key=key)
    except IdentityWrong:
        return False
    return True


def test_the_page_is_red_until_the_sheet_was_read_back(site: Site) -> None:
    """A running node sees it in the vault within a minute, and holds no secret; the first reading stays on record."""
    with opened(site) as node:
        assert "has never been read back" in node.status().red[0]
        report = check_identity(site.host, [site.vault], site.identity)
        assert report.first_time
        assert "opd/live/000000000000-1.segment" in report.opened
        site.host.advance(MINUTE_US)
        write(node, create(PATIENT))
        node.sealer.step()
        assert node.custody.red() == ()
    again = check_identity(site.host, [site.vault], site.identity)
    assert (again.first_time, again.read_back) == (False, report.read_back)
    with opened(site) as node:
        assert node.custody.red() == ()


def test_another_identity_proves_nothing(site: Site) -> None:
    """A stranger's, or one whose two halves are of different hospitals: refused, and nothing is recorded."""
    stranger = RecoveryIdentity(new_identity()[0], Signer(site.identity.authority.name, b"x" * 32))
    half = RecoveryIdentity(new_identity()[0], site.identity.authority)
    before = list(site.vault.list(""))
    for identity in (stranger, half):
        with pytest.raises(SetupError):
            check_identity(site.host, [site.vault], identity)
    assert list(site.vault.list("")) == before


def test_what_an_attacker_adds_does_not_stop_a_check(site: Site) -> None:
    """A forged segment after the true ones, and noise in the place of the next note, are passed over."""
    site.vault.put_new(str(SegmentKey("opd", "live", 1, 1)), b"forged")
    site.vault.put_new(str(CustodyKey(2)), b"noise")
    report = check_identity(site.host, [site.vault], site.identity)
    assert "opd/live/000000000000-1.segment" in report.opened
    custody = read_published([site.vault], site.identity).custody
    assert custody is not None
    assert (custody.serial, custody.terms.read_back) == (3, report.read_back)


def test_a_running_node_seals_to_the_new_identity(site: Site) -> None:
    """Without a restart; what was sealed before opens with the old one, what comes after with the new one only."""
    with opened(site) as node:
        after = turned(site)
        site.host.advance(MINUTE_US)
        write(node, create(PATIENT))
        node.sealer.step()
        assert "has never been read back" in node.status().red[0]
    assert sealed_to(site, 0, site.identity.age_identity)
    assert sealed_to(site, 1, after.identity.age_identity)
    assert not sealed_to(site, 1, site.identity.age_identity)


def test_recovery_after_a_rotation_needs_the_new_identity_only(site: Site) -> None:
    """Both before and after: everything comes back, twice; the old identity is refused with a sentence."""
    after = turned(site)
    with opened(site) as node:
        write(node, create(PATIENT))
    assert verify_vault(site.host, [site.vault], after.identity).ok
    with pytest.raises(IdentityWrong, match="was replaced by a newer one"):
        site.recovered()
    report = after.recovered()
    assert (report.ok, report.resources) == (True, {"Patient": 2})
    with opened(after, NEW) as node:
        write(node, create(PATIENT))
    last = turned(after, Path("/offline/third"))
    again = last.recovered(Path("/third"))
    assert (again.ok, again.resources) == (True, {"Patient": 3})
    with opened(last, Path("/third")) as node:
        assert node.status().read_only is None


def test_a_node_follows_the_new_authority(site: Site) -> None:
    """It takes the roster that both keys signed. What the old key signs after that closes nothing and blocks nothing;
    a recovery by the new one does close the node's log, also where the node learns of both at once."""
    after = turned(site)
    with opened(site) as node:
        write(node, create(PATIENT))
    roster = read_papers(site.host, NODE).roster
    assert roster.serial == 2
    closed = tuple(msgspec.structs.replace(grant, last_size=0) for grant in roster.grants)
    site.vault.put_new(str(RosterKey(3)), Roster(roster.slug, 3, closed).sign(site.identity.authority))
    with opened(site) as node:
        assert node.status().read_only is None
    assert after.recovered().resources == {"Patient": 2}
    with opened(site) as node:
        assert "A recovery took this node's place" in str(node.status().read_only)


def test_a_node_that_slept_through_everything_is_closed(site: Site) -> None:
    """Rotation and recovery happened while it was off: it takes the new papers and its own closing from them."""
    assert turned(site).recovered().ok
    with opened(site) as node:
        assert "A recovery took this node's place" in str(node.status().read_only)


def test_what_one_vault_took_comes_to_the_others(site: Site) -> None:
    """A rotation at one vault reaches the second through the node, which then alone recovers by the new identity."""
    second = open_vault(site.host, "file:///second", create=True)
    settings = site.host.files.read(NODE / "nirantar.toml").replace(b'["file:///vault"]', b'["file:///vault","file:///second"]')
    site.host.files.replace(NODE / "nirantar.toml", settings)
    with opened(site):
        pass
    after = turned(site)
    with pytest.raises(IdentityWrong, match="replaced"):
        rotate(site.host, [site.vault, second], site.identity, Path("/offline/other"))
    with pytest.raises(SetupError, match="lacks the newest"):
        rotate(site.host, [site.vault, second], after.identity, Path("/offline/other"))
    with opened(site) as node:
        write(node, create(PATIENT))
    report = recover(site.host, [second], ["file:///second"], after.identity, NEW)
    assert (report.ok, report.resources) == (True, {"Patient": 2})


def test_two_changes_at_two_vaults_are_shown_and_stop_nobody(site: Site) -> None:
    """The vaults disagree about a note: the node serves, its page is red and names the vault."""
    second = open_vault(site.host, "file:///second", create=True)
    founded = site.founded
    assert founded.custody is not None
    publish(second, founded.document, founded.roster, founded.roster_note, founded.custody)
    settings = site.host.files.read(NODE / "nirantar.toml").replace(b'["file:///vault"]', b'["file:///vault","file:///second"]')
    site.host.files.replace(NODE / "nirantar.toml", settings)
    check_identity(site.host, [site.vault], site.identity)
    site.host.advance(1_000_000)
    check_identity(site.host, [second], site.identity)
    with opened(site) as node:
        write(node, create(PATIENT))
        node.sealer.step()
        (sentence,) = node.custody.red()
        assert "file:///second holds another custody note 2" in sentence


def test_the_rehearsal_identity_opens_from_then_on(site: Site) -> None:
    """Segments sealed after it was named open with either identity, earlier ones with the recovery identity only; it
    survives a rotation, a newer one takes its place, and it neither recovers nor rotates."""
    out = Path("/offline/rehearsal")
    with opened(site) as node:
        name_rehearsal(site.host, [site.vault], site.identity, out)
        rehearsal = parse_identity(site.host.files.read(out))
        assert isinstance(rehearsal, RehearsalIdentity)
        site.host.advance(MINUTE_US)
        write(node, create(PATIENT))
        node.sealer.step()
    for first, opens in ((0, False), (1, True)):
        assert sealed_to(site, first, rehearsal.age_identity) is opens
        assert sealed_to(site, first, site.identity.age_identity)
    after = turned(site)
    published = read_published([site.vault], rehearsal)
    assert published.identities == (rehearsal.age_identity,)
    assert published.custody is not None
    assert published.custody.recipients == (after.identity.recipient, rehearsal.recipient)
    name_rehearsal(site.host, [site.vault], after.identity, Path("/offline/second"))
    with pytest.raises(IdentityWrong, match="not one that Test Hospital seals its vault to"):
        read_published([site.vault], rehearsal)


def test_everything_that_was_sealed_since_can_be_rehearsed(site: Site) -> None:
    """A hospital that named it before its first entry is verified with the rehearsal identity alone."""
    fresh = SimulatedHost(6)
    with fresh:
        young = found_site(fresh)
        publish(young.vault, young.founded.document, young.founded.roster, young.founded.roster_note, young.founded.custody)
        name_rehearsal(fresh, [young.vault], young.identity, OUT)
        with opened(young) as node:
            write(node, create(PATIENT))
        report = verify_vault(fresh, [young.vault], parse_identity(fresh.files.read(OUT)))
        assert (report.ok, report.entries) == (True, 1)


def test_a_changed_founding_document_is_found(site: Site) -> None:
    """The authority signed for it, name and all: another hospital.json in the vault is refused, and one in a node's own
    directory, too."""
    document = site.vault.get(HOSPITAL_KEY)
    changed = document.replace(b"Test Hospital", b"Best Hospital")
    site.host.files.replace(Path("/vault") / HOSPITAL_KEY, changed)
    with pytest.raises(SetupError, match="not the one that the authority signed for"):
        site.recovered()
    site.host.files.replace(NODE / HOSPITAL_KEY, changed)
    with pytest.raises(ProofInvalid, match="of another hospital"):
        read_papers(site.host, NODE)


def test_a_secret_is_never_written_over(site: Site) -> None:
    """Whatever is there stays; a new file is its user's alone; a rotation that cannot write its identity changes
    nothing."""
    write_identity(site.host, OUT, b"first")
    with pytest.raises(SetupError, match="never overwritten"):
        rotate(site.host, [site.vault], site.identity, OUT)
    assert site.host.files.read(OUT) == b"first"
    assert site.recovered().ok
