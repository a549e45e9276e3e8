"""A chart's proof by the commands alone: from a serving node and from a stopped one, checked without either."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from commands import Ran, in_this_process, nirantar

from nirantar.interactions.credentials import CREDENTIALS_FILE, Credentials
from serving_node import ServingNode, Site, found_site, serving

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/format.md"


@dataclass(frozen=True)
class Proofs:
    """What was made: a proof while the node served, one after it had stopped, and a recovery's report."""

    site: Site
    place: Path
    patient: str
    served: Ran
    stopped: Ran

    @property
    def file(self) -> Path:
        """The proof that the serving node made."""
        return self.place / "served.zip"

    @property
    def authority(self) -> str:
        """The key that the hospital publishes."""
        return self.site.identity.authority.vkey


def created(node: ServingNode, resource: dict[str, Any]) -> str:
    """Post a resource; its id."""
    status, body = node.request("POST", f"/fhir/{resource['resourceType']}", resource)
    assert status == 201, body
    return str(json.loads(body)["id"])


@pytest.fixture(scope="module")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> Proofs:
    """One hospital whose chart is proven twice and which is then recovered."""
    place = tmp_path_factory.mktemp("proofs")
    site = found_site(place)
    with serving(site) as node:
        patient = created(node, {"resourceType": "Patient", "name": [{"family": "Invented"}]})
        created(node, {"resourceType": "Patient", "name": [{"family": "Neighbour"}]})
        created(node, {
            "resourceType": "Observation", "status": "final", "code": {"text": "Weight"},
            "subject": {"reference": f"Patient/{patient}"}, "valueQuantity": {"value": 72.5, "unit": "kg"},
        })
        served = nirantar(
            "prove", site.directory, f"Patient/{patient}", "--out", place / "served.zip", "--reason", "Court 12/2026",
        )
        node.stop()
    stopped = nirantar("prove", site.directory, f"Patient/{patient}", "--out", place / "stopped.zip", "--json")
    identity = place / "identity"
    identity.write_bytes(site.identity.encode("Fault Hospital"))
    nirantar("recover", place / "new", "--vault", site.vault_uri, "--identity", identity, "--json")
    return Proofs(site, place, patient, served, stopped)


def test_a_serving_nodes_proof_verifies_with_nothing_but_the_file(proofs: Proofs, tmp_path: Path) -> None:
    """Copied elsewhere it names the chart's two versions, the log, the time and for whom it was made."""
    assert "The disclosure is journalled" in proofs.served.out
    copy = shutil.copy(proofs.file, tmp_path / "handed-over.zip")
    report = nirantar("verify-proof", copy, "--authority", proofs.authority, "--json").document
    proof = report["proof"]
    assert (report["ok"], report["kind"], proof["subject"]) == (True, "chart", f"Patient/{proofs.patient}")
    assert [each["entry_index"] for each in proof["resources"]] == [2, 0]
    assert proof["positions"] == {"nirantar.fault-hospital/opd-1": 3}
    assert proof["reason"] == "Court 12/2026"
    assert proof["disclosed_by"].startswith("token:nirantar prove by ")
    said = nirantar("verify-proof", copy).out
    assert "is complete as of" in said
    assert "No second node has confirmed that digest" in said
    assert "The authority's key was taken from the file itself" in said


def test_a_stopped_node_makes_one_too_and_the_log_tells_of_both(proofs: Proofs) -> None:
    """The second proof's digest covers the first disclosure: it stands in the log, with the operator's name."""
    assert proofs.stopped.document["subject"] == f"Patient/{proofs.patient}"
    proof = nirantar("verify-proof", proofs.place / "stopped.zip", "--json").document["proof"]
    assert proof["positions"]["nirantar.fault-hospital/opd-1"] > 3
    assert proof["disclosed_by"].startswith("operator:")


def test_the_token_of_the_command_is_withdrawn(proofs: Proofs) -> None:
    """No credential is left behind by which somebody could go on acting as medical records."""
    credentials = Credentials(proofs.site.host, proofs.site.directory / CREDENTIALS_FILE)
    left = credentials._connection.execute("SELECT role FROM credential").fetchall()
    credentials.close()
    assert left == [("integration",)]


