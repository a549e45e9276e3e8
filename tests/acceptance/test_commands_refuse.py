"""Wrong inputs: each has an exit code that means something, a sentence that says what to do, and no consequences."""

from __future__ import annotations

import random
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Ran, in_this_process, nirantar, read_sheet_back

from nirantar.cli.__main__ import COMMANDS
from nirantar.continuity import guard
from nirantar.host.real import RealHost
from nirantar.vault.keys import HOSPITAL_KEY
from serving_node import found_site, serving

Command = Callable[..., Ran]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command."""
    return lambda *words: in_this_process(monkeypatch, capsys, *words)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with two hospitals, `node` and `other`, each with its vault and identity."""
    place = tmp_path_factory.mktemp("two")
    for name, vault in (("node", "vault"), ("other", "other-vault")):
        nirantar("init", place / name, "--hospital", f"{name} Hospital", "--node", "opd", "--vault", (place / vault).as_uri())
        read_sheet_back(place / f"{name}.recovery-identity", (place / vault).as_uri())
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """A copy to spoil, together with an empty vault and files that are nothing."""
    shutil.copytree(made, tmp_path / "here", copy_function=shutil.copy)
    here = tmp_path / "here"
    # `other` may write here; `node` stays a copy.
    guard.bind(RealHost(), here / "other" / "generation.json")
    (here / "empty-vault").mkdir()
    (here / "file").write_text("x")
    (here / "directory").mkdir()
    (here / "directory" / "thing").write_text("x")
    (here / "wrong.json").write_text('{"resourceType": "Patient", "gender": "x"}')
    (here / "no-authority").write_text((here / "node.recovery-identity").read_text().replace("# authority", "# other"))
    lines = (here / "node.recovery-identity").read_text().splitlines()
    others = (here / "other.recovery-identity").read_text().splitlines()
    (here / "mixed").write_text("\n".join([*lines[:-1], others[-1]]))
    (here / "mangled").write_text("\n".join([*lines[:-2], lines[-2][:-4] + "AAA=", lines[-1]]))
    return here


INIT = "init {here}/new --hospital H --node opd --vault file://{here}/fresh"
OPENING = "--vault file://{here}/vault --identity {here}/node.recovery-identity"

