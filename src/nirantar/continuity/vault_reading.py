"""Reading one node's log back from vaults, verified, in order, in bounded memory.

Each segment is taken from the first vault that holds it undamaged. What no vault can give is named, never guessed: an
entry whose bytes are lost keeps its place by its leaf hash where a header or tile still tells it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256

from nirantar.errors import (
    EntryDamaged,
    Finding,
    NirantarError,
    NotFound,
    ProofInvalid,
    SegmentDamaged,
    VaultUnavailable,
)
from nirantar.tlog.checkpoint import Checkpoint, open_checkpoint
from nirantar.tlog.merkle import Frontier
from nirantar.tlog.note import Verifier
from nirantar.vault.keys import AttachmentKey, SegmentKey, TileKey, parse, segments_prefix
from nirantar.vault.port import Vault
from nirantar.vault.segments import SegmentHeader, open_segment, read_header

HASH_BYTES = 32
TILE_WIDTH = 256


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of the log: its exact bytes (None when lost) and its leaf hash."""

    entry_index: int
    data: bytes | None
    leaf_hash: bytes


@dataclass(slots=True)
class LogReading:
    """What reading a log gave: `size` entries were read, `lost` are those of them without bytes. `proven_note` is the
    newest signed checkpoint whose root the entries hash to, at `proven_size`; `promised_size` the largest size that a
    signed checkpoint or a segment's name speaks of."""

    origin: str
    verifier: Verifier
    size: int = 0
    lost: list[int] = field(default_factory=list)
    proven_size: int = 0
    proven_note: bytes = b""
    promised_size: int = 0
    findings: list[Finding] = field(default_factory=list)
    _frontier: Frontier = field(default_factory=Frontier)
    _waiting: dict[int, tuple[Checkpoint, bytes]] = field(default_factory=dict)

    def expect(self, note: bytes, key: str) -> None:
        """Keep a segment's checkpoint until the entries reach its size. Raises ProofInvalid if it does not verify."""
        checkpoint = open_checkpoint(note, self.verifier)
        if checkpoint.origin != self.origin:
            raise SegmentDamaged(key, f"its checkpoint is of {checkpoint.origin}")
        self._waiting[checkpoint.tree_size] = (checkpoint, note)

    def take(self, data: bytes | None, leaf: bytes) -> Step:
        """Count the next entry, and compare with what the node signed for this size."""
        step = Step(self.size, data, leaf)
        self._frontier.append(leaf)
        if data is None:
            self.lost.append(self.size)
        self.size += 1
        if self.size in self._waiting:
            checkpoint, note = self._waiting.pop(self.size)
            if self._frontier.root() == checkpoint.root_hash:
                self.proven_size, self.proven_note = self.size, note
            else:
                self.findings.append(Finding(
                    f"{self.origin} at size {self.size}",
                    "its entries do not hash to the root that the node signed: an entry was exchanged", "altered",
                ))
        return step

    def end(self) -> None:
        """Name what was promised and not found."""
        for size in sorted(self._waiting):
            self.promised_size = max(self.promised_size, size)
        if self.promised_size > self.size:
            self.findings.append(Finding(
                _named(self.origin, self.size, self.promised_size),
                "the vault speaks of them, but they cannot be read from any vault", "lost",
            ))


def read_log(
    vaults: Sequence[Vault], identities: Sequence[str], reading: LogReading
) -> Iterator[Step]:
    """Every entry that the vaults hold of `reading.origin`, from 0 on. `reading` is filled as it goes.

    Ends early at a gap that nothing bridges. Raises IdentityWrong and VaultUnavailable; all damage goes to findings.
    """
    node = reading.origin.rpartition("/")[2]
    cut = False
    for number, holders in _segments(vaults, node):
        reading.promised_size = max(reading.promised_size, number.end)
        if cut or number.end <= reading.size:
            continue
        if number.first > reading.size and not (yield from _bridge(vaults, node, reading, number.first)):
            reading.findings.append(Finding(
                _named(reading.origin, reading.size, number.first),
                "no vault holds their segment, nor tiles with their hashes: what follows cannot be proven", "lost",
            ))
            cut = True
            continue
        yield from _one_segment(holders, identities, reading, number)
    reading.end()


