"""The guided demo in a real browser: register, attack, counter, return, proof, flipped byte, promises."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

BROWSER_FLAGS = [
    "--no-sandbox", "--disable-background-networking", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-component-update", "--disable-sync",
]
PATIENCE_MS = 90_000


@pytest.fixture
def address() -> Iterator[str]:
    """A running demo."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "nirantar.cli", "demo", f"--port={port}"], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )
    try:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "http://" in line)
        yield line.split()[1].rstrip("/")
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, as the system has it."""
    with sync_playwright() as playwright:
        found = shutil.which("chromium")
        assert found, "this test needs Chromium (Debian: apt-get install chromium)"
        opened = playwright.chromium.launch(executable_path=found, args=BROWSER_FLAGS)
        yield opened
        opened.close()


def is_accessible(page: Page) -> None:
    """No finding of axe on the page as it stands."""
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_a_visitor_loses_his_hospital_and_gets_it_back(browser: Browser, address: str) -> None:
    """Every step of the demo by mouse: the files turn .locked while the seconds run, the same patient comes back by
    itself, the browser computes the proof, verification names the flipped entry, and no page breaks a rule of axe."""
    page = browser.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(address)
    page.get_by_role("navigation").get_by_role("link", name="Register a patient").click()
    page.locator("[name=name]").fill("आरती देवी")
    page.locator("input[name=gender][value=female]").check()
    page.locator("[name=age]").fill("34")
    page.locator("[name=department]").select_option("General Medicine")
    page.locator("main button", has_text="Register").click()
    page.wait_for_url(re.compile(r"/patients/.*new=yes"))
    record = page.url.partition("?")[0]

    page.get_by_role("button", name="Attack this hospital").click()
    expect(page.locator("#listing .locked").first).to_be_visible(timeout=PATIENCE_MS)
    is_accessible(page)
    page.wait_for_url(record, timeout=PATIENCE_MS)
    expect(page.get_by_text("Your patient is back")).to_be_visible()
    expect(page.get_by_text("All 13 acknowledged records came back byte for byte")).to_be_visible()
    expect(page.locator(".banner .name")).to_contain_text("आरती देवी")

    page.get_by_role("button", name="See the proof").click()
    expect(page.locator("#verdict.good")).to_contain_text("arrived at the signed root", timeout=PATIENCE_MS)
    assert set(page.locator("[data-mine]").all_inner_texts()) == {"the same"}
    is_accessible(page)
    page.get_by_role("link", name="Back to your patient").click()

    page.get_by_role("button", name="Flip one byte").click()
    expect(page.locator(".findings li").first).to_contain_text("entry 14", timeout=PATIENCE_MS)
    is_accessible(page)
    page.get_by_role("link", name="What was promised").click()
    expect(page.get_by_role("row", name="Acknowledged writes lost")).to_contain_text("0 of 13")
    is_accessible(page)
    assert not complaints
    page.close()
