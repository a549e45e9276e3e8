"""The proof of one entry, computed from what is on the recovered node's disk and the offline key, nothing else; and one
flipped byte, found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from nirantar.app.drill.attacker import flip_byte, require_marker
from nirantar.app.founding import ROSTER_FILE
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.errors import NotFound
from nirantar.fold.roster import Roster
from nirantar.host.port import Host
from nirantar.journal.log import JOURNAL_FILE
from nirantar.journal.reader import JournalReader
from nirantar.tlog.merkle import inclusion_proof, leaf_hash, node_hash
from nirantar.tlog.note import Verifier
from nirantar.tlog.proof import LogProof
from nirantar.tlog.tiles import TileHashReader

ENTRY_ID_BYTES = 36
_ID_MARK = b'"id":"'


@dataclass(frozen=True, slots=True)
class Step:
    """One step up the tree: the sibling, whether it stands on the left, and what both hash to."""

    sibling: bytes
    on_the_left: bool
    result: bytes


@dataclass(frozen=True, slots=True)
class Proof:
    """Entry `entry_index` of `origin` is under a root that the lost node signed. `entry` are the entry's exact bytes,
    `file` the same proof as a file that other programs can check."""

    origin: str
    entry_index: int
    entry: bytes
    leaf: bytes
    steps: tuple[Step, ...]
    tree_size: int
    root: bytes
    key: str
    note: str
    file: bytes


def prove(host: Host, directory: Path, identity: Path, origin: str, entry_index: int) -> Proof:
    """Compute and verify the proof. Raises EntryDamaged and ProofInvalid when it does not hold, NotFound.

    The signing key is taken from the roster as the hospital's offline authority signed it.
    """
    authority = RecoveryIdentity.parse(host.files.read(identity)).authority
    roster = Roster.open(host.files.read(directory / ROSTER_FILE), Verifier.parse(authority.vkey))
    verifier = Verifier.parse(roster.by_origin()[origin].vkey)
    with closing(JournalReader(host, directory / JOURNAL_FILE)) as reader:
        entry = reader.entry(origin, entry_index)
        signed = reader.checkpoint(origin)
        if signed is None:
            raise NotFound(f"{origin} has no signed checkpoint yet.")
        checkpoint, note = signed
        hashes = TileHashReader(checkpoint.tree_size, lambda *tile: reader.tile(origin, *tile))
        siblings = inclusion_proof(entry_index, checkpoint.tree_size, hashes)
    leaf = leaf_hash(entry)
    file = LogProof(entry_index, siblings, note).write()
    proven = LogProof.parse(file).verify(leaf, verifier)
    steps = tuple(path_to_root(leaf, entry_index, proven.tree_size, siblings))
    return Proof(
        origin, entry_index, entry, leaf, steps, proven.tree_size, proven.root_hash, verifier.name, note.decode(), file
    )


def path_to_root(leaf: bytes, entry_index: int, tree_size: int, siblings: tuple[bytes, ...]) -> Iterator[Step]:
    """The path that verification walks (RFC 9162 s2.1.3.2), step by step, for people to look at."""
    node, last, found = entry_index, tree_size - 1, leaf
    for sibling in siblings:
        on_the_left = bool(node & 1) or node == last
        found = node_hash(sibling, found) if on_the_left else node_hash(found, sibling)
        if on_the_left:
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        node, last = node >> 1, last >> 1
        yield Step(sibling, on_the_left, found)


def flip_in_journal(directory: Path, entry: bytes) -> int:
    """Invert one byte of this entry in the journal's file of a scratch node; where it was. Raises Forbidden without
    the marker, NotFound when the entry's id stands in no file.

    A page that SQLite holds twice, in its file and in the log beside it, is changed in both.
    """
    require_marker(directory)
    start = entry.index(_ID_MARK) + len(_ID_MARK)
    entry_id = entry[start : start + ENTRY_ID_BYTES]
    flipped = [
        flip_byte(path, found.start())
        for path in (directory / JOURNAL_FILE, directory / (JOURNAL_FILE + "-wal")) if path.exists()
        for found in re.finditer(re.escape(entry_id), path.read_bytes())
    ]
    if not flipped:
        raise NotFound("The entry's id stands in no single place of the journal's file.")
    return flipped[0]
