"""What was typed into the search box, as it may stand in an address: sealed, so that no browser history and no log of a
proxy ever holds a patient's name.

The key comes from the session's secret: only that session can open it, Back and reload work, and nothing is stored.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from nirantar.host.port import Host

TYPED: Final = "typed"
"""The parameter's name in an address."""

_PURPOSE: Final = b"nirantar web search"
_NONCE_BYTES: Final = 12
_PADDED_TO: Final = 32


def seal(host: Host, secret: str, text: str) -> str:
    """`text` for an address of this session's. Its length shows in steps of 32 bytes only."""
    data = text.encode()
    data += b"\0" * (-len(data) % _PADDED_TO)
    nonce = host.random_bytes(_NONCE_BYTES)
    return urlsafe_b64encode(nonce + _cipher(secret).encrypt(nonce, data, None)).rstrip(b"=").decode()


def unseal(secret: str, sealed: str) -> str:
    """What was typed; "" for nothing, and for what another session sealed or nobody did."""
    try:
        data = urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
        return _cipher(secret).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], None).rstrip(b"\0").decode()
    except (ValueError, InvalidTag):
        return ""


def _cipher(secret: str) -> AESGCM:
    return AESGCM(hmac.new(secret.encode(), _PURPOSE, sha256).digest())
