"""Answers: a status, headers and bytes, and what FHIR says beside them (ETag, Last-Modified, OperationOutcome)."""

from __future__ import annotations

import traceback
from email.utils import formatdate
from functools import lru_cache
from typing import Any, Final, NamedTuple

import structlog

from nirantar.edges.fhir_rest.statuses import headers_of, status_of
from nirantar.errors import Issue, NirantarError
from nirantar.fhir import json
from nirantar.fhir.operation_outcome import operation_outcome
from nirantar.interactions.results import StoredVersion

Header = tuple[bytes, bytes]

CONTENT_TYPE: Final[Header] = (b"content-type", b"application/fhir+json; charset=utf-8")
# A browser or proxy may keep a chart only if it asks again each time.
_REVALIDATE: Final[Header] = (b"cache-control", b"private, no-cache")
_NO_SNIFFING: Final[Header] = (b"x-content-type-options", b"nosniff")

_log = structlog.get_logger("nirantar.fhir_rest")


class Answer(NamedTuple):
    """What goes back. `headers` are complete but for Content-Length, which is the body's."""

    status: int
    headers: tuple[Header, ...]
    body: bytes = b""


def of_resource(status: int, resource: dict[str, Any], headers: tuple[Header, ...] = ()) -> Answer:
    """A resource made here; `msgspec.Raw` inside it goes out byte for byte."""
    return Answer(status, (CONTENT_TYPE, _REVALIDATE, _NO_SNIFFING, *headers), json.encode(resource))


def of_version(version: StoredVersion) -> Answer:
    """A stored version, its bytes untouched."""
    return Answer(
        200,
        (CONTENT_TYPE, _REVALIDATE, _NO_SNIFFING, *version_headers(version)),
        version.resource or b"",
    )


def version_headers(version: StoredVersion) -> tuple[Header, Header]:
    """ETag and Last-Modified of a version (R4 http §3.1.0.1.3)."""
    return (
        (b"etag", b'W/"%s"' % version.version_id.encode("ascii")),
        (b"last-modified", _http_date(version.recorded_at_us // 1_000_000)),
    )


@lru_cache(maxsize=1024)
def _http_date(seconds: int) -> bytes:
    return formatdate(seconds, usegmt=True).encode("ascii")


def of_outcome(status: int, issues: tuple[Issue, ...], headers: tuple[Header, ...] = ()) -> Answer:
    """An OperationOutcome."""
    return of_resource(status, operation_outcome(issues), headers)


def of_error(error: Exception) -> Answer:
    """An error as status and OperationOutcome. What nobody foresaw is a 500 that says nothing more: it may have been
    raised with a patient's data in its message, so the log gets its class and the place alone."""
    status = status_of(error) if isinstance(error, NirantarError) else 500
    if isinstance(error, NirantarError) and status != 500:
        return of_outcome(status, error.issues(), headers_of(error, status))
    log_failure(error)
    return of_outcome(500, (FAILED,))


FAILED: Final = Issue("exception", "The server failed. Nothing in the request needs to change; tell its operators.")


def log_failure(error: BaseException) -> None:
    """Note an unforeseen error: class and code line, never its message."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename.rpartition('/nirantar/')[2]}:{frames[-1].lineno}" if frames else "unknown"
    _log.error("unexpected failure", error=type(error).__name__, place=place)
