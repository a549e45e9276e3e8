"""Checking the logs of a directory, trusting no stored hash: every entry's bytes, the tree over them, every signature.

It reports what it finds and goes on; it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from nirantar.errors import Damaged, EntryDamaged, Finding, ProofInvalid
from nirantar.journal.attachments import Attachments
from nirantar.journal.entry import decode
from nirantar.journal.reader import JournalReader
from nirantar.tlog.checkpoint import Checkpoint, open_checkpoint
from nirantar.tlog.merkle import Frontier, leaf_hash
from nirantar.tlog.note import Verifier

_TILE_WIDTH = 256


@dataclass(slots=True)
class LogCheck:
    """What checking one log gave: `entries` hashed, `versions` of resources in them; `proven` is the size of the
    largest checkpoint that the entries hash to."""

    origin: str
    entries: int = 0
    versions: int = 0
    proven: int = 0
    findings: list[Finding] = field(default_factory=list)


def check_log(
    reader: JournalReader, attachments: Attachments, origin: str, *, progress: Callable[[int], None]
) -> LogCheck:
    """Hash every entry and attachment again, rebuild the tree, and compare with slots and signed checkpoints. Where
    SQLite finds the pages damaged the check ends with a finding that says how far it came."""
    check = LogCheck(origin)
    try:
        _check(reader, attachments, origin, check, progress)
    except Damaged as damage:
        check.findings.append(Finding(f"{origin} after entry {check.entries - 1}", str(damage)))
    return check


def _check(
    reader: JournalReader, attachments: Attachments, origin: str, check: LogCheck, progress: Callable[[int], None]
) -> None:
    # Read first, so that a node that goes on writing is not found to have entries that nothing covers yet.
    size, notes = reader.signed(origin)
    signed = _signed(reader, notes, check)
    frontier, gaps, unknown = Frontier(), reader.gaps(origin), list[range]()
    for entry_index, data, stored in reader.entries(origin, 0, size):
        if entry_index != check.entries:
            _find(check, check.entries, f"entries up to {entry_index - 1} are not in the journal")
            return
        if not data and not stored:
            if not unknown or unknown[-1].stop != entry_index:
                unknown.append(range(entry_index, entry_index))
            unknown[-1] = range(unknown[-1].start, entry_index + 1)
            check.entries += 1
            if check.entries in gaps:
                frontier = gaps[check.entries]
                _compare_signed(check, frontier, signed)
            continue
        if frontier.size != entry_index:
            _find(check, entry_index - 1, "neither its leaf hash is in the journal nor the tree behind it")
            return
        leaf = leaf_hash(data) if data else stored
        if leaf != stored:
            _find(check, entry_index, "its bytes differ from its leaf hash")
            # The stored hash goes into the tree: if it is the true one, everything else still proves.
            leaf = stored
        elif data:
            _check_readable(check, attachments, entry_index, data)
        else:
            _find(check, entry_index, "its bytes were lost before recovery; only its leaf hash is known")
        frontier.append(leaf)
        check.entries += 1
        _compare_signed(check, frontier, signed)
        if check.entries % _TILE_WIDTH == 0:
            progress(check.entries)
    for tree_size in sorted(signed):
        check.findings.append(Finding(
            f"{origin} entries {check.entries} to {tree_size - 1}",
            "a signed checkpoint covers them, but they are gone",
            "lost",
        ))
    if check.proven < check.entries:
        check.findings.append(Finding(
            f"{origin} entries {check.proven} to {check.entries - 1}", "no signed checkpoint covers them", "unproven",
        ))
    check.findings += (
        Finding(f"{origin} entries {lost.start} to {lost.stop - 1}", "nothing of them was left before recovery", "lost")
        for lost in unknown
    )
    check.findings += _check_tiles(reader, origin, size, unknown)


def _signed(reader: JournalReader, notes: list[tuple[int, bytes]], check: LogCheck) -> dict[int, Checkpoint]:
    verifier = Verifier.parse(reader.origins()[check.origin])
    signed: dict[int, Checkpoint] = {}
    for tree_size, note in notes:
        try:
            checkpoint = open_checkpoint(note, verifier)
        except ProofInvalid as reason:
            check.findings.append(Finding(f"{check.origin} checkpoint of size {tree_size}", str(reason)))
            continue
        if checkpoint.tree_size != tree_size:
            what = f"it is of size {checkpoint.tree_size}"
            check.findings.append(Finding(f"{check.origin} checkpoint of size {tree_size}", what))
        signed[checkpoint.tree_size] = checkpoint
    return signed


def _compare_signed(check: LogCheck, frontier: Frontier, signed: dict[int, Checkpoint]) -> None:
    if check.entries in signed:
        _compare(check, frontier, signed.pop(check.entries))


def _compare(check: LogCheck, frontier: Frontier, checkpoint: Checkpoint) -> None:
    if checkpoint.origin == check.origin and frontier.root() == checkpoint.root_hash:
        check.proven = checkpoint.tree_size
        return
    check.findings.append(Finding(
        f"{check.origin} at size {checkpoint.tree_size}", "the entries do not hash to the root that the node signed",
        "altered",
    ))


def _check_readable(check: LogCheck, attachments: Attachments, entry_index: int, data: bytes) -> None:
    try:
        entry = decode(data, check.origin, entry_index)
    except EntryDamaged as reason:
        check.findings.append(Finding(f"{check.origin} entry {entry_index}", str(reason)))
        return
    if entry is not None:
        check.versions += len(entry.changes)
        for attachment in entry.attachments:
            try:
                attachments.content(attachment)
            except Damaged as reason:
                _find(check, entry_index, str(reason))
    if entry is not None and entry.origin != check.origin:
        _find(check, entry_index, "it says that it belongs to another log")


def _check_tiles(reader: JournalReader, origin: str, size: int, unknown: Sequence[range]) -> Iterator[Finding]:
    """The kept tile hashes, against the leaf hashes that were just checked; not those over unknown ones."""
    level_size, level = size // _TILE_WIDTH, 1
    while level_size:
        for slot in range(level_size):
            start, stop = slot * _TILE_WIDTH**level, (slot + 1) * _TILE_WIDTH**level
            if any(lost.start < stop and start < lost.stop for lost in unknown):
                continue
            if not reader.slot_is_right(origin, level, slot):
                yield Finding(f"{origin} tile hash {level}/{slot}", "it is not the root over the tile below it")
        level_size, level = level_size // _TILE_WIDTH, level + 1


def _find(check: LogCheck, entry_index: int, what: str) -> None:
    check.findings.append(Finding(f"{check.origin} entry {entry_index}", what))
