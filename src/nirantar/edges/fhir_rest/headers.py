"""What request headers ask for: preferences, preconditions, formats, whose request it is. Checked and bounded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast
from urllib.parse import parse_qsl

from nirantar import limits
from nirantar.edges.fhir_rest.statuses import HttpRefusal
from nirantar.errors import InvalidInput, LimitExceeded, NotSignedIn
from nirantar.fhir.request_url import entity_tag
from nirantar.interactions.transaction import Durability

Headers = Mapping[bytes, bytes]
Returned = Literal["minimal", "representation", "OperationOutcome"]

_JSON_TYPES: Final = frozenset({
    "application/fhir+json", "application/json", "application/json+fhir", "text/json", "application/*", "text/*", "*/*",
})
_BODY_TYPES: Final = frozenset({"application/fhir+json", "application/json", "application/json+fhir"})
_JSON_FORMATS: Final = frozenset({"json", "application/fhir+json", "application/json", "text/json"})
FORM: Final = "application/x-www-form-urlencoded"
_TAG: Final = re.compile(rb'"([^"]*)"')
_HOST: Final = re.compile(rb"[A-Za-z0-9._:\[\]-]{1,255}")


@dataclass(frozen=True, slots=True)
class Preferences:
    """The Prefer header (RFC 7240, R4 http §3.1.0.1.5). `returned` None: as is usual for the interaction."""

    returned: Returned | None = None
    strict: bool = False


def preferences(headers: Headers) -> Preferences:
    """What the client prefers. Preferences that are not known are ignored, as RFC 7240 has it."""
    written = headers.get(b"prefer")
    if written is None:
        return Preferences()
    asked: dict[str, str] = {}
    for part in re.split("[,;]", written.decode("latin-1")):
        name, _, value = part.partition("=")
        asked.setdefault(name.strip().lower(), value.strip().strip('"'))
    returned = asked.get("return")
    return Preferences(
        cast(Returned, returned) if returned in ("minimal", "representation", "OperationOutcome") else None,
        asked.get("handling") == "strict",
    )


def bearer_token(headers: Headers) -> str:
    """The secret of `Authorization: Bearer …` (RFC 6750). Raises NotSignedIn when there is none."""
    scheme, _, secret = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer" or not secret:
        raise NotSignedIn("This needs a token: send the header Authorization: Bearer <token>.")
    return secret.strip().decode("latin-1")


def if_match(headers: Headers) -> str | None:
    """The version id that must be the current one, or `*`. Raises InvalidInput."""
    return _tag(headers, b"if-match", "If-Match")


def if_none_match(headers: Headers) -> str | None:
    """For a write: `*`, nothing may be there yet. Raises InvalidInput."""
    return _tag(headers, b"if-none-match", "If-None-Match")


def _tag(headers: Headers, name: bytes, shown: str) -> str | None:
    written = headers.get(name)
    if written is None:
        return None
    try:
        return entity_tag(written.decode("latin-1").strip())
    except InvalidInput as reason:
        raise InvalidInput(f"{shown} {reason}") from None


def is_known_version(headers: Headers, version_id: str) -> bool:
    """Whether If-None-Match says that the client has this version already (RFC 9110 §13.1.2, weak comparison)."""
    written = headers.get(b"if-none-match")
    return written is not None and (written.strip() == b"*" or version_id.encode("ascii") in _TAG.findall(written))


def require_json_wanted(headers: Headers, query: bytes) -> None:
    """Refuse what can only be answered in another format than JSON. `_format` goes before Accept (R4 §3.1.0.1.11)."""
    if b"_format=" in query:
        for name, value in parse_qsl(query.decode("latin-1"), max_num_fields=limits.FORM_FIELDS_MAX):
            # A plus sign that nobody percent-encoded arrives as a space.
            if name == "_format" and _media_type(value.replace(" ", "+")) not in _JSON_FORMATS:
                raise HttpRefusal(406, "not-supported", "Only JSON is spoken here: _format=json.")
        return
    accepted = headers.get(b"accept", b"*/*")
    if accepted in (b"*/*", b"application/fhir+json"):
        return
    parts = accepted.decode("latin-1").split(",")
    if not any(_media_type(part) in _JSON_TYPES and not _of_another_release(part) for part in parts):
        raise HttpRefusal(406, "not-supported", "Only JSON of FHIR R4 is spoken here: Accept: application/fhir+json.")


def require_content_type(headers: Headers, *, form: bool = False) -> None:
    """Refuse a body that is not FHIR JSON in UTF-8 (with `form`: not a search form). Raises HttpRefusal 415."""
    written = headers.get(b"content-type", b"").decode("latin-1").lower()
    wanted = {FORM} if form else _BODY_TYPES
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]*)", written)
    if _media_type(written) not in wanted or (charset is not None and charset[1] not in ("utf-8", "utf8", "us-ascii")):
        name = FORM if form else "application/fhir+json"
        raise HttpRefusal(415, "not-supported", f"The body must be {name} in UTF-8, and Content-Type must say so.")
    if _of_another_release(written):
        raise HttpRefusal(415, "not-supported", "The body must be FHIR R4: fhirVersion=4.0 in Content-Type, or none.")
    if headers.get(b"content-encoding", b"identity").lower() not in (b"identity", b""):
        raise HttpRefusal(415, "not-supported", "The body must not be compressed.")


def _of_another_release(media_type: str) -> bool:
    """Whether a media type asks for another FHIR release than R4 (R4 http §3.1.0.1.12)."""
    release = re.search(r"fhirversion\s*=\s*\"?([^\s;,\"]*)", media_type.lower())
    return release is not None and release[1] not in ("4.0", "4.0.1")


def _media_type(text: str) -> str:
    return text.partition(";")[0].strip().lower()


def idempotency_key(headers: Headers) -> str | None:
    """The client's name for this request, by which a repeat is known. Raises LimitExceeded, InvalidInput."""
    written = headers.get(b"idempotency-key")
    if written is None:
        return None
    if len(written) > limits.IDEMPOTENCY_KEY_CHARS_MAX:
        raise LimitExceeded(
            f"Idempotency-Key has {len(written)} characters; "
            f"IDEMPOTENCY_KEY_CHARS_MAX is {limits.IDEMPOTENCY_KEY_CHARS_MAX}."
        )
    if not written.strip():
        raise InvalidInput("Idempotency-Key is empty.")
    return written.decode("latin-1")


def durability(headers: Headers) -> Durability | None:
    """Where the write must be safe before it is answered; None: as the node is configured. Raises InvalidInput."""
    written = headers.get(b"x-nirantar-durability")
    if written is None:
        return None
    if written not in (b"node", b"vault"):
        raise InvalidInput("X-Nirantar-Durability must be node or vault.")
    return "node" if written == b"node" else "vault"


def condition_text(headers: Headers) -> str | None:
    """If-None-Exist's search, still percent-encoded. Raises InvalidInput."""
    written = headers.get(b"if-none-exist")
    if written is None:
        return None
    if not written.isascii():
        raise InvalidInput("If-None-Exist must be percent-encoded like the query of a URL.")
    if not written.strip():
        # A client whose variable was empty asked for a condition all the same: never create without one.
        raise InvalidInput("If-None-Exist is empty: give it a search, or leave the header out.")
    return written.decode("ascii").strip()


def origin_of(scheme: str, headers: Headers) -> str:
    """`https://host` as the client wrote it, "" when its Host header is not one: URLs in answers are then relative."""
    host = headers.get(b"host", b"")
    return f"{scheme}://{host.decode('ascii')}" if _HOST.fullmatch(host) else ""
