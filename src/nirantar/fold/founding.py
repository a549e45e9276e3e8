"""The founding document of a hospital: what every node, vault and recovery starts from.

It is public and names no secret: the hospital, the age recipient that its vaults were first sealed to, and its first
authority's verification key. It is never rewritten: what changes later (recipients, authority) stands in custody notes,
which also sign for this document.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

import msgspec

from nirantar.errors import ConfigInvalid, Damaged

FOUNDING_VERSION: Final = 1
SLUG_CHARS_MAX: Final = 40


class FoundingDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`slug` is the name in a-z, 0-9 and hyphens, used in log origins; `recipients` are age X25519 recipients."""

    v: int
    name: str
    slug: str
    recipients: tuple[str, ...]
    authority: str

    def encode(self) -> bytes:
        """The document's one form."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> FoundingDocument:
        """Read it back. Raises Damaged."""
        try:
            document = msgspec.json.decode(data, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as reason:
            raise Damaged(f"hospital.json is not a founding document: {reason}") from None
        if document.v != FOUNDING_VERSION:
            raise Damaged(f"hospital.json has format {document.v}; this program reads {FOUNDING_VERSION}.")
        return document

    def origin(self, node: str) -> str:
        """The log origin of one of its nodes."""
        return f"nirantar.{self.slug}/{node}"


def authority_name(slug: str) -> str:
    """The name of the key that speaks for a hospital."""
    return f"nirantar.{slug}/authority"


def slug_of(name: str) -> str:
    """A hospital's name as it stands in log origins: its letters a-z and digits, or, for a name in another script, a
    short hash of it. Raises ConfigInvalid for an empty name, and for control characters, which would break lines of the
    identity file."""
    if not name.isprintable():
        raise ConfigInvalid("The hospital's name has a line break or another character that cannot be printed.")
    slug = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")[:SLUG_CHARS_MAX].strip("-")
    if not name.strip():
        raise ConfigInvalid("The hospital needs a name.")
    return slug or f"hospital-{sha256(name.strip().encode()).hexdigest()[:8]}"
