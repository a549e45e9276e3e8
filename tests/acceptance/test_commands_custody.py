"""Custody by its commands alone: sheet, reading back, splitting, joining, rotating, rehearsing, and what is refused."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from commands import Ran, in_this_process, nirantar

Command = Callable[..., Ran]
SHARES = 5


@dataclass(frozen=True)
class Ceremony:
    """A hospital after its first ceremony: sheet printed, read back, split and joined again."""

    place: Path
    doctor_before: Ran
    typed: Ran
    doctor_after: Ran
    tried_shares: Ran
    joined: Ran

    @property
    def vault(self) -> str:
        """Its vault."""
        return (self.place / "vault").as_uri()

    @property
    def identity(self) -> Path:
        """The identity's own file."""
        return self.place / "offline" / "identity"

    def share(self, number: int) -> Path:
        """A share as a file."""
        return self.place / "offline" / "shares" / f"share-{number}.txt"


def typed_rows(page: str) -> str:
    """What a person types from a printed sheet: label, groups and check of each row."""
    rows = re.findall(r"<tr(?: class=\"first\")?><th>([HAB][0-9]?)</th>(.*?)</tr>", page)
    return "\n".join(f"{label} {' '.join(re.findall(r'<td[^>]*>([^<]*)</td>', cells))}" for label, cells in rows)


def observed(report: Ran, what: str) -> dict[str, Any]:
    """What doctor says of one thing."""
    (found,) = [each for each in report.document["observations"] if each["what"] == what]
    return found


@pytest.fixture(scope="module")
def ceremony(tmp_path_factory: pytest.TempPathFactory) -> Ceremony:
    """The whole way once."""
    place = tmp_path_factory.mktemp("custody")
    node, offline, vault = place / "node", place / "offline", (place / "vault").as_uri()
    identity = offline / "identity"
    nirantar("init", node, "--hospital", "City Hospital", "--node", "centre", "--vault", vault, "--identity-out", identity)
    (place / "sealed.ndjson").write_text('{"resourceType": "Patient", "id": "sealed"}\n')
    nirantar("import", node, place / "sealed.ndjson")
    before = nirantar("doctor", node, "--json", code=1)
    nirantar("custody", "sheet", "--identity", identity, "--out", offline / "sheet.html")
    nirantar("custody", "split", "--identity", identity, "--out", offline / "shares", "--call", "IT, 5550100")
    texts = "".join((offline / "shares" / f"share-{number}.txt").read_text() for number in (5, 1, 3))
    rows = typed_rows((offline / "sheet.html").read_text())
    return Ceremony(
        place,
        before,
        nirantar("custody", "check", "--vault", vault, "--json", text=unescape(rows).lower()),
        nirantar("doctor", node, "--json"),
        nirantar("custody", "check", "--vault", vault, "--json", text=texts),
        nirantar(
            "custody", "combine", *(offline / "shares" / f"share-{number}.txt" for number in (4, 2, 1)), "--out",
            offline / "joined", "--json",
        ),
    )


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in this process."""
    return lambda *words: in_this_process(monkeypatch, capsys, *words)


@pytest.fixture
def copy(ceremony: Ceremony, tmp_path: Path) -> Ceremony:
    """The same hospital, to change. (Its node is a copy, so it only reads.)"""
    shutil.copytree(ceremony.place, tmp_path / "copy", copy_function=shutil.copy)
    settings = tmp_path / "copy" / "node" / "nirantar.toml"
    settings.write_text(settings.read_text().replace(str(ceremony.place), str(tmp_path / "copy")))
    return replace(ceremony, place=tmp_path / "copy")


def test_the_sheet_is_red_until_it_was_typed_back(ceremony: Ceremony) -> None:
    """Typing the printed rows proves them against the vault, and doctor is content with the date on record."""
    assert observed(ceremony.doctor_before, "recovery sheet")["verdict"] == "bad"
    assert "has never been read back" in observed(ceremony.doctor_before, "recovery sheet")["sentence"]
    report = ceremony.typed.document
    assert (report["hospital"], report["first_time"]) == ("City Hospital", True)
    assert "centre/live/000000000000-1.segment" in report["opened"]
    assert observed(ceremony.doctor_after, "recovery sheet") == {
        "what": "recovery sheet", "verdict": "good", "sentence": f"It was read back on {report['read_back'][:10]}",
    }


def test_shares_open_the_vault_too_and_the_first_reading_stays(ceremony: Ceremony) -> None:
    """Three shares on standard input prove the same; the date on record is the sheet's."""
    report = ceremony.tried_shares.document
    assert report["first_time"] is False
    assert report["read_back"] == ceremony.typed.document["read_back"]


