"""A node on a temporary disk and a browser without a screen: it keeps cookies, reads forms and sends them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import httpx

from nirantar.app.founding import found_hospital, publish, write_directory
from nirantar.app.node import Node
from nirantar.app.vaults import open_vault
from nirantar.edges.web import DemoStrip, WebSettings, web_app
from nirantar.host.real import RealHost
from nirantar.interactions.accounts import Account
from nirantar.interactions.authorize import Caller
from nirantar.journal.entry import decode

BASE = "http://desk.test"
PASSWORD = "correct horse battery"
OPERATOR = Caller("operator:test", "Test", "it-security", "terminal")
KAMLA = {
    "name": "कमला देवी", "relation": "W/o", "relative_name": "राम प्रसाद", "gender": "female", "age": "45",
    "age_unit": "years", "phone": "9000000001", "address": "12 Rampur", "district": "Sitapur", "state": "Uttar Pradesh",
    "pin": "261001", "language": "hi", "department": "General Medicine", "category": "bpl",
}


@contextmanager
def open_node(directory: Path, *, vault: bool = True) -> Iterator[Node]:
    """A new hospital's node in `directory`, open and writing; with `vault`, sealing to a directory beside it."""
    host = RealHost()
    uris = [f"file://{directory}/vault"] if vault else []
    founded, _ = found_hospital(host, "Test Hospital", "opd-1", vaults=uris, durability="node")
    for uri in uris:
        publish(open_vault(host, uri, create=True), founded.document, founded.roster, founded.roster_note)
    write_directory(host, directory / "node", founded)
    node = Node(host, directory / "node")
    try:
        node.start()
        yield node
    finally:
        node.close()


def settings_of(node: Node, demo: DemoStrip | None = None) -> WebSettings:
    """The settings that the node's own server would give the desk."""
    return WebSettings(
        host=node.host, hospital="Test Hospital", uhid_system=node.papers.configuration.uhid_system,
        secure_cookies=False, demo=demo,
    )


def written(node: Node) -> int:
    """How many entries of the node's log concern patients; its own records (accounts, digests) come and go."""
    origin = node.papers.origin
    entries = (decode(data, origin, index) for index, data, _ in node.reader.entries(origin, 0, node.reader.size(origin)))
    return sum(
        any(not change.type.startswith("Nirantar") for change in entry.changes) for entry in entries if entry is not None
    )


class Fields(HTMLParser):
    """The named fields of a page's forms, by the path that each form posts to, with their values as they stand."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: dict[str, dict[str, str]] = {}
        self._form: dict[str, str] = {}
        self._select = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a form, a field, or an option."""
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = self.forms.setdefault(given.get("action", ""), {})
        elif tag == "input" and (given.get("type") not in ("radio", "checkbox") or "checked" in given) and "name" in given:
            self._form[given["name"]] = given.get("value", "")
        elif tag == "select":
            self._select = given["name"]
            self._form[self._select] = ""
        elif tag == "option" and "selected" in given:
            self._form[self._select] = given.get("value", "")


class Desk:
    """One person at one browser."""

    def __init__(self, node: Node, demo: DemoStrip | None = None) -> None:
        self.node = node
        self._runner = asyncio.Runner()
        app = web_app(node.doors, settings_of(node, demo))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url=BASE)
        self.page = httpx.Response(200)

    def close(self) -> None:
        """Close the browser."""
        self._runner.run(self._client.aclose())
        self._runner.close()

    @property
    def cookies(self) -> httpx.Cookies:
        """What the browser keeps."""
        return self._client.cookies

    def request(
        self, method: str, path: str, *, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """One request, exactly as given; no redirect is followed."""
        return self._runner.run(self._client.request(method, path, content=content, headers=headers))

    def get(self, path: str) -> httpx.Response:
        """Open a page, following redirects, and keep it."""
        self.page = self._runner.run(self._client.get(path, follow_redirects=True))
        return self.page

    def post(self, path: str, form: Mapping[str, str], *, follow: bool = True) -> httpx.Response:
        """Send fields as they are, and keep the page that comes."""
        self.page = self._runner.run(self._client.post(path, data=dict(form), follow_redirects=follow))
        return self.page

    def post_twice_at_once(self, path: str, form: Mapping[str, str]) -> list[httpx.Response]:
        """A double press: the same form sent twice before either answer is there."""

        async def both() -> list[httpx.Response]:
            return list(await asyncio.gather(*(self._client.post(path, data=dict(form)) for _ in range(2))))

        return self._runner.run(both())

    def fields(self, path: str) -> dict[str, str]:
        """The fields of the present page's form that posts to `path`."""
        return Fields(self.page.text).forms[path]

    def send(self, path: str, changes: Mapping[str, str] | None = None) -> httpx.Response:
        """Fill in the present page's form and press its button."""
        return self.post(path, {**self.fields(path), **(changes or {})})

    def find(self, typed: str) -> httpx.Response:
        """Type into the one box of the search page, and press Find."""
        self.get("/patients")
        return self.send("/patients", {"q": typed})

    def sign_in(self, role: str) -> None:
        """Sign in as somebody of this role, whose account is made first."""
        account = Account(role, f"Test {role}", role, active=True)
        self.node.doors.accounts.put(OPERATOR, account, PASSWORD)
        self.get("/sign-in")
        assert self.send("/sign-in", {"login": role, "password": PASSWORD}).status_code == 200

    def use_session_of(self, caller: Caller | None) -> None:
        """Be this caller (None: nobody) without the slow sign-in; the password's part is tested elsewhere."""
        self._client.cookies.clear()
        if caller is not None:
            self._client.cookies.set("nirantar-desk", self.node.doors.credentials.open_session(caller))

    def register(self, **changes: str) -> str:
        """Register somebody like Kamla; return the record's path."""
        self.get("/patients/new")
        self.send("/patients/new", {**KAMLA, **changes})
        if "register anyway" in self.page.text:
            self.send("/patients/new")
        found = re.search(r"/patients/[0-9a-f-]{36}", str(self.page.url))
        assert found is not None, self.page.text
        return found.group()
