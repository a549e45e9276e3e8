"""Binary as FHIR has it: content of any type goes in and out as it is, beside its JSON form (R4 binary §2.34.2).

Content comes back as a download in a sandbox, whatever its type says: a stored HTML page must never run as a desk.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Final

from anyio import to_thread

from nirantar.edges.fhir_rest.answers import Answer
from nirantar.edges.fhir_rest.exchange import Exchange, durable
from nirantar.edges.fhir_rest.headers import Headers
from nirantar.errors import InvalidInput
from nirantar.interactions.results import OperationResult

BINARY: Final = "Binary"
_MEDIA_TYPE: Final = re.compile(
    r"[a-z0-9][a-z0-9.+-]{0,62}/[a-z0-9][a-z0-9.+-]{0,62}(?:; ?charset=[A-Za-z0-9-]{1,32})?"
)
_JSON: Final = ("application/fhir+json", "application/json")
_SAFELY: Final = (
    (b"content-security-policy", b"sandbox; default-src 'none'"),
    (b"content-disposition", b"attachment"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"private, no-cache"),
)


def comes_as_content(exchange: Exchange) -> bool:
    """Whether this create brings a Binary's content itself, not its JSON."""
    return exchange.path["type"] == BINARY and not _is_json(exchange.headers, b"content-type")


def wants_content(exchange: Exchange) -> bool:
    """Whether this read of a Binary asks for its content: its Accept header names a type and not FHIR's JSON."""
    accept = exchange.headers.get(b"accept", b"*/*")
    return exchange.path["type"] == BINARY and b"*/*" not in accept and not _is_json(exchange.headers, b"accept")


async def upload(exchange: Exchange) -> OperationResult:
    """Store the body as an attachment and make its Binary, durably."""
    content_type = exchange.headers.get(b"content-type", b"").decode("latin-1").strip().lower()
    if not _MEDIA_TYPE.fullmatch(content_type):
        raise InvalidInput("Content-Type must name the type of the content, for example application/pdf.")
    content = await exchange.body()
    store = partial(
        exchange.doors.attach.submit, exchange.caller, content, content_type, exchange.purpose("fhir-create")
    )
    outcome = await durable(await to_thread.run_sync(store))
    return outcome.results[0]


async def download(exchange: Exchange) -> Answer:
    """The content of a Binary whose content is an attachment."""
    fetch = partial(exchange.doors.attach.content, exchange.caller, exchange.path["id"])
    content_type, content = await to_thread.run_sync(fetch)
    return Answer(200, ((b"content-type", content_type.encode("latin-1")), *_SAFELY), content)


def _is_json(headers: Headers, name: bytes) -> bool:
    written = headers.get(name, b"").decode("latin-1").lower()
    return any(each in written for each in _JSON)
