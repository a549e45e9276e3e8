"""Every failure as a page: what happened, in a sentence, and a way back. Here alone errors become statuses."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from nirantar.edges.web.desk import Asked, Desk
from nirantar.errors import (
    AccessDenied,
    Conflict,
    Gone,
    InvalidInput,
    LimitExceeded,
    NirantarError,
    NotFound,
    NotSignedIn,
    Unavailable,
)

_KINDS: Final[tuple[tuple[type[NirantarError], int, str], ...]] = (
    (LimitExceeded, 413, "That is too large"),
    (InvalidInput, 400, "That could not be understood"),
    (NotFound, 404, "There is nothing here"),
    (Gone, 410, "This was deleted"),
    (Conflict, 409, "That is not possible now"),
    (NotSignedIn, 401, "Please sign in"),
    (AccessDenied, 403, "You may not do this"),
    (Unavailable, 503, "Not just now"),
)
"""The first class that fits decides."""


def kind_of(error: NirantarError) -> tuple[int, str]:
    """(HTTP status, title) of an error; what nobody foresaw is 500."""
    for kind, status, title in _KINDS:
        if isinstance(error, kind):
            return status, title
    return 500, "Something went wrong here"


def failure_page(desk: Desk, asked: Asked, error: NirantarError) -> Response:
    """The page of an error that a person can understand or act on."""
    status, title = kind_of(error)
    response = desk.page(asked, "failure.html", status=status, title=title, sentence=str(error))
    if status == 503:
        response.headers["retry-after"] = "2"
    return response


def nothing_here(desk: Desk, asked: Asked) -> Response:
    """404 for an address that no page has."""
    sentence = "No page has this address. It may have been mistyped, or come from an older link."
    return desk.page(asked, "failure.html", status=404, title="There is nothing here", sentence=sentence)


def wrong_method(desk: Desk, asked: Asked) -> Response:
    """405 for a page that was asked in a way that it does not know."""
    sentence = "This address does not answer to that kind of request. Use the links and buttons of the pages."
    return desk.page(asked, "failure.html", status=405, title="That is not how this page is used", sentence=sentence)


def broken(desk: Desk, asked: Asked) -> Response:
    """500 for what nobody foresaw. It says nothing of the cause, which may hold a patient's data."""
    sentence = (
        "The fault is ours, not yours. If you were saving something, look for it before you enter it again: sending "
        "the same form twice never makes two records. Tell IT what you were doing and at what time."
    )
    return desk.page(asked, "failure.html", status=500, title="Something went wrong here", sentence=sentence)
