"""What the recovery identity signs: each note follows the one before, and the newest opens all that came earlier."""

from __future__ import annotations

import pytest

from nirantar.continuity.custody import (
    custody_notes,
    earlier_identities,
    first_custody,
    read_back_at,
    rotated,
    with_rehearsal,
)
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.errors import IdentityWrong
from nirantar.fold.founding import FoundingDocument
from nirantar.host.simulated import SimulatedHost
from nirantar.tlog.note import Signer
from nirantar.vault.encryption import new_identity
from nirantar.vault.keys import CustodyKey
from simulated_site import found_site


def an_identity(seed: bytes) -> RecoveryIdentity:
    """A recovery identity of the test's hospital."""
    return RecoveryIdentity(new_identity()[0], Signer("nirantar.test/authority", seed * 32))


ONE, TWO, THREE = (an_identity(seed) for seed in (b"1", b"2", b"3"))
DOCUMENT = FoundingDocument(1, "Test", "test", (ONE.recipient,), ONE.authority.vkey)
FIRST = first_custody(DOCUMENT, ONE)


def test_the_first_note_names_the_identity_and_nothing_earlier() -> None:
    """Sealed to the recovery identity alone, never read back."""
    assert (FIRST.serial, FIRST.recipients, FIRST.terms.read_back) == (1, (ONE.recipient,), "")
    assert earlier_identities(FIRST, ONE) == ()
    assert FIRST.is_of(DOCUMENT)


def test_reading_back_counts_the_first_time() -> None:
    """A later reading keeps the first instant."""
    once = read_back_at(FIRST, ONE, "2026-01-01T00:00:00.000Z", serial=2)
    assert read_back_at(once, ONE, "2027-01-01T00:00:00.000Z", serial=3).terms.read_back == "2026-01-01T00:00:00.000Z"


def test_each_rotation_hands_on_what_came_before() -> None:
    """The third identity opens what the first and the second did; the sheet is unread again, the rehearsal stays."""
    before = with_rehearsal(read_back_at(FIRST, ONE, "x", serial=2), ONE, "age1rehearsal", serial=3)
    second = rotated(before, ONE, TWO, serial=4, roster_serial=7)
    third = rotated(second, TWO, THREE, serial=5, roster_serial=8)
    assert earlier_identities(second, TWO) == (ONE.age_identity,)
    assert earlier_identities(third, THREE) == (TWO.age_identity, ONE.age_identity)
    assert third.recipients == (THREE.recipient, "age1rehearsal")
    assert (third.terms.read_back, third.terms.roster_from, third.terms.authority) == ("", 8, THREE.authority.vkey)


def test_only_the_identity_in_force_opens_what_came_before() -> None:
    """The one that was replaced does not."""
    with pytest.raises(IdentityWrong):
        earlier_identities(rotated(FIRST, ONE, TWO, serial=2, roster_serial=2), ONE)


def test_a_vault_lists_its_notes_in_order() -> None:
    """By serial, from any one on."""
    with SimulatedHost(1) as host:
        vault = found_site(host).vault
        for serial in (11, 2, 1):
            vault.put_new(str(CustodyKey(serial)), b"%d" % serial)
        assert list(custody_notes(vault)) == [b"1", b"2", b"11"]
        assert list(custody_notes(vault, after=2)) == [b"11"]
