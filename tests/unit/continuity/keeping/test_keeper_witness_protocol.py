"""The witness's protocol: each status, in the specification's own cases and with known vectors."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import pytest

from kept_log import KeptLog, kept, roster
from nirantar.continuity.keeping.keeper import Keeper
from nirantar.continuity.keeping.records import Head
from nirantar.continuity.keeping.rules import Bearer
from nirantar.continuity.keeping.witness import require_extends
from nirantar.errors import Forbidden, InvalidInput, NotFound, ProofInvalid, WitnessConflict
from nirantar.fold.grants import Grant
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.cosignature import CosignatureVerifier, open_cosigned_checkpoint
from nirantar.tlog.note import Signer, add_signatures
from nirantar.tlog.strict_base64 import encode_base64
from nirantar.tlog.submission import encode_submission, parse_submission

ROOTS = {
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
}
"""RFC 6962's reference tree of eight leaves, by size."""
PROOFS = {
    (2, 5): (
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
    (3, 7): (
        "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7",
        "07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "837dbb152e9b079010717e84e865da4ebc0fa198a806d59d31bf15accef22d0e",
    ),
}
LOG = KeptLog()


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    """A keeper that knows the log and has cosigned nothing."""
    with kept() as (_, house):
        yield house.keeper


def kinds(keeper: Keeper) -> list[str]:
    """Which alarms it shows, newest first."""
    return [alarm.kind for alarm in keeper.status().alarms]


def test_known_consistency_proofs_are_accepted_between_their_roots_only() -> None:
    """RFC 6962's reference tree: the known proofs lead from size 2 to 5 and from 3 to 7, and from no other root."""
    for (old_size, size), hashes in PROOFS.items():
        proof = tuple(map(bytes.fromhex, hashes))
        submitted = parse_submission(encode_submission(old_size, proof, b"x\n"))
        offered = Checkpoint("x", size, bytes.fromhex(ROOTS[size]))
        require_extends(Head(old_size, bytes.fromhex(ROOTS[old_size])), submitted, offered)
        with pytest.raises(ProofInvalid):
            require_extends(Head(old_size, bytes(32)), submitted, offered)


def test_a_log_is_cosigned_step_by_step_by_both_keys(keeper: Keeper) -> None:
    """200: Ed25519 and ML-DSA-44 lines that verify, at the keeper's clock; the newest is served with them."""
    cosigners = [CosignatureVerifier.parse(vkey) for vkey in keeper.status().vkeys]
    for old_size, size in ((0, 3), (3, 3), (3, 300), (300, 1_000)):
        lines = keeper.add_checkpoint(LOG.submission(old_size, size), None)
        _, statements = open_cosigned_checkpoint(LOG.note(size) + lines, LOG.signer.verifier, cosigners)
        assert len(statements) == 2
        served = keeper.cosigned(sha256(LOG.origin.encode()).hexdigest())
        assert served == LOG.note(size) + lines
    assert kinds(keeper) == []


@pytest.mark.parametrize(
    "body",
    [
        b"", b"old 0\n", b"old 0", b"old -1\n\nx", b"old 01\n\nx", b"old 0 \n\nx", b"size 0\n\nx", b"old 0\n\nx",
        b"old 99999999999999999999\n\nx", b"old 9223372036854775808\n\nx", b"old 1\nAAAA\n\nx", b"old 1\nnot base64\n\nx",
        b"old 0\n" + b"A" * 70_000 + b"\n\n", b"old 0\n" + (encode_base64(bytes(32)) + "\n").encode() * 64 + b"\nx",
        b"old 0\n\n" + LOG.note(3)[:-10], b"old 0\n\n" + LOG.note(3).replace(b"\n3\n", b"\n03\n"),
    ],
)
def test_malformed_submissions_are_400(keeper: Keeper, body: bytes) -> None:
    """What is no submission is told so, or names no log; nothing is remembered of it."""
    with pytest.raises((InvalidInput, NotFound)):
        keeper.add_checkpoint(body, None)
    assert [log.cosigned_size for log in keeper.status().logs] == [0, 0]


def test_an_unknown_log_is_404_and_a_foreign_signature_403(keeper: Keeper) -> None:
    """Only logs of the roster, only under their own key; extension lines are refused."""
    elsewhere = Signer("nirantar.test/elsewhere", bytes(32))
    with pytest.raises(NotFound):
        keeper.add_checkpoint(encode_submission(0, (), Checkpoint(elsewhere.name, 0, bytes(32)).sign(elsewhere)), None)
    thief = Signer(LOG.origin, bytes(32))
    with pytest.raises(Forbidden):
        keeper.add_checkpoint(encode_submission(0, (), Checkpoint(LOG.origin, 3, bytes(32)).sign(thief)), None)
    extended = Checkpoint(LOG.origin, 3, bytes(32), ("more",)).sign(LOG.signer)
    with pytest.raises(InvalidInput, match="extension"):
        keeper.add_checkpoint(encode_submission(0, (), extended), None)


def test_an_old_size_beyond_the_new_is_400_and_another_than_the_last_409(keeper: Keeper) -> None:
    """409 carries the last cosigned size; asking with 0 is the way to learn it, and no alarm."""
    with pytest.raises(InvalidInput):
        keeper.add_checkpoint(LOG.submission(7, 5), None)
    keeper.add_checkpoint(LOG.submission(0, 5), None)
    for old_size in (0, 4, 6):
        with pytest.raises(WitnessConflict) as refused:
            keeper.add_checkpoint(LOG.submission(old_size, 9), None)
        assert refused.value.cosigned_size == 5
    assert kinds(keeper) == []


def test_bad_proofs_are_422(keeper: Keeper) -> None:
    """A proof from 0, none where one is needed, one too many where sizes are equal, a wrong one, another root."""
    with pytest.raises(ProofInvalid):
        keeper.add_checkpoint(encode_submission(0, (bytes(32),), LOG.note(5)), None)
    with pytest.raises(ProofInvalid):
        keeper.add_checkpoint(encode_submission(0, (), Checkpoint(LOG.origin, 0, bytes(32)).sign(LOG.signer)), None)
    keeper.add_checkpoint(LOG.submission(0, 5), None)
    other = Checkpoint(LOG.origin, 5, bytes(32)).sign(LOG.signer)
    for old_size, proof, note in (
        (5, (), LOG.note(9)), (5, (bytes(32),), LOG.note(5)), (5, (), other),
        (5, LOG.proof(4, 9), LOG.note(9)),
    ):
        with pytest.raises(ProofInvalid):
            keeper.add_checkpoint(encode_submission(old_size, proof, note), None)
    assert keeper.status().logs[0].cosigned_size == 5
    assert "fork" in kinds(keeper)


def test_a_rewind_alarms_and_its_note_is_kept(keeper: Keeper) -> None:
    """The log's key signs fewer entries than were cosigned: refused by 409, told, and kept as evidence."""
    keeper.add_checkpoint(LOG.submission(0, 9), None)
    with pytest.raises(WitnessConflict):
        keeper.add_checkpoint(LOG.submission(5, 5), None)
    assert kinds(keeper) == ["rewind"]
    (evidence,) = keeper._host.files.walk(keeper._directory / "evidence")
    assert keeper._host.files.read(evidence) == LOG.note(5)


def test_a_log_that_a_recovery_closed_is_not_cosigned_beyond_its_end(keeper: Keeper) -> None:
    """A newer roster closes the log at 5: 403 beyond, and an alarm; up to 5 it goes on."""
    closed = roster(2, Grant("opd", LOG.origin, LOG.signer.vkey, last_size=5), KeptLog("ward").grant)
    keeper.put(Bearer("recovery", "rescue"), "roster/00000002.note", closed)
    with pytest.raises(Forbidden, match="closed"):
        keeper.add_checkpoint(LOG.submission(0, 6), None)
    keeper.add_checkpoint(LOG.submission(0, 5), None)
    assert kinds(keeper) == ["closed"]


def test_foreign_signature_lines_are_not_kept(keeper: Keeper) -> None:
    """Whoever hangs lines on a note cannot have the keeper serve them."""
    stranger = Signer("stranger.example/x", bytes(32))
    note = add_signatures(LOG.note(5), [stranger.sign(b"x")] * 20)
    lines = keeper.add_checkpoint(encode_submission(0, (), note), None)
    assert keeper.cosigned(sha256(LOG.origin.encode()).hexdigest()) == LOG.note(5) + lines
