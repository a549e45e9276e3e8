"""For shares of the recovery identity: any that are enough give it back, any that are fewer give nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirantar.continuity import shares
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.continuity.shares import CustodyShare
from nirantar.errors import IdentityWrong
from nirantar.tlog.note import Signer
from nirantar.vault.encryption import identity_of


@st.composite
def splittings(draw: st.DrawFn) -> tuple[RecoveryIdentity, int, list[CustodyShare], list[CustodyShare]]:
    """An identity, its threshold, its shares, and some of them in any order."""
    secrets = [draw(st.binary(min_size=32, max_size=32)) for _ in range(2)]
    identity = RecoveryIdentity(identity_of(secrets[0]), Signer("nirantar.h/authority", secrets[1]))
    count = draw(st.integers(2, 6))
    threshold = draw(st.integers(2, count))
    made = shares.split(identity, "H", shares=count, threshold=threshold)
    some = draw(st.lists(st.sampled_from(made), min_size=1, max_size=count, unique_by=lambda share: share.number))
    return identity, threshold, made, some


@settings(deadline=None, max_examples=80)
@given(splittings())
def test_enough_join_and_fewer_do_not(
    drawn: tuple[RecoveryIdentity, int, list[CustodyShare], list[CustodyShare]],
) -> None:
    """Whatever the subset and its order; the smaller one is told how many are missing."""
    identity, threshold, made, some = drawn
    texts = [share.text.decode() for share in some]
    if len(some) >= threshold:
        joined = shares.combine(texts)
        assert (joined.age_identity, joined.authority.skey) == (identity.age_identity, identity.authority.skey)
    else:
        with pytest.raises(IdentityWrong, match=f"{threshold} are needed"):
            shares.combine(texts)
    joined = shares.combine([share.text.decode() for share in made])
    assert joined.age_identity == identity.age_identity
