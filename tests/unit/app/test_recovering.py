"""Recovery from a vault alone: complete, as of a time, twice over, and never half."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from nirantar.app.node import Node
from nirantar.app.recovering import recover
from nirantar.app.verifying import verify_node, verify_vault
from nirantar.continuity.sealing import Sealer
from nirantar.errors import IdentityWrong, NirantarError, ReadOnly, SetupError, VaultUnavailable
from nirantar.fhir import json
from nirantar.fold.roster import Roster
from nirantar.host.simulated import SimulatedHost
from nirantar.host.times import instant
from nirantar.interactions.operations import create, update
from nirantar.interactions.transaction import Purpose
from nirantar.journal.log import JOURNAL_FILE, JournalWriter
from nirantar.tlog.note import Verifier
from nirantar.vault.encryption import new_identity
from nirantar.vault.keys import RosterKey, SegmentKey
from nirantar.workflows.patient_fields import PersonFields
from nirantar.workflows.patient_resource import IDENTIFIER_TYPES, new_patient
from simulated_site import CALLER, NEW, NODE, ORIGIN, VAULT, Site, found_site, opened, write

PATIENT = {"resourceType": "Patient", "id": "p", "name": [{"family": "One"}]}


@pytest.fixture
def site() -> Iterator[Site]:
    """A hospital with two sealed versions of one patient, an hour apart."""
    with SimulatedHost(5) as host:
        made = found_site(host)
        with opened(made) as node:
            write(node, update(PATIENT), key="first")
        host.advance(3_600_000_000)
        with opened(made) as node:
            write(node, update({**PATIENT, "name": [{"family": "Two"}]}))
        yield made


def family(node: Node) -> str:
    """The patient's name as the node shows it."""
    stored = json.decode(node.doors.read.read(CALLER, "Patient", "p").resource or b"")
    return str(stored["name"][0]["family"])


def test_everything_comes_back_and_goes_on(site: Site) -> None:
    """Complete, proven, verified; the new node writes its own log and issues numbers of a block of its own."""
    report = site.recovered()
    assert (report.ok, report.findings, report.node, report.resources) == (True, [], "opd-r1", {"Patient": 1})
    with opened(site, NEW) as node:
        assert family(node) == "Two"
        assert write(node, update({**PATIENT, "name": [{"family": "Three"}]})).results[0].status == "updated"
        with opened(site, NODE) as old:
            assert old.doors.numbers.take("uhid") != node.doors.numbers.take("uhid")
        assert node.status().recovered_from == (ORIGIN,)
    assert verify_node(site.host, NEW).ok
    assert verify_vault(site.host, [site.vault], site.identity).logs == {ORIGIN: 2, f"{ORIGIN}-r1": 1}


def test_the_patients_numbers_keep_a_system_of_the_hospitals_own(site: Site) -> None:
    """Settings are in no vault: the recovered node takes the system from the newest registration, not from what an
    import brought, and goes on with it."""
    settings = NODE / "nirantar.toml"
    written = site.host.files.read(settings).decode().replace("urn:nirantar:test-hospital:uhid", "https://hospital.test/uhid")
    site.host.files.remove(settings)
    site.host.files.put_new(settings, written.encode())
    strange = {"type": {"coding": [{"system": IDENTIFIER_TYPES, "code": "MR"}]}, "system": "urn:elsewhere", "value": "1"}
    with opened(site) as node:
        system, number = node.papers.configuration.uhid_system, node.doors.numbers.take("uhid")
        person = PersonFields(name="Asha", gender="female", age="30", age_unit="years")
        patient = new_patient(person, number, system, date(2026, 11, 24))
        node.doors.transact.submit(CALLER, [create(patient)], Purpose("register"))
        node.sequencer.step()
        write(node, create({"resourceType": "Patient", "identifier": [strange]}))
    site.recovered()
    with opened(site, NEW) as node:
        assert node.papers.configuration.uhid_system == system == "https://hospital.test/uhid"


def test_what_was_left_under_the_next_rosters_key_does_not_stop_a_recovery(site: Site) -> None:
    """Whoever can add to a vault can take the next serial, and in a locked one nobody can remove it: the new roster gets
    the next free one, the forged one is told, and the recovered node and the next recovery go by the true one."""
    site.vault.put_new(str(RosterKey(2)), b"not a roster")
    report = site.recovered()
    assert [finding.where.endswith(str(RosterKey(2))) for finding in report.findings] == [True]
    assert report.logs[0].proven == 2
    with opened(site, NEW) as node:
        assert family(node) == "Two"
        assert node.papers.roster.serial == 3
        write(node, update({**PATIENT, "name": [{"family": "Three"}]}))
        assert node.status().read_only is None
    again = site.recovered(Path("/again"))
    assert [log.proven for log in again.logs] == [2, 1]


