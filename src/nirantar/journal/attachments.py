"""Attachments: scans and documents, too large for an entry, kept beside the journal as encrypted objects.

An object is named by the SHA-256 of what is stored: a random 12-byte nonce and AES-256-GCM ciphertext under a key
of its own. The key lies in the entry that refers to the object, so whoever can read the log can read the attachment
and nobody else can; a vault's keeper can check name against content without any key.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from nirantar import limits
from nirantar.errors import Damaged, LimitExceeded
from nirantar.host.port import Host
from nirantar.journal.entry import Attachment

ATTACHMENTS_DIRECTORY: Final = "attachments"
_ASSOCIATED_DATA: Final = b"nirantar-attachment/v1"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class Attachments:
    """The attachments of one directory. Objects are never changed; storing one again changes nothing."""

    def __init__(self, host: Host, directory: Path) -> None:
        self._host = host
        self._directory = directory

    def store(self, content: bytes) -> Attachment:
        """Encrypt under a fresh key and store durably; the entry that is to refer to it is written afterwards.

        Raises LimitExceeded beyond ATTACHMENT_BYTES_MAX, DiskFull, FsyncFailed.
        """
        if len(content) > limits.ATTACHMENT_BYTES_MAX:
            raise LimitExceeded(
                f"The attachment has {len(content)} bytes; ATTACHMENT_BYTES_MAX is {limits.ATTACHMENT_BYTES_MAX}."
            )
        key, nonce = self._host.random_bytes(_KEY_BYTES), self._host.random_bytes(_NONCE_BYTES)
        sealed = nonce + AESGCM(key).encrypt(nonce, content, _ASSOCIATED_DATA)
        digest = sha256(sealed).hexdigest()
        self.keep(digest, sealed)
        return Attachment(digest, b64encode(key).decode("ascii"), len(content))

    def keep(self, digest: str, sealed: bytes) -> None:
        """Store an object that is already encrypted, as it comes from a vault. Raises Damaged if it is another one."""
        if sha256(sealed).hexdigest() != digest:
            raise Damaged(f"Attachment {digest} has other bytes than its name says.")
        path = self._path(digest)
        if not self._host.files.exists(path):
            self._host.files.make_directory(path.parent)
            self._host.files.put_new(path, sealed)

    def sealed(self, digest: str) -> bytes:
        """The encrypted object. Raises Damaged when it is missing or not the one of this name."""
        try:
            sealed = self._host.files.read(self._path(digest))
        except FileNotFoundError:
            raise Damaged(f"Attachment {digest} is missing.") from None
        if sha256(sealed).hexdigest() != digest:
            raise Damaged(f"Attachment {digest} has other bytes than its name says.")
        return sealed

    def content(self, attachment: Attachment) -> bytes:
        """The content that was stored. Raises Damaged."""
        sealed = self.sealed(attachment.sha256)
        try:
            return AESGCM(b64decode(attachment.key)).decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _ASSOCIATED_DATA
            )
        except (InvalidTag, ValueError):
            raise Damaged(f"Attachment {attachment.sha256} does not open with the key in its entry.") from None

    def _path(self, digest: str) -> Path:
        return self._directory / digest[:2] / digest
