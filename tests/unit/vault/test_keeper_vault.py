"""The client of a keeper: its address, and what it makes of answers that are late, wrong or hostile."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from nirantar.errors import (
    ConfigInvalid,
    Conflict,
    Forbidden,
    NotFound,
    ProofInvalid,
    VaultUnavailable,
    WitnessConflict,
)
from nirantar.host.simulated import SimulatedHost
from nirantar.vault.keeper import WARNING, KeeperAddress, KeeperVault
from nirantar.vault.port import WitnessingVault

TOKEN = Path("/keeper.token")


def address(port: int, scheme: str = "keeper+http") -> KeeperAddress:
    """A keeper of this machine."""
    return KeeperAddress.parse(f"{scheme}://127.0.0.1:{port}?token-file={TOKEN}")


@contextmanager
def answering(*answers: bytes) -> Iterator[tuple[KeeperVault, list[bytes]]]:
    """A vault whose keeper says these bytes, one a request, on a connection each; and what it was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server, SimulatedHost(seed=1) as host:
        host.files.put_new(TOKEN, b" secret\n")

        def answer() -> None:
            for each in answers:
                connection, _ = server.accept()
                with connection:
                    asked.append(whole_request(connection))
                    connection.sendall(each)

        thread = Thread(target=answer, daemon=True)
        thread.start()
        yield KeeperVault(host, address(server.getsockname()[1])), asked
        thread.join(10)


def whole_request(connection: socket.socket) -> bytes:
    """Head and body of a request."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65_536)
    found = re.search(rb"Content-Length: ([0-9]+)", data)
    while found and len(data.partition(b"\r\n\r\n")[2]) < int(found[1]):
        data += connection.recv(65_536)
    return data


def said(status: str, body: bytes = b"") -> bytes:
    """A whole answer."""
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status.encode(), len(body), body)


def test_an_address_shows_nothing_of_the_token() -> None:
    """Scheme, host and port alone are shown; by TLS there is no warning."""
    tls = KeeperAddress.parse("keeper+https://keeper.example:8470?token-file=/etc/t&ca=/etc/ca.pem")
    assert (tls.location, tls.token_file, tls.ca) == ("keeper+https://keeper.example:8470", Path("/etc/t"), Path("/etc/ca.pem"))
    assert KeeperAddress.parse("keeper+http://[::1]:1?token-file=/t").location == "keeper+http://[::1]:1"
    with SimulatedHost(seed=1) as host:
        assert KeeperVault(host, tls).warning is None
        vault = KeeperVault(host, address(1))
        assert vault.warning == WARNING
        assert isinstance(vault, WitnessingVault)


@pytest.mark.parametrize(
    "uri",
    [
        "keeper+https://host?token-file=/t", "keeper+https://host:8470", "keeper+https://:8470?token-file=/t",
        "keeper+https://host:8470/x?token-file=/t", "keeper+https://host:8470?token-file=t", "keeper+ftp://host:1?token-file=/t",
        "keeper+https://host:99999?token-file=/t", "keeper+https://me:secret@host:8470?token-file=/t",
        "keeper+https://host:8470?token-file=/t&verify=no", "keeper+https://host:8470?token-file=/t&ca=ca.pem",
    ],
)
def test_an_address_that_is_none_is_told_with_the_form(uri: str) -> None:
    """The sentence gives the form, and quotes nothing of what was written."""
    with pytest.raises(ConfigInvalid, match="HOST:PORT") as told:
        KeeperAddress.parse(uri)
    assert "secret" not in str(told.value)


def test_statuses_become_the_ports_errors() -> None:
    """409 is a conflict, 404 nothing there, and every other refusal is a vault that cannot be used, in its own words."""
    refusals = ("401 x", "403 x", "413 x", "422 x", "429 x", "500 x", "507 x", "302 x")
    with answering(said("409 x", b"taken\n"), *(said(each, b"No, said the keeper.\n") for each in refusals)) as (vault, asked):
        with pytest.raises(Conflict, match="taken"):
            vault.put_new("a", b"x")
        for _ in refusals:
            with pytest.raises(VaultUnavailable, match=r"No, said the keeper\."):
                vault.put_new("a", b"x")
        assert all(b"Authorization: Bearer secret\r\n" in each for each in asked)
    with answering(said("404 x"), said("404 x"), said("500 x")) as (vault, _):
        with pytest.raises(NotFound):
            vault.get("a")
        assert vault.cosigned("origin") is None
        with pytest.raises(VaultUnavailable):
            vault.get("a")


def test_the_witnesss_statuses() -> None:
    """409 carries a size; 403, 404 and 422 are what they mean; a 409 without a size is no size."""
    with answering(
        said("409 x", b"17\n"), said("403 x"), said("404 x"), said("422 x"), said("409 x", b"what"), said("200 x", b"lines\n")
    ) as (vault, asked):
        with pytest.raises(WitnessConflict) as other:
            vault.cosign(b"note\n", 3, (bytes(32),))
        assert other.value.cosigned_size == 17
        for error in (Forbidden, NotFound, ProofInvalid, VaultUnavailable):
            with pytest.raises(error):
                vault.cosign(b"note\n", 0, ())
        assert vault.cosign(b"note\n", 0, ()) == b"note\nlines\n"
        assert asked[0].endswith(b"old 3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\nnote\n")
        assert asked[1].endswith(b"old 0\n\nnote\n")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 ", b"SSH-2.0\r\n", b"HTTP/1.1 200 x\r\nContent-Length: 9\r\n\r\nshort"])
def test_broken_answers_are_a_vault_that_cannot_be_reached(answer: bytes) -> None:
    """Cut off, no HTTP, shorter than it says: one kind of trouble, no traceback."""
    with answering(answer) as (vault, _), pytest.raises(VaultUnavailable, match="cannot be reached"):
        vault.get("a")


def test_nobody_there_and_no_token() -> None:
    """A port without a server, and a token file that is not there or empty."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with SimulatedHost(seed=1) as host:
        vault = KeeperVault(host, address(port))
        with pytest.raises(VaultUnavailable, match="holds no token"):
            vault.get("a")
        host.files.put_new(TOKEN, b"x")
        with pytest.raises(VaultUnavailable, match="cannot be reached"):
            vault.get("a")
        host.files.replace(TOKEN, b"\n")
        with pytest.raises(VaultUnavailable, match="holds no token"):
            list(vault.list(""))
