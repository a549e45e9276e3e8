"""Cookies and form tokens.

One cookie holds one secret: a visitor's before sign-in, a session's after; sign-in replaces it, so a secret planted
before is worth nothing. A form's token is an HMAC under that secret: it needs no storage, dies with the session, and a
page of another site can neither read nor guess it.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Final

from starlette.responses import Response

from nirantar import limits
from nirantar.errors import NotSignedIn
from nirantar.host.port import Host
from nirantar.interactions.authorize import Caller
from nirantar.interactions.credentials import Credentials

COOKIE: Final = "nirantar-desk"
TOKEN_FIELD: Final = "csrf"  # noqa: S105 - the name of a field
_PURPOSE: Final = b"nirantar web form"
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{20,100}", re.ASCII)
_PATH: Final = re.compile(r"/(?:[A-Za-z0-9._-][A-Za-z0-9/._-]*)?", re.ASCII)


def form_token(secret: str) -> str:
    """The token that every form of this secret's pages carries."""
    return hmac.new(secret.encode(), _PURPOSE, sha256).hexdigest()


def token_matches(secret: str, token: str) -> bool:
    """Whether a posted token is this secret's. Never true without a secret."""
    return bool(_SECRET.fullmatch(secret)) and hmac.compare_digest(form_token(secret).encode(), token.encode())


def visitor_secret(host: Host) -> str:
    """A secret for somebody who has not signed in yet."""
    return urlsafe_b64encode(host.random_bytes(32)).rstrip(b"=").decode()


def caller_of(credentials: Credentials, secret: str) -> Caller | None:
    """Whose session the secret opens; None when it is nobody's, or no longer."""
    if not _SECRET.fullmatch(secret):
        return None
    try:
        return credentials.check("session", secret)
    except NotSignedIn:
        return None


def set_cookie(response: Response, secret: str, *, secure: bool) -> None:
    """Give the browser its secret: for this site only, out of reach of scripts."""
    response.set_cookie(
        COOKIE, secret, max_age=limits.SESSION_SECONDS_MAX, path="/", httponly=True, samesite="strict", secure=secure
    )


def local_path(text: str) -> str:
    """`text` if it is a plain path of this site, else the start page: a link must not send people elsewhere."""
    return text if _PATH.fullmatch(text) else "/"
