"""Strict JSON: what is taken, what is refused, and that digits survive."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from nirantar import limits
from nirantar.errors import LimitExceeded, MalformedJson
from nirantar.fhir import json


@pytest.mark.parametrize("text", ["72.50", "0.10", "1.0", "-0.0", "1.50E+9", "123456789012345678901234567890", "7"])
def test_numbers_keep_their_digits(text: str) -> None:
    """A laboratory's 4.10 is not 4.1."""
    assert json.encode(json.decode(text.encode())) == text.encode()


def test_names_keep_their_order() -> None:
    """Bytes served are the bytes that were encoded, so order is part of them."""
    assert json.encode(json.decode(b'{"b":1,"a":{"d":[],"c":null}}')) == b'{"b":1,"a":{"d":[],"c":null}}'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{} {}",
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b"[01]",
        b"[1.]",
        b"[.5]",
        b"[+1]",
        b"{a:1}",
        b"{'a':1}",
        b"[1,]",
        b'"\n"',
        b'"\\x"',
        b'"\\ud800"',
        b'\xef\xbb\xbf{"a":1}',
        b'"\xff"',
        b'{"\xc3\x28":1}',
        b'"\xed\xa0\x80"',
        '{"a":"é"}'.encode("latin-1"),
        '{"a":1}'.encode("utf-16"),
        b"]" * 100 + b"[" * 100,
    ],
)
def test_malformed_text_is_refused(data: bytes) -> None:
    """Only one JSON value in UTF-8 is JSON here."""
    with pytest.raises(MalformedJson):
        json.decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":2}',
        b'[{"b":[{"a":{},"c":0,"a":{}}]}]',
        b'{"a:":1,"a:":2}',
        b'{"\\"a":"\\\\","\\"a":"x"}',
    ],
)
def test_a_name_twice_in_an_object_is_refused(data: bytes) -> None:
    """Readers differ on which of two equal names counts: a doctor must not see another dose than the ward."""
    with pytest.raises(MalformedJson, match="same name twice"):
        json.decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":"\\"b\\":1,","c":"{\\"a\\":1}"}',
        b'{"a\\\\":"\\\\","b":"[[[[{{{{::"}',
        b'{"a":{"a":{"a":1}},"b":{"a":2}}',
        b'["\\\\\\"",":",{"x":":"}]',
    ],
)
def test_names_and_brackets_in_strings_do_not_count(data: bytes) -> None:
    """Punctuation inside strings is text, also behind escapes."""
    assert json.decode(data)


def test_depth_is_bounded_exactly() -> None:
    """JSON_DEPTH_MAX levels of arrays and objects are taken, one more is not."""
    pairs = limits.JSON_DEPTH_MAX // 2
    deepest = b'[{"a":' * pairs + b"1" + b"}]" * pairs
    assert json.decode(deepest)
    with pytest.raises(LimitExceeded, match=str(limits.JSON_DEPTH_MAX)):
        json.decode(b"[" + deepest + b"]")


def test_many_shallow_brackets_are_not_deep() -> None:
    """Depth is not the number of brackets."""
    assert len(json.decode(b"[" + b",".join([b"{}"] * 1_000) + b"]")) == 1_000


def test_depth_is_found_in_large_and_hostile_text() -> None:
    """Megabytes of brackets, or brackets far behind a long string, are refused before they are decoded."""
    with pytest.raises(LimitExceeded):
        json.decode(b"[" * 10_000_000)
    with pytest.raises(LimitExceeded):
        json.decode(b'["' + b"x" * 200_001 + b'",' + b"[" * 60 + b"]" * 60 + b"]")


@pytest.mark.parametrize(
    "number", [b"1" * 65, b"-0." + b"3" * 80, b"1e100", b"1E+999999999", b"5e-0100", b"1" * 5_000_000]
)
def test_numbers_that_cost_more_than_they_say_are_refused(number: bytes) -> None:
    """A short text must not expand into gigabytes of digits later."""
    with pytest.raises(LimitExceeded):
        json.decode(b'{"a":[' + number + b"]}")


@pytest.mark.parametrize("offset", [65_470, 65_500, 65_530, 65_536])
def test_a_long_number_across_two_chunks_is_found(offset: int) -> None:
    """The scan works in chunks, which must not be a way around it."""
    data = b'["' + b"x" * (offset - 4) + b'",' + b"1" * 70 + b"]"
    with pytest.raises(LimitExceeded):
        json.decode(data)


def test_digits_in_strings_are_text() -> None:
    """Identifiers and base64 are longer than any number may be."""
    text = "1" * 100_000
    assert json.decode(b'{"a":"' + text.encode() + b'"}') == {"a": text}


def test_size_is_bounded() -> None:
    """One byte more than the bound is refused, and the message names the bound."""
    assert json.decode(b'"12345678"', bytes_max=10) == "12345678"
    with pytest.raises(LimitExceeded, match="10"):
        json.decode(b'"123456789"', bytes_max=10)


def test_errors_do_not_quote_the_text() -> None:
    """Errors are logged; the text may be a record."""
    for data in (b'{"a":Kamla}', b'{"Kamla":1,"Kamla":2}', b'"Kamla\xff"', b'{"Kamla"'):
        with pytest.raises(MalformedJson) as raised:
            json.decode(data)
        assert "Kamla" not in str(raised.value)


def test_whole_and_fractional_numbers_have_their_own_types() -> None:
    """No float ever: it would lose digits."""
    decoded: Any = json.decode(b"[1,1.0,1e2]")
    assert [type(number) for number in decoded] == [int, Decimal, Decimal]


def test_a_byte_that_is_not_utf_8_is_named_where_it_stands() -> None:
    """Counted from the start of the body, so that whoever sent it can look it up in his file."""
    with pytest.raises(MalformedJson, match=r"at byte 23\."):
        json.decode('{"a": "देवी", '.encode() + b'"\xff": 1}')
