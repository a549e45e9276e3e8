"""Filling the two sheets in. What they hold is secret: the caller writes them readable by its user only."""

from __future__ import annotations

from typing import Final

import segno
from jinja2 import Environment, PackageLoader, StrictUndefined

from nirantar.app.strays import SHEET_MARK
from nirantar.continuity import sheet_rows
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.continuity.shares import CustodyShare
from nirantar.continuity.sheet_rows import Rows

WORD_COLUMNS: Final = 4
_TEMPLATES: Final = Environment(
    loader=PackageLoader("nirantar.app.sheets", "templates"), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True,
)


def recovery_sheet(identity: RecoveryIdentity, hospital: str, *, printed_on: str) -> bytes:
    """The recovery identity as a page: as a QR code, which holds a file that `age -i` reads, and as rows to type.
    `printed_on` is a date as the page shall show it."""
    slug = identity.authority.name.removeprefix("nirantar.").removesuffix("/authority")
    rows = sheet_rows.write(Rows(slug, identity.age_identity, identity.authority.seed))
    return _page(
        "recovery.html", hospital=hospital or slug, printed_on=printed_on, rows=rows,
        code=_code(identity.sheet_text(hospital or slug)), authority_id=identity.authority.key_id.hex(),
        recipient=identity.recipient,
    )


def share_sheet(share: CustodyShare, *, custodian: str, call: str, printed_on: str) -> bytes:
    """One custodian's share as a page: QR code and numbered words. `custodian` and `call` (whom to call) may be empty:
    then there is a line to write on."""
    height = -(-len(share.words) // WORD_COLUMNS)
    numbered = list(enumerate(share.words, 1))
    columns = [numbered[start : start + height] for start in range(0, len(numbered), height)]
    return _page(
        "share.html", hospital=share.hospital, printed_on=printed_on, share=share, columns=columns,
        code=_code(share.text), custodian=custodian, call=call, authority_id=share.authority_id,
    )


def _code(text: bytes) -> str:
    """A QR code as SVG that takes the width of its place."""
    made = segno.make_qr(text.decode(), error="m", encoding="utf-8")
    return made.svg_inline(border=4, omitsize=True)


def _page(name: str, **values: object) -> bytes:
    return _TEMPLATES.get_template(name).render(sheet_mark=SHEET_MARK, **values).encode()