def _segments(vaults: Sequence[Vault], node: str) -> Iterator[tuple[SegmentKey, list[Vault]]]:
    """Segments by first entry, longest first among equals, each with the vaults that list it."""
    found: dict[SegmentKey, list[Vault]] = {}
    for vault in vaults:
        for key in vault.list(segments_prefix(node)):
            segment = parse(key)
            if isinstance(segment, SegmentKey):
                found.setdefault(segment, []).append(vault)
    for segment in sorted(found, key=lambda each: (each.first, -each.count)):
        yield segment, found[segment]


def _one_segment(
    holders: Sequence[Vault], identities: Sequence[str], reading: LogReading, number: SegmentKey
) -> Iterator[Step]:
    """The entries of one segment that are still wanted, from the first vault that holds them undamaged."""
    key = str(number)
    header: SegmentHeader | None = None
    silent: NirantarError | None = None
    for vault in holders:
        try:
            header, entries = open_segment(vault.get(key), identities, key=key)
            reading.expect(header.checkpoint.encode(), key)
        except (SegmentDamaged, EntryDamaged, ProofInvalid) as damage:
            reading.findings.append(Finding(f"{vault.location} {key}", str(damage)))
            header = header or _header_of(vault, key)
            continue
        except (VaultUnavailable, NotFound) as failure:
            silent = failure
            continue
        for position in range(reading.size - header.first_index, header.count):
            yield reading.take(entries[position], header.leaf_hash(position))
        return
    if silent is not None:
        # It may be whole there: to call it lost would close the log before it.
        raise silent
    if header is None:
        return
    with suppress(ProofInvalid):
        reading.expect(header.checkpoint.encode(), key)
    for position in range(reading.size - header.first_index, header.count):
        yield reading.take(None, header.leaf_hash(position))


def _header_of(vault: Vault, key: str) -> SegmentHeader | None:
    try:
        return read_header(vault.get(key), key=key)
    except NirantarError:
        return None


def _bridge(vaults: Sequence[Vault], node: str, reading: LogReading, end: int) -> Generator[Step, None, bool]:
    """Cross a gap by the leaf hashes of full tiles. Returns whether it was crossed."""
    start = reading.size
    leaves: list[bytes] = []
    while (index := start + len(leaves)) < end:
        tile = _tile(vaults, node, index // TILE_WIDTH)
        if tile is None:
            return False
        last = min(end, (index // TILE_WIDTH + 1) * TILE_WIDTH)
        slots = range(index % TILE_WIDTH, index % TILE_WIDTH + last - index)
        leaves += [tile[slot * HASH_BYTES : (slot + 1) * HASH_BYTES] for slot in slots]
    reading.findings.append(Finding(
        _named(reading.origin, start, end),
        "no vault holds their segment; their leaf hashes are known from tiles, their bytes are lost", "lost",
    ))
    for leaf in leaves:
        yield reading.take(None, leaf)
    return True


def read_attachment(vaults: Sequence[Vault], node: str, digest: str) -> bytes | None:
    """An encrypted attachment from the first vault that holds it undamaged, or None."""
    for vault in vaults:
        with suppress(NirantarError):
            sealed = vault.get(str(AttachmentKey(node, digest)))
            if sha256(sealed).hexdigest() == digest:
                return sealed
    return None


def _tile(vaults: Sequence[Vault], node: str, number: int) -> bytes | None:
    for vault in vaults:
        try:
            data = vault.get(str(TileKey(node, 0, number)))
        except NirantarError:
            continue
        if len(data) == TILE_WIDTH * HASH_BYTES:
            return data
    return None


def _named(origin: str, start: int, end: int) -> str:
    """Entries [start, end) of a log, as a finding names them."""
    return f"{origin} entry {start}" if end == start + 1 else f"{origin} entries {start} to {end - 1}"
