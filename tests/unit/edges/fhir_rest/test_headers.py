"""Request headers, well-formed and not."""

from __future__ import annotations

import pytest

from nirantar.edges.fhir_rest import headers
from nirantar.edges.fhir_rest.statuses import HttpRefusal
from nirantar.errors import InvalidInput, LimitExceeded, NotSignedIn


@pytest.mark.parametrize(
    ("written", "returned", "strict"),
    [
        (b"return=minimal", "minimal", False),
        (b"handling=strict, return=representation", "representation", True),
        (b"return=OperationOutcome; handling=lenient", "OperationOutcome", False),
        (b"return=everything", None, False),
        (b"respond-async;;,=", None, False),
        (b"\xff\xfe", None, False),
    ],
)
def test_preferences(written: bytes, returned: str | None, strict: bool) -> None:
    """Known preferences are read, all others ignored."""
    found = headers.preferences({b"prefer": written})
    assert (found.returned, found.strict) == (returned, strict)


@pytest.mark.parametrize("written", [None, b"", b"Basic YTpi", b"Bearer", b"Bearer ", b"token abc"])
def test_no_bearer_token(written: bytes | None) -> None:
    """Anything but a bearer token counts as not signed in."""
    with pytest.raises(NotSignedIn):
        headers.bearer_token({} if written is None else {b"authorization": written})


def test_bearer_token_in_any_case() -> None:
    """The scheme's name is read in any case (RFC 9110 §11.1)."""
    assert headers.bearer_token({b"authorization": b"bEARER abc "}) == "abc"


def test_if_match() -> None:
    """Weak and strong tags and * are read; what is no tag is refused, naming the header."""
    assert headers.if_match({}) is None
    assert headers.if_match({b"if-match": b'W/"opd-1.7"'}) == "opd-1.7"
    assert headers.if_match({b"if-match": b'"opd-1.7"'}) == "opd-1.7"
    assert headers.if_match({b"if-match": b"*"}) == "*"
    for wrong in (b"opd-1.7", b'W/"a", W/"b"', b'W/"\xe9"', b""):
        with pytest.raises(InvalidInput, match="If-Match"):
            headers.if_match({b"if-match": wrong})


def test_if_none_match_takes_lists() -> None:
    """Any tag of a list counts, also the star; a tag that only contains the version does not."""
    assert headers.is_known_version({b"if-none-match": b'W/"a.1", W/"a.2"'}, "a.2")
    assert headers.is_known_version({b"if-none-match": b" * "}, "a.2")
    assert not headers.is_known_version({b"if-none-match": b'W/"a.22"'}, "a.2")
    assert not headers.is_known_version({}, "a.2")


@pytest.mark.parametrize("accept", [b"*/*", b"application/json", b"text/html, */*;q=0.1", b"Application/FHIR+JSON; fhirVersion=4.0"])
def test_json_is_acceptable(accept: bytes) -> None:
    """Every way of accepting JSON passes; the same header with _format=xml does not."""
    headers.require_json_wanted({b"accept": accept}, b"")
    with pytest.raises(HttpRefusal):
        headers.require_json_wanted({b"accept": accept}, b"_format=xml")


@pytest.mark.parametrize(
    ("accept", "query"),
    [(b"application/fhir+xml", b""), (b"application/fhir+json; fhirVersion=5.0", b""), (b"text/html", b""), (b"*/*", b"_format=xml"), (b"*/*", b"a=1&_format=application/fhir%2Bxml")],
)
def test_other_formats_are_not(accept: bytes, query: bytes) -> None:
    """What can only be answered in XML or HTML, or as another release of FHIR, is 406."""
    with pytest.raises(HttpRefusal) as refused:
        headers.require_json_wanted({b"accept": accept}, query)
    assert refused.value.status == 406


@pytest.mark.parametrize("query", [b"_format=json", b"_format=application/fhir+json", b"_format=application/fhir%2Bjson"])
def test_format_goes_before_accept(query: bytes) -> None:
    """_format wins over an Accept header that alone would be refused."""
    headers.require_json_wanted({b"accept": b"text/html"}, query)
    with pytest.raises(HttpRefusal):
        headers.require_json_wanted({b"accept": b"text/html"}, b"")


@pytest.mark.parametrize(
    "sent",
    [
        {}, {b"content-type": b"text/plain"}, {b"content-type": b"application/x-www-form-urlencoded"},
        {b"content-type": b"application/json; charset=latin-1"}, {b"content-type": b"\xff"},
        {b"content-type": b"application/json", b"content-encoding": b"gzip"},
        {b"content-type": b"application/fhir+json; fhirVersion=5.0"},
    ],
)
def test_other_content_is_refused(sent: dict[bytes, bytes]) -> None:
    """A body that is not plain UTF-8 JSON is 415."""
    with pytest.raises(HttpRefusal) as refused:
        headers.require_content_type(sent)
    assert refused.value.status == 415


def test_json_content_passes() -> None:
    """FHIR JSON and plain JSON pass, with or without their charset, but not as a search form."""
    for written in (b"application/fhir+json", b"application/json; charset=UTF-8", b'APPLICATION/JSON;charset="utf-8"',
                    b"application/fhir+json; fhirVersion=4.0"):
        headers.require_content_type({b"content-type": written})
        with pytest.raises(HttpRefusal):
            headers.require_content_type({b"content-type": written}, form=True)


def test_idempotency_key_is_bounded() -> None:
    """A key has 1 to 255 characters."""
    assert headers.idempotency_key({}) is None
    assert headers.idempotency_key({b"idempotency-key": b"k" * 255}) == "k" * 255
    with pytest.raises(LimitExceeded, match="IDEMPOTENCY_KEY_CHARS_MAX"):
        headers.idempotency_key({b"idempotency-key": b"k" * 256})
    with pytest.raises(InvalidInput):
        headers.idempotency_key({b"idempotency-key": b"  "})


def test_durability() -> None:
    """Node and vault are known, nothing else."""
    assert headers.durability({}) is None
    assert headers.durability({b"x-nirantar-durability": b"vault"}) == "vault"
    assert headers.durability({b"x-nirantar-durability": b"node"}) == "node"
    with pytest.raises(InvalidInput):
        headers.durability({b"x-nirantar-durability": b"peer"})


def test_a_host_header_that_is_none_gives_relative_urls() -> None:
    """A Host header goes into links only when it looks like a host."""
    assert headers.origin_of("https", {b"host": b"opd-1.hospital.in:8443"}) == "https://opd-1.hospital.in:8443"
    assert headers.origin_of("http", {b"host": b"[::1]:80"}) == "http://[::1]:80"
    for hostile in (b"", b"a b", b'a"b', b"a/../b", b"x\r\nSet-Cookie: y", b"\xff", b"h" * 256):
        assert headers.origin_of("http", {b"host": hostile}) == ""
