"""No flipped byte of a segment goes unseen."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirantar.errors import Damaged
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.compact_range import RangeProof, range_proof
from nirantar.tlog.merkle import MemoryHashReader, leaf_hash, range_root
from nirantar.tlog.note import Signer
from nirantar.vault.encryption import new_identity
from nirantar.vault.segments import check_sealed, encode_segment, open_segment, prove_header

ORIGIN = "aiims-demo.nirantar/opd-1"
KEY = "opd-1/live/000000000007-2.segment"
ENTRIES = [b'{"v":1,"id":"a"}', b'{"v":1,"id":"b"}']
HASHES = [sha256(b"\x00" + entry).digest() for entry in ENTRIES]
SIGNER = Signer(ORIGIN, bytes(32))
LOG = MemoryHashReader([leaf_hash(bytes([number])) for number in range(7)] + HASHES + [leaf_hash(b"after")])
PROOF = range_proof(7, 9, 10, LOG)
NOTE = Checkpoint(ORIGIN, 10, range_root(0, 10, LOG)).sign(SIGNER).decode()
IDENTITY, RECIPIENT = new_identity()
SEGMENT = encode_segment(ORIGIN, 7, ENTRIES, HASHES, proof=PROOF, checkpoint_note=NOTE, recipients=[RECIPIENT])


@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_bit_is_seen(bit: int) -> None:
    """Every bit of a segment, header and ciphertext, one at a time, is seen by who has the node's public key."""
    for position in range(len(SEGMENT)):
        changed = bytearray(SEGMENT)
        changed[position] ^= 1 << bit
        try:
            header, _ = open_segment(bytes(changed), [IDENTITY], key=KEY)
            prove_header(header, SIGNER.verifier, key=KEY)
        except Damaged:
            continue
        pytest.fail(f"bit {bit} of byte {position} went unseen")


@given(position=st.integers(0, len(SEGMENT) - 1), value=st.binary(max_size=8), removed=st.integers(0, 8))
@settings(derandomize=True, max_examples=300, deadline=None)
def test_every_splice_is_seen_without_an_identity(position: int, value: bytes, removed: int) -> None:
    """Bytes inserted, removed or replaced anywhere are seen by a keeper that holds public keys only."""
    changed = SEGMENT[:position] + value + SEGMENT[position + removed :]
    try:
        prove_header(check_sealed(changed, key=KEY), SIGNER.verifier, key=KEY)
    except Damaged:
        assert changed != SEGMENT
        return
    assert changed == SEGMENT


@given(entries=st.lists(st.binary(min_size=1, max_size=200).filter(lambda entry: b"\n" not in entry), min_size=1))
@settings(derandomize=True, max_examples=50, deadline=None)
def test_any_entries_come_back(entries: list[bytes]) -> None:
    """Whatever one-line entries go in come out, in order."""
    hashes = [sha256(b"\x00" + entry).digest() for entry in entries]
    note = f"{ORIGIN}\n{len(entries)}\n"
    data = encode_segment(ORIGIN, 0, entries, hashes, proof=RangeProof(), checkpoint_note=note, recipients=[RECIPIENT])
    assert open_segment(data, [IDENTITY], key=f"opd-1/live/000000000000-{len(entries)}.segment")[1] == entries
