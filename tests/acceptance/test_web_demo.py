"""The hook for a guided demo, and what is shown when something breaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from starlette.routing import BaseRoute
from web_client import Desk, open_node

from nirantar.app.node import Node
from nirantar.edges.web import DemoButton, DemoState
from nirantar.errors import NotFound
from nirantar.interactions.authorize import Caller

VISITOR = Caller("staff:visitor", "A Visitor", "registration-clerk", "web:demo")


@dataclass
class OneStep:
    """A demo of one step that notes what was pressed."""

    guest: Caller | None = VISITOR
    goes_to: str = "/status"
    pressed: list[str] = field(default_factory=list)

    def state(self) -> DemoState:
        """The only step."""
        return DemoState(
            1, 3, "Register yourself", "Then <attack> the node.", lines=("proof one",),
            buttons=(DemoButton("attack", "Attack", danger=True),), watch=True,
        )

    def press(self, action: str) -> str:
        """Note it."""
        if action != "attack":
            raise NotFound("The demo offers no such thing now.")
        self.pressed.append(action)
        return self.goes_to

    def visitor(self) -> Caller | None:
        """Whoever comes."""
        return self.guest

    def routes(self) -> Sequence[BaseRoute]:
        """None of its own."""
        return ()


class Broken(OneStep):
    """A demo whose button fails in a way that nobody foresaw."""

    def press(self, action: str) -> str:
        """Fail."""
        raise RuntimeError(f"{action}: Kamla Devi, 9000000001")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One node for the module."""
    with open_node(tmp_path_factory.mktemp("demo"), vault=False) as opened:
        yield opened


def test_the_strip_is_on_every_page_and_its_buttons_work(node: Node) -> None:
    """Texts are escaped, buttons carry the token, and pressing one leads where the demo says."""
    demo = OneStep()
    desk = Desk(node, demo)
    page = desk.get("/patients")
    assert "Find a patient" in page.text
    assert "Step 1 of 3" in page.text
    assert "Then &lt;attack&gt; the node." in page.text
    assert 'data-watch="/health"' in page.text
    assert desk.send("/demo/attack").status_code == 200
    assert demo.pressed == ["attack"]
    assert desk.page.url.path == "/status"
    assert desk.post("/demo/attack", {"csrf": "0" * 64}).status_code == 403
    assert demo.pressed == ["attack"]
    desk.get("/patients")
    assert desk.post("/demo/else", {"csrf": desk.fields("/demo/attack")["csrf"]}).status_code == 404
    desk.close()


def test_a_demo_may_leave_signing_in_to_the_visitor(node: Node) -> None:
    """Without a visitor of its own the demo's pages ask for a sign-in like any other."""
    desk = Desk(node, OneStep(guest=None))
    assert "Sign in" in desk.get("/patients").text
    desk.close()


def test_without_a_demo_nothing_of_it_is_there(node: Node) -> None:
    """No strip, and its address answers as if it were not."""
    desk = Desk(node)
    desk.use_session_of(VISITOR)
    page = desk.get("/patients")
    assert "Guided demo" not in page.text
    assert desk.post("/demo/attack", {"csrf": desk.fields("/sign-out")["csrf"]}).status_code == 404
    desk.close()


def test_a_demo_cannot_send_people_elsewhere(node: Node) -> None:
    """Only local paths are followed."""
    desk = Desk(node, OneStep(goes_to="https://evil.example/"))
    desk.get("/patients")
    answer = desk.post("/demo/attack", desk.fields("/demo/attack"), follow=False)
    assert answer.headers["location"] == "/"
    desk.close()


def test_what_nobody_foresaw_is_a_page_without_its_cause(node: Node) -> None:
    """500 is a sentence with a way back and the security headers; the cause, which may hold a patient, is not in it."""
    desk = Desk(node, Broken())
    desk.get("/patients")
    answer = desk.post("/demo/attack", desk.fields("/demo/attack"))
    assert answer.status_code == 500
    assert "The fault is ours" in answer.text
    assert "Kamla" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    desk.close()
