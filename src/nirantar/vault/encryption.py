"""Encryption of what leaves the node: the age format (age-encryption.org/v1) with X25519 recipients, nothing of ours.

The node holds recipients (`age1...`) only. An identity (`AGE-SECRET-KEY-1...`) exists on paper and where somebody
recovers, so both are passed as the text that people print and type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyrage  # type: ignore[import-untyped]

from nirantar.errors import ConfigInvalid, Damaged, IdentityWrong, InvalidInput
from nirantar.vault import bech32

IDENTITY_PREFIX: Final = "age-secret-key-"
IDENTITY_BYTES: Final = 32
_NO_KEY_FITS: Final = "No matching keys found"
_NO_IDENTITY: Final = "Not an age identity: it is one line that begins with AGE-SECRET-KEY-1"


def new_identity() -> tuple[str, str]:
    """A fresh pair: identity (secret) and its recipient."""
    identity = pyrage.x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def recipient_of(identity: str) -> str:
    """The recipient that `identity` opens. Raises IdentityWrong if it is not an age identity."""
    return str(_identity(identity).to_public())


def identity_bytes(identity: str) -> bytes:
    """The 32 secret bytes that an age identity writes down. Raises IdentityWrong if it is not one."""
    _identity(identity)
    try:
        return bech32.decode(identity, IDENTITY_PREFIX)
    except InvalidInput:
        raise IdentityWrong(_NO_IDENTITY) from None


def identity_of(secret: bytes) -> str:
    """The age identity of 32 secret bytes. Raises IdentityWrong if they are not."""
    if len(secret) != IDENTITY_BYTES:
        raise IdentityWrong(f"An age identity has {IDENTITY_BYTES} bytes, not {len(secret)}")
    return str(_identity(bech32.encode(IDENTITY_PREFIX, secret).upper()))


def encrypt(plain: bytes, recipients: Sequence[str]) -> bytes:
    """An age file that each of `recipients` can open alone. Raises ConfigInvalid if one is not a recipient."""
    if not recipients:
        raise ConfigInvalid("There is no age recipient to encrypt to")
    sealed: bytes = pyrage.encrypt(plain, [_recipient(text) for text in recipients])
    return sealed


def decrypt(sealed: bytes, identities: Sequence[str]) -> bytes:
    """What `encrypt` was given. Raises IdentityWrong if none of `identities` fits, Damaged if the file is altered."""
    try:
        plain: bytes = pyrage.decrypt(sealed, [_identity(text) for text in identities])
    except pyrage.DecryptError as reason:
        if str(reason) == _NO_KEY_FITS:
            raise IdentityWrong(
                "This identity does not open it: it is another hospital's, or older or newer than what was sealed"
            ) from None
        raise Damaged(f"not an age file that decrypts: {reason}") from None
    return plain


def _recipient(text: str) -> object:
    try:
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        # Not quoted: what somebody pasted here by mistake may be the identity.
        raise ConfigInvalid("A recipient is not an age X25519 recipient: one line that begins with age1") from None


def _identity(text: str) -> pyrage.x25519.Identity:
    try:
        return pyrage.x25519.Identity.from_str(text)
    except pyrage.IdentityError:
        raise IdentityWrong(_NO_IDENTITY) from None
