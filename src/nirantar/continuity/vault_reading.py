"""Reading one node's log back from vaults, verified, in order, in bounded memory.

Each segment is taken from the first vault that holds it undamaged. What no vault can give is named, never guessed: an
entry whose bytes are lost keeps its place by its leaf hash where a header or tile still tells it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nirantar.errors import Damaged, EntryDamaged, Finding, NirantarError, ProofInvalid, SegmentDamaged
from nirantar.tlog.checkpoint import Checkpoint, open_checkpoint
from nirantar.tlog.merkle import Frontier
from nirantar.tlog.note import Verifier
from nirantar.vault.keys import SegmentKey, TileKey, parse, segments_prefix
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
    """What reading a log gave. `proven` is the newest checkpoint whose root the entries read so far hash to, as the
    note's bytes; `size` how many entries were read, `lost` those of them without bytes."""

    origin: str
    verifier: Verifier
    size: int = 0
    lost: list[int] = field(default_factory=list)
    proven_size: int = 0
    proven_note: bytes = b""
    promised_size: int = 0
    findings: list[Finding] = field(default_factory=list)


def read_log(
    vaults: Sequence[Vault], identities: Sequence[str], reading: LogReading
) -> Iterator[Step]:
    """Every entry that the vaults hold of `reading.origin`, from 0 on. `reading` is filled as it goes.

    Ends early at a gap that nothing bridges. Raises IdentityWrong and VaultUnavailable; all damage goes to findings.
    """
    node = reading.origin.rpartition("/")[2]
    frontier = Frontier()
    waiting: dict[int, tuple[Checkpoint, bytes]] = {}
    for number, holders in _segments(vaults, node):
        reading.promised_size = max(reading.promised_size, number.end)
        if number.end <= reading.size:
            continue
        if number.first > reading.size and not (yield from _bridge(vaults, node, reading, frontier, number.first)):
            reading.findings.append(Finding(
                f"{reading.origin} entries {reading.size} to {number.first - 1}",
                "no vault holds their segment; nothing after them can be proven, so the log ends here", "lost",
            ))
            return
        yield from _one_segment(holders, identities, reading, frontier, number, waiting)
        if (known := waiting.pop(frontier.size, None)) is not None:
            _settle(reading, frontier, *known)
    for size, (checkpoint, _) in sorted(waiting.items()):
        reading.promised_size = max(reading.promised_size, size)
        reading.findings.append(Finding(
            f"{reading.origin} entries {reading.size} to {checkpoint.tree_size - 1}",
            "a signed checkpoint covers them, but no vault holds them", "lost",
        ))


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
    holders: Sequence[Vault], identities: Sequence[str], reading: LogReading, frontier: Frontier,
    number: SegmentKey, waiting: dict[int, tuple[Checkpoint, bytes]],
) -> Iterator[Step]:
    """The entries of one segment that are still wanted, from the first vault that holds them undamaged."""
    key = str(number)
    header: SegmentHeader | None = None
    for vault in holders:
        try:
            data = vault.get(key)
            header, entries = open_segment(data, identities, key=key)
            _note_checkpoint(reading, header, key, waiting)
        except (SegmentDamaged, EntryDamaged, ProofInvalid) as damage:
            reading.findings.append(Finding(f"{vault.location} {key}", str(damage)))
            header = header or _header_of(vault, key)
            continue
        for position in range(reading.size - header.first_index, header.count):
            leaf = header.leaf_hash(position)
            frontier.append(leaf)
            reading.size += 1
            yield Step(header.first_index + position, entries[position], leaf)
        return
    if header is None:
        return
    for position in range(reading.size - header.first_index, header.count):
        leaf = header.leaf_hash(position)
        frontier.append(leaf)
        reading.lost.append(reading.size)
        reading.size += 1
        yield Step(header.first_index + position, None, leaf)
    try:
        _note_checkpoint(reading, header, key, waiting)
    except ProofInvalid as damage:
        reading.findings.append(Finding(key, str(damage)))


def _header_of(vault: Vault, key: str) -> SegmentHeader | None:
    try:
        return read_header(vault.get(key), key=key)
    except NirantarError:
        return None


def _note_checkpoint(
    reading: LogReading, header: SegmentHeader, key: str, waiting: dict[int, tuple[Checkpoint, bytes]]
) -> None:
    """Keep a segment's checkpoint until the entries reach its size."""
    note = header.checkpoint.encode()
    checkpoint = open_checkpoint(note, reading.verifier)
    if checkpoint.origin != reading.origin:
        raise SegmentDamaged(key, f"its checkpoint is of {checkpoint.origin}")
    waiting[checkpoint.tree_size] = (checkpoint, note)


def _settle(reading: LogReading, frontier: Frontier, checkpoint: Checkpoint, note: bytes) -> None:
    """Compare what was read with what the node signed."""
    if frontier.root() != checkpoint.root_hash:
        reading.findings.append(Finding(
            f"{reading.origin} at size {checkpoint.tree_size}",
            "its entries do not hash to the root that the node signed: an entry was exchanged", "altered",
        ))
        return
    reading.proven_size, reading.proven_note = checkpoint.tree_size, note


def _bridge(
    vaults: Sequence[Vault], node: str, reading: LogReading, frontier: Frontier, end: int
) -> Iterator[Step]:
    """Cross a gap by the leaf hashes of full tiles. Returns whether it was crossed."""
    start = reading.size
    leaves: list[bytes] = []
    while start + len(leaves) < end:
        index = start + len(leaves)
        tile = _tile(vaults, node, index // TILE_WIDTH)
        if tile is None:
            return False
        last = min(end, (index // TILE_WIDTH + 1) * TILE_WIDTH)
        leaves += [
            tile[each % TILE_WIDTH * HASH_BYTES : (each % TILE_WIDTH + 1) * HASH_BYTES] for each in range(index, last)
        ]
    reading.findings.append(Finding(
        f"{reading.origin} entries {start} to {end - 1}",
        "no vault holds their segment; their leaf hashes are known from tiles, their bytes are lost", "lost",
    ))
    for leaf in leaves:
        frontier.append(leaf)
        reading.lost.append(reading.size)
        yield Step(reading.size, None, leaf)
        reading.size += 1
    return True


def _tile(vaults: Sequence[Vault], node: str, number: int) -> bytes | None:
    for vault in vaults:
        try:
            data = vault.get(str(TileKey(node, 0, number)))
        except (NirantarError, Damaged):
            continue
        if len(data) == TILE_WIDTH * HASH_BYTES:
            return data
    return None
