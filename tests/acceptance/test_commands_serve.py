"""`serve` as a process among others: it stops when told, and what an old disk still holds can be entered again."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from commands import nirantar

from nirantar.host.real import RealHost
from nirantar.journal.log import JOURNAL_FILE
from nirantar.journal.reader import JournalReader
from serving_node import found_site, serving

PATIENT = {"resourceType": "Patient", "name": [{"text": "Asha Rao"}]}


@pytest.mark.parametrize(
    ("server", "number"), [("granian", signal.SIGTERM), ("uvicorn", signal.SIGTERM), ("granian", signal.SIGINT)]
)
def test_a_told_stop_seals_and_ends_well(tmp_path: Path, server: str, number: signal.Signals) -> None:
    """Exit code 0, the vault holds everything, the node verifies, and nothing was written to standard error."""
    site = found_site(tmp_path)
    with serving(site, options=("--server", server)) as node:
        for _ in range(3):
            assert node.request("POST", "/fhir/Patient", PATIENT)[0] == 201
        node.process.send_signal(number)
        out, err = node.process.communicate(timeout=60)
    assert (node.process.returncode, err) == (0, ""), out
    assert f"http://127.0.0.1:{node.port}/" in out
    verified = nirantar("verify", site.directory, "--json").document
    assert verified["ok"] is True
    report = nirantar("doctor", site.directory, "--json").document
    assert "holds every entry" in str(report["observations"])


def test_what_the_vault_lacks_is_salvaged_from_the_old_disk(tmp_path: Path) -> None:
    """Entries that were never sealed are listed without content, entered again only on request, and only once."""
    node, vault = tmp_path / "node", (tmp_path / "vault").as_uri()
    nirantar("init", node, "--hospital", "H", "--node", "opd", "--vault", vault)
    (tmp_path / "sealed.ndjson").write_text('{"resourceType": "Patient", "id": "sealed"}\n')
    nirantar("import", node, tmp_path / "sealed.ndjson")
    new = tmp_path / "new"
    nirantar("recover", new, "--vault", vault, "--identity", tmp_path / "node.recovery-identity")
    settings = node / "nirantar.toml"
    settings.chmod(0o600)
    settings.write_text(settings.read_text().replace(f'["{vault}"]', "[]"))
    (tmp_path / "tail.ndjson").write_text(
        '{"resourceType": "Patient", "id": "tail", "gender": "male"}\n'
        '{"resourceType": "Observation", "id": "weight", "status": "final", "code": {"text": "Weight"},'
        ' "subject": {"reference": "Patient/tail"}, "valueQuantity": {"value": 72.50}}\n'
    )
    nirantar("import", node, tmp_path / "tail.ndjson")
    before = (node / JOURNAL_FILE).read_bytes()
    listed = nirantar("salvage", node, new, "--json").document["entries"]
    assert [(each["entry_index"], each["state"], each["signed"], each["touches"]) for each in listed] == [
        (1, "offered", True, ["PUT Patient"]), (2, "offered", True, ["PUT Observation"]),
    ]
    accepted = nirantar("salvage", node, new, "--accept", "all", "--json").document["entries"]
    assert [each["state"] for each in accepted] == ["accepted", "accepted"]
    again = nirantar("salvage", node, new, "--accept", "1,2", "--json").document["entries"]
    assert [each["state"] for each in again] == ["already here", "already here"]
    assert (node / JOURNAL_FILE).read_bytes() == before
    assert nirantar("verify", new, "--json").document["logs"] == {"nirantar.h/opd": 1, "nirantar.h/opd-r1": 2}
    reader = JournalReader(RealHost(), new / JOURNAL_FILE)
    assert b'"value":72.50' in reader.entry("nirantar.h/opd-r1", 1)
    reader.close()