def test_joined_shares_are_the_identity(ceremony: Ceremony) -> None:
    """Byte for byte the file that init wrote, so recovery needs nothing else."""
    assert (ceremony.place / "offline" / "joined").read_bytes() == ceremony.identity.read_bytes()
    assert ceremony.joined.document["authority"] == ceremony.typed.document["authority"]


def test_every_secret_file_is_its_users_alone(ceremony: Ceremony) -> None:
    """Identity, sheet, shares and what is joined from them are closed to group and others."""
    files = [path for path in (ceremony.place / "offline").rglob("*") if path.is_file()]
    assert len(files) == 3 + 2 * SHARES
    assert {path.stat().st_mode & 0o077 for path in files} == {0}


def test_no_command_prints_a_secret(ceremony: Ceremony) -> None:
    """Neither the identity, nor the authority's key, nor a share's word run is in what any command said."""
    said = "".join(ran.out + ran.err for ran in (
        ceremony.doctor_before, ceremony.typed, ceremony.doctor_after, ceremony.tried_shares, ceremony.joined,
    ))
    lines = ceremony.identity.read_text().splitlines()
    words = ceremony.share(1).read_text().splitlines()[-1]
    for secret in (lines[-1][16:40], lines[-2][-40:], words[:40]):
        assert secret not in said


def test_recovery_from_what_custodians_joined(copy: Ceremony, command: Command) -> None:
    """The whole way: shares to identity, identity and vault to the hospital."""
    ran = command(
        "recover", copy.place / "new", "--vault", copy.vault, "--identity", copy.place / "offline" / "joined", "--json"
    )
    assert (ran.code, ran.err) == (0, "")
    assert (ran.document["ok"], ran.document["resources"]) == (True, {"Patient": 1})


def test_recovery_from_what_somebody_typed(copy: Ceremony, command: Command) -> None:
    """The sheet's rows in a file are an identity to every command that takes one."""
    typed = copy.place / "typed.txt"
    typed.write_text(typed_rows((copy.place / "offline" / "sheet.html").read_text()))
    ran = command("recover", copy.place / "new", "--vault", copy.vault, "--identity", typed, "--json")
    assert (ran.code, ran.document["ok"]) == (0, True)


def test_after_a_rotation_only_the_new_identity_recovers(copy: Ceremony, command: Command) -> None:
    """The new one brings back what was sealed to the old one; the old one is refused; the sheet is unread again."""
    new = copy.place / "offline" / "new"
    opening = ("--vault", copy.vault, "--identity")
    rotated = command("custody", "rotate", "--identity", copy.identity, "--out", new, "--vault", copy.vault, "--json")
    assert (rotated.code, rotated.document["earlier"]) == (0, 1)
    assert new.stat().st_mode & 0o777 == 0o600
    refused = command("recover", copy.place / "old-way", *opening, copy.identity)
    assert (refused.code, "was replaced by a newer one" in refused.err) == (3, True)
    assert not (copy.place / "old-way").exists()
    assert observed(command("doctor", copy.place / "node", "--json"), "recovery sheet")["verdict"] == "bad"
    ran = command("recover", copy.place / "new-node", *opening, new, "--json")
    assert (ran.code, ran.document["resources"]) == (0, {"Patient": 1})
    assert command("verify", *opening, new).code == 0


def test_the_rehearsal_identity_cannot_name_a_node(copy: Ceremony, command: Command) -> None:
    """It is refused where a node would be named, and may not lie in a node's directory."""
    out = copy.place / "offline" / "rehearsal"
    made = command(
        "custody", "rehearsal-identity", "--identity", copy.identity, "--out", out, "--vault", copy.vault, "--json"
    )
    assert (made.code, out.stat().st_mode & 0o777) == (0, 0o600)
    opening = ("--vault", copy.vault, "--identity")
    refused = command("recover", copy.place / "new", *opening, out)
    assert (refused.code, "only the recovery identity can name a node" in refused.err) == (3, True)
    assert command("recover", copy.place / "new", *opening, copy.identity, "--json").code == 0
    shutil.copy(out, copy.place / "new" / "kept-here")
    stopped = command("serve", copy.place / "new")
    assert (stopped.code, "kept-here" in stopped.err) == (3, True)
    report = command("doctor", copy.place / "new", "--json")
    assert (report.code, observed(report, "identity")["verdict"]) == (1, "bad")


