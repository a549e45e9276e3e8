"""Opaque cursors of result pages: where the next page goes on, bound to the query that they came from.

A cursor is base64url of a JSON array: a fingerprint of the question, then the sort key of the last row given. It holds
keys and times, never contents, and stays valid while the view grows because it names a place, not a count.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from hashlib import sha256
from typing import Final

import msgspec

from nirantar.errors import InvalidInput
from nirantar.limits import CURSOR_CHARS_MAX

Key = tuple[int | str, ...]
KeyShape = tuple[type[int] | type[str], ...]

_FINGERPRINT_CHARS: Final = 16
_KEY_MAX: Final = 2**63 - 1


def fingerprint(question: str) -> str:
    """What tells one question's cursors from another's: `question` must say all that decides the rows."""
    return sha256(question.encode()).hexdigest()[:_FINGERPRINT_CHARS]


def encode_cursor(question: str, key: Key) -> str:
    """The cursor that goes on after the row with this sort key."""
    return urlsafe_b64encode(msgspec.json.encode([fingerprint(question), *key])).decode().rstrip("=")


def decode_cursor(question: str, cursor: str, shape: KeyShape) -> Key:
    """The sort key in a cursor; `shape` gives the types of its parts. Raises InvalidInput if it is not one of ours
    for this question."""
    try:
        if len(cursor) > CURSOR_CHARS_MAX:
            raise ValueError
        found = msgspec.json.decode(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=list[int | str])
    except (ValueError, Base64Error, msgspec.MsgspecError):
        raise InvalidInput("The page cursor is not one that this node gave; begin the search again.") from None
    key = tuple(found[1:])
    fits = len(key) == len(shape) and all(type(part) is kind for part, kind in zip(key, shape, strict=True))
    if not fits or any(isinstance(part, int) and abs(part) > _KEY_MAX for part in key):
        raise InvalidInput("The page cursor is not one that this node gave; begin the search again.")
    if found[0] != fingerprint(question):
        raise InvalidInput("The page cursor belongs to another search; begin this search again.")
    return key
