"""Cosignatures against sunlight's witness and mirror, and a signed message put together by hand."""

from __future__ import annotations

import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from nirantar.errors import InvalidInput, ProofInvalid
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.cosignature import Cosignature, CosignatureVerifier, Cosigner, open_cosigned_checkpoint
from nirantar.tlog.note import Note, NoteSignature, Signer, add_signatures
from nirantar.tlog.note_keys import ED25519, ML_DSA_44_COSIGNATURE, VerifierKey
from nirantar.tlog.strict_base64 import decode_base64

WITNESS = "witness.example.org+b8a2cf20+BFLN3yikSfFkVAJtrnh/CiY3Zozkoy7clp+P7XB28qUN"
WITNESS_NOTE = (
    "rome2026h1.example.org\n300\nlCkHUpkmVBEms2r2T1K6Og69+wUuuN3MIEW1/ezu2v0=\n\n"
    "— witness.example.org uKLPIAAAAABpVGeAhm2bOvKc3LaB9PFN1ruG19Y5yqslmcAAbhftnn1Zznmo0LXFZq4LGvqKqLX8jW"
    "lwLKasxEGTLIqAVusneCBmBw==\n"
)
MIRROR = "mirror.example.org+3fb148ef+BAAjjch9GyYz0sJsJx7ALhbdAtz2ov0unbzSl1vMp94O"

LOG = Signer("log.nirantar.example/node-1", bytes(range(32)))
CHECKPOINT = Checkpoint("log.nirantar.example/node-1", 257, bytes(range(32)))
ED25519_COSIGNER = Cosigner("witness.example/ed", bytes(range(32, 64)))
ML_DSA_COSIGNER = Cosigner("witness.example/ml", bytes(range(64, 96)), ML_DSA_44_COSIGNATURE)
COSIGNERS = pytest.mark.parametrize(
    "cosigner", [ED25519_COSIGNER, ML_DSA_COSIGNER], ids=["ed25519", "ml-dsa"]
)
TIME = 1_763_900_000


def test_published_witness_cosignature() -> None:
    """The published witness line verifies and carries its time; another key does not take it."""
    note = Note.parse(WITNESS_NOTE.encode())
    (signature,) = note.verified_by([CosignatureVerifier.parse(WITNESS)])
    assert int.from_bytes(signature.signature[:8], "big") == 1_767_139_200
    mirror = CosignatureVerifier.parse(MIRROR)
    assert (mirror.name, mirror.vkey) == ("mirror.example.org", MIRROR)
    assert not mirror.verifies(note.text.encode(), signature.signature)


def test_ml_dsa_signed_message() -> None:
    """The ML-DSA form signs C2SP's structure, byte for byte, and not the extension lines."""
    name, origin = b"witness.example/ml", b"log.nirantar.example/node-1"
    message = b"".join(
        (b"subtree/v1\n\x00", struct.pack(">B", len(name)), name, struct.pack(">QB", TIME, len(origin)),
        origin,  struct.pack(">QQ", 0, 257), bytes(range(32)))
    )  # fmt: skip
    signature = MLDSA44PrivateKey.from_seed_bytes(bytes(range(64, 96))).sign(message)
    assert len(signature) == 2420
    stamped = TIME.to_bytes(8, "big") + signature
    assert ML_DSA_COSIGNER.verifier.verifies(CHECKPOINT.text.encode(), stamped)
    extended = Checkpoint(CHECKPOINT.origin, 257, CHECKPOINT.root_hash, ("more",))
    assert ML_DSA_COSIGNER.verifier.verifies(extended.text.encode(), stamped)
    stamped = ED25519_COSIGNER.cosign(CHECKPOINT, TIME).signature
    assert not ED25519_COSIGNER.verifier.verifies(extended.text.encode(), stamped)


@COSIGNERS
def test_keys_read_back(cosigner: Cosigner) -> None:
    """Both kinds of cosigner keys are read from their text forms; a mangled one is refused."""
    assert Cosigner.parse(cosigner.skey).vkey == cosigner.vkey
    assert CosignatureVerifier.parse(cosigner.vkey).key_id == cosigner.verifier.key_id
    at = cosigner.skey.rindex("+") + 5
    mangled = cosigner.skey[:at] + ("A" if cosigner.skey[at] != "A" else "B") + cosigner.skey[at + 1 :]
    with pytest.raises(InvalidInput):
        Cosigner.parse(mangled)


def test_log_keys_do_not_cosign() -> None:
    """A log's key is no cosigner's, in either form, and a seed has its length."""
    with pytest.raises(InvalidInput):
        CosignatureVerifier.parse(LOG.vkey)
    with pytest.raises(InvalidInput):
        Cosigner.parse(LOG.skey)
    with pytest.raises(InvalidInput):
        Cosigner("w.example", bytes(31))
    with pytest.raises(InvalidInput):
        Cosigner("w.example", bytes(32), ED25519)
    with pytest.raises(InvalidInput):
        CosignatureVerifier(VerifierKey("log.example", ED25519, bytes(32)))


