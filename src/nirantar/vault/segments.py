"""Segments: a stretch of a journal as one vault object that a keyless keeper can check and `age` can open.

    line 1    the header, compact JSON in clear (see SegmentHeader)
    line 2    empty
    the rest  an ordinary age file of zstd-compressed JSON lines, each line the exact bytes of one entry

so that, without any program of ours, `tail -n +3 FILE | age -d -i IDENTITY | zstd -dc` prints the entries.

A segment proves itself: its header carries the hashes of the log before and after it, so that with its leaf hashes
(RFC 6962's, SHA-256(0x00 || entry)) they give the root that the node signed. `prove_header` checks that; whoever can
add objects to a vault, but has not the node's key, cannot make one that passes. Version 1 had no such hashes: its leaf
hashes are the log's only if everything before them is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Final, Never

import msgspec
import zstandard

from nirantar.errors import Damaged, EntryDamaged, LimitExceeded, ProofInvalid, SegmentDamaged
from nirantar.limits import (
    ENTRY_BYTES_MAX,
    SEGMENT_ENTRIES_MAX,
    SEGMENT_HEADER_BYTES_MAX,
    SEGMENT_MERGED_ENTRIES_MAX,
    SEGMENT_MERGED_PLAIN_BYTES_MAX,
    SEGMENT_OPENED_BYTES_MAX,
    SEGMENT_PLAIN_BYTES_MAX,
    SEGMENT_ZSTD_WINDOW_BYTES_MAX,
    TREE_SIZE_MAX,
)
from nirantar.tlog.checkpoint import Checkpoint, open_checkpoint
from nirantar.tlog.compact_range import RangeProof, hashes_in, verify_range
from nirantar.tlog.merkle import HASH_BYTES, Frontier
from nirantar.tlog.note import Verifier
from nirantar.vault.encryption import decrypt, encrypt
from nirantar.vault.keys import SegmentKey, parse

SEGMENT_VERSION: Final = 2
ZSTD_LEVEL: Final = 3
ZSTD_LEVEL_MERGED: Final = 9

_HEADER_END: Final = b"\n\n"
_CHUNK_BYTES: Final = 1024 * 1024
_HEADER_BYTES_BESIDE_LEAVES_MAX: Final = 128 * 1024
_BASE64_BYTES_A_LEAF: Final = 43


class SegmentHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a segment says of itself in clear; its fields in this order are the header's JSON.

    `leaf_hashes` is 32 bytes an entry, end to end (base64 in the JSON). `left_hashes` and `right_hashes` are those of
    the compact ranges [0, first_index) and [first_index + count, tree size of the checkpoint), see tlog.compact_range;
    both are empty where `v` is 1. `checkpoint` is a signed note of the log whose first line is `origin` and whose tree
    covers the segment.
    """

    v: int
    origin: str
    first_index: int
    count: int
    left_hashes: bytes
    leaf_hashes: bytes
    right_hashes: bytes
    ciphertext_sha256: str
    checkpoint: str

    @property
    def end(self) -> int:
        """The index after its last entry."""
        return self.first_index + self.count

    @property
    def proves_itself(self) -> bool:
        """Whether it carries what `prove_header` needs."""
        return self.v >= SEGMENT_VERSION

    @property
    def proof(self) -> RangeProof:
        """What leads from its leaf hashes to the root of its checkpoint."""
        return RangeProof(_hashes(self.left_hashes), _hashes(self.right_hashes))

    def left_frontier(self) -> Frontier:
        """The log's frontier before its first entry."""
        return Frontier.from_hashes(self.first_index, _hashes(self.left_hashes))

    def leaves(self, start: int, stop: int) -> list[bytes]:
        """The leaf hashes of its entries in [start, stop), by entry index."""
        first, last = max(0, start - self.first_index), max(0, stop - self.first_index)
        return _hashes(self.leaf_hashes[first * HASH_BYTES : last * HASH_BYTES])

    def leaf_hash(self, position: int) -> bytes:
        """The hash of entry `first_index + position`."""
        return self.leaf_hashes[position * HASH_BYTES : (position + 1) * HASH_BYTES]


