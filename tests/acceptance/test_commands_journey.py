"""A hospital's life by its commands alone: opened, filled with others' data, proven, lost, recovered, proven again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from commands import Ran, nirantar, read_sheet_back

from nirantar.host.real import RealHost
from nirantar.journal.entry import Entry, decode
from nirantar.journal.log import JOURNAL_FILE
from nirantar.journal.reader import JournalReader
from third_party import SYNTHEA_FILES, SYNTHEA_RESOURCES, bundles, is_synthea

ORIGIN = "nirantar.city-hospital/centre"


@dataclass(frozen=True)
class Journey:
    """Every command that was run, in order, and where."""

    place: Path
    init: Ran
    staff: Ran
    token: Ran
    imported: Ran
    imported_again: Ran
    verified: Ran
    recovered: Ran
    verified_new: Ran
    verified_vault: Ran

    @property
    def old(self) -> Path:
        """The first node."""
        return self.place / "node"

    @property
    def new(self) -> Path:
        """The recovered node."""
        return self.place / "new"


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """The whole way once."""
    place = tmp_path_factory.mktemp("journey")
    node, new, vault = place / "node", place / "new", (place / "vault").as_uri()
    opening = ("--vault", vault, "--identity", place / "node.recovery-identity")
    return Journey(
        place,
        nirantar("init", node, "--hospital", "City Hospital", "--node", "centre", "--vault", vault, "--json"),
        nirantar("staff", node, "ravi", "--role", "it-security", "--name", "Ravi", "--password-stdin", text="seven tall pines\n"),
        nirantar("token", node, "--role", "doctor", "--name", "App"),
        nirantar("import", node, bundles(), "--json"),
        nirantar("import", node, bundles(), "--json"),
        nirantar("verify", node, "--json"),
        nirantar("recover", new, *opening, "--json"),
        nirantar("verify", new, "--json"),
        nirantar("verify", *opening, "--json"),
    )


def source_files() -> list[Path]:
    """The Bundles as they came."""
    return sorted(bundles().glob("*.json"))


def exact(text: bytes) -> Any:
    """JSON with every number as its digits, read by another library than the program's."""
    return json.loads(text, parse_float=lambda digits: ("number", digits))


def counted() -> Counter[str]:
    """Resources of the source by type."""
    return Counter(
        entry["resource"]["resourceType"] for path in source_files() for entry in exact(path.read_bytes())["entry"]
    )


def entries(directory: Path) -> dict[str, tuple[Entry, bytes]]:
    """The entries of the first node's log, by idempotency key, as `directory` holds them."""
    found = {}
    with closing(JournalReader(RealHost(), directory / JOURNAL_FILE)) as reader:
        for index, data, _ in reader.entries(ORIGIN, 0, reader.size(ORIGIN)):
            entry = decode(data, ORIGIN, index)
            assert entry is not None
            found[entry.idempotency_key or f"entry {index}"] = entry, data
    return found


def test_init_names_what_it_made(journey: Journey) -> None:
    """Its object names node, log, identity and vault with its warning; the identity is not in the node's directory."""
    made = journey.init.document
    assert made["origin"] == ORIGIN
    assert made["vaults"][0]["warning"] == "not safe from this machine's administrator"
    identity = Path(made["identity"])
    assert identity.parent == journey.place
    assert identity.stat().st_mode & 0o777 == 0o400
    secret = next(line for line in identity.read_text().splitlines() if line.startswith("AGE-SECRET-KEY-1"))
    for path in journey.old.rglob("*"):
        assert path.is_dir() or secret.encode() not in path.read_bytes(), path


def test_staff_and_token_say_what_to_do_with_them(journey: Journey) -> None:
    """An account is confirmed by login; the token is the last word printed."""
    assert "Ravi can sign in as ravi" in journey.staff.out
    assert len(journey.token.out.split()[-1]) == 43


def test_every_resource_is_imported_once(journey: Journey) -> None:
    """Counts by type are the source's; importing again adds nothing."""
    report = journey.imported.document
    if is_synthea():
        assert (sum(counted().values()), len(source_files())) == (SYNTHEA_RESOURCES, SYNTHEA_FILES)
    assert report["resources"] == dict(counted())
    assert (report["files"], report["rejected"], report["unchanged"]) == (len(source_files()), [], 0)
    again = journey.imported_again.document
    assert (again["resources"], again["unchanged"], again["rejected"]) == ({}, sum(counted().values()), [])
    # The Bundles and one account: nothing more was ever written.
    assert journey.verified.document["logs"] == {ORIGIN: len(source_files()) + 1}


def test_verification_counts_and_finds_nothing(journey: Journey) -> None:
    """Of the node, of the recovered one, and of the vault: ok, with the fields that outsiders script by."""
    for ran in (journey.verified, journey.verified_new, journey.verified_vault):
        report = ran.document
        assert report["ok"] is True
        assert report["findings"] == []
        assert report["resources"] == sum(counted().values()) + 1
    assert journey.verified.document["entries"] == len(source_files()) + 1
    assert journey.verified_vault.document["logs"] == {ORIGIN: len(source_files()) + 1, f"{ORIGIN}-r1": 0}


