"""The custody note: what vaults are sealed to and who speaks for the hospital, signed by the hospital's authority.

Each note is complete and has a serial; the highest that verifies is in force. As a signed note its text is

    nirantar-custody/v1
    <slug of the hospital>
    <serial>
    <the terms as one line of JSON>

A note that changes the authority is signed by the old key and by the new one: whoever trusts either can follow.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import msgspec

from nirantar.errors import InvalidInput, ProofInvalid
from nirantar.fold.founding import FoundingDocument
from nirantar.tlog.note import Signer, Verifier, open_note, sign_note

_TITLE: Final = "nirantar-custody/v1"
_LINES: Final = 4
_SERIAL: Final = re.compile(r"[0-9]{1,8}")


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a custody note says.

    `founding` is hex SHA-256 of the founding document, so that its name and slug are signed. `authority` is the
    verifier key in force, and signed rosters from serial `roster_from` on; `recovery` and `rehearsal` are age
    recipients. `earlier` is an age file, for `recovery` alone, of the age identities that were in force before, one a
    line. `read_back` is the instant at which the recovery sheet was first read back, empty until then.
    """

    founding: str
    authority: str
    recovery: str
    roster_from: int
    earlier: bytes
    rehearsal: str = ""
    read_back: str = ""


@dataclass(frozen=True, slots=True)
class Custody:
    """A custody note whose signature was checked, with its own bytes."""

    slug: str
    serial: int
    terms: Terms
    note: bytes = field(repr=False)

    @property
    def recipients(self) -> tuple[str, ...]:
        """What everything is sealed to from now on."""
        rehearsal = self.terms.rehearsal
        return (self.terms.recovery, rehearsal) if rehearsal else (self.terms.recovery,)

    @property
    def authority(self) -> Verifier:
        """The key that signs rosters and the next custody note."""
        return Verifier.parse(self.terms.authority)

    def is_of(self, document: FoundingDocument) -> bool:
        """Whether this is the founding document that the authority signed for."""
        return document.slug == self.slug and founding_hash(document) == self.terms.founding

    @classmethod
    def sign(cls, slug: str, serial: int, terms: Terms, *authorities: Signer) -> Custody:
        """Make a note; with a new authority `authorities` are the old key and the new one."""
        text = f"{_TITLE}\n{slug}\n{serial}\n{msgspec.json.encode(terms).decode()}\n"
        return cls(slug, serial, terms, sign_note(text, *authorities))

    @classmethod
    def open(cls, note: bytes, authority: Verifier) -> Custody:
        """Read a note that `authority` signed. Raises ProofInvalid for anything else."""
        lines = open_note(note, (authority,)).splitlines()
        if len(lines) != _LINES or lines[0] != _TITLE or not _SERIAL.fullmatch(lines[2]):
            raise ProofInvalid("A note that the authority signed is not a custody note.")
        try:
            terms = msgspec.json.decode(lines[3], type=Terms)
            following = Verifier.parse(terms.authority)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidInput) as reason:
            raise ProofInvalid(f"A custody note's terms cannot be read: {reason}") from None
        open_note(note, (following,))  # who takes over agrees
        return cls(lines[1], int(lines[2]), terms, note)

    @classmethod
    def reopen(cls, note: bytes) -> Custody:
        """Read a note from a place that is trusted as a whole, a node's own directory: it must be signed by the
        authority that it names itself. Raises ProofInvalid."""
        lines = note.decode("utf-8", "replace").splitlines()
        try:
            named = msgspec.json.decode(lines[3], type=Terms).authority
            return cls.open(note, Verifier.parse(named))
        except (IndexError, msgspec.MsgspecError, RecursionError, InvalidInput) as reason:
            raise ProofInvalid(f"This is not a custody note: {reason}") from None


def founding_hash(document: FoundingDocument) -> str:
    """Hex SHA-256 of a founding document's one form."""
    return sha256(document.encode()).hexdigest()


def follow(notes: Iterable[bytes], authority: Verifier, slug: str, *, after: int = 0) -> Custody | None:
    """The note in force for whoever trusts `authority`: notes in the order of their serials, each opened by the
    authority that the one before left in force. What does not verify is noise that anybody can add, and is passed over.
    """
    newest: Custody | None = None
    for note in notes:
        try:
            found = Custody.open(note, authority)
        except ProofInvalid:
            continue
        if found.slug == slug and found.serial > (after if newest is None else newest.serial):
            newest, authority = found, found.authority
    return newest


def handovers(notes: Iterable[bytes], first: Verifier, last: Verifier, slug: str) -> tuple[Custody, ...]:
    """The notes that lead from the authority `first` to `last`, each opened by the key that the one before put in
    force; none where both are one key. Raises ProofInvalid where no notes lead there."""
    known = tuple(notes)
    ways: dict[str, tuple[Custody, ...]] = {first.vkey: ()}
    waiting = deque((first,))
    while waiting:
        authority = waiting.popleft()
        way = ways[authority.vkey]
        if authority.vkey == last.vkey:
            return way
        for note in known:
            try:
                found = Custody.open(note, authority)
            except ProofInvalid:
                continue
            later = found.serial > (way[-1].serial if way else 0)
            if found.slug == slug and later and found.terms.authority not in ways:
                ways[found.terms.authority] = (*way, found)
                waiting.append(found.authority)
    raise ProofInvalid(f"No custody notes lead from the authority {first.vkey} to {last.vkey}.")
