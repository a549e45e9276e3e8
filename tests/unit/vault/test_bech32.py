"""Bech32: BIP 173's own examples, and age's keys as another program reads them."""

from __future__ import annotations

import pytest

from nirantar.errors import IdentityWrong, InvalidInput
from nirantar.vault import bech32
from nirantar.vault.encryption import IDENTITY_PREFIX, identity_bytes, identity_of, new_identity, recipient_of


def test_age_reads_what_is_written_and_the_other_way_round() -> None:
    """Random identities of the age library come back from their 32 bytes, with the same recipient."""
    for _ in range(20):
        identity, recipient = new_identity()
        secret = identity_bytes(identity)
        assert len(secret) == 32
        assert identity_of(secret) == identity
        assert recipient_of(bech32.encode(IDENTITY_PREFIX, secret).upper()) == recipient


@pytest.mark.parametrize(
    ("text", "prefix"),
    [("A12UEL5L", "a"), ("a12uel5l", "a"), ("abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", "abcdef")],
)
def test_the_standards_examples(text: str, prefix: str) -> None:
    """Valid strings of BIP 173 whose data are whole bytes decode, and encode to themselves."""
    assert bech32.encode(prefix, bech32.decode(text, prefix)) == text.lower()


@pytest.mark.parametrize(
    "text",
    ["A1G7SGD8", "a12UEL5L", "a12uel5b", "10a06t8", "a1qzzfhee", "b12uel5l", "a1", "", "a12uel5m", "a12uel5l0"],
)
def test_what_the_standard_refuses(text: str) -> None:
    """A wrong checksum, mixed case, a character that is none, another prefix, nothing at all; none of it is quoted."""
    with pytest.raises(InvalidInput) as refused:
        bech32.decode(text, "a")
    assert len(text) < 4 or text not in str(refused.value)


def test_only_whole_identities() -> None:
    """31 bytes, or a recipient, is no identity."""
    with pytest.raises(IdentityWrong):
        identity_of(b"x" * 31)
    with pytest.raises(IdentityWrong):
        identity_bytes(new_identity()[1])
