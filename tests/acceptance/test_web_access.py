"""Who may come in and how: sign-in, sessions, form tokens, headers, and every role on every page."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.routing import Route
from web_client import PASSWORD, Desk, open_node, settings_of, written

from nirantar import limits
from nirantar.app.node import Node
from nirantar.edges.web import web_app
from nirantar.edges.web.application import SECURITY_HEADERS
from nirantar.edges.web.desk import Desk as WebDesk
from nirantar.edges.web.gate import endpoint_of
from nirantar.edges.web.pages import MENU, PAGES
from nirantar.edges.web.permissions import CHART_READERS, DISCLOSERS, EVERYBODY, OPERATORS, REGISTRARS, SLIP_PRINTERS
from nirantar.edges.web.session import local_path
from nirantar.host.watching import Touched
from nirantar.interactions.authorize import ROLES, Caller, allowed

CLERK = Caller("staff:asha", "Asha Rao", "registration-clerk", "web:test")
IT = Caller("staff:imran", "Imran Khan", "it-security", "web:test")

EXPECTED = {
    ("GET", "/"): EVERYBODY,
    ("GET", "/sign-in"): None,
    ("POST", "/sign-in"): None,
    ("POST", "/sign-out"): None,
    ("GET", "/patients"): CHART_READERS,
    ("POST", "/patients"): CHART_READERS,
    ("GET", "/patients/new"): REGISTRARS,
    ("POST", "/patients/new"): REGISTRARS,
    ("GET", "/patients/{patient_id}"): CHART_READERS,
    ("GET", "/patients/{patient_id}/safe"): CHART_READERS,
    ("GET", "/patients/{patient_id}/proof"): CHART_READERS,
    ("POST", "/patients/{patient_id}/disclosure"): DISCLOSERS,
    ("GET", "/patients/{patient_id}/history"): CHART_READERS,
    ("GET", "/patients/{patient_id}/history/{type}/{id}"): CHART_READERS,
    ("GET", "/patients/{patient_id}/correct"): REGISTRARS,
    ("POST", "/patients/{patient_id}/correct"): REGISTRARS,
    ("POST", "/patients/{patient_id}/visits"): REGISTRARS,
    ("GET", "/patients/{patient_id}/slip"): SLIP_PRINTERS,
    ("GET", "/status"): EVERYBODY,
    ("GET", "/staff"): OPERATORS,
    ("POST", "/staff"): OPERATORS,
    ("GET", "/staff/{login}"): OPERATORS,
    ("POST", "/staff/{login}"): OPERATORS,
    ("POST", "/demo/{action}"): None,
}
"""The permission matrix a second time, so that changing it takes two hands."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One node for the module."""
    with open_node(tmp_path_factory.mktemp("access"), vault=False) as opened:
        yield opened


@pytest.fixture
def desk(node: Node) -> Iterator[Desk]:
    """A browser in which nobody is signed in."""
    browser = Desk(node)
    yield browser
    browser.close()


def test_the_permission_matrix_is_what_was_decided() -> None:
    """Every page with its roles, written down twice; and no role is named that nobody can have."""
    assert {(page.method, page.path): page.roles for page in PAGES} == EXPECTED
    assert set(ROLES) - {"integration"} == EVERYBODY


def test_every_route_of_the_application_is_in_the_matrix(node: Node) -> None:
    """Nothing is served that the matrix does not name, static files excepted."""
    app = web_app(node.doors, settings_of(node))
    served = {(method, route.path) for route in app.routes if isinstance(route, Route) for method in route.methods or ()}
    assert served - {("HEAD", path) for _, path in EXPECTED} == set(EXPECTED)
    assert {route.path for route in app.routes if not isinstance(route, Route)} == {"/static"}  # type: ignore[attr-defined]


