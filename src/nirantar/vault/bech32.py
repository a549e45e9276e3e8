"""Bech32 (BIP 173): how age writes its keys, 32 bytes as 52 characters and a checksum of 6 that finds any four errors.

Encoding only; what the bytes are for is `encryption`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from nirantar.errors import InvalidInput

ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
CHECKSUM_CHARS: Final = 6
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def encode(prefix: str, data: bytes) -> str:
    """`data` under the human-readable `prefix` (lower case), in lower case."""
    values = _regrouped(data, 8, 5, pad=True)
    expanded = [*_expanded(prefix), *values]
    check = _polymod([*expanded, *[0] * CHECKSUM_CHARS]) ^ 1
    values += [check >> 5 * (CHECKSUM_CHARS - 1 - place) & 31 for place in range(CHECKSUM_CHARS)]
    return f"{prefix}1{''.join(ALPHABET[value] for value in values)}"


def decode(text: str, prefix: str) -> bytes:
    """The bytes of a text in upper or lower case under `prefix`. Raises InvalidInput, quoting nothing of it."""
    lower = text.lower()
    if text not in (lower, text.upper()) or not lower.startswith(f"{prefix}1"):
        raise InvalidInput(f"This does not begin with {prefix.upper()}1.")
    try:
        values = [ALPHABET.index(char) for char in lower[len(prefix) + 1 :]]
    except ValueError:
        raise InvalidInput("This has a character that no key has.") from None
    if len(values) < CHECKSUM_CHARS or _polymod([*_expanded(prefix), *values]) != 1:
        raise InvalidInput("Its checksum does not fit: it was changed or mistyped.")
    bits = values[:-CHECKSUM_CHARS]
    data = bytes(_regrouped(bits, 5, 8, pad=False))
    if encode(prefix, data) != lower:
        raise InvalidInput("It ends in bits that mean nothing.")
    return data


def _expanded(prefix: str) -> list[int]:
    codes = prefix.encode("ascii")
    return [*(code >> 5 for code in codes), 0, *(code & 31 for code in codes)]


def _polymod(values: Iterable[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate(_GENERATOR):
            check ^= term if top >> bit & 1 else 0
    return check


def _regrouped(values: Iterable[int], width: int, wanted: int, *, pad: bool) -> list[int]:
    """The same bits in groups of another width; what is left over is filled up with zeros, or dropped."""
    held = bits = 0
    groups = []
    for value in values:
        held, bits = held << width | value, bits + width
        while bits >= wanted:
            bits -= wanted
            groups.append(held >> bits & (1 << wanted) - 1)
        held &= (1 << bits) - 1
    if pad and bits:
        groups.append(held << wanted - bits)
    return groups
