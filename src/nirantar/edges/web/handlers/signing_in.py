"""Signing in and out."""

from __future__ import annotations

from starlette.responses import Response

from nirantar.edges.web.desk import Asked, Desk
from nirantar.edges.web.failures import kind_of
from nirantar.edges.web.session import local_path
from nirantar.errors import NotSignedIn, Overloaded
from nirantar.interactions.authorize import allowed


def form(desk: Desk, asked: Asked) -> Response:
    """The sign-in page."""
    lost = asked.query.get("lost") == "yes"
    sentence = "You were signed out meanwhile, so what you sent was not saved." if lost else ""
    return desk.page(
        asked, "sign_in.html", login="", back=local_path(asked.query.get("back", "/")), sentence=sentence,
    )


def sign_in(desk: Desk, asked: Asked) -> Response:
    """Check login and password, open a session, and go where the person wanted to go."""
    login, back = asked.form.get("login", "").strip(), local_path(asked.form.get("back", "/"))
    try:
        caller = desk.doors.accounts.sign_in(login, asked.form.get("password", ""), asked.workstation)
    except (NotSignedIn, Overloaded) as refused:
        status, _ = kind_of(refused)
        return desk.page(asked, "sign_in.html", status=status, login=login, back=back, sentence=str(refused))
    if asked.signed_in is not None:
        desk.doors.credentials.withdraw(asked.secret)
    asked.new_secret = desk.doors.credentials.open_session(caller)
    return desk.go(back)


def sign_out(desk: Desk, asked: Asked) -> Response:
    """End the session at once."""
    desk.doors.credentials.withdraw(asked.secret)
    return desk.go("/sign-in")


def home(desk: Desk, asked: Asked) -> Response:
    """To the page that the role works with."""
    if allowed(asked.caller.role, "read", "Patient"):
        return desk.go("/patients")
    return desk.go("/status")
