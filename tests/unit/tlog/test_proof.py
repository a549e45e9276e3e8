"""Offline proof files: the worked 257-entry log as a whole, and every file that is not a proof."""

from __future__ import annotations

import pytest

from nirantar.errors import InvalidInput, ProofInvalid
from nirantar.limits import PROOF_FILE_BYTES_MAX
from nirantar.tlog.checkpoint import Checkpoint, open_checkpoint
from nirantar.tlog.cosignature import CosignatureVerifier, Cosigner, open_cosigned_checkpoint
from nirantar.tlog.merkle import (
    MemoryHashReader,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root,
    verify_consistency,
)
from nirantar.tlog.note import Signer, Verifier, add_signatures
from nirantar.tlog.proof import LogProof
from nirantar.tlog.strict_base64 import encode_base64

ORIGIN = "log.nirantar.example/node-1"
VKEY = f"{ORIGIN}+a93a1ae4+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
WITNESS_VKEY = "witness.nirantar.example/w1+3dd6f956+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X"
LOG_LINE = (
    f"— {ORIGIN} qToa5BEVA2rruVbsvlutPhM1wTzvC2kfq3v4mWZ9kBGA2tPWheF0xegFnro4Yx14s4umb+IcVpAWtMUrwC6UdK/s+Ak="
)
WITNESS_LINE = (
    "— witness.nirantar.example/w1 Pdb5VgAAAABpIvpgHeSUV5HJ1GIvDomnJ45TOyF6zdiUUDbi64Ln6xAC/Q9OC1L1agv4"
    "bPIj5mN5nrH9NR1P4F9QcISMJiYIt30KCg=="
)
CHECKPOINT_TEXT = f"{ORIGIN}\n257\nHtoEmkNR2G92JSvX7At3Rq11t/oDFq1fVB29pFijEsQ=\n"
NOTE = f"{CHECKPOINT_TEXT}\n{LOG_LINE}\n{WITNESS_LINE}\n".encode()
SIBLING = "goUV0DPBnYyQHzfsy4rtkZZncDSG+NL/8c9wQDIcXbE="
LEAVES = [leaf_hash(str(number).encode()) for number in range(257)]
READER = MemoryHashReader(LEAVES)
HEAD = f"c2sp.org/tlog-proof@v1\nindex 256\n{SIBLING}\n\n".encode()


def test_worked_log_is_signed_the_same() -> None:
    """Keys from their seeds, the checkpoint's signature and the cosignature are the known ones."""
    log, witness = (
        Signer(ORIGIN, bytes(range(32))),
        Cosigner("witness.nirantar.example/w1", bytes(range(32, 64))),
    )
    assert (log.vkey, witness.vkey) == (VKEY, WITNESS_VKEY)
    checkpoint = Checkpoint(ORIGIN, 257, root(LEAVES))
    assert checkpoint.text == CHECKPOINT_TEXT
    note = add_signatures(checkpoint.sign(log), [witness.cosign(checkpoint, 1_763_900_000)])
    assert note == NOTE


def test_worked_log_opens() -> None:
    """The worked checkpoint opens with and without its witness, whose time is known."""
    checkpoint = open_checkpoint(NOTE, Verifier.parse(VKEY))
    assert (checkpoint.tree_size, checkpoint.root_hash) == (257, root(LEAVES))
    _, (statement,) = open_cosigned_checkpoint(
        NOTE, Verifier.parse(VKEY), [CosignatureVerifier.parse(WITNESS_VKEY)]
    )
    assert statement.time_seconds == 1_763_900_000


def test_worked_log_proofs() -> None:
    """The last entry's inclusion proof and the proof of the last growth are the known single hashes."""
    assert [encode_base64(hash_) for hash_ in inclusion_proof(256, 257, READER)] == [SIBLING]
    growth = consistency_proof(256, 257, READER)
    assert [encode_base64(hash_) for hash_ in growth] == ["Qq6Gp3ytEfJWXgXP+3NfRgJdQKN5pS66QgnCYnMTgAg="]
    verify_consistency(256, 257, growth, root(LEAVES[:256]), root(LEAVES))


def test_worked_proof_file() -> None:
    """The file for the last entry reads back, is written the same, and verifies with the log's key alone."""
    proof = LogProof.parse(HEAD + NOTE)
    assert proof == LogProof(256, inclusion_proof(256, 257, READER), NOTE)
    assert proof.write() == HEAD + NOTE
    assert proof.verify(LEAVES[256], Verifier.parse(VKEY)).tree_size == 257


