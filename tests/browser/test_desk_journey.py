"""A clerk's morning in a real browser: keyboard, live safety, corrections, the slip, and accessibility of each page."""

from __future__ import annotations

import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from acceptance.web_client import KAMLA, OPERATOR, PASSWORD, open_node, settings_of, written
from nirantar.app.node import Node
from nirantar.edges.web import web_app
from nirantar.interactions.accounts import Account

BROWSER_FLAGS = [
    "--no-sandbox", "--disable-background-networking", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-component-update", "--disable-sync",
]
CHOSEN = ("relation", "age_unit", "language", "department", "category")


@dataclass
class Served:
    """A node that is served on this machine."""

    node: Node
    address: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A node with two accounts, served over a real socket."""
    with open_node(tmp_path_factory.mktemp("browser")) as node:
        for login, name, role in (("asha", "Asha Rao", "registration-clerk"), ("imran", "Imran Khan", "it-security")):
            node.doors.accounts.put(OPERATOR, Account(login, name, role, active=True), PASSWORD)
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            port = listening.getsockname()[1]
            config = uvicorn.Config(web_app(node.doors, settings_of(node)), log_level="error", lifespan="off")
            server = uvicorn.Server(config)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            while not server.started:
                time.sleep(0.01)
            yield Served(node, f"http://127.0.0.1:{port}")
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, as the system has it."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=BROWSER_FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """A fresh browser window at the size of a counter's PC; fails on any script error or policy breach."""
    context = browser.new_context(viewport={"width": 1366, "height": 768}, base_url=served.address)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda message: complaints.append(message.text) if "Content Security" in message.text else None)
    yield opened
    context.close()
    assert complaints == []


def sign_in(page: Page, login: str = "asha") -> None:
    """Sign in with the keyboard."""
    page.goto("/")
    page.fill("#login", login)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def fill_in(page: Page, **changes: str) -> None:
    """Fill in the registration form."""
    for name, value in {**KAMLA, **changes}.items():
        if name in CHOSEN:
            page.select_option(f"#{name}", value)
        elif name == "gender":
            page.check(f"input[name=gender][value={value}]")
        else:
            page.fill(f"#{name}", value)


def require_accessible(page: Page) -> None:
    """No finding of axe-core, and nothing wider than the window."""
    found = Axe().run(page).response["violations"]
    assert [(each["id"], [node["html"][:100] for node in each["nodes"]]) for each in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_clerks_morning(page: Page) -> None:
    """Sign in, find nobody, register, see it reach the vault, correct it, read the history, print, sign out."""
    page.goto("/")
    require_accessible(page)
    sign_in(page)
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("कमला")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nobody on this node has a name like this.")).to_be_visible()
    require_accessible(page)

    page.get_by_role("main").get_by_role("link", name="Register a patient").click()
    expect(page.locator("#name")).to_be_focused()
    expect(page.locator("#name")).to_have_value("कमला")
    assert "कमला" not in unquote(page.url)
    require_accessible(page)
    fill_in(page)
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_text("Registered.")).to_be_visible()
    expect(page.get_by_text("Copied to vault")).to_be_visible(timeout=15_000)
    require_accessible(page)

    page.get_by_role("link", name="Correct").click()
    require_accessible(page)
    page.fill("#name", "कमला देवी शर्मा")
    page.fill("#reason", "Seen on the ration card")
    page.get_by_role("button", name="Save the correction").click()
    expect(page.get_by_text("Corrected.")).to_be_visible()

    page.get_by_role("region", name="Demographics").get_by_role("link", name="History").click()
    expect(page.locator("ol.steps > li").first).to_contain_text("Seen on the ration card")
    expect(page.locator("del")).to_have_text("कमला देवी")
    require_accessible(page)

    page.get_by_role("link", name="Back to the record").click()
    page.get_by_role("link", name="Slip").click()
    expect(page.get_by_role("button", name=re.compile("Print"))).to_be_visible()
    expect(page.locator("article.slip svg")).to_be_visible()
    require_accessible(page)

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.go_back()
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_enter_walks_down_the_form(page: Page) -> None:
    """From the name on, Enter goes to the next field and never sends the form halfway."""
    sign_in(page)
    page.goto("/patients/new")
    page.fill("#name", "Walking Down")
    page.focus("#name")
    visited = []
    for _ in range(6):
        page.keyboard.press("Enter")
        visited.append(page.evaluate("document.activeElement.name"))
    assert visited == ["gender", "relation", "relative_name", "birth_date", "age", "age_unit"]
    assert page.url.endswith("/patients/new")


