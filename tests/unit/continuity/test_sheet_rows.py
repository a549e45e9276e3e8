"""The sheet's rows: typed as people type, and named where they are wrong."""

from __future__ import annotations

import re

import pytest

from nirantar.continuity import sheet_rows
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.continuity.sheet_rows import LABELS, Rows
from nirantar.errors import IdentityWrong
from nirantar.vault.encryption import new_identity

AGE, _ = new_identity()
ROWS = Rows("city-hospital", AGE, b"s" * 32)
LINES = [row.text for row in sheet_rows.write(ROWS)]


def test_rows_are_short_and_labelled() -> None:
    """Seven rows in order, groups of four, two check characters, and none of the letters that are easily confused."""
    assert tuple(line.split()[0] for line in LINES) == LABELS
    for line in LINES[1:]:
        _, *groups, check = line.split()
        assert len(groups) <= 5
        assert len(check) == 2
        assert all(len(group) == 4 for group in groups[:-1])
        assert not re.search("[BIO1]", "".join(groups) + check)


@pytest.mark.parametrize(
    "typed",
    [
        LINES, list(reversed(LINES)), [line.lower() for line in LINES], [*LINES, "", "# a remark"],
        [line.replace(" ", "  ").replace("A1  ", "A1. ") for line in LINES],
        [LINES[0], *(f"{line.split()[0]} {''.join(line.split()[1:])}" for line in LINES[1:])],
        [LINES[0], *(f"{line.split()[0]} {'-'.join(line.split()[1:])}" for line in LINES[1:])],
        [LINES[0], *(line[:3] + line[3:].replace("0", "O").replace("8", "B").replace("L", "1") for line in LINES[1:])],
    ],
)
def test_they_come_back_however_they_are_typed(typed: list[str]) -> None:
    """Any order, case, blanks and hyphens, and letters taken for what they look like."""
    assert sheet_rows.are_rows(typed)
    assert sheet_rows.parse(typed) == ROWS
    identity = RecoveryIdentity.parse("\n".join(typed).encode())
    assert (identity.age_identity, identity.authority.seed) == (AGE, ROWS.seed)
    assert identity.authority.name == "nirantar.city-hospital/authority"


@pytest.mark.parametrize("place", range(7))
def test_a_mistyped_row_is_named_and_not_quoted(place: int) -> None:
    """Another character, two exchanged, one left out: the sentence says which row, and shows nothing of it."""
    label, first, *rest = LINES[place].split()
    other = "Q" if first[0] != "Q" else "P"
    swapped = first[1] + first[0] + first[2:] if first[0] != first[1] else other + first[1:]
    for wrong in (other + first[1:], first[1:], swapped):
        typed = [*LINES[:place], " ".join((label, wrong, *rest)), *LINES[place + 1 :]]
        with pytest.raises(IdentityWrong, match=f"Row {label} ") as refused:
            sheet_rows.parse(typed)
        assert not any(group in str(refused.value) for group in (wrong, *rest))


@pytest.mark.parametrize("place", range(7))
def test_a_missing_row_is_named(place: int) -> None:
    """Left out altogether."""
    with pytest.raises(IdentityWrong, match=f"Row {LABELS[place]} of the sheet is missing"):
        sheet_rows.parse([*LINES[:place], *LINES[place + 1 :]])


def test_rows_of_two_sheets_do_not_pass() -> None:
    """Each row is right in itself, but the key's own checksum is not; a row given twice must be the same."""
    other = [row.text for row in sheet_rows.write(Rows("city-hospital", new_identity()[0], b"t" * 32))]
    with pytest.raises(IdentityWrong, match="of one sheet"):
        sheet_rows.parse([*LINES[:2], other[2], *LINES[3:]])
    with pytest.raises(IdentityWrong, match="Row A2 was typed twice"):
        sheet_rows.parse([*LINES, other[2]])
    with pytest.raises(IdentityWrong, match="no row of the sheet"):
        sheet_rows.parse([*LINES, "C1 XXXX"])


def test_rows_do_not_show_themselves() -> None:
    """A traceback prints no secret."""
    assert "ssss" not in repr(ROWS)
    assert AGE not in repr(ROWS)
