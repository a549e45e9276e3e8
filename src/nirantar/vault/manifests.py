"""The manifest of a snapshot: a small note, signed by the node, from which everything else is reached and checked.

Its text has five lines: a title, the hospital's slug, the node, the serial and a JSON object (docs/format.md,
Snapshot). It names the map's chunks and the packs by their SHA-256, so the one signature vouches for every byte.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec

from nirantar.errors import Damaged, IdentityWrong, ProofInvalid, SnapshotDamaged
from nirantar.limits import SNAPSHOT_CHUNK_PAGES, SNAPSHOT_PACKS_MAX, SNAPSHOT_PAGE_BYTES
from nirantar.tlog.note import Signer, Verifier, open_note, sign_note
from nirantar.tlog.strict_base64 import decode_base64, encode_base64
from nirantar.vault.encryption import decrypt, encrypt
from nirantar.vault.keys import ManifestKey
from nirantar.vault.packs import DATA_KEY_BYTES
from nirantar.vault.page_map import chunk_count

_TITLE: Final = "nirantar-snapshot/v1"
_LINES: Final = 5
_SERIAL: Final = re.compile(r"0|[1-9][0-9]{0,7}")


class Pack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pack that the map refers to by `number`; `sha256` is of the whole object, `epoch` names its data key."""

    number: int
    name: str
    epoch: int
    size: int
    sha256: str


class DataKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data key of an `epoch`; `age` is it as an age file for the hospital's recipients, in base64."""

    epoch: int
    age: str


class LogPosition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of one log is in the view: entries [0, entries), and the leaf hash of the last in hex."""

    entries: int
    last_leaf_hash: str


class Contents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON object; its fields in this order are its one valid spelling.

    `created` and `epoch_began` are FHIR instants; `layout` is the view's table layout; `view_digest` its digest in
    hex; `positions` by log origin; `packs` by number; `map` the chunks' SHA-256 in hex, in order; `new_bytes` what this
    snapshot added to the vault.
    """

    created: str
    layout: int
    page_bytes: int
    page_count: int
    chunk_pages: int
    view_digest: str
    positions: dict[str, LogPosition]
    epoch: int
    epoch_began: str
    keys: list[DataKey]
    packs: list[Pack]
    map: list[str]
    new_bytes: int


_encoder: Final = msgspec.json.Encoder(order="deterministic")
_decoder: Final = msgspec.json.Decoder(Contents)


class Manifest(msgspec.Struct, frozen=True):
    """A manifest whose signature was checked, or that is about to be signed."""

    slug: str
    node: str
    serial: int
    contents: Contents

    @property
    def key(self) -> str:
        """Where it lies in a vault."""
        return str(ManifestKey(self.node, self.serial))

    def sign(self, signer: Signer) -> bytes:
        """The signed note. Raises LimitExceeded where it would be longer than a note may be."""
        contents = _encoder.encode(self.contents).decode()
        return sign_note(f"{_TITLE}\n{self.slug}\n{self.node}\n{self.serial}\n{contents}\n", signer)

    @classmethod
    def open(cls, note: bytes, verifier: Verifier, *, slug: str, node: str, serial: int) -> Manifest:
        """Read the manifest that must be this one. Raises SnapshotDamaged for anything else."""
        key = str(ManifestKey(node, serial))
        try:
            lines = open_note(note, (verifier,)).split("\n")[:-1]
        except ProofInvalid as reason:
            raise SnapshotDamaged(key, str(reason)) from None
        if len(lines) != _LINES or lines[0] != _TITLE or not _SERIAL.fullmatch(lines[3]):
            raise SnapshotDamaged(key, "what the node signed is not a snapshot's manifest")
        if (lines[1], lines[2], int(lines[3])) != (slug, node, serial):
            raise SnapshotDamaged(key, "it is the manifest of another snapshot")
        try:
            contents = _decoder.decode(lines[4])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as reason:
            raise SnapshotDamaged(key, f"it cannot be read: {reason}") from None
        if _encoder.encode(contents).decode() != lines[4]:
            raise SnapshotDamaged(key, "it is not written in the one way that it may be")
        _check(contents, key)
        return cls(slug, node, serial, contents)

    def data_keys(self, identities: Sequence[str]) -> dict[int, bytes]:
        """The data keys by epoch, opened with age identities: who keeps them (0600) needs no identity again.

        Raises IdentityWrong where none of `identities` fits, SnapshotDamaged for a key that is none.
        """
        keys = {}
        for wrapped in self.contents.keys:
            sealed = decode_base64(wrapped.age)
            try:
                key = decrypt(sealed or b"", identities)
            except IdentityWrong:
                raise
            except Damaged as reason:
                raise SnapshotDamaged(self.key, f"its data key of epoch {wrapped.epoch} is damaged: {reason}") from None
            if len(key) != DATA_KEY_BYTES:
                raise SnapshotDamaged(self.key, f"its data key of epoch {wrapped.epoch} has {len(key)} bytes")
            keys[wrapped.epoch] = key
        return keys


def wrap_data_key(epoch: int, data_key: bytes, recipients: Sequence[str]) -> DataKey:
    """A data key as manifests carry it. Raises ConfigInvalid for a bad recipient."""
    return DataKey(epoch, encode_base64(encrypt(data_key, recipients)))


def note_sha256(note: bytes) -> str:
    """The hash of a signed manifest, in hex, as the node journals it."""
    return sha256(note).hexdigest()


def _check(contents: Contents, key: str) -> None:
    """What a reader relies on without asking again."""
    if contents.page_bytes != SNAPSHOT_PAGE_BYTES or contents.chunk_pages != SNAPSHOT_CHUNK_PAGES:
        raise SnapshotDamaged(key, "its pages or chunks have sizes that this program does not read")
    if contents.page_count < 1 or len(contents.map) != chunk_count(contents.page_count):
        raise SnapshotDamaged(key, "its map does not cover its pages")
    if len(contents.packs) > SNAPSHOT_PACKS_MAX:
        raise SnapshotDamaged(key, f"it refers to more packs than SNAPSHOT_PACKS_MAX ({SNAPSHOT_PACKS_MAX})")
    epochs = {each.epoch for each in contents.keys}
    if any(each.epoch not in epochs for each in contents.packs):
        raise SnapshotDamaged(key, "it lacks the data key of a pack")