@pytest.mark.parametrize(("changes", "wrong"), [
    (dict.fromkeys(("name", "age", "relation", "relative_name", "phone", "pin"), ""), ("name", "age")),
    ({"name": "x" * 121, "address": "y" * 201}, ("name", "address")),
    ({"phone": "फ़ोन", "pin": "पिन"}, ("phone", "pin")),
    ({"name": "<img src=x onerror=alert(1)>", "pin": "' OR 1=1 --", "district": "../../etc\u0007"}, ("name", "pin", "district")),
])
def test_mistakes_are_beside_the_fields_and_nothing_typed_is_lost(
    page: Page, served: Served, changes: dict[str, str], wrong: tuple[str, ...]
) -> None:
    """Empty, over-long, wrong-script and hostile input: the summary has the focus, links lead to the fields, all is kept."""
    before = written(served.node)
    sign_in(page)
    page.goto("/patients/new")
    fill_in(page, **changes)
    page.get_by_role("button", name="Register").click()
    expect(page.locator("#problems")).to_be_focused()
    for field in wrong:
        expect(page.locator(f"#{field}-wrong")).to_be_visible()
        expect(page.locator(f"#{field}")).to_have_attribute("aria-invalid", "true")
    for name, value in {**KAMLA, **changes}.items():
        if name not in (*CHOSEN, "gender"):
            assert page.input_value(f"#{name}") == value
    require_accessible(page)
    page.locator("#problems a").first.click()
    assert page.evaluate("document.activeElement.id") == wrong[0]
    assert written(served.node) == before


def test_the_desk_works_without_script(browser: Browser, served: Served) -> None:
    """With JavaScript off the same journey registers a patient and shows where the record is safe."""
    context = browser.new_context(java_script_enabled=False, base_url=served.address)
    page = context.new_page()
    sign_in(page)
    page.goto("/patients/new")
    fill_in(page, name="Without Script", phone="9444444444", relation="", relative_name="")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_text("Registered.")).to_be_visible()
    expect(page.get_by_text("Saved here")).to_be_visible()
    context.close()


def test_pages_fit_a_phone(browser: Browser, served: Served) -> None:
    """At 390 pixels nothing but tables scrolls sideways, and axe finds nothing."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, base_url=served.address)
    page = context.new_page()
    sign_in(page)
    page.goto("/patients/new")
    fill_in(page, name="On A Phone", phone="9555555555", relation="", relative_name="")
    page.get_by_role("button", name="Register").click()
    record = page.url.split("?")[0]
    page.goto("/patients")
    page.fill("#q", "On")
    page.keyboard.press("Enter")
    expect(page.locator("table.results")).to_be_visible()
    found = page.url
    for path in ("/patients", found, "/patients/new", record, f"{record}/history", f"{record}/slip", "/status"):
        page.goto(path)
        require_accessible(page)
    context.close()


def test_staff_status_and_failures_are_accessible(page: Page) -> None:
    """The pages of IT, and pages that say no."""
    sign_in(page, "imran")
    for path in ("/status", "/staff", "/staff/asha", "/patients", "/nothing"):
        page.goto(path)
        require_accessible(page)


def test_the_slip_prints_on_one_a5_page(page: Page, served: Served) -> None:
    """What the browser prints is one sheet of A5 without the desk's own bars."""
    sign_in(page)
    page.goto("/patients/new")
    fill_in(page, name="Printed Once", phone="9666666666", relation="", relative_name="", address="x " * 99)
    page.get_by_role("button", name="Register").click()
    page.get_by_role("link", name="Print the slip").click()
    expect(page.locator("article.slip")).to_be_visible()
    page.emulate_media(media="print")
    expect(page.locator("header.top")).to_be_hidden()
    printed = page.pdf(prefer_css_page_size=True)
    sheets = re.findall(rb"/MediaBox\s*\[0 0 ([0-9.]+) ([0-9.]+)\]", printed)
    assert len(sheets) == 1
    assert [round(float(side)) for side in sheets[0]] == [420, 595]
