"""Setting up a keeper as an operator does: by the command line, with TLS, and with every wrong word told."""

from __future__ import annotations

import datetime as dt
import ipaddress
import shutil
import time
from pathlib import Path

import pytest
from commands import in_this_process, nirantar, read_sheet_back
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from keeper_at_hand import KeptSite, RunningKeeper, found_kept_site, free_port, keeping, uri_with_token
from nirantar.app.vaults import open_vault
from nirantar.errors import VaultUnavailable
from nirantar.host.real import RealHost
from nirantar.tlog.note import Signer
from serving_node import Client, serving

AUTHORITY = Signer("nirantar.city-hospital/authority", bytes(32)).vkey


def certificate(place: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody but itself signed, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "keeper")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    place.mkdir(exist_ok=True)
    (place / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (place / "key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return place / "cert.pem", place / "key.pem"


@pytest.mark.parametrize("server", ["granian", "uvicorn"])
def test_a_keeper_is_spoken_to_by_tls(tmp_path: Path, server: str) -> None:
    """With the certificate's authority the vault works; with another, with none, and in plain HTTP it does not, and the
    sentence says that it cannot be reached. Nothing crosses the network before the certificate is checked."""
    host, port, keeper = RealHost(), free_port(), tmp_path / "keeper"
    nirantar("keeper", "init", keeper, "--authority", AUTHORITY)
    own, key = certificate(tmp_path / "own")
    other, _ = certificate(tmp_path / "other")
    uri, _ = uri_with_token(host, keeper, port, "recovery", "rescue", scheme="keeper+https")
    with keeping(keeper, port, "--tls-cert", own, "--tls-key", key, "--server", server) as running:
        vault = open_vault(host, f"{uri}&ca={own}")
        assert list(vault.list("roster/")) == []
        assert vault.warning is None
        for wrong in (f"{uri}&ca={other}", uri, uri.replace("keeper+https", "keeper+http")):
            with pytest.raises(VaultUnavailable, match="cannot be reached"):
                open_vault(host, wrong).get("hospital.json")
        running.stop()


def test_the_commands_of_a_keeper(tmp_path: Path) -> None:
    """Made once, with a unit on request; tokens shown once, withdrawn at once; a quiet keeper's status is 0."""
    keeper, unit = tmp_path / "keeper", tmp_path / "keeper.service"
    made = nirantar("keeper", "init", keeper, "--authority", AUTHORITY, "--name", "vault-room", "--systemd-unit-out", unit, "--json")
    names = {vkey.partition("+")[0] for vkey in made.document["vkeys"]}
    assert (len(made.document["vkeys"]), names) == (2, {"nirantar.city-hospital/keepers/vault-room"})
    text = unit.read_text()
    for line in ("User=nirantar-keeper", "ProtectSystem=strict", f'ReadWritePaths="{keeper}"', "--tls-cert"):
        assert line in text
    assert (keeper / "keys/cosigner.keys").stat().st_mode & 0o777 == 0o400
    token = nirantar("keeper", "token", keeper, "--node", "centre", "--json").document["token"]
    assert len(token) == 43
    assert not any(token.encode() in path.read_bytes() for path in keeper.rglob("*") if path.is_file())
    assert nirantar("keeper", "token", keeper, "--node", "centre").out.split()[-1] != token
    assert nirantar("keeper", "token", keeper, "--node", "centre", "--withdraw", "--json").document["withdrawn"] == 2
    assert "No node is silent" in nirantar("keeper", "status", keeper).out
    nirantar("keeper", "init", keeper, "--authority", AUTHORITY, code=3)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("keeper", "DIR"), 2, "--plain-http"),
        (("keeper", "DIR", "--tls-cert", "/x", "--plain-http"), 2, "--tls-key"),
        (("keeper", "DIR", "--plain-http", "--port", "0"), 3, "1 to 65535"),
        (("keeper", "DIR", "--plain-http", "--node-gigabytes", "0"), 2, "--node-gigabytes"),
        (("keeper", "DIR", "--plain-http", "--silence-minutes", "0"), 3, "1 minute"),
        (("keeper", "DIR", "--plain-http", "--alarm-command", "x"), 3, "absolute"),
        (("keeper", "DIR", "--tls-cert", "/no/cert", "--tls-key", "/no/key"), 3, "TLS file"),
        (("keeper", "EMPTY", "--plain-http"), 3, "keeper init"),
        (("keeper", "status", "EMPTY"), 3, "keeper init"),
        (("keeper", "token", "DIR"), 2, "--node"),
        (("keeper", "token", "DIR", "--node", "a", "--recovery", "b"), 2, "--node"),
        (("keeper", "token", "DIR", "--node", "Not A Name"), 3, "lower case"),
        (("keeper", "init", "NEW", "--authority", "x"), 3, "hospital.json"),
        (("keeper", "init", "NEW", "--authority", Signer("log.example", bytes(32)).vkey), 3, "authority"),
        (("keeper", "init", "NEW", "--authority", AUTHORITY, "--name", "a/b"), 3, "lower case"),
        (("keeper", "init", "DIR", "--authority", AUTHORITY), 3, "not empty"),
    ],
)
def test_wrong_words_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int,
    sentence: str,
) -> None:
    """Each with its exit code and a sentence that names what to do; nothing is half made."""
    assert in_this_process(monkeypatch, capsys, "keeper", "init", tmp_path / "DIR", "--authority", AUTHORITY).code == 0
    places = {name: tmp_path / name for name in ("DIR", "EMPTY", "NEW")}
    ran = in_this_process(monkeypatch, capsys, *(places.get(word, word) for word in words))
    assert (ran.code, sentence in ran.err) == (code, True), ran
    assert not (tmp_path / "NEW").exists()