@COSIGNERS
def test_cosigned_checkpoint_opens(cosigner: Cosigner) -> None:
    """A cosigned checkpoint gives the head and the statement, and the latest of two by one key."""
    note = add_signatures(CHECKPOINT.sign(LOG), [cosigner.cosign(CHECKPOINT, TIME)])
    statement = Cosignature(cosigner.verifier.name, cosigner.verifier.key_id, TIME)
    assert open_cosigned_checkpoint(note, LOG.verifier, [cosigner.verifier]) == (CHECKPOINT, (statement,))
    note = add_signatures(
        note, [cosigner.cosign(CHECKPOINT, TIME + 9), cosigner.cosign(CHECKPOINT, TIME + 1)]
    )
    _, (latest,) = open_cosigned_checkpoint(note, LOG.verifier, [cosigner.verifier])
    assert latest.time_seconds == TIME + 9
    assert open_cosigned_checkpoint(note, LOG.verifier, []) == (CHECKPOINT, ())


@COSIGNERS
def test_bad_cosignatures(cosigner: Cosigner) -> None:
    """A known cosigner's line with any part changed rejects the note: time, signature, length, head."""
    good = cosigner.cosign(CHECKPOINT, TIME)
    other = Checkpoint(CHECKPOINT.origin, 258, CHECKPOINT.root_hash)
    bad = (
        (TIME + 1).to_bytes(8, "big") + good.signature[8:],
        good.signature[:-1] + bytes([good.signature[-1] ^ 1]),
        good.signature[:-1],
        good.signature + b"\0",
        good.signature[:8],
        b"x",
        (2**63).to_bytes(8, "big") + good.signature[8:],
        cosigner.cosign(other, TIME).signature,
    )
    for signature in bad:
        note = add_signatures(CHECKPOINT.sign(LOG), [NoteSignature(good.name, good.key_id, signature)])
        with pytest.raises(ProofInvalid):
            open_cosigned_checkpoint(note, LOG.verifier, [cosigner.verifier])


@COSIGNERS
def test_cosignatures_do_not_stand_for_the_log(cosigner: Cosigner) -> None:
    """Without the log's own signature a cosigned checkpoint does not open."""
    note = add_signatures(CHECKPOINT.text.encode() + b"\n", [cosigner.cosign(CHECKPOINT, TIME)])
    with pytest.raises(ProofInvalid, match="no signature of a key"):
        open_cosigned_checkpoint(note, LOG.verifier, [cosigner.verifier])


@COSIGNERS
def test_only_checkpoints_are_cosigned(cosigner: Cosigner) -> None:
    """A cosigner's key verifies nothing over a text that is no checkpoint, and states no impossible time."""
    assert not cosigner.verifier.verifies(b"any text\n", cosigner.cosign(CHECKPOINT, TIME).signature)
    for time_seconds in (-1, 2**63):
        with pytest.raises(InvalidInput):
            cosigner.cosign(CHECKPOINT, time_seconds)


def test_time_beyond_the_format() -> None:
    """A time over 2**63 - 1 is refused although the key did sign it."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
    for time_seconds, taken in ((2**63 - 1, True), (2**63, False)):
        signature = key.sign(f"cosignature/v1\ntime {time_seconds}\n{CHECKPOINT.text}".encode())
        stamped = time_seconds.to_bytes(8, "big") + signature
        assert ED25519_COSIGNER.verifier.verifies(CHECKPOINT.text.encode(), stamped) is taken


def test_origin_too_long_for_ml_dsa() -> None:
    """An origin that does not fit the ML-DSA message is refused by signer and verifier."""
    long = Checkpoint("o" * 256, 0, bytes(32))
    with pytest.raises(InvalidInput, match="KEY_NAME_BYTES_MAX"):
        ML_DSA_COSIGNER.cosign(long, TIME)
    good = ML_DSA_COSIGNER.cosign(CHECKPOINT, TIME).signature
    assert not ML_DSA_COSIGNER.verifier.verifies(long.text.encode(), good)


def test_worked_key_forms() -> None:
    """The worked witness has its known key, of which the first five bytes are algorithm and key."""
    worked = Cosigner("witness.nirantar.example/w1", bytes(range(32, 64)))
    assert worked.vkey == "witness.nirantar.example/w1+3dd6f956+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X"
    material = decode_base64(worked.vkey.rpartition("+")[2])
    assert material is not None
    assert (material[0], len(material)) == (4, 33)
