"""Segments: a stretch of a journal as one vault object that a keyless keeper can check and `age` can open.

    line 1    the header, compact JSON in clear (see SegmentHeader)
    line 2    empty
    the rest  an ordinary age file of zstd-compressed JSON lines, each line the exact bytes of one entry

so that, without any program of ours, `tail -n +3 FILE | age -d -i IDENTITY | zstd -dc` prints the entries.

The header's leaf hashes are RFC 6962's, SHA-256(0x00 || entry). Whether they are the log's is for whoever checks them
against a signed checkpoint; here a segment is only made to agree with itself and with its key. The checkpoint's
signature is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

import msgspec
import zstandard

from nirantar.errors import Damaged, EntryDamaged, LimitExceeded, SegmentDamaged
from nirantar.limits import (
    ENTRY_BYTES_MAX,
    SEGMENT_ENTRIES_MAX,
    SEGMENT_HEADER_BYTES_MAX,
    SEGMENT_OPENED_BYTES_MAX,
    SEGMENT_PLAIN_BYTES_MAX,
    SEGMENT_ZSTD_WINDOW_BYTES_MAX,
)
from nirantar.vault.encryption import decrypt, encrypt
from nirantar.vault.keys import SegmentKey, parse

SEGMENT_VERSION: Final = 1
ZSTD_LEVEL: Final = 3
HASH_BYTES: Final = 32

_HEADER_END: Final = b"\n\n"


class SegmentHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a segment says of itself in clear; its fields in this order are the header's JSON.

    `leaf_hashes` is 32 bytes an entry, end to end (base64 in the JSON). `checkpoint` is a signed note of the log whose
    first line is `origin` and whose tree covers the segment.
    """

    v: int
    origin: str
    first_index: int
    count: int
    leaf_hashes: bytes
    ciphertext_sha256: str
    checkpoint: str

    def leaf_hash(self, position: int) -> bytes:
        """The hash of entry `first_index + position`."""
        return self.leaf_hashes[position * HASH_BYTES : (position + 1) * HASH_BYTES]


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(SegmentHeader)


def entries_that_fit(entry_sizes: Iterable[int]) -> int:
    """How many of the waiting entries, from the first on, one segment takes: at least one if there is one.

    `entry_sizes` are bytes; the bounds are SEGMENT_PLAIN_BYTES_MAX (a larger entry gets a segment of its own) and
    SEGMENT_ENTRIES_MAX.
    """
    count = total = 0
    for size in entry_sizes:
        total += size + 1
        if count and (total > SEGMENT_PLAIN_BYTES_MAX or count == SEGMENT_ENTRIES_MAX):
            break
        count += 1
    return count


def encode_segment(
    origin: str,
    first_index: int,
    entries: Sequence[bytes],
    leaf_hashes: Sequence[bytes],
    checkpoint_note: str,
    recipients: Sequence[str],
) -> bytes:
    """The bytes of a segment for `entries`, which begin at `first_index` of the log `origin`.

    `recipients` are age recipients. Raises EntryDamaged for an entry that differs from its leaf hash or cannot be a
    line, LimitExceeded for more than `entries_that_fit`, ConfigInvalid for a bad recipient.
    """
    if not entries or len(entries) != len(leaf_hashes):
        raise ValueError("a segment has at least one entry and one leaf hash for each")
    if entries_that_fit(map(len, entries)) != len(entries):
        raise LimitExceeded("These entries are too many for one segment (SEGMENT_PLAIN_BYTES_MAX, SEGMENT_ENTRIES_MAX)")
    for position, (entry, leaf_hash) in enumerate(zip(entries, leaf_hashes, strict=True)):
        _check_entry(origin, first_index + position, entry, leaf_hash)
    lines = b"".join(entry + b"\n" for entry in entries)
    ciphertext = encrypt(zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(lines), recipients)
    header = SegmentHeader(
        v=SEGMENT_VERSION,
        origin=origin,
        first_index=first_index,
        count=len(entries),
        leaf_hashes=b"".join(leaf_hashes),
        ciphertext_sha256=sha256(ciphertext).hexdigest(),
        checkpoint=checkpoint_note,
    )
    return _encoder.encode(header) + _HEADER_END + ciphertext


def read_header(data: bytes, *, key: str) -> SegmentHeader:
    """The header of a segment stored under `key`; the first bytes of the object are enough.

    Raises SegmentDamaged unless it is written exactly as `encode_segment` writes it, and its origin, indexes and
    checkpoint agree with each other and with `key`.
    """
    return _read_header(data, key)[0]