def test_the_matrix_gives_nobody_more_than_the_doors_do() -> None:
    """Who may register may write what a registration writes; who may open charts may read patients."""
    for role in REGISTRARS:
        assert all(allowed(role, "write", each) for each in ("Patient", "Encounter", "Coverage"))
    assert {role for role in EVERYBODY if allowed(role, "read", "Patient")} == set(CHART_READERS)
    assert {role for role in EVERYBODY if ROLES[role].operates} == set(OPERATORS)
    assert {role for role in ROLES if ROLES[role].discloses} == set(DISCLOSERS)
    assert {path for path, _, _ in MENU} <= {page.path for page in PAGES}


@pytest.mark.parametrize("role", [*sorted(ROLES), "no-such-role"])
def test_every_role_on_every_page(desk: Desk, role: str) -> None:
    """A role gets a page exactly when the matrix says so; with the form's token, so that only the role decides."""
    caller = Caller(f"staff:{role}", "Somebody", role, "web:test")
    for (method, path), roles in EXPECTED.items():
        desk.use_session_of(caller)
        target = re.sub(r"\{[^}]*\}", "nobody", path)
        form: dict[str, str] = {}
        if method == "POST":
            desk.get("/nothing")
            form = {"csrf": token_of(desk), "login": f"guess-as-{role}"}
        status = (desk.post(target, form, follow=False) if method == "POST" else desk.request(method, target)).status_code
        if roles is None or role in roles:
            assert status != 403, (role, method, path)
        else:
            assert status == 403, (role, method, path)


def token_of(desk: Desk) -> str:
    """The form token of the present page."""
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', desk.page.text)
    assert found is not None
    return found.group(1)


@pytest.mark.parametrize(("method", "path"), [key for key, roles in EXPECTED.items() if roles is not None])
def test_nobody_gets_anywhere_without_signing_in(desk: Desk, method: str, path: str) -> None:
    """Without a session every page leads to the sign-in page, a forged form to a refusal."""
    target = re.sub(r"\{[^}]*\}", "nobody", path)
    if method == "POST":
        assert desk.post(target, {"csrf": "0" * 64}, follow=False).status_code == 403
        desk.get("/sign-in")
        answer = desk.post(target, {"csrf": token_of(desk)}, follow=False)
    else:
        answer = desk.request(method, target)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?back=")


def test_signing_in_and_out(desk: Desk) -> None:
    """Right login and password open a session whose cookie scripts cannot read; signing out ends it on the server."""
    desk.get("/sign-in")
    visitor = desk.cookies["nirantar-desk"]
    desk.sign_in("registration-clerk")
    session = desk.cookies["nirantar-desk"]
    assert session != visitor
    assert "Find a patient" in desk.page.text
    desk.send("/sign-out")
    assert "Sign in" in desk.page.text
    desk.cookies.set("nirantar-desk", session)
    assert desk.request("GET", "/patients").status_code == 303


def test_the_session_cookie_is_out_of_reach(node: Node, desk: Desk) -> None:
    """HttpOnly and SameSite=Strict always, Secure where the desk is told that browsers come by https."""
    cookie = desk.request("GET", "/sign-in").headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secure" not in cookie


@pytest.mark.parametrize(("login", "password"), [
    ("", ""), ("nobody", PASSWORD), ("auditor", "wrong"), ("' OR '1'='1", "' OR '1'='1"), ("x" * 1_900, "y" * 1_900),
    ("NirantarAccount/it", PASSWORD), ("auditor\x00", PASSWORD), ("अशा", "पासवर्ड"),
])
def test_a_wrong_sign_in_says_one_sentence_for_every_cause(desk: Desk, login: str, password: str) -> None:
    """Nothing tells an unknown login from a wrong password."""
    desk.sign_in("auditor")
    desk.use_session_of(None)
    desk.get("/sign-in")
    page = desk.send("/sign-in", {"login": login, "password": password})
    assert page.status_code == 401
    assert "Login or password is wrong, or the account is disabled." in page.text


