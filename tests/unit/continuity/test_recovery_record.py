"""The signed report of a recovery: two signatures, one spelling, and no byte of it can change."""

from __future__ import annotations

import msgspec
import pytest

from nirantar.continuity.recovery_record import (
    RecordedLog,
    RecoveryRecord,
    is_recovery_note,
    open_recovery_note,
    sentences,
)
from nirantar.errors import InvalidInput, ProofInvalid
from nirantar.tlog.note import Note, Signer, add_signatures, sign_note

NODE = Signer("nirantar.test/opd-r1", bytes(range(32)))
AUTHORITY = Signer("nirantar.test/authority", bytes(range(1, 33)))
RECORD = RecoveryRecord(
    v=1, hospital="Test", node="opd-r1", origin=NODE.name, vkey=NODE.vkey, authority=AUTHORITY.vkey, program="0.1.0",
    started_at="2026-11-23T07:00:00.000Z", finished_at="2026-11-23T07:00:02.000Z", seconds=2.0, vaults=("file:///v",),
    as_of=None, entries=9, recovered=8, verified=8, altered=0, missing=1, ok=False,
    logs=(RecordedLog("nirantar.test/opd", 9, 8, 1, 9, "ab" * 32, 9),), resources={"Patient": 3}, findings=(),
)


def test_it_comes_back_as_it_was_signed() -> None:
    """By the authority's key, or, where that is not at hand, by the one in the report; the sentences then say so."""
    note = RECORD.sign(NODE, AUTHORITY)
    assert is_recovery_note(note)
    assert open_recovery_note(note, AUTHORITY.verifier) == open_recovery_note(note, None) == RECORD
    said = " ".join(sentences(RECORD, authority_was_given=True))
    assert "checkpoints: 9. Recovered: 8. Verified: 8. Altered: 0. Missing: 1." in said
    assert "taken from the report itself" not in said
    assert AUTHORITY.vkey in sentences(RECORD, authority_was_given=False)[-1]


def test_every_flipped_byte_is_seen() -> None:
    """Each byte of the note in turn."""
    note = bytearray(RECORD.sign(NODE, AUTHORITY))
    for place in range(len(note)):
        note[place] ^= 1 << place % 8
        with pytest.raises(ProofInvalid):
            open_recovery_note(bytes(note), AUTHORITY.verifier)
        note[place] ^= 1 << place % 8


def test_one_signature_is_not_enough_and_three_are_too_many() -> None:
    """A node cannot say of itself that it is whole, nor a stolen authority alone; nobody else signs along."""
    text = Note.parse(RECORD.sign(NODE, AUTHORITY)).text
    thief = Signer(NODE.name, bytes(32))
    for note in (
        sign_note(text, NODE), sign_note(text, AUTHORITY), sign_note(text, thief, AUTHORITY),
        add_signatures(RECORD.sign(NODE, AUTHORITY), [thief.sign(text.encode())]),
    ):
        with pytest.raises(ProofInvalid, match="nobody else"):
            open_recovery_note(note, AUTHORITY.verifier)


def test_another_hospitals_report_and_other_notes_are_refused() -> None:
    """The authority that was asked for must be the report's; other notes, words and spellings are no report."""
    other = Signer(AUTHORITY.name, bytes(32))
    with pytest.raises(ProofInvalid, match="another authority"):
        open_recovery_note(RECORD.sign(NODE, AUTHORITY), other.verifier)
    with pytest.raises(ProofInvalid, match="not a signed recovery report"):
        open_recovery_note(sign_note("hello\n", NODE, AUTHORITY), None)
    line = msgspec.json.encode(RECORD).decode()
    for text, why in (
        (f"nirantar-recovery/v1\nTest\n{NODE.name}\n{line} \n", "one way"),
        (f"nirantar-recovery/v1\nOther\n{NODE.name}\n{line}\n", "one way"),
        (f"nirantar-recovery/v1\nTest\n{NODE.name}\n{{}}\n", "cannot be read"),
    ):
        with pytest.raises(ProofInvalid, match=why):
            open_recovery_note(sign_note(text, NODE, AUTHORITY), None)


def test_it_is_signed_by_those_whom_it_names() -> None:
    """Signing with another key is a defect, told at once."""
    with pytest.raises(InvalidInput, match="that it names"):
        RECORD.sign(AUTHORITY, NODE)
