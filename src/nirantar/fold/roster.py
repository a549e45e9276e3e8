"""The roster: which nodes a hospital has and what each may write, signed by the hospital's authority.

Each roster is complete and has a serial; the highest that verifies is in force. As a signed note its text is

    nirantar-roster/v1
    <slug of the hospital>
    <serial>
    <grants as one line of JSON>
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from nirantar.errors import ProofInvalid
from nirantar.fold.grants import Grant, NumberBlock
from nirantar.tlog.note import Signer, Verifier, open_note, sign_note

_TITLE: Final = "nirantar-roster/v1"
_LINES: Final = 4
_SERIAL: Final = re.compile(r"[0-9]{1,8}")
UHID_BLOCK_FIRST: Final = 10_000_001
UHID_BLOCK_NUMBERS: Final = 5_000_000
"""Numbers in a new node's block: at 25,000 new patients a day it lasts 200 days without the centre."""


@dataclass(frozen=True, slots=True)
class Roster:
    """A roster whose signature was checked."""

    slug: str
    serial: int
    grants: tuple[Grant, ...]

    def by_origin(self) -> dict[str, Grant]:
        """Grants by log origin, as the fold wants them."""
        return {grant.origin: grant for grant in self.grants}

    def sign(self, *authorities: Signer) -> bytes:
        """The roster as a signed note; two keys sign it when one takes the other's place."""
        grants = msgspec.json.encode(self.grants).decode()
        return sign_note(f"{_TITLE}\n{self.slug}\n{self.serial}\n{grants}\n", *authorities)

    @classmethod
    def open(cls, note: bytes, authority: Verifier) -> Roster:
        """Read a roster that `authority` signed. Raises ProofInvalid for anything else."""
        lines = open_note(note, (authority,)).splitlines()
        if len(lines) != _LINES or lines[0] != _TITLE or not _SERIAL.fullmatch(lines[2]):
            raise ProofInvalid("A note that the authority signed is not a roster.")
        try:
            grants = msgspec.json.decode(lines[3], type=tuple[Grant, ...])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as reason:
            raise ProofInvalid(f"A roster's grants cannot be read: {reason}") from None
        return cls(lines[1], int(lines[2]), grants)


def next_block(grants: Iterable[Grant], series: str) -> NumberBlock:
    """A block of `series` that overlaps none ever leased: numbers are never issued twice (invariant 8)."""
    last = max(
        (block.last for grant in grants for block in grant.numbers if block.series == series),
        default=UHID_BLOCK_FIRST - 1,
    )
    return NumberBlock(series, last + 1, last + UHID_BLOCK_NUMBERS)