REFUSED = {
    # words: (exit code, a part of the sentence)
    "bogus": (2, "Unknown command"),
    "verify --bogus": (2, "Unknown option"),
    "init": (2, "requires an argument"),
    "init {here}/new --hospital H --node opd": (2, "--vault"),
    INIT + " --durability disk": (2, "durability"),
    INIT.replace("{here}/new", "{here}/directory"): (3, "is not empty (it holds thing)"),
    INIT.replace("{here}/new", "{here}/node"): (3, "is not empty"),
    INIT.replace("{here}/new", "{here}/file"): (3, "file"),
    INIT.replace("{here}/new", "/proc/nirantar"): (3, "Check the path and who may write there"),
    INIT.replace("--node opd", "--node OPD"): (3, "all in lower case"),
    INIT.replace("--node opd", "--node roster"): (3, "cannot name a node"),
    INIT.replace("file://{here}/fresh", "s3://No.Bucket"): (3, "is not a bucket"),
    INIT.replace("file://{here}/fresh", "{here}/fresh"): (3, "file:///absolute/path"),
    INIT.replace("{here}/fresh", "{here}/other-vault"): (3, "belongs to a hospital already"),
    INIT + " --identity-out {here}/new/key": (3, "must not lie in the node's directory"),
    INIT + " --identity-out {here}/file": (3, "never overwritten"),
    "token {here}/node --role surgeon --name App": (2, "Roles: registration-clerk"),
    "token {here}/directory --role doctor --name App": (3, "is not a Nirantar node"),
    "token {here}/nowhere --role doctor --name App": (3, "is not a Nirantar node"),
    "doctor {here}/nowhere": (3, "is not a Nirantar node"),
    "serve {here}/nowhere": (3, "is not a Nirantar node"),
    "serve {here}/other --port 0": (3, "a port is 1 to 65535"),
    "serve {here}/other --port 99999": (3, "a port is 1 to 65535"),
    "import {here}/other {here}/nothing.json": (3, "There is no"),
    "import {here}/other {here}/wrong.json": (2, ""),
    "verify": (2, "Name a node's directory"),
    "verify {here}/node " + OPENING: (2, "Name a node's directory"),
    "verify --vault file://{here}/vault": (2, "--identity FILE"),
    "verify --vault file://{here}/vault --identity {here}/nothing": (3, "There is no identity file"),
    "verify --vault file://{here}/vault --identity {here}": (3, "is a directory"),
    "verify --vault file://{here}/vault --identity {here}/file": (3, "AGE-SECRET-KEY-1"),
    "verify --vault file://{here}/vault --identity {here}/no-authority": (3, "authority"),
    "verify --vault file://{here}/vault --identity {here}/mangled": (3, "mistyped"),
    "verify --vault file://{here}/other-vault --identity {here}/node.recovery-identity": (3, "another hospital"),
    "verify --vault file://{here}/empty-vault --identity {here}/node.recovery-identity": (3, "holds no hospital"),
    "verify --vault file://{here}/nowhere --identity {here}/node.recovery-identity": (4, "is its disk mounted?"),
    "recover {here}/directory " + OPENING: (3, "is not empty"),
    "recover {here}/new " + OPENING + " --at yesterday": (3, "For example"),
    "recover {here}/new " + OPENING + " --at 2026-11-23T07:00:00": (3, "no UTC offset"),
    "recover {here}/new " + OPENING + " --node opd": (3, "never used again"),
    "recover {here}/new " + OPENING + " --node Opd": (3, "all in lower case"),
    "recover {here}/new --vault file://{here}/other-vault --identity {here}/node.recovery-identity": (3, "another hospital"),
    "recover {here}/new --vault file://{here}/vault --identity {here}/mixed": (3, "not one that node Hospital seals"),
    "recover {here}/new --vault file://{here}/vault --identity {here}/nothing": (3, "There is no identity file"),
    "recover {here}/new --vault file://{here}/empty-vault --identity {here}/node.recovery-identity": (3, "holds no hospital"),
    "recover {here}/vault/new --vault file://{here}/vault --identity {here}/node.recovery-identity": (3, "lie within each other"),
    "init {here}/new --hospital H --node opd --vault file://{here}/new-vault --identity-out {here}/new-vault/identity": (3, "lie within each other"),
    "init {here}/new --hospital H --node opd --vault file://{here}/twice --vault file://{here}/twice": (2, "named twice"),
    "init {here}/new --hospital H --node opd --vault file://{here}/new-vault --systemd-unit-out {here}/wrong.json": (3, "wrong.json exists already"),
    "salvage {here}/nowhere {here}/other": (3, "nothing can be salvaged"),
    "salvage {here}/node {here}/other --accept some": (2, "write `all`"),
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_wrong_input_is_refused_whole(command: Command, place: Path, words: str) -> None:
    """Exit code and sentence, and no new node, vault, identity or roster is left behind."""
    before = names(place)
    code, sentence = REFUSED[words]
    ran = command(*(word.replace("{here}", str(place)) for word in words.split()))
    assert ran.code == code, ran
    assert sentence in ran.err or sentence in " ".join(ran.out.split()), ran
    assert "Traceback" not in ran.err
    assert not {name for name in names(place) - before if not name.startswith(("other/", "node/credentials.db"))}


def names(place: Path) -> set[str]:
    """Every file and directory of a place."""
    return {path.relative_to(place).as_posix() for path in place.rglob("*")}


def test_without_a_terminal_no_password_is_asked_for(place: Path) -> None:
    """A script that forgot --password-stdin is told so, and nothing that could be a password is ever shown."""
    words = ("staff", place / "other", "asha", "--role", "doctor", "--name", "Asha")
    for typed in ("", "seven tall pines\nseven tall pines\n"):
        ran = nirantar(*words, text=typed, code=2, terminal=False)
        assert "--password-stdin" in ran.err
        assert "Password" not in ran.out + ran.err


def test_a_second_vault_that_is_taken_spoils_no_first(command: Command, place: Path) -> None:
    """With two vaults, one of another hospital, neither is begun: the same call works after the mistake is mended."""
    words = ("init", place / "new", "--hospital", "H", "--node", "opd", "--vault", (place / "fresh").as_uri())
    assert command(*words, "--vault", (place / "other-vault").as_uri()).code == 3
    assert not (place / "fresh" / HOSPITAL_KEY).exists()
    assert command(*words).code == 0
    assert command("verify", place / "new").code == 0


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("port = 8080", "port = 8080\ncolour = 'red'", "colour"),
        ("port = 8080", "port = 'high'", "port"),
        ("port = 8080", "port = 70000", "a port is 1 to 65535"),
        ("port = 8080", "port 8080", "nirantar.toml"),
        ('durability = "node"', 'durability = "moon"', "durability"),
        ('node = "opd"', "", "node"),
        ('node = "opd"', 'node = "ward"', "does not name the node ward"),
        ("vaults = [", 'vaults = ["ftp://x", ', "file:///absolute/path"),
    ],
)
def test_a_wrong_setting_is_named(command: Command, place: Path, old: str, new: str, sentence: str) -> None:
    """Unknown, of the wrong kind, out of bounds or missing: the sentence names the setting, and nothing starts."""
    path = place / "node" / "nirantar.toml"
    text = path.read_text()
    assert old in text
    path.chmod(0o600)
    path.write_text(text.replace(old, new))
    ran = command("import", place / "node", place / "wrong.json")
    assert (ran.code, sentence in ran.err) == (3, True), ran