@pytest.mark.parametrize("index", [0, 1, 100, 255, 256])
def test_proof_files_of_other_entries(index: int) -> None:
    """Each entry's file proves that entry and no other, extra data or not."""
    verifier = Verifier.parse(VKEY)
    for extra in (b"", b"\x00context"):
        data = LogProof(index, inclusion_proof(index, 257, READER), NOTE, extra).write()
        proof = LogProof.parse(data)
        assert (proof.extra, proof.verify(LEAVES[index], verifier).tree_size) == (extra, 257)
        with pytest.raises(ProofInvalid):
            proof.verify(LEAVES[index - 1], verifier)


def test_proof_of_a_log_with_one_entry() -> None:
    """A proof without sibling hashes is a proof."""
    log = Signer("log.example", bytes(32))
    note = Checkpoint("log.example", 1, LEAVES[0]).sign(log)
    data = LogProof(0, (), note).write()
    assert data.startswith(b"c2sp.org/tlog-proof@v1\nindex 0\n\nlog.example\n1\n")
    assert LogProof.parse(data).verify(LEAVES[0], log.verifier).tree_size == 1


def test_proof_by_another_log() -> None:
    """A good proof under a checkpoint of a log that the reader does not trust proves nothing."""
    stranger = Signer("log.example", bytes(32))
    with pytest.raises(ProofInvalid):
        LogProof.parse(HEAD + NOTE).verify(LEAVES[256], stranger.verifier)


@pytest.mark.parametrize(
    "head",
    [
        "",
        "\n\n",
        "c2sp.org/tlog-proof@v1\n\n",
        "c2sp.org/tlog-proof@v1\nindex 256\n",
        f"c2sp.org/tlog-proof@v2\nindex 256\n{SIBLING}\n\n",
        f" c2sp.org/tlog-proof@v1\nindex 256\n{SIBLING}\n\n",
        f"c2sp.org/tlog-proof@v1\nindex 0256\n{SIBLING}\n\n",
        f"c2sp.org/tlog-proof@v1\nindex -1\n{SIBLING}\n\n",
        f"c2sp.org/tlog-proof@v1\nindex  256\n{SIBLING}\n\n",
        f"c2sp.org/tlog-proof@v1\nindex {2**63}\n{SIBLING}\n\n",
        f"c2sp.org/tlog-proof@v1\n{SIBLING}\n\n",
        f"c2sp.org/tlog-proof@v1\nindex 256\n{SIBLING[:-1]}\n\n",
        f"c2sp.org/tlog-proof@v1\nindex 256\n{encode_base64(bytes(31))}\n\n",
        f"c2sp.org/tlog-proof@v1\nindex 256\n{SIBLING.replace('E=', 'F=')}\n\n",
        "c2sp.org/tlog-proof@v1\nindex 256\n" + f"{SIBLING}\n" * 64 + "\n",
        f"c2sp.org/tlog-proof@v1\nextra \nindex 256\n{SIBLING}\n\n",
        f"c2sp.org/tlog-proof@v1\nextra !\nindex 256\n{SIBLING}\n\n",
        f"c2sp.org/tlog-proof@v1\nextra AA==\nextra AA==\nindex 256\n{SIBLING}\n\n",
        f"c2sp.org/tlog-proof@v1\nindex 256\nextra AA==\n{SIBLING}\n\n",
        f"c2sp.org/tlog-proof@v1\nindex 256\n\u00e9{SIBLING}\n\n",
        f"c2sp.org/tlog-proof@v1\r\nindex 256\r\n{SIBLING}\r\n\r\n",
    ],
)
def test_files_that_are_no_proof(head: str) -> None:
    """Every deviation from the format is refused before anything is verified."""
    with pytest.raises(ProofInvalid):
        LogProof.parse(head.encode() + NOTE)


def test_proof_file_bounds() -> None:
    """Values that no file can hold are refused by the writer, a file over the bound by the reader."""
    for index, hashes in ((-1, ()), (2**63 - 1, ()), (0, (b"short",)), (0, (bytes(32),) * 64)):
        with pytest.raises(InvalidInput):
            LogProof(index, hashes, NOTE)
    with pytest.raises(InvalidInput, match="PROOF_FILE_BYTES_MAX"):
        LogProof(0, (), NOTE, bytes(PROOF_FILE_BYTES_MAX)).write()
    with pytest.raises(ProofInvalid, match="PROOF_FILE_BYTES_MAX"):
        LogProof.parse(HEAD + NOTE + bytes(PROOF_FILE_BYTES_MAX))
