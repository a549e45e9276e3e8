"""No byte of a proof file can change unseen: not by accident, not repacked, and not signed anew by a thief."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirantar.errors import ProofInvalid
from nirantar.interactions.plain_zip import read_zip, write_zip
from nirantar.interactions.verify_proof import verify_chart_proof
from proof_files import Proven, proven_chart


@pytest.fixture(scope="module")
def proven() -> Proven:
    """One file for the module."""
    return proven_chart()


def test_every_flipped_byte_is_seen(proven: Proven) -> None:
    """Each byte in turn, with each bit flipped in some and all bits in the others: the file proves nothing any more."""
    data = bytearray(proven.data)
    for place in range(len(data)):
        for mask in (1 << place % 8, 0xFF):
            data[place] ^= mask
            with pytest.raises(ProofInvalid):
                verify_chart_proof(bytes(data), proven.authority)
            data[place] ^= mask


@given(cut=st.integers(0, 10**6), more=st.binary(min_size=1, max_size=40))
def test_a_cut_or_longer_file_proves_nothing(proven: Proven, cut: int, more: bytes) -> None:
    """Any part of it, and it with anything behind or before it."""
    whole = proven.data
    for data in (whole[: cut % len(whole)], whole + more, more + whole):
        with pytest.raises(ProofInvalid):
            verify_chart_proof(data, proven.authority)


@settings(max_examples=300)
@given(which=st.integers(0, 10**6), place=st.integers(0, 10**6), mask=st.integers(1, 255))
def test_a_repacked_archive_is_seen(proven: Proven, which: int, place: int, mask: int) -> None:
    """One byte of one member changed and the archive's checksums made right again: the manifest tells."""
    members = read_zip(proven.data)
    name = list(members)[which % len(members)]
    content = bytearray(members[name])
    content[place % len(content)] ^= mask
    members[name] = bytes(content)
    with pytest.raises(ProofInvalid):
        verify_chart_proof(write_zip(members), proven.authority)


@settings(max_examples=300)
@given(which=st.integers(0, 10**6), place=st.integers(0, 10**6), mask=st.integers(1, 255))
def test_even_the_nodes_own_key_cannot_make_another_chart(proven: Proven, which: int, place: int, mask: int) -> None:
    """One byte changed and the manifest signed anew by a thief of the node's key: refused, or the verdict is the same
    but for the hospital's name, which no signature but the maker's ever covered."""
    members = proven.members
    name = list(members)[which % len(members)]

    def change(found: dict[str, bytes]) -> None:
        content = bytearray(found[name])
        content[place % len(content)] ^= mask
        found[name] = bytes(content)

    with suppress(ProofInvalid):
        verdict = verify_chart_proof(proven.forged(change), proven.authority)
        assert name == "hospital.json"
        true = verify_chart_proof(proven.data, proven.authority)
        assert (verdict.resources, verdict.logs, verdict.view_digest) == (true.resources, true.logs, true.view_digest)
