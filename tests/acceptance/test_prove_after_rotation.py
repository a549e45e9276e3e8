"""Proofs and recovery reports of a hospital whose authority was replaced: whoever trusts either key can follow."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from commands import Ran, nirantar

from nirantar.cli.identity_file import read_identity
from nirantar.host.real import RealHost
from nirantar.tlog.note import Signer

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/format.md"
NOTE = "custody/00000002.note"


@dataclass(frozen=True)
class Rotated:
    """A chart that was proven after a rotation, and again by the node that was recovered with the new identity; the
    authority's keys, the first one first."""

    place: Path
    vault: str
    proofs: tuple[Path, Path]
    keys: tuple[str, str]


@pytest.fixture(scope="module")
def rotated(tmp_path_factory: pytest.TempPathFactory) -> Rotated:
    """The whole way once: found, write, rotate, prove, recover, prove."""
    place = tmp_path_factory.mktemp("rotated")
    vault, old, new = (place / "vault").as_uri(), place / "safe" / "old", place / "safe" / "new"
    node = place / "node"
    nirantar("init", node, "--hospital", "City Hospital", "--node", "centre", "--vault", vault, "--identity-out", old)
    (place / "patient.ndjson").write_text('{"resourceType": "Patient", "id": "p"}\n')
    nirantar("import", node, place / "patient.ndjson")
    nirantar("custody", "rotate", "--identity", old, "--out", new, "--vault", vault)
    nirantar("prove", node, "Patient/p", "--out", place / "before.zip")
    nirantar("recover", place / "recovered", "--vault", vault, "--identity", new)
    nirantar("prove", place / "recovered", "Patient/p", "--out", place / "after.zip")
    host = RealHost()
    keys = (read_identity(host, old).verifier.vkey, read_identity(host, new).verifier.vkey)
    return Rotated(place, vault, (place / "before.zip", place / "after.zip"), keys)


def script(place: Path) -> Path:
    """The independent check as the document prints it."""
    found = re.search(r"^```python check-chart\n(.*?)^```$", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    path = place / "check_chart.py"
    path.write_text(found[1], encoding="utf-8")
    return path


def by_hand(rotated: Rotated, file: Path, key: str) -> subprocess.CompletedProcess[str]:
    """Run the document's script."""
    command = [sys.executable, "-I", str(script(rotated.place)), str(file), key]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def verified(file: Path, *key: str, code: int = 0) -> Ran:
    """`nirantar verify-proof`."""
    return nirantar("verify-proof", file, *(("--authority", *key) if key else ()), "--json", code=code)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("key", [0, 1])
def test_either_key_verifies_a_proof(rotated: Rotated, number: int, key: int) -> None:
    """By the founding key and by the one in force, by this program and by the document's script; it is named which key
    is in force."""
    file = rotated.proofs[number]
    report = verified(file, rotated.keys[key]).document
    assert report["ok"]
    assert (report["proof"]["authority"], report["proof"]["authority_in_force"]) == (rotated.keys[key], rotated.keys[1])
    assert any("was replaced since" in each for each in report["sentences"]) is (key == 0)
    ran = by_hand(rotated, file, rotated.keys[key])
    assert (ran.returncode, "complete as of" in ran.stdout) == (0, True), ran.stderr


@pytest.mark.parametrize("number", [0, 1])
def test_without_a_key_the_one_in_force_is_to_be_compared(rotated: Rotated, number: int) -> None:
    """What the file itself names is not the founding key, which may have been seen by others, but the newest."""
    report = verified(rotated.proofs[number]).document
    assert (report["proof"]["authority"], report["proof"]["authority_was_given"]) == (rotated.keys[1], False)


def test_a_strangers_key_and_a_missing_handover_prove_nothing(rotated: Rotated, tmp_path: Path) -> None:
    """Nobody else's key is followed, and without the custody note the roster's signature is nobody's."""
    stranger = Signer(rotated.keys[0].split("+", maxsplit=1)[0], b"s" * 32).vkey
    assert not verified(rotated.proofs[1], stranger, code=1).document["ok"]
    assert by_hand(rotated, rotated.proofs[1], stranger).returncode != 0
    cut = tmp_path / "cut.zip"
    with zipfile.ZipFile(rotated.proofs[1]) as whole, zipfile.ZipFile(cut, "w") as less:
        assert NOTE in whole.namelist()
        for name in whole.namelist():
            if name != NOTE:
                less.writestr(name, whole.read(name))
    assert not verified(cut, rotated.keys[0], code=1).document["ok"]
    assert by_hand(rotated, cut, rotated.keys[0]).returncode != 0


@pytest.mark.parametrize("key", [0, 1])
def test_the_recovery_report_is_followed_too(rotated: Rotated, key: int) -> None:
    """The report of a recovery after the rotation verifies by either key, and says that the key was replaced."""
    report = verified(rotated.place / "recovered" / "recovery-report.note", rotated.keys[key]).document
    assert (report["ok"], report["report"]["authority"]) == (True, rotated.keys[1])
    assert len(report["report"]["handovers"]) == 1
    assert any("was replaced before this recovery" in each for each in report["sentences"])


def test_a_strangers_key_does_not_verify_the_report(rotated: Rotated) -> None:
    """A key to which no note leads is another hospital's."""
    stranger = Signer(rotated.keys[0].split("+", maxsplit=1)[0], b"s" * 32).vkey
    ran = verified(rotated.place / "recovered" / "recovery-report.note", stranger, code=1)
    assert "another authority" in ran.document["finding"]


def test_both_nodes_keep_the_handover(rotated: Rotated) -> None:
    """The node that took the rotation from its vault, and the recovered one, can prove without any vault."""
    vault = (rotated.place / "vault" / NOTE).read_bytes()
    assert {(rotated.place / name / NOTE).read_bytes() for name in ("node", "recovered")} == {vault}
