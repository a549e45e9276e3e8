"""A real keeper process, a real node that waits for it, and an attacker who has everything that the node has."""

from __future__ import annotations

import shutil
import socket
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from commands import nirantar

from keeper_at_hand import NODE, KeptSite, RunningKeeper, found_kept_site, keeping
from nirantar.app.founding import NODE_KEY_FILE
from nirantar.fold.founding import FoundingDocument
from nirantar.journal.log import JOURNAL_FILE
from nirantar.journal.reader import JournalReader
from nirantar.tlog.checkpoint import Checkpoint, open_checkpoint
from nirantar.tlog.compact_range import RangeProof
from nirantar.tlog.merkle import leaf_hash, root
from nirantar.tlog.note import Signer
from nirantar.tlog.submission import encode_submission
from nirantar.vault.directory import DirectoryVault
from nirantar.vault.segments import encode_segment
from serving_node import Client, serving

METHODS_THAT_ARE_NOT = ("DELETE", "POST", "PATCH", "MOVE", "COPY", "OPTIONS", "PROPPATCH", "PURGE", "TRUNCATE")


@pytest.fixture
def site(tmp_path: Path) -> KeptSite:
    """A hospital whose only vault is a keeper, and whose desks wait for it."""
    return found_kept_site(tmp_path)


def written(site: KeptSite, patients: int) -> dict[str, bytes]:
    """Let the node serve until so many patients were acknowledged; they, by path."""
    client = Client()
    with serving(site) as node:
        with client.writing(node, "desk", threads=2):
            while len(client.acknowledged) < patients:
                assert not client.refused, client.refused
        node.stop()
    return client.acknowledged


def kinds(running: RunningKeeper) -> set[str]:
    """Which kinds of alarms the keeper shows."""
    return {alarm["kind"] for alarm in running.status()["alarms"]}


def identity_file(site: KeptSite) -> Path:
    """The recovery identity as a file."""
    file = site.directory.with_name("identity.txt")
    if not file.exists():
        file.write_bytes(site.identity.encode("Kept Hospital"))
    return file


def recovered(site: KeptSite, directory: Path, *words: str, code: int = 0) -> dict[str, Any]:
    """What `nirantar recover` reports."""
    return nirantar("recover", directory, "--identity", identity_file(site), *words, "--json", code=code).document


def test_a_hospital_comes_back_from_its_keeper_alone(site: KeptSite, tmp_path: Path) -> None:
    """Every acknowledged write waited for the keeper; the node's disk is gone; a recovery token and the identity give
    all of it, proven. The recovered node goes on at the same keeper once its operator gave it a token."""
    with keeping(site.keeper, site.port) as running:
        acknowledged = written(site, 40)
        assert running.status()["ok"], running.status()["alarms"]
        (log,) = running.status()["logs"]
        assert log["cosigned_size"] == log["proven_size"] >= 40
        shutil.rmtree(site.directory)
        uri = site.uri_for("recovery", "rescue")
        report = recovered(site, tmp_path / "new", "--vault", uri)
        assert (report["ok"], report["findings"]) == (True, [])
        assert report["resources"]["Patient"] == len(acknowledged)
        token_file = Path(uri.partition("token-file=")[2])
        token = nirantar("keeper", "token", site.keeper, "--node", "opd-1-r1").out.split()[-1]
        token_file.write_text(token)
        moved = KeptSite(tmp_path / "new", site.vault, "", site.identity, site.host, site.keeper, site.port, token, uri)
        with serving(moved) as node:
            node.stop()
        words = ("token", tmp_path / "new", "--role", "integration", "--name", "x")
        moved.token = nirantar(*words).out.split()[-1]
        assert written(moved, 5)
        logs = {each["node"]: each for each in running.status()["logs"]}
        assert logs["opd-1"]["closed_at"] == log["cosigned_size"]
        assert logs["opd-1-r1"]["cosigned_size"] >= 5
        running.stop()
    shown = nirantar("verify", "--vault", (site.keeper / "vault").as_uri(), "--identity", identity_file(site))
    assert "Whole and unaltered." in shown.out