def test_an_alarm_runs_the_operators_command(tmp_path: Path) -> None:
    """With three arguments, no shell; one that fails or is not there stops nothing. The served status shows the same."""
    keeper, port, told = tmp_path / "keeper", free_port(), tmp_path / "told"
    command = tmp_path / "page-me"
    command.write_text(f'#!/bin/sh\nprintf "%s|" "$#" "$1" "$2" "$3" >> {told}\nexit 1\n')
    command.chmod(0o755)
    nirantar("keeper", "init", keeper, "--authority", AUTHORITY)
    token = nirantar("keeper", "token", keeper, "--node", "centre").out.split()[-1]
    with keeping(keeper, port, "--plain-http", "--alarm-command", command) as running:
        assert running.request("GET", "/vault/hospital.json", token="$(touch owned)")[0] == 401
        assert running.request("DELETE", "/vault/centre", token=token)[0] == 405
        deadline = time.monotonic() + 20
        while told_count(told) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert {alarm["kind"] for alarm in running.status()["alarms"]} == {"stranger", "delete"}
        running.stop()
    assert told.read_text().split("|")[:3] == ["3", "stranger", ""]
    assert "|delete|centre|DELETE of /vault/centre was tried." in told.read_text()
    nirantar("keeper", "status", keeper, code=1)
    with keeping(keeper, port, "--plain-http", "--alarm-command", tmp_path / "nothing") as running:
        assert running.request("PURGE", "/vault/centre")[0] == 405
        running.stop()


def told_count(told: Path) -> int:
    """How many alarms the command was run for."""
    return told.read_text().count("3|") if told.exists() else 0


@pytest.fixture
def site(tmp_path: Path) -> KeptSite:
    """A hospital whose only vault is a keeper that is not running."""
    return found_kept_site(tmp_path, durability="node")


def test_a_keeper_that_is_away_never_blocks_the_desks(site: KeptSite) -> None:
    """The node starts and writes without its keeper, and says so; once the keeper is there everything is sealed."""
    client = Client()
    with serving(site) as node:
        with client.writing(node, "desk", threads=2):
            time.sleep(0.5)
        assert client.acknowledged
        assert not client.refused
        (vault,) = node.health()["vaults"]
        assert "cannot be reached" in vault["trouble"]
        with keeping(site.keeper, site.port) as running:
            require_caught_up(node.health, running)
            assert running.status()["ok"]
            running.stop()
        node.stop()


def require_caught_up(health: object, running: RunningKeeper) -> None:
    """The keeper comes to hold every entry of the node."""
    assert callable(health)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = health()
        if found["vaults"][0]["confirmed"] == found["entries"]:
            break
        time.sleep(0.1)
    (log,) = running.status()["logs"]
    assert log["cosigned_size"] == log["proven_size"] == health()["entries"]


def test_a_hospital_is_opened_with_a_keeper_that_is_set_up_afterwards(tmp_path: Path) -> None:
    """`init` makes the authority that the keeper is set up with, so it says how, and the node brings the papers."""
    port, node, keeper = free_port(), tmp_path / "node", tmp_path / "keeper"
    uri = f"keeper+http://127.0.0.1:{port}?token-file={tmp_path / 'token'}"
    words = ("init", node, "--hospital", "City Hospital", "--node", "centre", "--vault", uri)
    made = nirantar(*words, "--json").document
    assert made["vaults"] == [{
        "location": f"keeper+http://127.0.0.1:{port}", "warning": "spoken to in plain HTTP: whoever is on the network reads its token",
    }]
    shutil.rmtree(node)
    Path(made["identity"]).unlink()
    said = nirantar(*words).out
    authority = said.partition("--authority ")[2].split()[0]
    nirantar("keeper", "init", keeper, "--authority", authority)
    (tmp_path / "token").write_text(nirantar("keeper", "token", keeper, "--node", "centre").out.split()[-1])
    with keeping(keeper, port) as running:
        nirantar("staff", node, "asha", "--role", "it-security", "--name", "Asha", "--password-stdin", text="a long password\n")
        rescue = nirantar("keeper", "token", keeper, "--recovery", "custodians").out.split()[-1]
        (tmp_path / "custodians").write_text(rescue)
        read_sheet_back(Path(made["identity"]), f"keeper+http://127.0.0.1:{port}?token-file={tmp_path / 'custodians'}")
        (tmp_path / "token").chmod(0o644)
        assert f"{tmp_path / 'token'} is open to others (644): chmod 600" in nirantar("doctor", node, code=1).out
        (tmp_path / "token").chmod(0o600)
        assert "holds every entry" in nirantar("doctor", node).out
        assert running.status()["roster_serial"] == 1
        running.stop()
    assert (keeper / "vault/hospital.json").read_bytes() == (node / "hospital.json").read_bytes()
