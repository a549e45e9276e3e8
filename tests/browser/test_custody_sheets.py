"""The sheets as Chromium prints them: one page, nothing cut off, and a QR code that another program reads back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
import zxingcpp
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from nirantar.app.sheets import recovery_sheet, share_sheet
from nirantar.continuity import shares
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.tlog.note import Signer
from nirantar.vault.encryption import new_identity

BROWSER_FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-gpu", "--no-first-run", "--disable-sync"]
NAMES = ("City Hospital", "शहर अस्पताल", "The Invented Maharaja Memorial Multi-Speciality Hospital and Research Institute")
LONGEST_CALL = "Medical superintendent’s office, 011-5550-0100, at night the casualty desk"
IDENTITY = RecoveryIdentity(new_identity()[0], Signer("nirantar.city-hospital/authority", b"s" * 32))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, as the system has it."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=BROWSER_FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A window that would fail on any request to elsewhere."""
    context = browser.new_context(viewport={"width": 900, "height": 1240}, offline=True)
    opened = context.new_page()
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    yield opened
    assert all(url.startswith("file:") for url in asked), asked
    context.close()


def a_share(name: str) -> shares.CustodyShare:
    """The last of five, which any three join with."""
    return shares.split(IDENTITY, name, shares=5, threshold=3)[4]


def shown(page: Page, data: bytes, path: Path) -> str:
    """Show a sheet from a file; what the one QR code on its picture says."""
    path.write_bytes(data)
    page.goto(path.as_uri())
    picture = Image.open(BytesIO(page.screenshot(full_page=True)))
    (code,) = zxingcpp.read_barcodes(picture)
    return code.text


def fits(page: Page) -> bool:
    """Whether nothing is cut off at the page's edges, and printing gives a single sheet of A4."""
    inside = page.evaluate(
        """() => {
             const sheet = document.querySelector(".page"), edge = sheet.getBoundingClientRect();
             const last = document.querySelector("footer").getBoundingClientRect();
             return sheet.scrollHeight <= sheet.clientHeight && sheet.scrollWidth <= sheet.clientWidth
               && last.bottom <= edge.bottom && Math.abs(edge.height / edge.width - 297 / 210) < 0.01;
           }"""
    )
    return bool(inside) and page.pdf(prefer_css_page_size=True, print_background=True).count(b"/Type /Page\n") == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_recovery_sheet_is_read_back_from_its_picture(page: Page, tmp_path: Path, name: str) -> None:
    """The code holds a file that opens the vault; the page fits, whatever the hospital is called."""
    text = shown(page, recovery_sheet(IDENTITY, name, printed_on="2026-11-24"), tmp_path / "sheet.html")
    assert text.encode() == IDENTITY.sheet_text(name)
    read = RecoveryIdentity.parse(text.encode())
    assert (read.age_identity, read.authority.skey) == (IDENTITY.age_identity, IDENTITY.authority.skey)
    assert fits(page)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("custodian", "call"), [("", ""), ("Dr Invented Rao, medical records", LONGEST_CALL)])
def test_a_share_is_read_back_from_its_picture(page: Page, tmp_path: Path, name: str, custodian: str, call: str) -> None:
    """The code holds the share's text; the page fits, filled in or left to be."""
    share = a_share(name)
    data = share_sheet(share, custodian=custodian, call=call, printed_on="2026-11-24")
    assert shown(page, data, tmp_path / "share.html").encode() == share.text
    assert fits(page)


def test_the_sheets_are_accessible(page: Page, tmp_path: Path) -> None:
    """axe finds nothing serious: contrast, languages, headings."""
    for data in (
        recovery_sheet(IDENTITY, "City Hospital", printed_on="2026-11-24"),
        share_sheet(a_share("City Hospital"), custodian="", call="", printed_on="2026-11-24"),
    ):
        shown(page, data, tmp_path / "sheet.html")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
