"""JSON as FHIR needs it: decimals keep their digits, and hostile text is refused before it is decoded.

Decoded values are plain dicts, lists, str, int, bool, None, and Decimal for every number with a point or exponent.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import accumulate
from typing import Any, Final

import msgspec

from nirantar import limits
from nirantar.errors import LimitExceeded, MalformedJson

_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")

_SCAN_BYTES: Final = 64 * 1024
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_STEP: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_DIGITS: Final = b"0" * (limits.NUMBER_DIGITS_MAX + 1)
_EXPONENT: Final = b"e" + b"0" * (limits.NUMBER_EXPONENT_DIGITS_MAX + 1)
# For the search of _DIGITS every character of a number looks like a digit and all else like a space.
_NUMBERS: Final = bytes(ord("0") if each in b"-+.0123456789eE" else ord(" ") for each in range(256))
# For the search of _EXPONENT signs are left out, digits look alike, and what is no part of a number like a space.
_EXPONENTS: Final = bytes(
    ord("0") if each in b"0123456789" else ord("e") if each in b"eE" else ord(" ") for each in range(256)
)


def decode(data: bytes, *, bytes_max: int = limits.REQUEST_BYTES_MAX) -> Any:
    """The value that `data` holds.

    Linear in time; memory beside the result is at most two copies of `data`. Stricter than RFC 8259 where it leaves
    a choice: UTF-8 without a byte order mark, no name twice in an object, no NaN.

    Raises LimitExceeded for more than `bytes_max` bytes, JSON_DEPTH_MAX levels, or numbers longer than
    NUMBER_DIGITS_MAX or with exponents longer than NUMBER_EXPONENT_DIGITS_MAX; MalformedJson for the rest.
    """
    if len(data) > bytes_max:
        raise LimitExceeded(f"The JSON has {len(data)} bytes; at most {bytes_max} are taken.")
    names = _scan(data)
    try:
        value = _DECODER.decode(data)
    except UnicodeDecodeError:
        raise MalformedJson(f"The JSON is not UTF-8 at byte {_utf8_bytes(data)}.") from None
    except (msgspec.DecodeError, RecursionError):
        # The library's message may quote a part of the text, so it is not passed on.
        raise MalformedJson("The text is not JSON.") from None
    if names != _count_names(value):
        raise MalformedJson("An object of the JSON has the same name twice.")
    return value


def encode(value: Any) -> bytes:
    """The value as compact UTF-8 JSON, in the order of its dicts; Decimals with the digits they have."""
    return _ENCODER.encode(value)


def _utf8_bytes(data: bytes) -> int:
    """How many bytes are UTF-8 before the first that is not (the decoder counts from the start of its string)."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return len(data)


def _scan(data: bytes) -> int:
    """Check depth and numbers on the text outside strings; return how many `:` stand there (names in objects).

    Exact for JSON. For anything else the answer means nothing, and decoding fails afterwards.
    """
    if b"\\" in data:
        # Left to right, a pair of backslashes is one character, so what then precedes a quote escapes it.
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    depth = names = 0
    inside_string = False
    tail = b""
    for start in range(0, len(data), _SCAN_BYTES):
        # A chunk is split at its quotes: in turn outside and inside strings.
        parts = data[start : start + _SCAN_BYTES].split(b'"')
        outside = b'"'.join(parts[inside_string::2])
        inside_string ^= len(parts) % 2 == 0
        names += outside.count(b":")
        brackets = outside.translate(None, _NOT_BRACKETS)
        opened = brackets.count(b"[") + brackets.count(b"{")
        if depth + opened > limits.JSON_DEPTH_MAX:
            _check_depth(brackets, depth)
        depth += 2 * opened - len(brackets)
        _check_numbers(tail + outside)
        tail = outside[-limits.NUMBER_DIGITS_MAX :]
    return names


def _check_depth(brackets: bytes, depth: int) -> None:
    for reached in accumulate(map(_STEP.__getitem__, brackets), initial=depth):
        if reached > limits.JSON_DEPTH_MAX:
            raise LimitExceeded(f"The JSON is nested deeper than {limits.JSON_DEPTH_MAX} levels.")


def _check_numbers(outside: bytes) -> None:
    # Translated first, so that a plain search finds them: a regular expression takes ten times as long.
    if _DIGITS in outside.translate(_NUMBERS):
        raise LimitExceeded(f"A number of the JSON is longer than {limits.NUMBER_DIGITS_MAX} characters.")
    if _EXPONENT in outside.translate(_EXPONENTS, b"+-"):
        raise LimitExceeded(
            f"A number of the JSON has an exponent of more than {limits.NUMBER_EXPONENT_DIGITS_MAX} digits."
        )


def _count_names(value: Any) -> int:
    """How many names all objects in the value have. Its depth is bounded by the scan before."""
    kind = type(value)
    if kind is dict:
        names = len(value)
        for item in value.values():
            below = type(item)
            if below is dict or below is list:
                names += _count_names(item)
        return names
    names = 0
    if kind is list:
        for item in value:
            below = type(item)
            if below is dict or below is list:
                names += _count_names(item)
    return names
