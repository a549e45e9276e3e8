"""What an error means in HTTP: the one table from classes of `errors` to statuses, and the refusals only HTTP knows.

Source: R4 http.html (§3.1.0) and RFC 9110. Where they leave a choice:
a resource of the wrong structure (unknown element, wrong JSON type) is 400, one whose structure is right but that
breaks a rule (cardinality, code, invariant) is 422; a body over REQUEST_BYTES_MAX is 413, every other bound 400.
"""

from __future__ import annotations

from typing import Final

from nirantar import errors

RETRY_AFTER_SECONDS: Final = 1
"""How long a client is asked to wait where waiting helps."""

_STATUSES: Final[dict[type[errors.NirantarError], int]] = {
    errors.InvalidInput: 400,
    errors.MalformedJson: 400,
    errors.FieldsInvalid: 422,
    errors.ResourceInvalid: 422,
    errors.UnknownSearchParameter: 400,
    errors.LimitExceeded: 400,
    errors.NotFound: 404,
    errors.Gone: 410,
    errors.Conflict: 409,
    errors.VersionConflict: 412,
    errors.MultipleMatches: 412,
    errors.BusinessRule: 422,
    errors.AccessDenied: 403,
    errors.NotSignedIn: 401,
    errors.Forbidden: 403,
    errors.Unavailable: 503,
    errors.Overloaded: 429,
    errors.DiskFull: 507,
    errors.ReadOnly: 503,
    errors.NotHereYet: 503,
    errors.VaultUnavailable: 503,
}

_BROKEN_STRUCTURE: Final = frozenset({"structure"})


class HttpRefusal(errors.InvalidInput):
    """A request that is wrong as HTTP (path, method, media type, size), so that no door was asked.

    `headers` go into the answer, such as Allow with 405.
    """

    def __init__(
        self, status: int, issue_code: str, sentence: str, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.issue_code = issue_code
        self.headers = headers


def status_of(error: errors.NirantarError) -> int:
    """The HTTP status of an error: its class's, else its nearest listed ancestor's; 500 for all others.

    500 is also the status of Damaged, SetupError and FsyncFailed: nothing that the client can act on.
    """
    if isinstance(error, HttpRefusal):
        return error.status
    if isinstance(error, errors.ResourceInvalid) and any(each.code in _BROKEN_STRUCTURE for each in error.found):
        return 400
    for ancestor in type(error).__mro__:
        status = _STATUSES.get(ancestor)
        if status is not None:
            return status
    return 500


def headers_of(error: errors.NirantarError, status: int) -> tuple[tuple[bytes, bytes], ...]:
    """Headers that the status requires (RFC 9110 §15.5.2, §10.2.3)."""
    if isinstance(error, HttpRefusal):
        return error.headers
    if status == 401:
        return ((b"www-authenticate", b'Bearer realm="nirantar"'),)
    if isinstance(error, errors.Unavailable):
        return ((b"retry-after", str(RETRY_AFTER_SECONDS).encode()),)
    return ()
