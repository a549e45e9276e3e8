"""JSON out and in again is the same, whatever the value; and no bytes at all make decoding misbehave."""

from __future__ import annotations

import json as reference
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nirantar.errors import InvalidInput
from nirantar.fhir import json

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(-(10**40), 10**40) | st.decimals(allow_nan=False, allow_infinity=False, places=6).map(
    lambda number: number.quantize(Decimal("0.000001")) if abs(number) < 10**15 else Decimal("0.10")
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS | st.sampled_from(['"', "\\", '\\"', "[[", "{:", "\\\\"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def shown(value: Any) -> str:
    """The value with types, digits and order visible: `Decimal("1.0") == Decimal("1.00")`, but their texts differ."""
    return repr(value)


@settings(derandomize=True, max_examples=500, deadline=None)
@given(VALUES)
def test_a_value_survives_the_round_trip_with_digits_and_order(value: Any) -> None:
    """decode(encode(x)) is x in every digit, and the bytes are a fixed point."""
    data = json.encode(value)
    decoded = json.decode(data)
    assert shown(decoded) == shown(value)
    assert json.encode(decoded) == data


@settings(derandomize=True, max_examples=500, deadline=None)
@given(VALUES, st.booleans())
def test_the_standard_library_reads_the_same(value: Any, ascii_only: bool) -> None:
    """Text that another writer made, with its own escapes and blanks, gives the same value."""
    text = reference.dumps(value, ensure_ascii=ascii_only, indent=1, default=float)
    expected = reference.loads(text, parse_float=Decimal)
    assert shown(json.decode(text.encode())) == shown(expected)


@settings(derandomize=True, max_examples=1_000, deadline=None)
@given(st.binary(max_size=60) | st.text('{}[]":,\\u0a1e+-. ', max_size=60).map(str.encode))
def test_any_bytes_are_decoded_like_elsewhere_or_refused(data: bytes) -> None:
    """Either our error, or the value that the standard library reads too."""
    try:
        decoded = json.decode(data)
    except InvalidInput:
        return
    assert shown(decoded) == shown(reference.loads(data.decode(), parse_float=Decimal))
