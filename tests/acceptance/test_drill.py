"""`nirantar drill` from outside: real processes, real sockets, one JSON object."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from nirantar.app.drill.attacker import LOCKED, MARKER, lock_files, mark, sabotage_vault
from nirantar.errors import Forbidden

WRITES = 60
SECONDS_MAX = 200


def drill(*options: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report."""
    command = [sys.executable, "-m", "nirantar.cli", "drill", "--json", "--writes", str(WRITES), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            printed, said = process.communicate(timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.terminate()  # It ends its own processes and removes its directories.
            raise
    assert printed.startswith("{"), said
    return process.returncode, json.loads(printed)


def adds_up(report: dict[str, Any]) -> bool:
    """Whether every acknowledged write has one fate."""
    return report["acknowledged"] == report["recovered"] + report["lost"] + report["altered"] >= WRITES


def test_nothing_is_lost_when_the_vault_acknowledges() -> None:
    """With durability vault, an attack in the middle of writing loses and alters nothing, and writing goes on."""
    code, report = drill("--durability", "vault")
    assert code == 0, report
    assert adds_up(report)
    assert (report["lost"], report["altered"], report["at_risk"], report["red"]) == (0, 0, 0, False)
    assert report["entries_verified"] >= report["acknowledged"]
    assert report["requests_refused"] > 0, "the attack did not interrupt anything"
    assert report["resumed"] > 0
    assert report["files_locked"] > 8
    assert 0 < report["seconds_to_first_service"] <= report["seconds_to_full"]
    timeline = report["timeline"]
    assert timeline["watched"]
    assert 0 < timeline["alarm"] <= 2.0, "the alarm left too late, or never"
    assert timeline["alarm"] < timeline["killed"] < timeline["first_service"]
    assert timeline["last_acknowledged"] < timeline["first_service"]
    assert [each["what"].split(" ")[0] for each in report["attempts"]] == [
        "overwrite", "delete", "shorten", "rewind", "flood"
    ]
    assert not any(each["promised"] for each in report["attempts"]), "a directory promises nothing against its user"
    assert all("nobody" in each["by"] for each in report["attempts"] if not each["refused"])
    assert not list(Path(tempfile.gettempdir()).glob("nirantar-scratch-*/client/report.json"))


def test_a_bucket_with_object_lock_refuses_the_attacker_with_the_nodes_credentials() -> None:
    """On a real S3 server nothing that was sealed is overwritten, deleted, hidden, freed earlier or rewound, each with
    who refused it, and everything acknowledged comes back after all of it; that he may add is told as it is."""
    code, report = drill("--durability", "vault", "--vault-kind", "s3")
    assert code == 0, report
    assert adds_up(report)
    assert (report["lost"], report["altered"], report["red"]) == (0, 0, False)
    assert [each["what"].split(" ")[0] for each in report["attempts"]] == [
        "overwrite", "delete", "hide", "shorten", "rewind", "flood"
    ]
    *refused, flood = report["attempts"]
    assert all(each["promised"] and each["refused"] and each["by"] for each in refused), refused
    assert (flood["promised"], flood["refused"]) == (False, False)


def test_a_bucket_is_not_sabotaged() -> None:
    """The control needs a vault that can be damaged from below: another kind is refused before anything starts."""
    command = [sys.executable, "-m", "nirantar.cli", "drill", "--sabotage", "--vault-kind", "s3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "lock would refuse it" in " ".join(done.stderr.split())) == (2, True)


def test_what_only_the_node_acknowledged_is_named_and_nothing_else_is_lost() -> None:
    """With durability node, each write that the vault did not have is at risk by name, and every lost one is among
    them."""
    code, report = drill("--durability", "node")
    assert code == 0, report
    assert adds_up(report)
    assert report["altered"] == 0
    at_risk = {(each["resource"], each["entry_index"]) for each in report["at_risk_writes"]}
    assert len(at_risk) == report["at_risk"]
    assert {(each["resource"], each["entry_index"]) for each in report["lost_writes"]} <= at_risk


@pytest.mark.parametrize("durability", ["vault", "node"])
def test_the_sabotaged_drill_ends_red(durability: str) -> None:
    """With one vault byte flipped and a segment deleted the drill fails, and names both damages and the lost writes."""
    code, report = drill("--sabotage", "--durability", durability)
    assert code == 1
    assert report["sabotage"]
    assert report["red"]
    assert report["sabotage_named"], report["findings"]
    assert adds_up(report)
    first, last = report["sabotaged"]["deleted_entries"]
    lost = {each["entry_index"] for each in report["lost_writes"]}
    assert set(range(first, last + 1)) <= lost


def test_the_attacker_touches_only_marked_directories(tmp_path: Path) -> None:
    """Without the marker file in the directory itself, neither the node's nor the vault's attacker does anything."""
    node, vault = tmp_path / "node", tmp_path / "vault"
    for directory in (node, vault / "opd-1/live"):
        directory.mkdir(parents=True)
        (directory / "precious.segment").write_bytes(b"precious")
    link = tmp_path / "link"
    mark(tmp_path)
    link.symlink_to(tmp_path)
    for attack in (lambda: lock_files(node), lambda: sabotage_vault(vault, "opd-1"), lambda: lock_files(link)):
        with pytest.raises(Forbidden, match=MARKER):
            attack()
    assert {path.read_bytes() for path in tmp_path.rglob("*.segment")} == {b"precious"}


def test_the_attacker_leaves_no_byte_as_it_was(tmp_path: Path) -> None:
    """Every file of a marked directory has other bytes and another name afterwards, read-only ones included."""
    mark(tmp_path)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/node.key").write_bytes(b"secret" * 100)
    (tmp_path / "keys/node.key").chmod(0o400)
    assert lock_files(tmp_path) == 2
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.suffix == LOCKED for path in files)
    assert b"secret" not in (tmp_path / f"keys/node.key{LOCKED}").read_bytes()
    assert lock_files(tmp_path) == 0


@pytest.mark.parametrize("writes", ["0", "-1", "100001"])
def test_a_senseless_number_of_writes_is_refused(writes: str) -> None:
    """The bound is named, and nothing is started."""
    command = [sys.executable, "-m", "nirantar.cli", "drill", f"--writes={writes}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "DRILL_WRITES_MAX" in done.stderr