def test_a_repeat_of_an_old_request_finds_its_result_on_the_new_node(site: Site) -> None:
    """Same version, nothing written, and no waiting for a vault; also where writes wait for the vault."""
    site.recovered()
    settings = NEW / "nirantar.toml"
    text = site.host.files.read(settings)
    site.host.files.replace(settings, text.replace(b'durability = "node"', b'durability = "vault"'))
    with opened(site, NEW) as node:
        repeat = write(node, update(PATIENT), key="first")
        assert repeat.replayed
        assert repeat.results[0].version is not None
        assert repeat.results[0].version.version_id == "opd.0"
        assert node.sequencer.size == 0


def test_the_past_is_shown_and_the_rest_kept_as_evidence(site: Site) -> None:
    """As of a time between the versions the first is shown; the log still holds and proves both."""
    report = site.recovered(at=instant(site.host.now_us() - 1_800_000_000))
    assert [(log.entries, log.proven, log.folded) for log in report.logs] == [(2, 2, 1)]
    with opened(site, NEW) as node:
        assert family(node) == "One"
        assert write(node, update({**PATIENT, "name": [{"family": "Other"}]})).results[0].status == "updated"
    verified = verify_node(site.host, NEW)
    assert (verified.ok, verified.logs[ORIGIN], verified.unfolded) == (True, 2, 1)


def test_a_recovered_hospital_is_recovered_again(site: Site) -> None:
    """Names go on (a taken one is passed over), every log comes along, and old keys stay closed."""
    site.recovered(node="opd-r2")
    with opened(site, NEW) as node:
        write(node, update({**PATIENT, "name": [{"family": "Three"}]}))
    report = site.recovered(Path("/third"))
    assert (report.node, report.ok) == ("opd-r3", True)
    assert {log.origin: log.entries for log in report.logs} == {ORIGIN: 2, f"{ORIGIN}-r2": 1}
    roster = Roster.open(
        site.host.files.read(Path("/third/roster.note")), Verifier.parse(site.identity.authority.vkey)
    )
    assert [(grant.node, grant.last_size) for grant in roster.grants] == [("opd", 2), ("opd-r2", 1), ("opd-r3", None)]
    with opened(site, Path("/third")) as node:
        assert family(node) == "Three"


def test_what_a_stolen_key_signs_after_recovery_is_not_folded(site: Site) -> None:
    """A thief with the old node's files goes on sealing into the vault: the next recovery names his entries, and keeps
    them as evidence only."""
    with opened(site, NODE) as old:
        site.recovered()
        write(old, update({**PATIENT, "name": [{"family": "Forged"}]}))
        thief = Sealer(
            site.host, old.reader, old.attachments, ORIGIN, [site.vault], old.custody.recipients,
            publish=lambda _: None, closed=lambda _: None, stop_writing=lambda _: None,
        )
        thief.step()
    report = site.recovered(Path("/third"))
    forged = next(log for log in report.logs if log.origin == ORIGIN)
    assert (forged.entries, forged.folded) == (3, 2)
    assert [finding.kind for finding in report.findings] == ["closed"]
    assert not report.ok
    with opened(site, Path("/third")) as node:
        assert family(node) == "Two"


@pytest.mark.parametrize("forged", [b"{}", b"not json", b'{"v":1}', b'{"v":7}', b'{"attachments":3}', b'{"v":1,"attachments":[1]}'])
@pytest.mark.parametrize("at", [None, "2030-01-01T00:00:00Z"])
def test_an_entry_that_nobody_can_read_does_not_stop_recovery(site: Site, forged: bytes, at: str | None) -> None:
    """Whoever had root on a node may sign rubbish under its name: it is kept, named by verification, and passed over."""
    writer = JournalWriter(site.host, NODE / JOURNAL_FILE, ORIGIN, site.founded.signer)
    writer.begin()
    writer.append(forged)
    writer.commit()
    writer.close()
    with opened(site, NODE):
        pass
    report = site.recovered(at=at)
    assert [(log.entries, log.proven, log.lost) for log in report.logs] == [(3, 3, 0)]
    with opened(site, NEW) as node:
        assert family(node) == "Two"
        assert write(node, create({"resourceType": "Organization", "name": "Ward"})).results[0].status == "created"


