"""For signed files: any change of any byte is refused, and what parses is written back the same."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from nirantar.errors import InvalidInput, ProofInvalid
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.cosignature import Cosigner, open_cosigned_checkpoint
from nirantar.tlog.merkle import MemoryHashReader, inclusion_proof, leaf_hash, root
from nirantar.tlog.note import Note, Signer, Verifier, add_signatures, open_note, sign_note
from nirantar.tlog.note_keys import ML_DSA_44_COSIGNATURE
from nirantar.tlog.proof import LogProof
from nirantar.tlog.tiles import Tile

LOG = Signer("log.example/node", bytes(range(32)))
ED25519_COSIGNER = Cosigner("witness.example/ed", bytes(range(32, 64)))
ML_DSA_COSIGNER = Cosigner("witness.example/ml", bytes(range(64, 96)), ML_DSA_44_COSIGNATURE)
LEAVES = [leaf_hash(bytes([number])) for number in range(11)]
CHECKPOINT = Checkpoint("log.example/node", 11, root(LEAVES))
NOTE = CHECKPOINT.sign(LOG)
COSIGNED = add_signatures(
    NOTE, [cosigner.cosign(CHECKPOINT, 1) for cosigner in (ED25519_COSIGNER, ML_DSA_COSIGNER)]
)
PROOF = LogProof(6, inclusion_proof(6, 11, MemoryHashReader(LEAVES)), NOTE).write()


@st.composite
def changes(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` with one bit flipped, one byte replaced, removed or inserted, or its end cut off or repeated."""
    at = draw(st.integers(0, len(data) - 1))
    byte = bytes([draw(st.one_of(st.sampled_from(b"\n +=0A/"), st.integers(0, 255)))])
    changed = draw(
        st.sampled_from(
            (
                data[:at] + bytes([data[at] ^ (1 << draw(st.integers(0, 7)))]) + data[at + 1 :],
                data[:at] + byte + data[at + 1 :],
                data[:at] + data[at + 1 :],
                data[:at] + byte + data[at:],
                data[:at],
                data + data[at:],
            )
        )
    )
    assume(changed != data)
    return changed


@settings(derandomize=True, deadline=None, max_examples=600)
@given(changes(NOTE))
def test_changed_notes_do_not_open(data: bytes) -> None:
    """A changed note opens only if it kept its text and good signature: a line was added, no more."""
    try:
        text = open_note(data, [LOG.verifier])
    except ProofInvalid:
        return
    assert text == CHECKPOINT.text
    assert data.startswith(NOTE)


@settings(derandomize=True, deadline=None, max_examples=600)
@given(changes(COSIGNED))
def test_changed_cosigned_notes_do_not_say_more(data: bytes) -> None:
    """A changed cosigned checkpoint is refused, or at most loses statements; it never says another one."""
    cosigners = [ED25519_COSIGNER.verifier, ML_DSA_COSIGNER.verifier]
    _, before = open_cosigned_checkpoint(COSIGNED, LOG.verifier, cosigners)
    try:
        checkpoint, statements = open_cosigned_checkpoint(data, LOG.verifier, cosigners)
    except ProofInvalid:
        return
    assert checkpoint == CHECKPOINT
    assert set(statements) <= set(before)


@settings(derandomize=True, deadline=None, max_examples=600)
@given(changes(PROOF))
def test_changed_proof_files_do_not_verify(data: bytes) -> None:
    """A changed proof file verifies only if the change is outside it: extra data, unknown signatures."""
    try:
        proof = LogProof.parse(data)
        checkpoint = proof.verify(LEAVES[6], LOG.verifier)
    except ProofInvalid:
        return
    original = LogProof.parse(PROOF)
    assert (checkpoint, proof.entry_index, proof.hashes) == (
        CHECKPOINT,
        original.entry_index,
        original.hashes,
    )
    assert proof.note.startswith(NOTE)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(changes(LOG.vkey.encode()))
def test_changed_keys_are_refused(data: bytes) -> None:
    """No single change to a key's text gives a key."""
    with pytest.raises(InvalidInput):
        Verifier.parse(data.decode("utf-8", "replace"))


texts = st.text(st.characters(exclude_categories=("Cc", "Cs")) | st.just("\n"), max_size=60).map(
    lambda t: t + "\n"
)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(texts)
@example("\n\n\n")
@example("a\n\n— log.example/node AAAAAAAA\n")
def test_any_text_can_be_signed(text: str) -> None:
    """Every text without control characters comes back from its note as it was, blank lines and all."""
    note = sign_note(text, LOG)
    assert open_note(note, [LOG.verifier]) == text
    assert Note.parse(note).signatures == (LOG.sign(text.encode()),)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.one_of(st.binary(max_size=80), changes(NOTE), changes(PROOF)))
def test_parsers_take_only_what_they_write(data: bytes) -> None:
    """Whatever bytes come, a parser refuses them in its own words or gives what is written back the same."""
    with suppress(ProofInvalid):
        note = Note.parse(data)
        assert add_signatures(note.text.encode() + b"\n", note.signatures) == data
        assert Checkpoint.parse(note.text).text == note.text
    with suppress(ProofInvalid):
        assert LogProof.parse(data).write() == data


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.none() | st.integers(0, 63), st.integers(0, 2**63 - 1) | st.integers(0, 5000), st.integers(1, 256))
def test_tile_paths_read_back(level: int | None, index: int, width: int) -> None:
    """Every tile's path names that tile."""
    tile = Tile(level, index, width)
    assert Tile.parse(tile.path) == tile
