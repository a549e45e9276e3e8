"""One entry of a journal: a transaction as exact bytes, and those bytes read back.

It is UTF-8 JSON whose leaf hash covers the exact bytes. Resources inside an entry are kept as the
bytes that were validated, so decimals keep their digits and what HTTP serves is a slice of what the log proves.
`docs/format.md` specifies it for independent readers; change both together.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Final, Literal

import msgspec

from nirantar import limits
from nirantar.errors import EntryDamaged, LimitExceeded
from nirantar.host.times import from_instant

ENTRY_VERSION: Final = 1
SALT_BYTES: Final = 16

_AHEAD_US_MAX: Final = limits.CLOCK_AHEAD_SECONDS_MAX * 1_000_000

Method = Literal["PUT", "DELETE"]


class Hlc(msgspec.Struct, frozen=True, order=True, array_like=True):
    """A hybrid logical clock reading (Kulkarni et al. 2014): wall microseconds, then a counter for ties."""

    wall_us: int
    counter: int

    def __str__(self) -> str:
        return f"{self.wall_us}.{self.counter}"

    @classmethod
    def parse(cls, text: str) -> Hlc:
        """The reverse of `str`. Raises ValueError on anything else."""
        wall, _, counter = text.partition(".")
        if not (wall.isascii() and wall.isdigit() and counter.isascii() and counter.isdigit()):
            raise ValueError("a hybrid logical clock reads <microseconds>.<counter>")
        return cls(int(wall), int(counter))

    def after(self, now_us: int) -> Hlc:
        """The reading for the next event when the wall shows `now_us`: always greater than this one."""
        return Hlc(now_us, 0) if now_us > self.wall_us else Hlc(self.wall_us, self.counter + 1)


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One resource version. `written` is its exact JSON under the name `resource`, absent for a DELETE. `parents` are
    the version ids it was made from: none for a first version, several where a person reconciled concurrent ones.

    It is absent rather than null because a union of raw JSON and null reads back as null alone.
    """

    method: Method
    type: str
    id: str
    version_id: str
    parents: tuple[str, ...] = ()
    written: msgspec.Raw | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="resource")

    @property
    def resource(self) -> msgspec.Raw | None:
        """The resource's JSON as a slice of the entry, or None for a DELETE."""
        return None if self.written is msgspec.UNSET else self.written

    @property
    def resource_bytes(self) -> bytes | None:
        """The resource's JSON as bytes of their own, or None for a DELETE."""
        return None if self.written is msgspec.UNSET else bytes(self.written)


class Attachment(msgspec.Struct, frozen=True):
    """What an entry says of a scan or document that lies beside the log: the SHA-256 (hex) of the encrypted object,
    the base64 of its AES-256 key, and the content's size in bytes."""

    sha256: str
    key: str
    size: int


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A transaction: who changed what, where, when and why.

    `recorded_at` is when the system took it, `effective_at` when it happened where that differs (paper typed in
    later), both FHIR instants. `origin` is the node's log origin, `actor` who is answerable, `workstation` where.
    `attachments` are the objects that belong to it. `idempotency_key` is the SHA-256 (hex) of the caller's key: a
    second entry with the same key is never made. `request_hash` is that of what was asked under it, where a repeat
    must agree.
    """

    v: int
    id: str
    origin: str
    hlc: str
    recorded_at: str
    actor: str
    role: str
    workstation: str
    action: str
    changes: tuple[Change, ...]
    salt: str
    effective_at: str | None = None
    reason: str | None = None
    idempotency_key: str | None = None
    request_hash: str | None = None
    attachments: tuple[Attachment, ...] = ()


class EntryHead(msgspec.Struct, frozen=True):
    """The one field that every version of the format has: read first, so that unknown versions are kept, not read."""

    v: int


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Entry)
_head_decoder: Final = msgspec.json.Decoder(EntryHead)


def encode_salt(salt: bytes) -> str:
    """Base64 of the 16 random bytes that keep a short entry from being guessed by its leaf hash."""
    return b64encode(salt).decode("ascii")


def encode(entry: Entry) -> bytes:
    """The exact bytes that the log's leaf hash covers. Raises LimitExceeded beyond what a vault's readers take."""
    data = _encoder.encode(entry)
    if len(data) > limits.ENTRY_BYTES_MAX:
        raise LimitExceeded(
            f"The transaction makes an entry of {len(data)} bytes; ENTRY_BYTES_MAX is {limits.ENTRY_BYTES_MAX}."
        )
    return data


def decode(data: bytes, origin: str, entry_index: int) -> Entry | None:
    """Read an entry back; None when its version `v` is newer than this program (kept, relayed, not folded).

    Raises EntryDamaged, naming `origin` and `entry_index`, when the bytes are not an entry of a known version.
    """
    try:
        # Nearly every entry is of the present version: the version alone is read only where that fails.
        if (entry := _present(data)) is not None:
            return entry
        version = _head_decoder.decode(data).v
        if version > ENTRY_VERSION:
            return None
        return _decoder.decode(upcast(data, version))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as reason:
        # The reason may quote bytes of the entry; its kind does not.
        raise EntryDamaged(
            origin, entry_index, f"not an entry of format {ENTRY_VERSION} ({type(reason).__name__})"
        ) from None


def _present(data: bytes) -> Entry | None:
    """The entry if it is one of the present version."""
    try:
        entry = _decoder.decode(data)
    except msgspec.MsgspecError:
        return None
    return entry if entry.v == ENTRY_VERSION else None


def attachments_in(data: bytes, origin: str, entry_index: int) -> tuple[Attachment, ...]:
    """The attachments of an entry's bytes, found without reading entries that have none. An entry that cannot be read
    has none: its node signed it as it is, and copying the log must not end there."""
    if b'"attachments":' not in data:
        return ()
    try:
        entry = decode(data, origin, entry_index)
    except EntryDamaged:
        return ()
    return () if entry is None else entry.attachments


def upcast(data: bytes, version: int) -> bytes:
    """Bytes of an older entry format as the present one reads them. Version 1 is the first: nothing to do.

    Raises EntryDamaged's cause (msgspec.ValidationError) for versions that never existed.
    """
    if version != ENTRY_VERSION:
        raise msgspec.ValidationError(f"format {version} never existed")
    return data


def clock_of(data: bytes, origin: str, entry_index: int, *, own: bool = False) -> Hlc | None:
    """An entry's clock; None when it does not tell, or, unless the log is the node's `own`, when it is not believed."""
    try:
        entry = decode(data, origin, entry_index)
        if entry is None:
            return None
        clock = Hlc.parse(entry.hlc)
        ahead_us = clock.wall_us - from_instant(entry.recorded_at)
    except (EntryDamaged, ValueError):
        return None
    return clock if own or ahead_us <= _AHEAD_US_MAX else None