def test_a_file_that_was_changed_proves_nothing(
    proofs: Proofs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One byte, another authority, another file: exit code 1 and one sentence, in JSON too."""
    data = bytearray(proofs.file.read_bytes())
    data[len(data) // 2] ^= 1
    changed = tmp_path / "changed.zip"
    changed.write_bytes(data)
    ran = in_this_process(monkeypatch, capsys, "verify-proof", changed)
    assert (ran.code, "a byte was changed" in ran.err) == (1, True)
    ran = in_this_process(monkeypatch, capsys, "verify-proof", changed, "--json")
    assert (ran.code, ran.document["ok"]) == (1, False)
    other = proofs.site.identity.authority.vkey.replace("fault-hospital", "other-hospital")
    ran = in_this_process(monkeypatch, capsys, "verify-proof", proofs.file, "--authority", other)
    assert (ran.code, "verifier key" in ran.err) == (2, True)
    ran = in_this_process(monkeypatch, capsys, "verify-proof", tmp_path / "nothing")
    assert ran.code == 3


def test_what_cannot_be_proven_is_refused(
    proofs: Proofs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another type, an impossible id, a patient who is not here, a file that is there: a sentence, and nothing new."""
    for words, code, why in (
        (("Observation/x",), 2, "Name the patient as Patient/<id>"),
        (("Patient/..%2f",), 2, "Name the patient as Patient/<id>"),
        (("Patient/nobody",), 3, "There is no Patient/nobody"),
        ((f"Patient/{proofs.patient}", "--reason", " "), 2, "for whom and why"),
    ):
        ran = in_this_process(
            monkeypatch, capsys, "prove", proofs.site.directory, *words, "--out", tmp_path / "out.zip"
        )
        assert (ran.code, why in ran.err) == (code, True), ran
    assert not (tmp_path / "out.zip").exists()
    ran = in_this_process(
        monkeypatch, capsys, "prove", proofs.site.directory, f"Patient/{proofs.patient}", "--out", proofs.file
    )
    assert (ran.code, "not overwritten" in ran.err) == (2, True)


def test_a_serving_node_that_gives_no_answer_is_named(
    proofs: Proofs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The directory is in use and nobody answers where it says, or where --url says: try later, nothing is written."""
    site = proofs.site
    with site.host.files.lock(site.directory / "lock"):
        for more, code, why in (
            ((), 4, "gives no answer"), (("--url", "http://127.0.0.1:9"), 4, "gives no answer"),
            (("--url", "http://127.0.0.1:port"), 2, "is not an address"),
        ):
            ran = in_this_process(
                monkeypatch, capsys, "prove", site.directory, f"Patient/{proofs.patient}", "--out", tmp_path / "out", *more
            )
            assert (ran.code, why in ran.err) == (code, True), ran
        (site.directory / "address").rename(tmp_path / "address")
        ran = in_this_process(
            monkeypatch, capsys, "prove", site.directory, f"Patient/{proofs.patient}", "--out", tmp_path / "out"
        )
        assert (ran.code, "name its address with --url" in ran.err) == (4, True)
    assert not (tmp_path / "out").exists()
    test_the_token_of_the_command_is_withdrawn(proofs)


def test_a_recoverys_signed_report_verifies(proofs: Proofs) -> None:
    """The note in the vault says what was recovered, altered 0, missing 0, and is the one in the node's directory."""
    note = proofs.site.vault / "opd-1-r1" / "recovery.note"
    assert note.read_bytes() == (proofs.place / "new" / "recovery-report.note").read_bytes()
    report = nirantar("verify-proof", note, "--authority", proofs.authority, "--json").document
    assert (report["ok"], report["kind"], report["report"]["altered"], report["report"]["missing"]) == (
        True, "recovery", 0, 0,
    )
    assert report["report"]["entries"] == report["report"]["verified"] >= 5


def test_the_documents_script_checks_it_with_nothing_of_ours(proofs: Proofs, tmp_path: Path) -> None:
    """The script printed in docs/format.md proves the file with the standard library and `cryptography`, and finds a
    changed byte."""
    found = re.search(r"^```python check-chart\n(.*?)^```$", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    script = tmp_path / "check_chart.py"
    script.write_text(found[1], encoding="utf-8")
    assert "nirantar" not in "".join(line for line in found[1].splitlines() if "import" in line)

    def run(file: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", str(script), str(file), proofs.authority]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    ran = run(proofs.file)
    assert ran.returncode == 0, ran.stderr
    assert f"Patient/{proofs.patient}: 2 versions, complete as of " in ran.stdout
    members = shutil.copy(proofs.file, tmp_path / "changed.zip")
    data = bytearray(members.read_bytes())
    place = data.index(b"72.5")
    data[place] ^= 1
    members.write_bytes(data)
    assert run(members).returncode != 0
