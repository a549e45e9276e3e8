"""The sheets: one self-contained page each, with every secret on it as text, and nothing fetched from anywhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from nirantar.app.sheets import recovery_sheet, share_sheet
from nirantar.continuity import shares, sheet_rows
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.continuity.sheet_rows import Rows
from nirantar.tlog.note import Signer
from nirantar.vault.encryption import new_identity

IDENTITY = RecoveryIdentity(new_identity()[0], Signer("nirantar.city-hospital/authority", b"s" * 32))
SHARE = shares.split(IDENTITY, "City Hospital", shares=5, threshold=3)[1]
NASTY = '<script>alert("1")</script> & "Co"'


class Words(HTMLParser):
    """The visible text of a page, and every address in it."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note tags and what they point to."""
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "data", "action"}]

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data.split()


def read(page: bytes) -> Words:
    """A page as a reader sees it."""
    words = Words()
    words.feed(page.decode())
    return words


def a_share_sheet(**more: str) -> bytes:
    """The second of five."""
    return share_sheet(SHARE, **{"custodian": "", "call": "", "printed_on": "2026-11-24", **more})


def test_the_recovery_sheet_has_every_row_and_both_languages() -> None:
    """Name, date, page number, all rows with their check characters, what to do in English and in Hindi."""
    found = read(recovery_sheet(IDENTITY, "City Hospital", printed_on="2026-11-24"))
    text = " ".join(found.text)
    for row in sheet_rows.write(Rows("city-hospital", IDENTITY.age_identity, IDENTITY.authority.seed)):
        assert row.text in text
    for wanted in ("City Hospital", "2026-11-24", "Page 1 of 1", "nirantar recover", "गोपनीय", "तिजोरी", IDENTITY.recipient):
        assert wanted in text


def test_a_share_has_its_words_in_order_and_whom_to_call() -> None:
    """Each word behind its number, the share's place among the others, custodian and telephone as given."""
    text = " ".join(read(a_share_sheet(custodian="Dr Rao", call="IT desk, 011-5550-0100")).text)
    assert " ".join(f"{number} {word}" for number, word in enumerate(SHARE.words, 1)) in text
    for wanted in ("2 of 5", "any 3 together", "Dr Rao", "011-5550-0100", "City Hospital", "Page 1 of 1", "अभिरक्षक"):
        assert wanted in text


def test_pages_load_nothing_and_run_nothing() -> None:
    """No address, no script, and a policy that forbids both; the stylesheet names no address either."""
    for page in (recovery_sheet(IDENTITY, "City Hospital", printed_on="x"), a_share_sheet()):
        found = read(page)
        assert found.addresses == []
        assert not {"script", "link", "img", "iframe", "object", "form"} & set(found.tags)
        assert b"default-src 'none'" in page
        assert re.findall(rb"url\(|@import|https?://", page.replace(b"http://www.w3.org/2000/svg", b"")) == []


@pytest.mark.parametrize("name", [NASTY, "शहर अस्पताल", "x" * 80])
def test_names_stay_text(name: str) -> None:
    """Whatever a hospital or a custodian is called."""
    share = shares.split(IDENTITY, name, shares=2, threshold=2)[0]
    page = share_sheet(share, custodian=name, call=name, printed_on="x")
    assert read(page).tags.count("script") == 0
    assert name.split(maxsplit=1)[0] in read(page).text
    assert name.split(maxsplit=1)[0] in read(recovery_sheet(IDENTITY, name, printed_on="x")).text