def test_whoever_has_all_that_the_node_has_cannot_destroy(site: KeptSite, tmp_path: Path) -> None:
    """The node's token and key in an attacker's hands: overwriting, deleting by any method, rewinding, forking, forging,
    trespassing and flooding are each refused and stand in the alarm log; afterwards the keeper alone gives the hospital,
    untouched."""
    with keeping(site.keeper, site.port) as running:
        acknowledged = written(site, 20)
        before = {path: path.read_bytes() for path in site.vault.rglob("*") if path.is_file()}
        signer = Signer.parse((site.directory / NODE_KEY_FILE).read_text().strip())
        assert kinds(running) == set()
        for path, data in before.items():
            key = path.relative_to(site.vault).as_posix()
            assert running.request("PUT", f"/vault/{key}", data, token=site.node_token)[0] == 200
            assert running.request("PUT", f"/vault/{key}", b"ransom", token=site.node_token)[0] == 409
        assert kinds(running) == {"overwrite"}
        for method in METHODS_THAT_ARE_NOT:
            for where in ("/vault/hospital.json", "/vault/", "/status", "/add-checkpoint", "/anything"):
                if (method, where) != ("POST", "/add-checkpoint"):
                    status, _ = running.request(method, where, token=site.node_token)
                    assert status == 405, (method, where, status)
        assert "delete" in kinds(running)
        with closing(JournalReader(site.host, site.directory / JOURNAL_FILE)) as journal:
            rewind(running, signer, journal)
        forge(running, site)
        flood(running, site)
        assert kinds(running) == {"overwrite", "delete", "rewind", "fork", "forgery", "trespass", "stranger", "flood"}
        assert {path: path.read_bytes() for path in site.vault.rglob("*") if path.is_file()} == before
        report = recovered(site, tmp_path / "new", "--vault", site.uri_for("recovery", "rescue"))
        assert (report["ok"], report["resources"]["Patient"]) == (True, len(acknowledged))
        running.stop()
    shown = nirantar("keeper", "status", site.keeper, "--json", code=1).document
    assert not shown["ok"]
    lines = (site.keeper / "alarms.jsonl").read_text().splitlines()
    assert len(lines) >= 8
    assert len(list((site.keeper / "evidence").iterdir())) >= 2


def rewind(running: RunningKeeper, signer: Signer, journal: JournalReader) -> None:
    """Signed with the node's own key: an older head, another one of the same size, and a longer log without proof."""
    origin = signer.name
    (log,) = running.status()["logs"]
    size = log["cosigned_size"]
    older = Checkpoint(origin, size - 1, journal.root(origin, size - 1)).sign(signer)
    assert running.request("POST", "/add-checkpoint", encode_submission(size, (), older))[0] == 400
    assert running.request("POST", "/add-checkpoint", encode_submission(size - 1, (), older)) == (409, f"{size}\n".encode())
    assert "rewind" in kinds(running)
    assert "fork" not in kinds(running)
    other = Checkpoint(origin, size, bytes(32)).sign(signer)
    assert running.request("POST", "/add-checkpoint", encode_submission(size, (), other))[0] == 422
    longer = Checkpoint(origin, size + 10, bytes(32)).sign(signer)
    assert running.request("POST", "/add-checkpoint", encode_submission(size, (), longer))[0] == 422
    stranger = Signer(origin, bytes(32))
    forged = Checkpoint(origin, size + 10, bytes(32)).sign(stranger)
    assert running.request("POST", "/add-checkpoint", encode_submission(size, (), forged))[0] == 403
    assert (log["cosigned_size"],) == tuple(each["cosigned_size"] for each in running.status()["logs"])


def forge(running: RunningKeeper, site: KeptSite) -> None:
    """Objects that fit no log, under names of the node's own, of another node's, and of the hospital's."""
    (log,) = running.status()["logs"]
    size, token = log["cosigned_size"], site.node_token
    assert running.request("PUT", f"/vault/{NODE}/live/{size:012d}-1.segment", b"{}\n\nx", token=token)[0] == 422
    assert running.request("PUT", f"/vault/{NODE}/attachment/{'a' * 64}", b"x", token=token)[0] == 422
    assert running.request("PUT", f"/vault/{NODE}/tile/5/000", bytes(8192), token=token)[0] == 422
    assert running.request("PUT", "/vault/roster/00000009.note", b"x\n\n", token=token)[0] == 422
    assert running.request("PUT", "/vault/ward-3/live/000000000000-1.segment", b"x", token=token)[0] == 403
    assert running.request("PUT", f"/vault/{NODE}/anything", b"x", token=token)[0] == 403
    assert running.request("GET", "/vault/?prefix=", token=token)[0] == 403
    assert running.request("PUT", f"/vault/{NODE}/attachment/{'a' * 64}", b"x", token="guess")[0] == 401
    assert running.request("GET", "/vault/hospital.json")[0] == 401
    assert running.request("PUT", "/vault/../escape", b"x", token=token)[0] in (400, 404)


def flood(running: RunningKeeper, site: KeptSite) -> None:
    """Objects of 60 MB are announced one after the other: after the burst the keeper takes no more, and reads nothing."""
    head = (
        f"PUT /vault/{NODE}/attachment/{'b' * 64} HTTP/1.1\r\nHost: keeper\r\nAuthorization: Bearer {site.node_token}\r\n"
        f"Content-Length: 60000000\r\n\r\n"
    ).encode()
    for _ in range(80):
        with socket.create_connection(("127.0.0.1", running.port), timeout=30) as raw:
            raw.sendall(head)
            raw.settimeout(0.05)
            try:
                answer = raw.recv(100)
            except TimeoutError:
                continue
            if b" 429 " in answer:
                return
    raise AssertionError("eighty objects of 60 MB were let in")


