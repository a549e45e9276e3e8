"""Custody notes: signed, followed from key to key, and never taken from a stranger."""

from __future__ import annotations

import msgspec
import pytest

from nirantar.errors import ProofInvalid
from nirantar.fold.custody import Custody, Terms, follow, founding_hash, handovers
from nirantar.fold.founding import FoundingDocument
from nirantar.tlog.note import Signer, sign_note

OLD = Signer("nirantar.test/authority", b"o" * 32)
NEW = Signer("nirantar.test/authority", b"n" * 32)
THIEF = Signer("nirantar.test/authority", b"t" * 32)
DOCUMENT = FoundingDocument(1, "Test", "test", ("age1first",), OLD.vkey)


def terms(authority: Signer, recovery: str = "age1first", **more: str) -> Terms:
    """Terms that name this authority."""
    return Terms(founding_hash(DOCUMENT), authority.vkey, recovery, 1, b"sealed", **more)


FIRST = Custody.sign("test", 1, terms(OLD), OLD)
ROTATED = Custody.sign("test", 2, terms(NEW, "age1second"), OLD, NEW)
AFTER = Custody.sign("test", 3, terms(NEW, "age1second", rehearsal="age1third"), NEW)
NOTES = [each.note for each in (FIRST, ROTATED, AFTER)]


def test_a_note_comes_back_as_it_was_signed() -> None:
    """Serial, terms and recipients; the rehearsal's recipient stands second, and only where there is one."""
    assert Custody.open(AFTER.note, NEW.verifier) == AFTER
    assert Custody.reopen(AFTER.note) == AFTER
    assert (FIRST.recipients, AFTER.recipients) == (("age1first",), ("age1second", "age1third"))


def test_it_signs_for_the_founding_document() -> None:
    """Another name or recipient in hospital.json is not what the authority signed for."""
    assert FIRST.is_of(DOCUMENT)
    for change in ({"name": "Best"}, {"recipients": ("age1thief",)}, {"authority": THIEF.vkey}, {"slug": "best"}):
        assert not FIRST.is_of(msgspec.structs.replace(DOCUMENT, **change))


@pytest.mark.parametrize("trusted", [OLD, NEW])
def test_the_newest_is_found_from_either_key(trusted: Signer) -> None:
    """Who knew the hospital before the rotation follows it; who has the new key needs nothing older."""
    assert follow(NOTES, trusted.verifier, "test") == AFTER
    assert follow(NOTES[1:], trusted.verifier, "test") == AFTER
    assert follow(NOTES[:1], trusted.verifier, "test") == (FIRST if trusted is OLD else None)


def test_a_key_that_was_replaced_speaks_no_more() -> None:
    """Notes that the old key, or a stranger, adds after the rotation are passed over."""
    late = [Custody.sign("test", serial, terms(OLD, "age1thief"), OLD).note for serial in (3, 4)]
    strange = Custody.sign("test", 5, terms(THIEF), THIEF).note
    assert follow([*NOTES[:2], *late, strange, b"noise"], OLD.verifier, "test") == ROTATED
    assert follow([*NOTES[:2], *late], NEW.verifier, "test") == ROTATED


def test_serials_only_rise_and_hospitals_do_not_mix() -> None:
    """An older serial after a newer one, one not above `after`, or one of another hospital counts for nothing."""
    assert follow([AFTER.note, Custody.sign("test", 2, terms(NEW), NEW).note], NEW.verifier, "test") == AFTER
    assert follow(NOTES, OLD.verifier, "test", after=3) is None
    assert follow(NOTES, OLD.verifier, "other") is None


def test_a_new_authority_must_agree() -> None:
    """A note that names a key which did not sign it is refused: nobody is made the authority unasked."""
    with pytest.raises(ProofInvalid):
        Custody.open(Custody.sign("test", 2, terms(NEW), OLD).note, OLD.verifier)


@pytest.mark.parametrize(
    "text",
    ["nirantar-roster/v1\ntest\n1\n{}\n", "nirantar-custody/v1\ntest\nx\n{}\n", "nirantar-custody/v1\ntest\n1\n{}\n",
     "nirantar-custody/v1\ntest\n1\n", "nirantar-custody/v1\ntest\n1\n[" + "[" * 3000 + "\n"],
)
def test_other_notes_of_the_authority_are_not_taken_for_one(text: str) -> None:
    """A roster, a bad serial, terms without fields, a missing line."""
    for open_ in (lambda note: Custody.open(note, OLD.verifier), Custody.reopen):
        with pytest.raises(ProofInvalid):
            open_(sign_note(text, OLD))


def test_a_node_takes_its_own_file_only_as_signed() -> None:
    """A file whose terms were edited, or that is something else, is refused."""
    for data in (b"", b"x", AFTER.note.replace(b"age1third", b"age1thief"), b"\xff\n\n"):
        with pytest.raises(ProofInvalid):
            Custody.reopen(data)


NEWEST = Signer("nirantar.test/authority", b"m" * 32)
TWICE = Custody.sign("test", 5, terms(NEWEST, "age1fourth"), NEW, NEWEST)


def test_handovers_are_the_notes_that_lead_from_key_to_key() -> None:
    """Only the notes that changed the key, in order, whatever lies between them or is noise; none for one key."""
    notes = [*NOTES, b"noise", TWICE.note]
    assert handovers(notes, OLD.verifier, NEWEST.verifier, "test") == (ROTATED, TWICE)
    assert handovers(notes, NEW.verifier, NEWEST.verifier, "test") == (TWICE,)
    assert handovers([], OLD.verifier, OLD.verifier, "test") == ()


def test_a_thiefs_branch_does_not_hide_the_true_way() -> None:
    """Who has the replaced key can sign a note to a key of his own, but not turn the way to the key in force."""
    branch = Custody.sign("test", 2, terms(THIEF, "age1thief"), OLD, THIEF).note
    assert handovers([branch, *NOTES, TWICE.note], OLD.verifier, NEWEST.verifier, "test") == (ROTATED, TWICE)


@pytest.mark.parametrize(("notes", "slug"), [(NOTES[:1], "test"), ([TWICE.note], "test"), (NOTES, "other")])
def test_a_way_with_a_note_missing_or_of_another_hospital_is_none(notes: list[bytes], slug: str) -> None:
    """A sentence names both keys."""
    with pytest.raises(ProofInvalid, match="No custody notes lead from"):
        handovers(notes, OLD.verifier, NEWEST.verifier if TWICE.note in notes else NEW.verifier, slug)
