"""`nirantar rehearse` from outside: a restore that is proven, one that is not, and what the hospital sees of either."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from commands import Ran, nirantar

from nirantar.app.configuration import CONFIGURATION_FILE
from nirantar.app.node import Node
from nirantar.continuity.certificate import open_certificate
from nirantar.host.real import RealHost
from nirantar.interactions.authorize import Caller
from nirantar.interactions.operations import create
from nirantar.interactions.transaction import Purpose
from nirantar.tlog.note import Verifier

CALLER = Caller("token:test", "Test", "integration", "api")
SLUG = "city-hospital"


@dataclass(frozen=True)
class Hospital:
    """Two patients were sealed before the rehearsal identity was named, one after it, then a snapshot was taken."""

    place: Path

    @property
    def node(self) -> Path:
        """Its node."""
        return self.place / "node"

    @property
    def vault(self) -> Path:
        """Its vault."""
        return self.place / "vault"

    @property
    def certificates(self) -> list[Path]:
        """What the vault holds of rehearsals."""
        return sorted((self.vault / "rehearsal").glob("*.note"))

    def rehearse(
        self, identity: str = "rehearsal-identity", *more: str, registrations: int = 20, code: int = 0
    ) -> Ran:
        """Rehearse with an identity of the safe."""
        return nirantar(
            "rehearse", "--vault", self.vault.as_uri(), "--identity", self.place / "safe" / identity, "--work",
            self.place / "isolated", f"--registrations={registrations}", "--json", *more, code=code,
        )


@contextmanager
def working(directory: Path) -> Iterator[Node]:
    """The node at work, sealed at the end."""
    node = Node(RealHost(), directory)
    try:
        node.start()
        yield node
    finally:
        node.close()


def register(node: Node, family: str) -> None:
    """One patient."""
    node.doors.transact(CALLER, [create({"resourceType": "Patient", "name": [{"family": family}]})], Purpose("register"))


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    """The hospital, made once."""
    hospital = Hospital(tmp_path_factory.mktemp("rehearse"))
    safe, vault = hospital.place / "safe", hospital.vault.as_uri()
    nirantar(
        "init", hospital.node, "--hospital", "City Hospital", "--node", "centre", "--vault", vault, "--identity-out",
        safe / "identity",
    )
    with working(hospital.node) as node:
        register(node, "Before")
        register(node, "Earlier")
    nirantar(
        "custody", "rehearsal-identity", "--identity", safe / "identity", "--out", safe / "rehearsal-identity",
        "--vault", vault,
    )
    with working(hospital.node) as node:
        register(node, "After")
        assert node.snapshotter is not None
        node.snapshotter.step()
        register(node, "Tail")
    return hospital


@pytest.fixture
def hospital(founded: Hospital, tmp_path: Path) -> Hospital:
    """The same vault and safe, to change; its node is a copy, whose doctor can be asked."""
    shutil.copytree(founded.place, tmp_path / "copy", copy_function=shutil.copy)
    settings = tmp_path / "copy" / "node" / CONFIGURATION_FILE
    settings.write_text(settings.read_text().replace(str(founded.place), str(tmp_path / "copy")))
    return replace(founded, place=tmp_path / "copy")


def observed(hospital: Hospital) -> dict[str, Any]:
    """What doctor says of the last proven restore. (Of a copy it also says that it is one.)"""
    report = nirantar("doctor", hospital.node, "--json", code=1)
    (found,) = [each for each in report.document["observations"] if each["what"] == "last proven restore"]
    return dict(found)


def registered(hospital: Hospital, machine: str) -> None:
    """Put the machine's key into the node's settings."""
    settings = hospital.node / CONFIGURATION_FILE
    settings.write_text(settings.read_text().replace('rehearsal_verifier = ""', f'rehearsal_verifier = "{machine}"'))


def test_what_the_rehearsal_identity_opens_is_restored_from_the_snapshot(hospital: Hospital) -> None:
    """All four patients are back, though two are older than the identity: the snapshot shows them, and everything later
    was opened. The signed note in the vault says what was printed."""
    certificate = hospital.rehearse().document["certificate"]
    assert certificate["findings"] == []
    assert certificate["proven"] is True
    assert (certificate["restored_by"], certificate["identity"]) == ("snapshot", "rehearsal")
    assert certificate["resources"] == {"Patient": 4}
    (log,) = certificate["logs"]
    assert (log["sealed_before"], log["missing"], log["entries"] - log["opened"]) == (2, 0, 2)
    assert certificate["snapshot"]["node"] == "centre"
    assert 0 < certificate["seconds_to_first_patient"] <= certificate["seconds_to_full"]
    assert certificate["work"]["registrations"] == 20
    (note,) = hospital.certificates
    opened = open_certificate(note.read_bytes(), Verifier.parse(certificate["machine"]), SLUG)
    assert (opened.proven, opened.view_digest) == (True, certificate["view_digest"])


def test_it_publishes_nothing_and_leaves_no_patient_behind(hospital: Hospital) -> None:
    """The vault gains one certificate and nothing else, the work directory keeps a key that is its user's alone and no
    record, and the next rehearsal opens no segment twice."""
    def held() -> set[Path]:
        return {path.relative_to(hospital.vault) for path in hospital.vault.rglob("*") if path.is_file()}

    before = held()
    first = hospital.rehearse().document["certificate"]
    assert {path.parent.name for path in held() - before} == {"rehearsal"}
    assert len(held() - before) == 1
    left = {path.name for path in (hospital.place / "isolated").iterdir()}
    assert left == {"rehearsal.key", "opened", "lock"}
    assert (hospital.place / "isolated" / "rehearsal.key").stat().st_mode & 0o777 == 0o600
    again = hospital.rehearse().document["certificate"]
    assert (first["segments_opened"] > 0, again["segments_opened"], again["machine"]) == (True, 0, first["machine"])


def test_no_node_is_bound_by_it(founded: Hospital) -> None:
    """The live node, which a recovery would have closed, goes on writing after a rehearsal, and its page has the
    certificate once the machine is registered."""
    certificate = founded.rehearse("rehearsal-identity", "--custodian-minutes", "42").document["certificate"]
    assert (certificate["proven"], certificate["custodian_minutes"]) == (True, 42)
    with working(founded.node) as node:
        register(node, "Later")
        assert node.status().read_only is None
        assert any("No restore was ever proven" in each for each in node.status().red)
    registered(founded, certificate["machine"])
    with working(founded.node) as node:
        shown = node.status().last_proven_restore
        assert shown is not None
        assert (shown.at, shown.custodian_minutes) == (certificate["finished_at"], 42)
        assert not any("restore" in each for each in node.status().red)


def test_the_recovery_identity_works_and_is_warned_of(hospital: Hospital) -> None:
    """It opens everything, so every entry is folded afresh and the snapshot compared with the fold; it is said where it
    belongs."""
    out = hospital.place / "certificate"
    ran = hospital.rehearse("identity", "--certificate-out", str(out))
    certificate = ran.document["certificate"]
    assert "belongs on paper" in ran.err
    assert (certificate["proven"], certificate["restored_by"], certificate["identity"]) == (True, "log", "recovery")
    assert certificate["snapshot"]["folded_too"] is True
    assert sum(each["sealed_before"] for each in certificate["logs"]) == 0
    assert out.read_bytes() == hospital.certificates[-1].read_bytes()


@pytest.mark.parametrize("identity", ["identity", "rehearsal-identity"])
@pytest.mark.parametrize("what", ["centre/live/*.segment", "centre/pack/*"])
def test_a_damaged_vault_is_not_proven(hospital: Hospital, identity: str, what: str) -> None:
    """One byte of the newest segment, or of a snapshot's pack: exit code 1, nothing is signed as good, and the node is
    told. A good one later is believed again."""
    path = max(hospital.vault.glob(what))
    whole = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    certificate = hospital.rehearse(identity, code=1).document["certificate"]
    assert certificate["proven"] is False
    assert certificate["findings"]
    notes = [
        open_certificate(each.read_bytes(), Verifier.parse(certificate["machine"]), SLUG)
        for each in hospital.certificates
    ]
    assert [each.proven for each in notes[-1:]] == [False]
    registered(hospital, certificate["machine"])
    assert (observed(hospital)["verdict"], "did not prove a restore" in observed(hospital)["sentence"]) == ("bad", True)
    path.write_bytes(whole)
    hospital.rehearse(identity)
    assert observed(hospital)["verdict"] == "good"


def test_without_a_snapshot_older_entries_are_not_proven(hospital: Hospital) -> None:
    """What the identity cannot open and no snapshot shows is named, with what to do."""
    for path in (hospital.vault / "centre" / "snapshot").iterdir():
        path.unlink()
    (finding,) = hospital.rehearse(code=1).document["certificate"]["findings"]
    assert "sealed before this identity was named" in finding["what"]


def test_wrong_inputs_certify_nothing(hospital: Hospital, tmp_path: Path) -> None:
    """Another hospital's identity, no identity, a work directory around the vault, a file that is there: a sentence
    and its exit code, and no certificate anywhere."""
    before = hospital.certificates
    nirantar(
        "init", tmp_path / "other", "--hospital", "Other", "--node", "n", "--vault", (tmp_path / "v").as_uri(),
        "--identity-out", hospital.place / "safe" / "other",
    )
    (tmp_path / "there").write_text("mine")
    for identity, more, code, why in (
        ("other", (), 3, "belongs to another hospital"),
        ("nothing", (), 3, "There is no identity file"),
        ("identity", ("--certificate-out", str(tmp_path / "there")), 2, "not overwritten"),
        ("identity", ("--custodian-minutes=-1",), 2, "key in hand"),
    ):
        ran = hospital.rehearse(identity, *more, code=code)
        assert why in " ".join(ran.err.split()), ran
    assert "REHEARSAL_REGISTRATIONS_MAX" in hospital.rehearse(registrations=-1, code=2).err
    ran = nirantar(
        "rehearse", "--vault", hospital.vault.as_uri(), "--identity", hospital.place / "safe" / "identity", "--work",
        hospital.place, code=3,
    )
    assert "lie within each other" in " ".join(ran.err.split())
    assert hospital.certificates == before