def test_guessing_is_slowed_down(desk: Desk) -> None:
    """After SIGN_IN_FAILURES_MAX wrong passwords the login is refused for a while, with a sentence."""
    for _ in range(limits.SIGN_IN_FAILURES_MAX):
        desk.get("/sign-in")
        assert desk.send("/sign-in", {"login": "guessed", "password": "wrong"}).status_code == 401
    desk.get("/sign-in")
    page = desk.send("/sign-in", {"login": "guessed", "password": "wrong"})
    assert page.status_code == 503
    assert "wait" in page.text


def test_a_form_without_its_token_does_nothing(desk: Desk) -> None:
    """Missing, wrong, and somebody else's token are refused before anything else is looked at."""
    desk.use_session_of(IT)
    desk.get("/staff")
    theirs = token_of(desk)
    desk.use_session_of(CLERK)
    before = written(desk.node)
    for token in ("", "0" * 64, theirs, "é"):
        answer = desk.post("/patients/new", {"csrf": token, "name": "x"}, follow=False)
        assert answer.status_code == 403
        assert "does not belong to your present sign-in" in answer.text
    assert desk.post("/patients/new", {"name": "x"}, follow=False).status_code == 403
    assert written(desk.node) == before


@pytest.mark.parametrize(("content", "kind", "status"), [
    (b"{}", "application/json", 400),
    (b"name=%FF%FE", "application/x-www-form-urlencoded", 400),
    (b"\xff\xfe", "application/x-www-form-urlencoded", 400),
    (b"a=1&a=2", "application/x-www-form-urlencoded", 400),
    (b"&".join(b"f%d=1" % place for place in range(limits.FORM_FIELDS_MAX + 1)), "application/x-www-form-urlencoded", 400),
    (b"name=" + b"x" * (limits.FORM_FIELD_CHARS_MAX + 1), "application/x-www-form-urlencoded", 413),
    (b"name=" + b"x" * (limits.FORM_BYTES_MAX + 1), "application/x-www-form-urlencoded", 413),
    (b"", "multipart/form-data; boundary=x", 400),
])
def test_a_hostile_form_is_refused_with_a_page(desk: Desk, content: bytes, kind: str, status: int) -> None:
    """Wrong type, invalid UTF-8, repeated or too many fields, and sizes beyond the limits are 4xx pages."""
    desk.use_session_of(CLERK)
    answer = desk.request("POST", "/patients/new", content=content, headers={"content-type": kind})
    assert answer.status_code == status
    assert "To the start page" in answer.text


@pytest.mark.parametrize("path", ["/sign-in", "/patients", "/nothing", "/static/desk.css", "/static/nothing"])
def test_every_answer_carries_the_security_headers(desk: Desk, path: str) -> None:
    """The policy allows no inline script or style, and pages are in no cache."""
    desk.use_session_of(CLERK)
    answer = desk.request("GET", path)
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    if path != "/static/desk.css":
        assert answer.headers["cache-control"] == "no-store"


def test_pages_hold_no_inline_script_or_style(desk: Desk) -> None:
    """What the policy would block is not there."""
    desk.use_session_of(CLERK)
    record = desk.register()
    for path in ("/patients", "/patients/new", record, f"{record}/slip", f"{record}/history", "/status", "/nothing"):
        html = desk.get(path).text
        assert re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", html) is None, path


@pytest.mark.parametrize("text", [
    "https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/x?y=1", "", "patients", "/%2F/evil", "/\n",
])
def test_nobody_is_sent_to_another_site_after_signing_in(text: str) -> None:
    """Only plain local paths are followed; all else leads to the start page."""
    assert local_path(text) == "/"
    assert local_path("/patients/new") == "/patients/new"


def test_a_session_that_ended_loses_a_form_and_says_so(node: Node, desk: Desk) -> None:
    """A form sent after the session's end saves nothing and leads to the sign-in page, which says it."""
    desk.use_session_of(CLERK)
    desk.get("/patients/new")
    form = {**desk.fields("/patients/new"), "name": "x"}
    node.doors.credentials.withdraw_actor(CLERK.actor)
    assert "was not saved" in desk.post("/patients/new", form).text