def check_sealed(data: bytes, *, key: str) -> SegmentHeader:
    """What anybody can check without an identity: the header, and that the ciphertext is the one it names."""
    header, start = _read_header(data, key)
    if sha256(memoryview(data)[start:]).hexdigest() != header.ciphertext_sha256:
        raise SegmentDamaged(key, "the encrypted part is not the one that its header names")
    return header


def open_segment(data: bytes, identities: Sequence[str], *, key: str) -> tuple[SegmentHeader, list[bytes]]:
    """The header and entries of a segment, each entry equal to its leaf hash.

    Raises SegmentDamaged, EntryDamaged for the entry that differs, IdentityWrong if no identity fits.
    """
    header = check_sealed(data, key=key)
    ciphertext = data[data.index(_HEADER_END) + len(_HEADER_END) :]
    try:
        lines = _decompress(decrypt(ciphertext, identities))
    except Damaged as reason:
        raise SegmentDamaged(key, str(reason)) from None
    if not lines.endswith(b"\n"):
        raise SegmentDamaged(key, "its last entry is cut off")
    entries = lines[:-1].split(b"\n")
    if len(entries) != header.count:
        raise SegmentDamaged(key, f"it holds {len(entries)} entries, its header says {header.count}")
    for position, entry in enumerate(entries):
        _check_entry(header.origin, header.first_index + position, entry, header.leaf_hash(position))
    return header, entries


def _read_header(data: bytes, key: str) -> tuple[SegmentHeader, int]:
    """The header and where the ciphertext starts."""
    end = data.find(_HEADER_END, 0, SEGMENT_HEADER_BYTES_MAX)
    if end < 0:
        raise SegmentDamaged(key, "it has no header line followed by an empty line")
    try:
        header = _decoder.decode(data[:end])
    except (msgspec.MsgspecError, UnicodeDecodeError) as reason:
        raise SegmentDamaged(key, f"its header is not one: {reason}") from None
    if header.v != SEGMENT_VERSION:
        raise SegmentDamaged(key, f"its format is {header.v}; this program reads {SEGMENT_VERSION}")
    if _encoder.encode(header) != data[:end]:
        raise SegmentDamaged(key, "its header is not written in the one way that it may be")
    _check_header(header, key)
    return header, end + len(_HEADER_END)


def _check_header(header: SegmentHeader, key: str) -> None:
    named = parse(key)
    if not isinstance(named, SegmentKey):
        raise SegmentDamaged(key, "no segment belongs under this key")
    if (header.first_index, header.count) != (named.first, named.count):
        raise SegmentDamaged(key, f"its header says entries {header.first_index}, {header.count} of them")
    if header.origin.rpartition("/")[2] != named.node:
        raise SegmentDamaged(key, f"its header is of the log {header.origin!r}")
    if len(header.leaf_hashes) != header.count * HASH_BYTES:
        raise SegmentDamaged(key, "its header has not one leaf hash for each entry")
    origin, _, rest = header.checkpoint.partition("\n")
    tree_size = rest.partition("\n")[0]
    if origin != header.origin:
        raise SegmentDamaged(key, "its checkpoint is of another log")
    if not (tree_size.isascii() and tree_size.isdigit() and len(tree_size) <= 19 and int(tree_size) >= named.end):
        raise SegmentDamaged(key, "its checkpoint does not cover it")


def _check_entry(origin: str, entry_index: int, entry: bytes, leaf_hash: bytes) -> None:
    if len(entry) > ENTRY_BYTES_MAX:
        raise EntryDamaged(origin, entry_index, f"longer than ENTRY_BYTES_MAX ({ENTRY_BYTES_MAX})")
    if not entry or b"\n" in entry:
        raise EntryDamaged(origin, entry_index, "an entry is one line of JSON")
    if sha256(b"\x00" + entry).digest() != leaf_hash:
        raise EntryDamaged(origin, entry_index, "its bytes differ from its leaf hash")


def _decompress(compressed: bytes) -> bytes:
    """Decompress within bounds: a few bytes can say that they are gigabytes."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=SEGMENT_ZSTD_WINDOW_BYTES_MAX)
    try:
        with decompressor.stream_reader(compressed) as reader:
            plain: bytes = reader.read(SEGMENT_OPENED_BYTES_MAX + 1)
    except zstandard.ZstdError as reason:
        raise Damaged(f"what it decrypts to is not zstd: {reason}") from None
    if len(plain) > SEGMENT_OPENED_BYTES_MAX:
        raise Damaged(f"it decompresses to more than SEGMENT_OPENED_BYTES_MAX ({SEGMENT_OPENED_BYTES_MAX})")
    return plain
