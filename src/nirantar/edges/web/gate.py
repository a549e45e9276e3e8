"""The one way from a request to a handler: form token, session, role, and every error as a page.

The order is the promise: a forged form is refused before anything in it is looked at, and before anybody is told
whether a session exists. Handlers are synchronous and run in worker threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from nirantar import limits
from nirantar.edges.web.desk import SEE_OTHER, Asked, Desk
from nirantar.edges.web.failures import failure_page
from nirantar.edges.web.session import (
    COOKIE,
    TOKEN_FIELD,
    caller_of,
    form_token,
    set_cookie,
    token_matches,
    visitor_secret,
)
from nirantar.errors import Forbidden, InvalidInput, LimitExceeded, NirantarError

Handler = Callable[[Desk, Asked], Response]
PUBLIC: Final = None
"""Instead of roles: anybody may use the page."""
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Page:
    """One row of the permission matrix: a method and path, who may use it, and what answers."""

    method: str
    path: str
    roles: frozenset[str] | None
    handle: Handler


def endpoint_of(desk: Desk, page: Page) -> Callable[[Request], Awaitable[Response]]:
    """The Starlette endpoint of a page."""

    async def endpoint(request: Request) -> Response:
        try:
            form = await _read_form(request) if page.method == "POST" else {}
        except InvalidInput as error:
            return await run_in_threadpool(failure_page, desk, _asked(desk, request, {}), error)
        return await run_in_threadpool(_answer, desk, page, request, form)

    return endpoint


def _answer(desk: Desk, page: Page, request: Request, form: dict[str, str]) -> Response:
    asked = _asked(desk, request, form)
    try:
        response = _checked(desk, page, request, asked)
    except NirantarError as error:
        response = failure_page(desk, asked, error)
    if asked.new_secret is not None:
        set_cookie(response, asked.new_secret, secure=desk.settings.secure_cookies)
    return response


def asked_of(desk: Desk, request: Request) -> Asked:
    """A request that no page answers, for the page that says so: with whoever is signed in, for the menu."""
    asked = _asked(desk, request, {})
    asked.new_secret, asked.signed_in = None, caller_of(desk.doors.credentials, asked.secret)
    return asked


def _asked(desk: Desk, request: Request, form: dict[str, str]) -> Asked:
    """The request as handlers see it; whoever has no cookie yet gets a visitor's, so that forms have a token."""
    secret = request.cookies.get(COOKIE, "")
    address = request.client.host if request.client is not None else "unknown"
    asked = Asked(
        path=request.url.path, parts=dict(request.path_params), query=dict(request.query_params), form=form,
        secret=secret, token=form_token(secret), signed_in=None, workstation=f"web:{address}"[:64],
    )
    if request.method in ("GET", "HEAD") and not secret:
        _renew(asked, visitor_secret(desk.settings.host))
    return asked


def _renew(asked: Asked, secret: str) -> None:
    asked.secret = asked.new_secret = secret
    asked.token = form_token(secret)


def _checked(desk: Desk, page: Page, request: Request, asked: Asked) -> Response:
    if page.method == "POST" and not token_matches(asked.secret, asked.form.get(TOKEN_FIELD, "")):
        raise Forbidden(
            "This form does not belong to your present sign-in, so nothing was done. Go back, reload the page and "
            "send it again."
        )
    asked.signed_in = caller_of(desk.doors.credentials, asked.secret)
    if asked.signed_in is None and desk.settings.demo is not None:
        visitor = desk.settings.demo.visitor()
        if visitor is not None:
            asked.signed_in = visitor
            _renew(asked, desk.doors.credentials.open_session(visitor))
    if page.roles is not PUBLIC:
        if asked.signed_in is None:
            return _to_sign_in(request)
        if asked.signed_in.role not in page.roles:
            raise Forbidden("Your role has no use of this page. Ask IT if that is wrong.")
    return page.handle(desk, asked)


def _to_sign_in(request: Request) -> Response:
    """To the sign-in page and back; what a form held is lost, and it says so."""
    back = quote(request.url.path, safe="/")
    lost = "&lost=yes" if request.method == "POST" else ""
    return RedirectResponse(f"/sign-in?back={back}{lost}", SEE_OTHER)


async def _read_body(request: Request) -> bytearray:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limits.FORM_BYTES_MAX:
            raise LimitExceeded(f"The form is larger than {limits.FORM_BYTES_MAX} bytes (FORM_BYTES_MAX).")
    return body


async def _read_form(request: Request) -> dict[str, str]:
    """The posted fields, each once. Raises InvalidInput and LimitExceeded."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise InvalidInput("This address takes a filled-in form of one of our pages, and nothing else.")
    try:
        async with asyncio.timeout(limits.REQUEST_BODY_SECONDS_MAX):
            body = await _read_body(request)
    except (TimeoutError, ClientDisconnect):
        raise InvalidInput(
            f"The form did not arrive whole within {limits.REQUEST_BODY_SECONDS_MAX:.0f} s (REQUEST_BODY_SECONDS_MAX). "
            "Send it again."
        ) from None
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=limits.FORM_FIELDS_MAX
        )
    except ValueError:
        raise InvalidInput(f"The form is not UTF-8, or has more than {limits.FORM_FIELDS_MAX} fields.") from None
    form: dict[str, str] = {}
    for name, value in pairs:
        if len(value) > limits.FORM_FIELD_CHARS_MAX:
            raise LimitExceeded(
                f"A field has {len(value)} characters; at most {limits.FORM_FIELD_CHARS_MAX} (FORM_FIELD_CHARS_MAX)."
            )
        if name in form:
            raise InvalidInput("The form has a field twice.")
        form[name] = value
    return form
