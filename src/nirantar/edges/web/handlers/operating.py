"""The node's state, for everybody; staff accounts, for IT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from nirantar import limits
from nirantar.edges.web.desk import Asked, Desk
from nirantar.edges.web.failures import kind_of
from nirantar.edges.web.handlers.registering import UHID
from nirantar.errors import InvalidInput, NirantarError, Unavailable
from nirantar.interactions.accounts import PASSWORD_CHARS_MIN, Account
from nirantar.interactions.authorize import ROLES

SYSTEM_ROLE: Final = "integration"
"""Other systems act in this role, with tokens; no person does."""


def status(desk: Desk, asked: Asked) -> Response:
    """What the node is, how far its vaults follow, and what is wrong."""
    return desk.page(
        asked, "status.html", uhids_left=desk.doors.numbers.left(UHID), alarm_seconds=limits.VAULT_LAG_ALARM_SECONDS
    )


def staff(desk: Desk, asked: Asked) -> Response:
    """Every account, and a form for another."""
    return _list_page(desk, asked, {"login": "", "name": "", "role": ""})


def add(desk: Desk, asked: Asked) -> Response:
    """Make an account."""
    filled = {name: asked.form.get(name, "").strip() for name in ("login", "name", "role")}
    try:
        if any(each.login == filled["login"].lower() for each in desk.doors.accounts.everybody(asked.caller)):
            raise InvalidInput("There is an account with this login already: change that one, or choose another login.")
        account = Account(filled["login"].lower(), filled["name"], filled["role"], active=True)
        desk.doors.accounts.put(asked.caller, account, asked.form.get("password", ""))
    except (InvalidInput, Unavailable) as refused:
        return _list_page(desk, asked, filled, refused)
    return desk.go("/staff?done=added")


def account(desk: Desk, asked: Asked) -> Response:
    """One account, as a form."""
    found = desk.doors.accounts.get(asked.parts["login"])
    return _account_page(desk, asked, found)


def change(desk: Desk, asked: Asked) -> Response:
    """Change an account; whoever is disabled or gets another role is signed out everywhere on this node."""
    known = desk.doors.accounts.get(asked.parts["login"])
    wanted = Account(
        known.login, asked.form.get("name", "").strip(), asked.form.get("role", ""), asked.form.get("active") == "yes"
    )
    try:
        if asked.caller.actor == f"staff:{known.login}" and (not wanted.active or wanted.role != known.role):
            raise InvalidInput("You cannot disable yourself or change your own role; a colleague in IT can.")
        desk.doors.accounts.put(asked.caller, wanted, asked.form.get("password") or None)
    except (InvalidInput, Unavailable) as refused:
        return _account_page(desk, asked, wanted, refused)
    if wanted.role != known.role or not wanted.active or asked.form.get("password"):
        desk.doors.credentials.withdraw_actor(f"staff:{known.login}")
    return desk.go("/staff?done=changed")


def _list_page(
    desk: Desk, asked: Asked, filled: Mapping[str, str], refused: NirantarError | None = None
) -> Response:
    return desk.page(
        asked, "staff.html", status=200 if refused is None else kind_of(refused)[0],
        accounts=desk.doors.accounts.everybody(asked.caller), filled=filled, roles=_roles(),
        sentence="" if refused is None else str(refused), done=asked.query.get("done", ""),
        password_chars_min=PASSWORD_CHARS_MIN,
    )


def _account_page(desk: Desk, asked: Asked, shown: Account, refused: NirantarError | None = None) -> Response:
    return desk.page(
        asked, "account.html", status=200 if refused is None else kind_of(refused)[0], account=shown, roles=_roles(),
        sentence="" if refused is None else str(refused), password_chars_min=PASSWORD_CHARS_MIN,
    )


def _roles() -> dict[str, str]:
    return {name: role.title for name, role in ROLES.items() if name != SYSTEM_ROLE}
