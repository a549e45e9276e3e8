"""The text forms of keys that sign notes: C2SP signed-note's vkey, and Go's private form (sumdb/note)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from nirantar.errors import InvalidInput
from nirantar.limits import KEY_NAME_BYTES_MAX
from nirantar.tlog.strict_base64 import decode_base64, encode_base64

ED25519: Final = 0x01
ED25519_COSIGNATURE: Final = 0x04
ML_DSA_44_COSIGNATURE: Final = 0x06
KEY_ID_BYTES: Final = 4
SEED_BYTES: Final = 32

_PRIVATE: Final = "PRIVATE+KEY+"
_PUBLIC_BYTES: Final = {ED25519: 32, ED25519_COSIGNATURE: 32, ML_DSA_44_COSIGNATURE: 1312}
_KEY_ID: Final = re.compile(r"[0-9a-f]{8}")


def is_key_name(name: str) -> bool:
    """Whether `name` may name a key: some UTF-8 without space, control character or `+`, within its limit."""
    return 0 < len(name.encode("utf-8", "replace")) <= KEY_NAME_BYTES_MAX and not any(
        char == "+" or char < " " or char.isspace() or "\ud800" <= char <= "\udfff" for char in name
    )


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name and algorithm byte. Raises InvalidInput when they do not go together."""

    name: str
    algorithm: int
    public: bytes

    def __post_init__(self) -> None:
        """Refuse what has no text form."""
        if not is_key_name(self.name):
            raise InvalidInput(
                "The name of a key is empty, too long, or has a space, control character or +."
            )
        if _PUBLIC_BYTES.get(self.algorithm) != len(self.public):
            raise InvalidInput("A verifier key has an unknown algorithm or the wrong length.")

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that pick this key out among those of the same name."""
        return sha256(self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public).digest()[
            :KEY_ID_BYTES
        ]

    @property
    def vkey(self) -> str:
        """The text form: `<name>+<key id in hex>+<base64 of algorithm byte and public key>`."""
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes([self.algorithm]) + self.public)}"

    @classmethod
    def parse(cls, vkey: str) -> VerifierKey:
        """Read the text form. Raises InvalidInput for one that is malformed, mangled or unknown in kind."""
        name, key_id, material = _parts(vkey, "verifier key")
        key = cls(name, material[0], material[1:])
        if key.key_id != key_id:
            raise InvalidInput("The id of a verifier key does not fit its name and key: it was mangled.")
        return key


@dataclass(frozen=True, slots=True)
class SignerKey:
    """A private key as its 32-byte seed, never shown by `repr`. `key_id` is what its text form claims."""

    name: str
    algorithm: int
    key_id: bytes
    seed: bytes = field(repr=False)

    @property
    def skey(self) -> str:
        """The text form of Go's tools: `PRIVATE+KEY+<name>+<key id>+<base64 of algorithm byte and seed>`."""
        material = encode_base64(bytes([self.algorithm]) + self.seed)
        return f"{_PRIVATE}{self.name}+{self.key_id.hex()}+{material}"

    @classmethod
    def parse(cls, skey: str) -> SignerKey:
        """Read the text form; the signer made from it must compare `key_id` with its public key's.

        Raises InvalidInput, quoting nothing of the key.
        """
        if not skey.startswith(_PRIVATE):
            raise InvalidInput("A private key does not begin with PRIVATE+KEY+.")
        name, key_id, material = _parts(skey.removeprefix(_PRIVATE), "private key")
        if not is_key_name(name) or material[0] not in _PUBLIC_BYTES or len(material) != 1 + SEED_BYTES:
            raise InvalidInput("A private key has a bad name, an unknown algorithm or the wrong length.")
        return cls(name, material[0], key_id, material[1:])


def _parts(text: str, kind: str) -> tuple[str, bytes, bytes]:
    """Name, key id and non-empty key material of a text form."""
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    material = decode_base64(encoded)
    if not _KEY_ID.fullmatch(key_id) or not material:
        raise InvalidInput(f"A {kind} is not of the form name+id+base64.")
    return name, bytes.fromhex(key_id), material