def test_what_was_cut_off_is_named_by_the_witness(site: KeptSite, tmp_path: Path) -> None:
    """Somebody cut the end off a copy of the vault: by itself it is whole and proven; asked, the keeper says how far the
    log had come, recovery calls itself incomplete and names the missing range."""
    with keeping(site.keeper, site.port) as running:
        written(site, 15)
        (log,) = running.status()["logs"]
        cut = Path(shutil.copytree(site.vault, tmp_path / "cut"))
        newest = max((cut / NODE / "live").iterdir())
        first = int(newest.name[:12])
        newest.unlink()
        shutil.rmtree(cut / NODE / "cosignature")
        report = recovered(site, tmp_path / "unasked", "--vault", Path(shutil.copytree(cut, tmp_path / "alone")).as_uri())
        assert report["ok"]
        witness = site.uri_for("recovery", "rescue")
        report = recovered(site, tmp_path / "asked", "--vault", cut.as_uri(), "--keeper", witness, code=1)
        assert not report["ok"]
        (finding,) = report["findings"]
        assert finding["where"] == f"nirantar.kept-hospital/{NODE} entries {first} to {log['cosigned_size'] - 1}"
        assert "a checkpoint of" in finding["what"]


def test_a_history_that_was_rewritten_with_the_nodes_own_key_is_named(site: KeptSite, tmp_path: Path) -> None:
    """Whoever has the node's key can sign another log from the beginning, longer than the true one, into a vault that he
    controls; by itself it is whole and proven. The keeper remembers the true one, and recovery says that entries were
    exchanged."""
    with keeping(site.keeper, site.port) as running:
        written(site, 6)
        origin, key = running.status()["logs"][0]["origin"], (site.directory / NODE_KEY_FILE).read_text().strip()
        forged = DirectoryVault.create(site.host, tmp_path / "forged")
        for paper in ("hospital.json", "roster/00000001.note"):
            forged.put_new(paper, (site.vault / paper).read_bytes())
        entries = [b'{"v":9,"n":%d}' % number for number in range(running.status()["logs"][0]["cosigned_size"] + 5)]
        leaves = [leaf_hash(entry) for entry in entries]
        note = Checkpoint(origin, len(entries), root(leaves)).sign(Signer.parse(key))
        forged.put_new(f"{NODE}/live/000000000000-{len(entries)}.segment", encode_segment(
            origin, 0, entries, leaves, proof=RangeProof(), checkpoint_note=note.decode(),
            recipients=FoundingDocument.parse((site.vault / "hospital.json").read_bytes()).recipients,
        ))
        uri = Path(shutil.copytree(tmp_path / "forged", tmp_path / "alone")).as_uri()
        assert recovered(site, tmp_path / "unasked", "--vault", uri)["ok"]
        witness = site.uri_for("recovery", "rescue")
        report = recovered(site, tmp_path / "asked", "--vault", forged.location, "--keeper", witness, code=1)
        (finding,) = report["findings"]
        assert finding["kind"] == "altered"
        assert "entries were exchanged" in finding["what"]


def test_a_rolled_back_node_learns_it_from_the_keeper(site: KeptSite, tmp_path: Path) -> None:
    """An older copy put back in place of a node: the keeper has cosigned more, so the node reads and does not write."""
    with keeping(site.keeper, site.port) as running:
        written(site, 5)
        older = shutil.copytree(site.directory, tmp_path / "older")
        written(site, 10)
        for database in site.directory.glob("*.db*"):
            database.unlink()
        for database in older.glob("*.db*"):
            shutil.copy(database, site.directory)
        # The segments are not what tells it: a keeper's memory of its cosignature is enough.
        with serving(site) as node:
            assert "rolled back" in node.health()["read_only"]
            node.stop()
        assert kinds(running) == set()


def test_a_cosigned_checkpoint_can_be_fetched_and_verified(site: KeptSite) -> None:
    """The monitoring path serves what two keys of the keeper cosigned, and the node's key signed."""
    with keeping(site.keeper, site.port) as running:
        written(site, 3)
        signer = Signer.parse((site.directory / NODE_KEY_FILE).read_text().strip())
        status, note = running.request("GET", f"/{sha256(signer.name.encode()).hexdigest()}/checkpoint")
        assert status == 200
        assert open_checkpoint(note, signer.verifier).tree_size == running.status()["logs"][0]["cosigned_size"]
        assert note.count("\n— nirantar.kept-hospital/keepers/keeper-1 ".encode()) == 2
        assert running.request("GET", f"/{'0' * 64}/checkpoint")[0] == 404
