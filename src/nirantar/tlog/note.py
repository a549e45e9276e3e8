"""Signed notes: a text, a blank line, and signature lines that each name their key (C2SP signed-note v1.0.0).

A reader ignores signatures of keys that it does not know, needs one good signature of a key that it knows,
and refuses the whole note when a key that it knows has signed badly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from nirantar.errors import InvalidInput, LimitExceeded, ProofInvalid
from nirantar.limits import NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX
from nirantar.tlog.note_keys import ED25519, KEY_ID_BYTES, SEED_BYTES, SignerKey, VerifierKey, is_key_name
from nirantar.tlog.strict_base64 import decode_base64, encode_base64

_FORBIDDEN: Final = re.compile("[\x00-\x09\x0b-\x1f\ud800-\udfff]")
_SIGNATURE_START: Final = "— "  # U+2014, an em dash, is the format's own mark


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: the key's name and id, and what that kind of key makes of a signature."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The line as it stands in a note, without its newline."""
        return f"{_SIGNATURE_START}{self.name} {encode_base64(self.key_id + self.signature)}"


@dataclass(frozen=True, slots=True)
class Note:
    """A note as read: its text, newline-ended, and its signatures in order. Nothing is verified yet."""

    text: str
    signatures: tuple[NoteSignature, ...]

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """Read a note. Raises ProofInvalid when it is none, or over NOTE_BYTES_MAX or NOTE_SIGNATURES_MAX."""
        if len(data) > NOTE_BYTES_MAX:
            raise ProofInvalid(f"A signed note is longer than NOTE_BYTES_MAX = {NOTE_BYTES_MAX} bytes.")
        try:
            whole = data.decode()
        except UnicodeDecodeError:
            raise ProofInvalid("A signed note is not UTF-8.") from None
        body, blank, lines = whole.rpartition("\n\n")
        if not blank or not lines.endswith("\n") or not _is_note_text(body + "\n"):
            raise ProofInvalid("A signed note lacks its signatures, or has a control character in it.")
        return cls(body + "\n", tuple(_signature(line) for line in _limited(lines[:-1].split("\n"))))

    def verified_by(self, verifiers: Iterable[NoteVerifier]) -> tuple[NoteSignature, ...]:
        """The signatures of known keys, each of which verified.

        Raises ProofInvalid when a known key's signature is bad, or none is there.
        """
        known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
        text, good = self.text.encode(), []
        for signature in self.signatures:
            verifier = known.get((signature.name, signature.key_id))
            if verifier is None:
                continue
            if not verifier.verifies(text, signature.signature):
                raise ProofInvalid(f"The signature of {signature.name} on a note does not verify.")
            good.append(signature)
        if not good:
            raise ProofInvalid("A note has no signature of a key that is known here.")
        return tuple(good)


class NoteVerifier(Protocol):
    """A public key of any kind that notes can carry signatures of."""

    @property
    def name(self) -> str:
        """The key's name, as signature lines give it."""

    @property
    def key_id(self) -> bytes:
        """The 4 bytes of the key's id."""

    def verifies(self, text: bytes, signature: bytes) -> bool:
        """Whether `signature` (without the key id) is this key's over the note text `text`."""


