"""Cosignatures: a witness states that a checkpoint extends all it saw before (C2SP tlog-cosignature v1.0.1).

Two kinds: Ed25519 (type 04), and ML-DSA-44 (type 06), which no quantum computer forges and which binds the
cosigner's name. Both carry the time of the statement in whole POSIX seconds. Each cosigner needs a key of its
own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from nirantar.errors import InvalidInput, ProofInvalid
from nirantar.limits import KEY_NAME_BYTES_MAX
from nirantar.tlog.checkpoint import Checkpoint, open_checkpoint
from nirantar.tlog.note import Note, NoteSignature, Verifier
from nirantar.tlog.note_keys import (
    ED25519_COSIGNATURE,
    ML_DSA_44_COSIGNATURE,
    SEED_BYTES,
    SignerKey,
    VerifierKey,
)

TIME_BYTES: Final = 8
TIME_SECONDS_MAX: Final = 2**63 - 1
_ML_DSA_LABEL: Final = b"subtree/v1\n\0"


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A verified cosignature: whose, and when (POSIX seconds) this was the largest tree that it saw."""

    name: str
    key_id: bytes
    time_seconds: int


class CosignatureVerifier:
    """A cosigner's public key, of either kind: a note.NoteVerifier for checkpoints."""

    __slots__ = ("_public", "key_id", "name", "vkey")

    def __init__(self, key: VerifierKey) -> None:
        """Verify by `key`. Raises InvalidInput unless it is a cosigner's key."""
        self.name: str = key.name
        self.key_id: bytes = key.key_id
        self.vkey: str = key.vkey
        self._public: Ed25519PublicKey | MLDSA44PublicKey
        if key.algorithm == ED25519_COSIGNATURE:
            self._public = Ed25519PublicKey.from_public_bytes(key.public)
        elif key.algorithm == ML_DSA_44_COSIGNATURE:
            self._public = MLDSA44PublicKey.from_public_bytes(key.public)
        else:
            raise InvalidInput("A verifier key is not a cosigner's key.")

    @classmethod
    def parse(cls, vkey: str) -> CosignatureVerifier:
        """A verifier from a key's text form. Raises InvalidInput."""
        return cls(VerifierKey.parse(vkey))

    def verifies(self, text: bytes, signature: bytes) -> bool:
        """Whether `signature`, which begins with its time, is this key's over the checkpoint text `text`."""
        time_seconds = _time_seconds(signature)
        if len(signature) <= TIME_BYTES or time_seconds > TIME_SECONDS_MAX:
            return False
        try:
            checkpoint = Checkpoint.parse(text.decode())
            if isinstance(self._public, Ed25519PublicKey):
                self._public.verify(signature[TIME_BYTES:], _ed25519_message(checkpoint, time_seconds))
            else:
                message = _ml_dsa_message(self.name, checkpoint, time_seconds)
                self._public.verify(signature[TIME_BYTES:], message)
        except (InvalidSignature, InvalidInput, ProofInvalid):
            return False
        return True


