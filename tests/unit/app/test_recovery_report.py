"""What recovery writes of itself: signed in the directory and in the vault, with the losses that it had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from nirantar.app.proof_checking import check_proof
from nirantar.app.recovery_report import REPORT_FILE, REPORT_NOTE_FILE
from nirantar.errors import ProofInvalid
from nirantar.host.simulated import SimulatedHost
from nirantar.interactions.operations import update
from nirantar.vault.keys import RecoveryKey, SegmentKey
from proof_files import PERSON, WEIGHT
from simulated_site import NEW, ORIGIN, Site, found_site, opened, write


@pytest.fixture
def site() -> Iterator[Site]:
    """A hospital whose two entries are in two segments of its vault."""
    with SimulatedHost(5) as host:
        made = found_site(host)
        for resource in (PERSON, WEIGHT):
            with opened(made) as node:
                write(node, update(resource))
        yield made


def test_a_whole_recovery_says_altered_0_missing_0(site: Site) -> None:
    """The note in the vault is the one in the directory, verifies by the authority's key, and the readable file says
    the same."""
    assert site.recovered().ok
    note = site.host.files.read(NEW / REPORT_NOTE_FILE)
    assert site.vault.get(str(RecoveryKey("opd-r1"))) == note
    checked = check_proof(note, site.identity.authority.verifier)
    report = checked.facts["report"]
    assert (checked.kind, checked.ok) == ("recovery", True)
    assert [report[name] for name in ("entries", "recovered", "verified", "altered", "missing")] == [2, 2, 2, 0, 0]
    assert report["resources"] == {"Observation": 1, "Patient": 1}
    assert [(log["origin"], log["signed"], log["shown"]) for log in report["logs"]] == [(ORIGIN, 2, 2)]
    assert msgspec.json.decode(site.host.files.read(NEW / REPORT_FILE)) == msgspec.json.decode(msgspec.json.encode(report))


def test_a_recovery_with_losses_says_so(site: Site) -> None:
    """An altered segment is counted and named, and its entry is missing; the signatures hold, the verdict does not."""
    path = Path("/vault") / str(SegmentKey("opd", "live", 1, 1))
    data = bytearray(site.host.files.read(path))
    data[-1] ^= 1
    site.host.files.replace(path, bytes(data))
    assert not site.recovered().ok
    checked = check_proof(site.host.files.read(NEW / REPORT_NOTE_FILE), site.identity.authority.verifier)
    report = checked.facts["report"]
    assert not checked.ok
    assert [report[name] for name in ("entries", "recovered", "verified", "altered", "missing")] == [2, 1, 1, 1, 1]
    assert any("Altered: 1. Missing: 1." in sentence for sentence in checked.sentences)
    assert [finding["kind"] for finding in report["findings"]] == ["damage", "lost"]


def test_what_is_no_proof_is_refused() -> None:
    """Any other file, an empty one among them, with a sentence."""
    for data in (b"", b"hello", b"nirantar-recover/v1\n"):
        with pytest.raises(ProofInvalid, match="neither"):
            check_proof(data, None)