def test_a_node_whose_place_was_taken_stops_writing(site: Site) -> None:
    """It learns from the vault's newer roster that its log is closed: at its next sealing, and at every start."""
    with opened(site, NODE) as old:
        site.recovered()
        write(old, update({**PATIENT, "name": [{"family": "Late"}]}))
        old.sealer.step()
        assert "took this node's place" in str(old.status().read_only)
        with pytest.raises(ReadOnly, match="took this node's place"):
            write(old, update(PATIENT))
    with opened(site, NODE) as old:
        assert "took this node's place" in str(old.status().read_only)
    report = site.recovered(Path("/third"))
    assert report.ok, report.findings


def test_a_look_back_in_time_binds_no_later_recovery(site: Site) -> None:
    """`at` hides what came later from the node that it makes, and from no other."""
    report = site.recovered(at="2000-01-01T00:00:00Z")
    assert [log.folded for log in report.logs] == [0]
    report = site.recovered(Path("/third"))
    assert next(log for log in report.logs if log.origin == ORIGIN).folded == 2
    with opened(site, Path("/third")) as node:
        assert family(node) == "Two"


def test_a_damaged_segment_is_named_and_the_rest_is_usable(site: Site) -> None:
    """The first segment is spoiled: its entry is lost by name, what follows is proven, and the node opens and writes."""
    key = next(iter(site.vault.list("opd/live/")))
    path = Path("/vault") / key
    data = site.host.files.read(path)
    site.host.files.replace(path, data[:-1] + bytes([data[-1] ^ 1]))
    report = site.recovered()
    assert not report.ok
    assert [(log.entries, log.proven, log.lost) for log in report.logs] == [(2, 2, 1)]
    assert key in report.findings[0].where
    with opened(site, NEW) as node:
        assert family(node) == "Two"
        write(node, create({"resourceType": "Organization", "name": "Ward"}))
    assert not verify_node(site.host, NEW).ok


def test_a_vault_that_lost_its_end_is_not_called_complete(site: Site) -> None:
    """An object that claims to be a longer segment and is none is a finding by its key; it promises no entries, since
    anybody who can add to a vault could have put it there."""
    last = list(site.vault.list("opd/live/"))[-1]
    site.host.files.remove(Path("/vault") / last)
    assert site.recovered().ok, "nobody else has seen the rest: recovery cannot know it"
    site.vault.put_new(str(SegmentKey("opd", "live", 0, 9)), b"garbage")
    report = site.recovered(Path("/third"))
    assert not report.ok
    assert [finding.where for finding in report.findings] == ["file:///vault opd/live/000000000000-9.segment"]


def test_an_unreachable_vault_is_not_taken_for_loss(site: Site) -> None:
    """A vault that fails in the middle ends recovery, leaves nothing behind, and the next attempt is complete."""
    vault = site.vault
    read = vault.get

    def failing(key: str, start: int = 0, length: int | None = None) -> bytes:
        if key.endswith(".segment") and "000000000001" in key:
            raise VaultUnavailable("It is away.")
        return read(key, start, length)

    vault.get = failing  # type: ignore[method-assign]
    with pytest.raises(VaultUnavailable):
        recover(site.host, [vault], [VAULT], site.identity, NEW)
    assert list(site.host.files.walk(NEW)) == []
    assert site.recovered().ok


@pytest.mark.parametrize("wrong", ["age", "authority", "name", "directory", "time"])
def test_a_wrong_input_changes_nothing(site: Site, wrong: str) -> None:
    """Neither the vault nor the directory is touched by a recovery that cannot be."""
    before = list(site.host.files.walk(Path("/vault")))
    identity, directory, node, at = site.identity, NEW, None, None
    if wrong == "age":
        identity = type(identity)(new_identity()[0], identity.authority)
    elif wrong == "authority":
        identity = type(identity)(identity.age_identity, site.founded.signer)
    elif wrong == "name":
        node = "opd"
    elif wrong == "directory":
        directory = NODE
    else:
        at = "now"
    with pytest.raises((IdentityWrong, SetupError)) as refused:
        recover(site.host, [site.vault], [VAULT], identity, directory, node=node, at=at)
    assert isinstance(refused.value, NirantarError)
    assert list(site.host.files.walk(Path("/vault"))) == before
    assert list(site.host.files.walk(NEW)) == []
