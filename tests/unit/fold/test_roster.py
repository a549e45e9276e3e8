"""Rosters and grants: only what the authority signed, and only inside what it granted."""

from __future__ import annotations

import pytest

from nirantar.errors import ProofInvalid
from nirantar.fold.grants import Grant, NumberBlock, violation
from nirantar.fold.roster import UHID_BLOCK_FIRST, UHID_BLOCK_NUMBERS, Roster, next_block
from nirantar.tlog.note import Signer, Verifier, sign_note

AUTHORITY = Signer("nirantar.test/authority", b"a" * 32)
VERIFIER = Verifier.parse(AUTHORITY.vkey)
GRANT = Grant("opd", "nirantar.test/opd", "vkey", numbers=(NumberBlock("uhid", 1, 9),))
LAB = Grant("lab", "nirantar.test/lab", "vkey", types=("Observation", "Specimen"), roles=("pathologist",), last_size=5)


def test_a_roster_comes_back_as_it_was_signed() -> None:
    """Slug, serial and every grant."""
    roster = Roster("test", 12, (GRANT, LAB))
    assert Roster.open(roster.sign(AUTHORITY), VERIFIER) == roster
    assert roster.by_origin() == {GRANT.origin: GRANT, LAB.origin: LAB}


def test_another_authority_signs_no_roster() -> None:
    """Neither another key of the same name nor a node's."""
    for seed, name in ((b"b", AUTHORITY.name), (b"a", "nirantar.other/authority")):
        forged = Roster("test", 13, (GRANT,)).sign(Signer(name, seed * 32))
        with pytest.raises(ProofInvalid):
            Roster.open(forged, VERIFIER)


@pytest.mark.parametrize(
    "text",
    ["", "x\n", "nirantar-roster/v2\ntest\n1\n[]\n", "nirantar-roster/v1\ntest\n-1\n[]\n",
     "nirantar-roster/v1\ntest\n²\n[]\n", "nirantar-roster/v1\ntest\n" + "9" * 5000 + "\n[]\n",
     "nirantar-roster/v1\ntest\n1\n{}\n", "nirantar-roster/v1\ntest\n1\n[{}]\n", "nirantar-roster/v1\ntest\n1\n[]\nmore\n",
     "nirantar-roster/v1\ntest\n1\n" + "[" * 5000 + "\n"],
)
def test_what_the_authority_signed_may_still_be_no_roster(text: str) -> None:
    """A checkpoint or another note under the authority's key does not pass, whatever it holds."""
    if not text:
        text = "nirantar.test/opd\n5\nAAAA\n"
    with pytest.raises(ProofInvalid):
        Roster.open(sign_note(text, AUTHORITY), VERIFIER)


def test_a_new_block_follows_all_that_were_ever_leased() -> None:
    """The first begins at the first number; each next after the highest, revoked nodes' included."""
    first = next_block((), "uhid")
    assert (first.first, first.last) == (UHID_BLOCK_FIRST, UHID_BLOCK_FIRST + UHID_BLOCK_NUMBERS - 1)
    revoked = Grant("a", "o/a", "v", numbers=(first,), last_size=0)
    assert next_block((revoked, GRANT), "uhid").first == first.last + 1


@pytest.mark.parametrize(
    ("grant", "entry_index", "role", "types", "why"),
    [
        (None, 0, "doctor", ["Patient"], "not on the hospital's roster"),
        (GRANT, 10**9, "doctor", ["Patient", "NirantarAccount"], None),
        (LAB, 4, "pathologist", ["Observation", "Specimen"], None),
        (LAB, 5, "pathologist", ["Observation"], "revoked at size 5"),
        (LAB, 4, "doctor", ["Observation"], "role doctor is not granted"),
        (LAB, 4, "pathologist", ["Observation", "Patient"], "Patient is not granted"),
        (LAB, 4, "pathologist", ["NirantarAccount"], "NirantarAccount is not granted"),
    ],
)
def test_an_entry_is_inside_its_grant_or_the_sentence_says_why(
    grant: Grant | None, entry_index: int, role: str, types: list[str], why: str | None
) -> None:
    """Roster, revocation, role and each type."""
    said = violation(grant, entry_index, role, types)
    assert said is None if why is None else said is not None and why in said
