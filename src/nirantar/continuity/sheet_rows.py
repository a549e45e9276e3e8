"""The recovery identity in rows that a person can type: for the day on which nothing reads the sheet's QR code.

    H  CITY-HOSPITAL             5K     the hospital's slug
    A1 RCQE MVSX UAHR ED37 XSPA  7C     the age identity without its beginning AGE-SECRET-KEY-1, in three rows
    B1 ...                              the authority's seed, written by the same rules

Each row ends in two characters that follow from the rest, so a mistake is named by its row. Capitals or not, blanks
and hyphens do not matter, and the letters that no key has (B, I, O and the digit 1) are read as what they look like.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from nirantar.errors import IdentityWrong, InvalidInput
from nirantar.vault import bech32
from nirantar.vault.encryption import IDENTITY_PREFIX, identity_bytes, identity_of

AUTHORITY_PREFIX: Final = "nirantar-authority-"
ROW_CHARS: Final = 20
GROUP_CHARS: Final = 4
CHECK_CHARS: Final = 2
LABELS: Final = ("H", "A1", "A2", "A3", "B1", "B2", "B3")

_LABELLED: Final = re.compile(r"(H|[AB][1-3])[.:]?\s+(.*)", re.IGNORECASE)
_LOOKS_LIKE: Final = str.maketrans("OI1B", "0LL8")


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it is printed: its label, its groups, its two check characters."""

    label: str
    groups: tuple[str, ...]
    check: str

    @property
    def text(self) -> str:
        """The row on one line."""
        return f"{self.label} {' '.join(self.groups)} {self.check}"


@dataclass(frozen=True, slots=True)
class Rows:
    """What the rows of a sheet say: the hospital's slug, the age identity, the 32 bytes of the authority's seed."""

    slug: str
    age_identity: str
    seed: bytes

    def __repr__(self) -> str:
        return f"Rows({self.slug!r}, ...)"


def write(rows: Rows) -> list[Row]:
    """The rows of a sheet."""
    made = [Row("H", (rows.slug.upper(),), _check("H", rows.slug.upper()))]
    secrets = (
        ("A", bech32.encode(IDENTITY_PREFIX, identity_bytes(rows.age_identity)), IDENTITY_PREFIX),
        ("B", bech32.encode(AUTHORITY_PREFIX, rows.seed), AUTHORITY_PREFIX),
    )
    for letter, text, prefix in secrets:
        typed = text[len(prefix) + 1 :].upper()
        for number, start in enumerate(range(0, len(typed), ROW_CHARS), 1):
            part = typed[start : start + ROW_CHARS]
            groups = tuple(part[place : place + GROUP_CHARS] for place in range(0, len(part), GROUP_CHARS))
            label = f"{letter}{number}"
            made.append(Row(label, groups, _check(label, part)))
    return made


def are_rows(lines: Sequence[str]) -> bool:
    """Whether somebody typed rows of a sheet here."""
    return any(_LABELLED.fullmatch(line) for line in lines)


def parse(lines: Sequence[str]) -> Rows:
    """Read typed rows, in any order. Raises IdentityWrong naming the row that is missing or was mistyped; quotes
    nothing of it."""
    found: dict[str, str] = {}
    for line in lines:
        row = _LABELLED.fullmatch(line)
        if row is None:
            if line and not line.startswith("#"):
                raise IdentityWrong("A line is no row of the sheet: each begins with H, A1 to A3 or B1 to B3.")
            continue
        label = row[1].upper()
        content = _content(label, row[2])
        if found.setdefault(label, content) != content:
            raise IdentityWrong(f"Row {label} was typed twice, and not the same.")
    for label in LABELS:
        if label not in found:
            raise IdentityWrong(f"Row {label} of the sheet is missing.")
    try:
        secret = bech32.decode(IDENTITY_PREFIX + "1" + _joined(found, "A"), IDENTITY_PREFIX)
        seed = bech32.decode(AUTHORITY_PREFIX + "1" + _joined(found, "B"), AUTHORITY_PREFIX)
    except InvalidInput:
        raise IdentityWrong("Each row fits its check characters, but not the others: are they of one sheet?") from None
    return Rows(found["H"].lower(), identity_of(secret), seed)


def _content(label: str, typed: str) -> str:
    """A row without its check characters. Raises IdentityWrong unless these fit."""
    if label == "H":
        content, _, check = typed.upper().strip().rpartition(" ")
        content = content.strip()
    else:
        together = re.sub(r"[\s-]", "", typed.upper()).translate(_LOOKS_LIKE)
        content, check = together[:-CHECK_CHARS], together[-CHECK_CHARS:]
    if not content or _check(label, content) != check.translate(_LOOKS_LIKE):
        raise IdentityWrong(f"Row {label} of the sheet was mistyped: its last two characters do not fit the rest.")
    return content


def _joined(found: dict[str, str], letter: str) -> str:
    return "".join(found[f"{letter}{number}"] for number in (1, 2, 3)).lower()


def _check(label: str, content: str) -> str:
    number = int.from_bytes(sha256(f"{label} {content}".encode()).digest()[:2], "big") >> 6
    return (bech32.ALPHABET[number >> 5] + bech32.ALPHABET[number & 31]).upper()