@pytest.mark.parametrize("name", ["hospital.json", "roster.note", "keys/node.key"])
def test_a_missing_paper_is_named(command: Command, place: Path, name: str) -> None:
    """Without its papers a directory is no whole node."""
    (place / "node" / name).unlink()
    ran = command("doctor", place / "node")
    assert (ran.code, name.rpartition("/")[2] in ran.err) == (3, True), ran


def test_a_lost_journal_is_not_begun_again(command: Command, place: Path) -> None:
    """Verification says that it is gone, and the node refuses to start a second log under its old name."""
    (place / "node" / "journal.db").unlink()
    verified = command("verify", place / "node")
    assert (verified.code, "journal.db is gone" in verified.out) == (1, True), verified
    ran = command("import", place / "node", place / "wrong.json")
    assert (ran.code, "nirantar recover" in ran.err) == (1, True), ran
    assert not (place / "node" / "journal.db").exists()


def test_a_copy_only_reads_until_a_person_says_that_it_moved(command: Command, place: Path) -> None:
    """The copied directory that these tests use is itself such a copy."""
    refused = command("staff", place / "node", "asha", "--role", "doctor", "--name", "Asha", "--disable")
    assert refused.code in (2, 4)
    assert command("doctor", place / "node").code == 1
    (place / "node").chmod(0o700)
    assert command("doctor", place / "node", "--accept-move").code == 0


def test_one_directory_serves_once_and_a_taken_port_is_said(command: Command, tmp_path: Path) -> None:
    """While a node serves, whatever needs it alone is refused with what to do; what only looks works."""
    site = found_site(tmp_path)
    with serving(site) as node:
        second = command("serve", site.directory, "--port", "1")
        assert (second.code, "in use by another process" in second.err) == (3, True), second
        busy = command("import", site.directory, tmp_path)
        assert (busy.code, "in use" in busy.err) == (3, True), busy
        assert command("verify", site.directory, "--heal").code == 0
        assert command("doctor", site.directory).code == 0
        token = command("token", site.directory, "--role", "doctor", "--name", "App")
        assert token.code == 0
        other = found_site(tmp_path / "other")
        taken = command("serve", other.directory, "--port", str(node.port))
        assert (taken.code, "Is the port taken?" in taken.err) == (3, True), taken
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        taken = command("serve", other.directory, "--port", str(occupied.getsockname()[1]), "--server", "uvicorn")
    assert (taken.code, "Is the port taken?" in taken.err) == (3, True), taken


@pytest.mark.parametrize("name", ["verify", "doctor"])
def test_a_journal_that_cannot_be_gone_through_is_still_a_report(command: Command, place: Path, name: str) -> None:
    """With --json the object is printed, not ok, with a finding that speaks of the journal; the exit code is 1."""
    journal = place / "node" / "journal.db"
    data = bytearray(journal.read_bytes())
    data[100:300] = random.Random(7).randbytes(200)
    journal.write_bytes(data)
    ran = command(name, "--json", place / "node")
    assert (ran.code, ran.document["ok"]) == (1, False)
    assert "journal" in str(ran.document.get("findings") or ran.document["observations"])
    assert command(name, place / "node").code == 1


@pytest.mark.parametrize("words", ["verify --json", "doctor --json", "verify", "doctor"])
def test_a_damaged_key_is_named_by_its_file(command: Command, place: Path, words: str) -> None:
    """The sentence has the path, and nothing of what stands in the file."""
    key = place / "node" / "keys" / "node.key"
    key.write_text("SPOILED" + key.read_text())
    ran = command(*words.split(), place / "node")
    assert ran.code == 3, ran
    assert "node.key is damaged" in ran.err
    assert "SPOILED" not in ran.err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches(command: Command, name: str) -> None:
    """Help says what the command does, names every option with a sentence, and ends well."""
    ran = command(name, "--help")
    assert ran.code == 0, ran
    assert f"Usage: nirantar {name}" in ran.out
    text = " ".join(ran.out.split())
    assert len(text) > 200
    assert ran.err == ""


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_the_overview_has_a_line_for_each_command(command: Command, words: tuple[str, ...]) -> None:
    """With no word or a call for help: every command is there with a sentence on what it is for."""
    ran = command(*words)
    assert ran.code == 0, ran
    shown = " ".join(ran.out.replace("│", " ").split())
    for name, line in COMMANDS.items():
        assert f"{name} {line}" in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_help_offers_no_option_that_says_nothing(command: Command, name: str) -> None:
    """No negations beside switches, and a directory is a word of its own, not an option too."""
    ran = command(name, "--help")
    assert "--no-" not in ran.out
    assert "--empty-" not in ran.out
    assert "DIRECTORY --directory" not in ran.out


def test_the_program_itself_teaches(command: Command) -> None:
    """Without words, and with --help, it lists every command; --version is one line."""
    for words in ((), ("--help",)):
        ran = command(*words)
        assert ran.code == 0
        assert all(name in ran.out for name in COMMANDS)
    assert command("--version").out.count("\n") == 1
