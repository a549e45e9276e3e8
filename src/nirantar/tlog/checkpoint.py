"""Checkpoints: a log's signed statement of its size and root (C2SP tlog-checkpoint v1.0.0).

House rule, stricter than the specification: the signing key's name is the log's origin. So a node's key can
never speak for another log, whatever a reader forgets to compare.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from nirantar.errors import InvalidInput, ProofInvalid
from nirantar.limits import TREE_SIZE_MAX
from nirantar.tlog.merkle import HASH_BYTES
from nirantar.tlog.note import Signer, Verifier, open_note, sign_note
from nirantar.tlog.strict_base64 import decode_base64, encode_base64

_TREE_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_LINES_MIN: Final = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of the log `origin` at `tree_size` entries.

    Raises InvalidInput for values that no note can say. `extensions` are further lines. Nirantar writes none:
    their meaning is outside every proof.
    """

    origin: str
    tree_size: int
    root_hash: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what a note cannot say."""
        if not all(line and "\n" not in line for line in (self.origin, *self.extensions)):
            raise InvalidInput(
                "The origin or an extension line of a checkpoint is empty or more than a line."
            )
        if not 0 <= self.tree_size <= TREE_SIZE_MAX or len(self.root_hash) != HASH_BYTES:
            raise InvalidInput("The tree size or root hash of a checkpoint is out of range.")

    @property
    def text(self) -> str:
        """The note text that is signed."""
        return "\n".join(
            (self.origin, str(self.tree_size), encode_base64(self.root_hash), *self.extensions, "")
        )

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read a note text. Raises ProofInvalid for every text but the one that `text` gives again."""
        lines = text.split("\n")
        if len(lines) <= _LINES_MIN or lines.pop():
            raise ProofInvalid("A checkpoint has fewer than three lines.")
        origin, size, encoded_root, *extensions = lines
        root_hash = decode_base64(encoded_root)
        if not _TREE_SIZE.fullmatch(size) or root_hash is None:
            raise ProofInvalid("The tree size or root hash of a checkpoint is malformed.")
        try:
            return cls(origin, int(size), root_hash, tuple(extensions))
        except InvalidInput as reason:
            raise ProofInvalid(str(reason)) from None

    def sign(self, signer: Signer) -> bytes:
        """The signed note. Raises InvalidInput when the signer is not this log's.

        The caller must have stored the tree first, and never sign two trees of which neither extends the
        other.
        """
        if signer.name != self.origin:
            raise InvalidInput(f"The key {signer.name} cannot sign for the log {self.origin}.")
        return sign_note(self.text, signer)


def open_checkpoint(note: bytes, verifier: Verifier) -> Checkpoint:
    """The checkpoint in a note that the log's own key signed. Raises ProofInvalid."""
    checkpoint = Checkpoint.parse(open_note(note, (verifier,)))
    if checkpoint.origin != verifier.name:
        raise ProofInvalid(f"The key {verifier.name} signed a checkpoint of another log.")
    return checkpoint