class Verifier:
    """An Ed25519 key that signs note texts as they are (type 01): a log's key."""

    __slots__ = ("_public", "key_id", "name", "vkey")

    def __init__(self, key: VerifierKey) -> None:
        """Verify by `key`. Raises InvalidInput unless it is an Ed25519 note key."""
        if key.algorithm != ED25519:
            raise InvalidInput("A verifier key is not an Ed25519 key for notes.")
        self.name: str = key.name
        self.key_id: bytes = key.key_id
        self.vkey: str = key.vkey
        self._public = Ed25519PublicKey.from_public_bytes(key.public)

    @classmethod
    def parse(cls, vkey: str) -> Verifier:
        """A verifier from a key's text form. Raises InvalidInput."""
        return cls(VerifierKey.parse(vkey))

    def verifies(self, text: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over `text`."""
        try:
            self._public.verify(signature, text)
        except InvalidSignature:
            return False
        return True


class Signer:
    """An Ed25519 private key that signs note texts (type 01). Its seed is shown only by `skey`."""

    __slots__ = ("_private", "_seed", "verifier")

    def __init__(self, name: str, seed: bytes) -> None:
        """The key that follows from 32 random bytes. Raises InvalidInput for a bad name or length."""
        if len(seed) != SEED_BYTES:
            raise InvalidInput(f"The seed of a signing key has {len(seed)} bytes instead of {SEED_BYTES}.")
        self._seed = seed
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._private.public_key().public_bytes_raw()
        self.verifier: Verifier = Verifier(VerifierKey(name, ED25519, public))

    @classmethod
    def parse(cls, skey: str) -> Signer:
        """A signer from the private text form. Raises InvalidInput, quoting nothing of it."""
        key = SignerKey.parse(skey)
        signer = cls(key.name, key.seed)
        if key.algorithm != ED25519 or signer.key_id != key.key_id:
            raise InvalidInput("A private key is not an Ed25519 key for notes, or was mangled.")
        return signer

    @property
    def name(self) -> str:
        """The key's name."""
        return self.verifier.name

    @property
    def key_id(self) -> bytes:
        """The 4 bytes of the key's id."""
        return self.verifier.key_id

    @property
    def vkey(self) -> str:
        """The public key's text form."""
        return self.verifier.vkey

    @property
    def skey(self) -> str:
        """The private key's text form: a secret."""
        return SignerKey(self.name, ED25519, self.key_id, self._seed).skey

    @property
    def seed(self) -> bytes:
        """The 32 bytes that the key follows from: a secret."""
        return self._seed

    def sign(self, text: bytes) -> NoteSignature:
        """Sign a note text. `sign_note` makes the whole note."""
        return NoteSignature(self.name, self.key_id, self._private.sign(text))


def sign_note(text: str, *signers: Signer) -> bytes:
    """A whole note over `text`, signed by each signer in order.

    Raises InvalidInput when the text cannot be a note's, LimitExceeded when the note would be too long.
    """
    if not _is_note_text(text) or not text.endswith("\n") or not signers:
        raise InvalidInput("A note's text ends in a newline, has no control character, and needs a signer.")
    return add_signatures(text.encode() + b"\n", [signer.sign(text.encode()) for signer in signers])


def add_signatures(note: bytes, signatures: Sequence[NoteSignature]) -> bytes:
    """`note` with more signature lines at its end. Raises LimitExceeded when a reader would not take it."""
    longer = note + "".join(f"{signature.line}\n" for signature in signatures).encode()
    if len(longer) > NOTE_BYTES_MAX or longer.rpartition(b"\n\n")[2].count(b"\n") > NOTE_SIGNATURES_MAX:
        raise LimitExceeded(
            f"A note is over NOTE_BYTES_MAX = {NOTE_BYTES_MAX} bytes or"
            f" NOTE_SIGNATURES_MAX = {NOTE_SIGNATURES_MAX} signatures."
        )
    return longer


def open_note(data: bytes, verifiers: Iterable[NoteVerifier]) -> str:
    """The text of a note that at least one known key signed well and none badly. Raises ProofInvalid."""
    note = Note.parse(data)
    note.verified_by(verifiers)
    return note.text


def _is_note_text(text: str) -> bool:
    return _FORBIDDEN.search(text) is None


def _limited(lines: list[str]) -> list[str]:
    if len(lines) > NOTE_SIGNATURES_MAX:
        raise ProofInvalid(
            f"A signed note has more than NOTE_SIGNATURES_MAX = {NOTE_SIGNATURES_MAX} signatures."
        )
    return lines


def _signature(line: str) -> NoteSignature:
    name, _, encoded = line.removeprefix(_SIGNATURE_START).partition(" ")
    data = decode_base64(encoded)
    if (
        not line.startswith(_SIGNATURE_START)
        or not is_key_name(name)
        or not data
        or len(data) <= KEY_ID_BYTES
    ):
        raise ProofInvalid("A signature line of a note is malformed.")
    return NoteSignature(name, data[:KEY_ID_BYTES], data[KEY_ID_BYTES:])