def test_it_makes_changes_and_disables_accounts(desk: Desk) -> None:
    """IT adds an account; disabling it ends its sessions at once; nobody disables himself."""
    desk.use_session_of(IT)
    desk.get("/staff")
    added = {"login": "new.person", "name": "New Person", "role": "doctor", "password": PASSWORD}
    assert "The account is made." in desk.send("/staff", added).text
    desk.get("/staff")
    assert desk.send("/staff", added).status_code == 400
    assert "already" in desk.page.text
    desk.get("/staff")
    assert desk.send("/staff", {**added, "login": "other", "password": "short"}).status_code == 400
    doctor = Caller("staff:new.person", "New Person", "doctor", "web:test")
    session = desk.node.doors.credentials.open_session(doctor)
    desk.get("/staff/new.person")
    form = {name: value for name, value in desk.fields("/staff/new.person").items() if name != "active"}
    assert "The account is changed." in desk.post("/staff/new.person", form).text
    assert "disabled" in desk.page.text
    other = Desk(desk.node)
    other.cookies.set("nirantar-desk", session)
    assert other.request("GET", "/patients").status_code == 303
    other.close()


def test_it_does_not_lock_itself_out(desk: Desk) -> None:
    """One's own account can be neither disabled nor moved to another role."""
    desk.sign_in("it-security")
    desk.get("/staff/it-security")
    page = desk.send("/staff/it-security", {"role": "doctor"})
    assert page.status_code == 400
    assert "cannot disable yourself" in page.text


def test_clinical_content_is_withheld_from_those_who_may_not_see_it(desk: Desk) -> None:
    """The pharmacist sees the patient and the visit but not the payer, and is told that something is withheld."""
    desk.use_session_of(CLERK)
    record = desk.register(name="Withheld Case", phone="9333333333")
    desk.use_session_of(Caller("staff:p", "P", "pharmacist", "web:test"))
    page = desk.get(record).text
    assert "Category and payer" not in page
    assert "1 more entry is on record that your role does not see" in page
    assert "Correct</a>" not in page


def test_a_form_that_does_not_arrive_does_not_hold_a_connection(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body sent a byte at a time without an end is refused after REQUEST_BODY_SECONDS_MAX; one that breaks off is the
    browser's fault, not a failure of ours."""
    monkeypatch.setattr(limits, "REQUEST_BODY_SECONDS_MAX", 0.05)
    page = next(page for page in PAGES if (page.method, page.path) == ("POST", "/sign-in"))
    endpoint = endpoint_of(WebDesk(desk.node.doors, settings_of(desk.node), MENU), page)
    scope = {
        "type": "http", "method": "POST", "path": "/sign-in", "query_string": b"", "path_params": {},
        "headers": [(b"content-type", b"application/x-www-form-urlencoded")],
    }

    async def trickle() -> dict[str, object]:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"a", "more_body": True}

    async def break_off() -> dict[str, object]:
        return {"type": "http.disconnect"}

    for receive in (trickle, break_off):
        answer = asyncio.run(asyncio.wait_for(endpoint(Request(scope, receive)), 10))
        assert answer.status_code == 400
        assert "did not arrive whole" in bytes(answer.body).decode()


def test_an_alarm_is_red_on_the_status_page_for_everybody(tmp_path: Path) -> None:
    """What was touched, when, and whether the vault has it; hostile file names are shown as text."""
    with open_node(tmp_path) as alarmed:
        alarmed.alarms.note([Touched("view.db", "renamed"), Touched("<script>pay</script>", "created")])
        browser = Desk(alarmed)
        browser.use_session_of(CLERK)
        deadline = time.monotonic() + 5
        while "In the vault since" not in (page := browser.get("/status").text):
            assert time.monotonic() < deadline, page
        assert 'class="verdict bad"' in page
        assert "ALARM: another program changed this node" in page
        assert "view.db renamed" in page
        assert "&lt;script&gt;pay&lt;/script&gt; created" in page
        browser.close()
