"""Standard base64 in its one canonical spelling, so that no byte of a signed file can change unnoticed."""

from __future__ import annotations

from base64 import b64decode, b64encode


def encode_base64(data: bytes) -> str:
    """`data` in the standard alphabet with padding (RFC 4648 s4)."""
    return b64encode(data).decode()


def decode_base64(text: str) -> bytes | None:
    """The bytes that `encode_base64` spells exactly so; None for every other text.

    The usual decoders take several spellings of the same bytes, for the last character may carry unused bits.
    """
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        return None
    return data if encode_base64(data) == text else None