def test_recovery_is_complete_under_a_new_name(journey: Journey) -> None:
    """Everything that was promised is there and proven; counts by type are the source's."""
    report = journey.recovered.document
    assert report["ok"] is True
    assert (report["node"], report["findings"]) == ("centre-r1", [])
    size = len(source_files()) + 1
    assert report["logs"] == [{"origin": ORIGIN, "entries": size, "proven": size, "lost": 0, "folded": size}]
    assert {kind: count for kind, count in report["resources"].items() if not kind.startswith("Nirantar")} == counted()


def test_every_entry_is_recovered_byte_for_byte(journey: Journey) -> None:
    """The recovered log is the lost one."""
    assert entries(journey.new) == entries(journey.old)


def test_every_resource_keeps_its_content(journey: Journey) -> None:
    """Each of the third party's resources is in the recovered log element by element and digit by digit; only what a
    server must change is changed: ids, versions, and the references between them."""
    found = entries(journey.new)
    practitioners = identified(found)
    compared = 0
    for path in source_files():
        data = path.read_bytes()
        key = sha256(f"operator:import\n{sha256(data).hexdigest()}".encode()).hexdigest()
        entry, _ = found[key]
        sources = exact(data)["entry"]
        names = {
            source["fullUrl"]: f"{change.type}/{change.id}"
            for source, change in zip(sources, entry.changes, strict=True)
            if "fullUrl" in source
        }
        for source, change in zip(sources, entry.changes, strict=True):
            stored = exact(change.resource_bytes or b"")
            assert stored.pop("id") == change.id
            meta = stored.pop("meta")
            assert meta.pop("versionId") == change.version_id
            assert meta.pop("lastUpdated") == entry.recorded_at
            wanted = source["resource"]
            wanted.pop("id", None)
            assert meta == {name: value for name, value in wanted.pop("meta", {}).items() if name != "lastUpdated"}
            assert stored == renamed(wanted, {**practitioners, **names})
            compared += 1
    assert compared == sum(counted().values())


def identified(found: dict[str, tuple[Entry, bytes]]) -> dict[str, str]:
    """What references by identifier mean, by their text."""
    names = {}
    for entry, _ in found.values():
        for change in entry.changes:
            for identifier in exact(change.resource_bytes or b"{}").get("identifier", ()):
                text = f"{change.type}?identifier={identifier.get('system')}|{identifier.get('value')}"
                names[text] = f"{change.type}/{change.id}"
    return names


def renamed(value: Any, names: dict[str, str]) -> Any:
    """A resource with its references as the server has them."""
    if isinstance(value, dict):
        return {
            name: names.get(item, item) if name == "reference" and isinstance(item, str) else renamed(item, names)
            for name, item in value.items()
        }
    return [renamed(item, names) for item in value] if isinstance(value, list) else value


def test_doctor_finds_the_node_well(journey: Journey) -> None:
    """Nothing bad after a clean life, once somebody has read the recovery sheet back; the vault's weakness is told, not
    hidden."""
    report = nirantar("doctor", journey.old, "--json", code=1).document
    assert [each["what"] for each in report["observations"] if each["verdict"] == "bad"] == ["recovery sheet"]
    read_sheet_back(journey.place / "node.recovery-identity", (journey.place / "vault").as_uri())
    report = nirantar("doctor", journey.old, "--json").document
    by_name = {(each["what"], each["verdict"]): each["sentence"] for each in report["observations"]}
    assert report["ok"] is True, report
    assert by_name["vault", "good"].endswith("holds every entry")
    assert "not safe from this machine's administrator" in by_name["vault", "caution"]
    assert not [each for each in report["observations"] if each["verdict"] == "bad"]


def test_people_read_the_same_as_machines(journey: Journey) -> None:
    """Without --json the reports are sentences and tables with the same facts."""
    verified = nirantar("verify", journey.new)
    assert f"{sum(counted().values()) + 1:,} versions" in verified.out
    assert "Whole and unaltered." in verified.out


@pytest.fixture
def unfinished(tmp_path: Path) -> tuple[Path, list[Path]]:
    """A hospital whose import was killed after its first commits."""
    node, files = tmp_path / "node", source_files()[:8] + source_files()[-1:]
    nirantar("init", node, "--hospital", "City Hospital", "--node", "centre", "--vault", (tmp_path / "vault").as_uri())
    command = [sys.executable, "-m", "nirantar.cli", "import", str(node), *map(str, files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process, closing(
        JournalReader(RealHost(), node / JOURNAL_FILE)
    ) as reader:
        while reader.size(ORIGIN) == 0:
            assert process.poll() is None, "the import ended before it wrote"
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    return node, files


def test_a_killed_import_goes_on(unfinished: tuple[Path, list[Path]]) -> None:
    """Repeating it brings what is missing and nothing twice; the node is whole."""
    node, files = unfinished
    wanted = Counter(
        entry["resource"]["resourceType"] for path in files for entry in exact(path.read_bytes())["entry"]
    )
    report = nirantar("import", node, *files, "--json").document
    assert report["rejected"] == []
    assert report["unchanged"] > 0
    assert sum(report["resources"].values()) + report["unchanged"] == sum(wanted.values())
    verified = nirantar("verify", node, "--json").document
    assert (verified["ok"], verified["resources"], verified["entries"]) == (True, sum(wanted.values()), len(files))