REFUSED = {
    # words: (exit code, a part of the sentence)
    "combine {here}/offline/shares/share-1.txt {here}/offline/shares/share-2.txt --out {here}/out": (3, "one more."),
    "combine {here}/offline/shares/share-1.txt {here}/nothing --out {here}/out": (3, "There is no file"),
    "combine {here}/empty --out {here}/out": (3, "There is no share here"),
    "combine {here}/mistyped {here}/offline/shares/share-2.txt {here}/offline/shares/share-3.txt --out {here}/out": (3, "Word 7 of share 1"),
    "combine {here}/again/share-1.txt {here}/offline/shares/share-2.txt {here}/offline/shares/share-3.txt --out {here}/out": (3, "another splitting"),
    "combine {here}/offline/shares/share-1.txt {here}/offline/shares/share-2.txt {here}/offline/shares/share-3.txt --out {here}/empty": (3, "never overwritten"),
    "combine {here}/offline/shares/share-1.txt {here}/offline/shares/share-2.txt {here}/offline/shares/share-3.txt --out {here}/out --hospital Other": (3, "is the hospital's name right?"),
    "combine {here}/long --out {here}/out": (2, "CUSTODY_TEXT_BYTES_MAX"),
    "split --identity {here}/offline/identity --out {here}/out --shares 3 --threshold 4": (2, "4 of 3 cannot be"),
    "split --identity {here}/offline/identity --out {here}/out --threshold 1": (2, "at least 2"),
    "split --identity {here}/offline/identity --out {here}/out --shares 17": (2, "at most 16"),
    "split --identity {here}/offline/identity --out {here}/again": (3, "is not empty"),
    "split --identity {here}/offline/identity --out {here}/out --custodian A": (2, "1 custodian is named for 5 shares"),
    "sheet --identity {here}/offline/identity --out {here}/empty": (3, "never overwritten"),
    "sheet --identity {here}/empty --out {here}/out": (3, "AGE-SECRET-KEY-1"),
    "check {here}/offline/identity --vault file://{here}/vault": (2, "identity's own file"),
    "check {here}/row --vault file://{here}/vault": (3, "Row A1 of the sheet was mistyped"),
    "check {here}/offline/shares/share-1.txt --vault file://{here}/vault": (3, "2 more."),
    "check {here}/typed --vault file://{here}/nowhere": (4, "is its disk mounted?"),
    "check {here}/typed {here}/typed --vault file://{here}/vault": (2, "only shares come as several"),
    "rotate --identity {here}/offline/identity --out {here}/empty --vault file://{here}/vault": (3, "never overwritten"),
    "rotate --identity {here}/offline/identity --out {here}/out --vault file://{here}/vault --vault file://{here}/nowhere": (4, "is its disk mounted?"),
    "rotate --identity {here}/nothing --out {here}/out --vault file://{here}/vault": (3, "There is no identity file"),
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_wrong_input_is_named_and_changes_nothing(copy: Ceremony, command: Command, words: str) -> None:
    """Exit code and sentence say what to do; no file appears and the vault is as it was."""
    here = copy.place
    (here / "empty").write_text("")
    (here / "long").write_text("word " * 20_000)
    shares = copy.share(1).read_text().splitlines()
    (here / "mistyped").write_text("\n".join([*shares[:-1], " ".join(
        word if place != 6 else "yoga" if word != "yoga" else "zero" for place, word in enumerate(shares[-1].split())
    )]))
    assert command("custody", "split", "--identity", copy.identity, "--out", here / "again").code == 0
    rows = typed_rows((here / "offline" / "sheet.html").read_text())
    (here / "typed").write_text(rows)
    (here / "row").write_text(rows.replace("\nA1 ", "\nA1 Q").replace("\nA1 QQ", "\nA1 QP"))
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    exit_code, sentence = REFUSED[words]
    ran = command("custody", *words.format(here=here).split())
    assert (ran.code, sentence in ran.err) == (exit_code, True), ran
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before