class _HeaderVersion1(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The header as the first format had it."""

    v: int
    origin: str
    first_index: int
    count: int
    leaf_hashes: bytes
    ciphertext_sha256: str
    checkpoint: str


class _Version(msgspec.Struct):
    """What is read first, to know how to read the rest."""

    v: int


_Header = SegmentHeader | _HeaderVersion1
_encoder: Final = msgspec.json.Encoder()
_version_decoder: Final = msgspec.json.Decoder(_Version)
_decoder: Final = msgspec.json.Decoder(SegmentHeader)
_decoder_of_version_1: Final = msgspec.json.Decoder(_HeaderVersion1)


def header_bytes_max(count: int) -> int:
    """How much of an object with `count` entries surely holds its header."""
    return min(count * _BASE64_BYTES_A_LEAF + _HEADER_BYTES_BESIDE_LEAVES_MAX, SEGMENT_HEADER_BYTES_MAX)


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
    *,
    proof: RangeProof,
    checkpoint_note: str,
    recipients: Sequence[str],
) -> bytes:
    """The bytes of a segment for `entries`, which begin at `first_index` of the log `origin`.

    `proof` leads from them to the checkpoint's root; `recipients` are age recipients. Raises EntryDamaged for an entry
    that differs from its leaf hash or cannot be a line, LimitExceeded for more than `entries_that_fit`, ConfigInvalid
    for a bad recipient.
    """
    if not entries or len(entries) != len(leaf_hashes):
        raise ValueError("a segment has at least one entry and one leaf hash for each")
    if entries_that_fit(map(len, entries)) != len(entries):
        raise LimitExceeded("These entries are too many for one segment (SEGMENT_PLAIN_BYTES_MAX, SEGMENT_ENTRIES_MAX)")
    writer = SegmentWriter(origin, first_index)
    for entry, leaf_hash in zip(entries, leaf_hashes, strict=True):
        writer.add(entry, leaf_hash)
    return writer.finish(proof=proof, checkpoint_note=checkpoint_note, recipients=recipients)


class SegmentWriter:
    """A segment as it grows, an entry after another, in the memory of what is compressed and not of what is plain."""

    def __init__(self, origin: str, first_index: int, *, merged: bool = False) -> None:
        """Begin at `first_index` of the log `origin`; `merged` ones are larger and compressed harder."""
        self._origin = origin
        self._first_index = first_index
        self._entries_max = SEGMENT_MERGED_ENTRIES_MAX if merged else SEGMENT_ENTRIES_MAX
        self._plain_bytes_max = SEGMENT_MERGED_PLAIN_BYTES_MAX if merged else SEGMENT_PLAIN_BYTES_MAX
        self._compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL_MERGED if merged else ZSTD_LEVEL).compressobj()
        self._compressed: list[bytes] = []
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._leaf_hashes: list[bytes] = []
        self._plain_bytes = 0

    @property
    def end(self) -> int:
        """The index after the last entry that was added."""
        return self._first_index + len(self._leaf_hashes)

    def add(self, entry: bytes, leaf_hash: bytes) -> None:
        """Add the next entry. Raises EntryDamaged where it differs from its leaf hash or cannot be a line, and
        LimitExceeded where it does not fit."""
        _check_entry(self._origin, self.end, entry, leaf_hash)
        self._plain_bytes += len(entry) + 1
        if self._leaf_hashes and (
            self._plain_bytes > self._plain_bytes_max or len(self._leaf_hashes) == self._entries_max
        ):
            raise LimitExceeded(f"A segment takes {self._entries_max} entries, {self._plain_bytes_max} bytes in all")
        self._leaf_hashes.append(leaf_hash)
        self._waiting += (entry, b"\n")
        self._waiting_bytes += len(entry) + 1
        if self._waiting_bytes >= _CHUNK_BYTES:
            self._compress_waiting()

    def finish(self, *, proof: RangeProof, checkpoint_note: str, recipients: Sequence[str]) -> bytes:
        """The bytes of the segment. Raises ConfigInvalid for a bad recipient."""
        self._compress_waiting()
        self._compressed.append(self._compressor.flush())
        ciphertext = encrypt(b"".join(self._compressed), recipients)
        self._compressed.clear()
        header = SegmentHeader(
            v=SEGMENT_VERSION,
            origin=self._origin,
            first_index=self._first_index,
            count=len(self._leaf_hashes),
            left_hashes=b"".join(proof.left),
            leaf_hashes=b"".join(self._leaf_hashes),
            right_hashes=b"".join(proof.right),
            ciphertext_sha256=sha256(ciphertext).hexdigest(),
            checkpoint=checkpoint_note,
        )
        return _encoder.encode(header) + _HEADER_END + ciphertext

    def _compress_waiting(self) -> None:
        self._compressed.append(self._compressor.compress(b"".join(self._waiting)))
        self._waiting.clear()
        self._waiting_bytes = 0


def read_header(data: bytes, *, key: str) -> SegmentHeader:
    """The header of a segment stored under `key`; the first bytes of the object are enough.

    Raises SegmentDamaged unless it is written exactly as `encode_segment` writes it, and its origin, indexes and
    checkpoint agree with each other and with `key`.
    """
    return _read_header(data, key)[0]


def prove_header(header: SegmentHeader, verifier: Verifier, *, key: str) -> tuple[Checkpoint, Frontier]:
    """The node's signature proves these leaf hashes at their place: its checkpoint, and the frontier after the last.

    Raises SegmentDamaged where it does not, and for a header of version 1, which cannot prove itself.
    """
    if not header.proves_itself:
        raise SegmentDamaged(key, "its format is 1, which proves its entries only together with all before them")
    try:
        checkpoint = open_checkpoint(header.checkpoint.encode(), verifier)
        leaves = _hashes(header.leaf_hashes)
        frontier = verify_range(header.first_index, leaves, checkpoint.tree_size, header.proof, checkpoint.root_hash)
    except ProofInvalid as reason:
        raise SegmentDamaged(key, str(reason)) from None
    return checkpoint, frontier


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
    return header, list(entries_of(data, header, identities, key=key))


def entries_of(data: bytes, header: SegmentHeader, identities: Sequence[str], *, key: str) -> Iterator[bytes]:
    """The entries of a segment with this header, in order, each equal to its leaf hash, in memory of what is
    compressed. What is damaged is found when its turn comes: the entries before it are good.

    Raises SegmentDamaged, EntryDamaged for the entry that differs, IdentityWrong if no identity fits.
    """
    position, leaves = 0, _hashes(header.leaf_hashes)
    try:
        for entry in _lines(decrypt(data[data.index(_HEADER_END) + len(_HEADER_END) :], identities)):
            if position == header.count:
                raise SegmentDamaged(key, f"it holds more than {position} entries, its header says {position}")
            _check_entry(header.origin, header.first_index + position, entry, leaves[position])
            yield entry
            position += 1
    except (EntryDamaged, SegmentDamaged):
        raise
    except Damaged as reason:
        raise SegmentDamaged(key, str(reason)) from None
    if position != header.count:
        raise SegmentDamaged(key, f"it holds {position} entries, its header says {header.count}")


def _read_header(data: bytes, key: str) -> tuple[SegmentHeader, int]:
    """The header and where the ciphertext starts."""
    end = data.find(_HEADER_END, 0, SEGMENT_HEADER_BYTES_MAX)
    if end < 0:
        raise SegmentDamaged(key, "it has no header line followed by an empty line")
    written = data[:end]
    try:
        version = _version_decoder.decode(written).v
        decoder = _decoder_of_version_1 if version == 1 else _decoder
        header: _Header = decoder.decode(written) if version in (1, SEGMENT_VERSION) else _unknown(key, version)
    except (msgspec.MsgspecError, UnicodeDecodeError) as reason:
        raise SegmentDamaged(key, f"its header is not one: {reason}") from None
    if _encoder.encode(header) != written:
        raise SegmentDamaged(key, "its header is not written in the one way that it may be")
    if isinstance(header, _HeaderVersion1):
        header = SegmentHeader(left_hashes=b"", right_hashes=b"", **msgspec.structs.asdict(header))
    _check_header(header, key)
    return header, end + len(_HEADER_END)


def _unknown(key: str, version: int) -> Never:
    raise SegmentDamaged(key, f"its format is {version}; this program reads 1 to {SEGMENT_VERSION}")


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
    if not (
        tree_size.isascii() and tree_size.isdigit() and len(tree_size) <= 19
        and named.end <= int(tree_size) <= TREE_SIZE_MAX
    ):
        raise SegmentDamaged(key, "its checkpoint does not cover it")
    if header.proves_itself and (
        len(header.left_hashes) != hashes_in(0, named.first) * HASH_BYTES
        or len(header.right_hashes) != hashes_in(named.end, int(tree_size)) * HASH_BYTES
    ):
        raise SegmentDamaged(key, "its header has not the hashes that lead from its entries to its checkpoint")


def _hashes(joined: bytes) -> list[bytes]:
    return [joined[place : place + HASH_BYTES] for place in range(0, len(joined), HASH_BYTES)]


def _check_entry(origin: str, entry_index: int, entry: bytes, leaf_hash: bytes) -> None:
    if len(entry) > ENTRY_BYTES_MAX:
        raise EntryDamaged(origin, entry_index, f"longer than ENTRY_BYTES_MAX ({ENTRY_BYTES_MAX})")
    if not entry or b"\n" in entry:
        raise EntryDamaged(origin, entry_index, "an entry is one line of JSON")
    if sha256(b"\x00" + entry).digest() != leaf_hash:
        raise EntryDamaged(origin, entry_index, "its bytes differ from its leaf hash")


def _lines(compressed: bytes) -> Iterator[bytes]:
    """Decompress within bounds, line by line: a few bytes can say that they are gigabytes."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=SEGMENT_ZSTD_WINDOW_BYTES_MAX)
    begun: list[bytes] = []
    begun_bytes = total = 0
    with decompressor.stream_reader(compressed) as reader:
        while chunk := _read(reader):
            total += len(chunk)
            if total > SEGMENT_OPENED_BYTES_MAX:
                raise Damaged(f"it decompresses to more than SEGMENT_OPENED_BYTES_MAX ({SEGMENT_OPENED_BYTES_MAX})")
            *lines, rest = chunk.split(b"\n")
            if lines:
                lines[0] = b"".join((*begun, lines[0]))
                yield from lines
                begun, begun_bytes = [], 0
            begun.append(rest)
            begun_bytes += len(rest)
            if begun_bytes > ENTRY_BYTES_MAX:
                raise Damaged(f"one of its lines is longer than ENTRY_BYTES_MAX ({ENTRY_BYTES_MAX})")
    if begun_bytes or not total:
        raise Damaged("its last entry is cut off")


def _read(reader: zstandard.ZstdDecompressionReader) -> bytes:
    try:
        return reader.read(_CHUNK_BYTES)
    except zstandard.ZstdError as reason:
        raise Damaged(f"what it decrypts to is not zstd: {reason}") from None