class Cosigner:
    """A cosigner's private key, of either kind, from 32 random bytes."""

    __slots__ = ("_private", "_seed", "algorithm", "verifier")

    def __init__(self, name: str, seed: bytes, algorithm: int = ED25519_COSIGNATURE) -> None:
        """The key that follows from `seed`.

        `algorithm` is note_keys.ED25519_COSIGNATURE or ML_DSA_44_COSIGNATURE. Raises InvalidInput for a bad
        name, seed length or algorithm.
        """
        if len(seed) != SEED_BYTES:
            raise InvalidInput(f"The seed of a cosigning key has {len(seed)} bytes instead of {SEED_BYTES}.")
        self._seed = seed
        self.algorithm: int = algorithm
        self._private: Ed25519PrivateKey | MLDSA44PrivateKey
        if algorithm == ML_DSA_44_COSIGNATURE:
            self._private = MLDSA44PrivateKey.from_seed_bytes(seed)
        else:
            self._private = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._private.public_key().public_bytes_raw()
        self.verifier: CosignatureVerifier = CosignatureVerifier(VerifierKey(name, algorithm, public))

    @classmethod
    def parse(cls, skey: str) -> Cosigner:
        """A cosigner from the private text form. Raises InvalidInput, quoting nothing of it."""
        key = SignerKey.parse(skey)
        cosigner = cls(key.name, key.seed, key.algorithm)
        if cosigner.verifier.key_id != key.key_id:
            raise InvalidInput("A cosigner's private key was mangled.")
        return cosigner

    @property
    def vkey(self) -> str:
        """The public key's text form."""
        return self.verifier.vkey

    @property
    def skey(self) -> str:
        """The private key's text form: a secret."""
        return SignerKey(self.verifier.name, self.algorithm, self.verifier.key_id, self._seed).skey

    def cosign(self, checkpoint: Checkpoint, time_seconds: int) -> NoteSignature:
        """State that at `time_seconds` this was the largest tree seen, and that it extends every earlier one.

        The caller checked that and stored the checkpoint durably. Add the line with note.add_signatures.
        Raises InvalidInput for a time out of range, or an origin too long for the ML-DSA form.
        """
        if not 0 <= time_seconds <= TIME_SECONDS_MAX:
            raise InvalidInput("The time of a cosignature is out of range.")
        if isinstance(self._private, Ed25519PrivateKey):
            signature = self._private.sign(_ed25519_message(checkpoint, time_seconds))
        else:
            signature = self._private.sign(_ml_dsa_message(self.verifier.name, checkpoint, time_seconds))
        return NoteSignature(
            self.verifier.name, self.verifier.key_id, time_seconds.to_bytes(TIME_BYTES, "big") + signature
        )


def open_cosigned_checkpoint(
    note: bytes, verifier: Verifier, cosigners: Iterable[CosignatureVerifier]
) -> tuple[Checkpoint, tuple[Cosignature, ...]]:
    """The checkpoint that the log's own key signed, and the known cosigners' statements on it, one a key.

    Raises ProofInvalid when the log's signature is missing or any known signature is bad. No cosignature is
    no error: how many are enough is the caller's policy. Of several by one key the latest counts.
    """
    checkpoint = open_checkpoint(note, verifier)
    latest: dict[tuple[str, bytes], Cosignature] = {}
    for signature in Note.parse(note).verified_by((verifier, *cosigners)):
        key = (signature.name, signature.key_id)
        if key == (verifier.name, verifier.key_id):
            continue
        found = Cosignature(*key, _time_seconds(signature.signature))
        if key not in latest or latest[key].time_seconds < found.time_seconds:
            latest[key] = found
    return checkpoint, tuple(latest.values())


def _time_seconds(signature: bytes) -> int:
    return int.from_bytes(signature[:TIME_BYTES], "big")


def _ed25519_message(checkpoint: Checkpoint, time_seconds: int) -> bytes:
    return f"cosignature/v1\ntime {time_seconds}\n{checkpoint.text}".encode()


def _ml_dsa_message(cosigner: str, checkpoint: Checkpoint, time_seconds: int) -> bytes:
    """The message for a whole tree: the subtree from 0 to its size, without extension lines."""
    name, origin = cosigner.encode(), checkpoint.origin.encode()
    if len(origin) > KEY_NAME_BYTES_MAX:
        raise InvalidInput(f"A checkpoint's origin is over KEY_NAME_BYTES_MAX = {KEY_NAME_BYTES_MAX} bytes.")
    return b"".join(
        (
            _ML_DSA_LABEL,
            bytes([len(name)]) + name,
            time_seconds.to_bytes(8, "big"),
            bytes([len(origin)]) + origin,
            (0).to_bytes(8, "big"),
            checkpoint.tree_size.to_bytes(8, "big"),
            checkpoint.root_hash,
        )
    )
