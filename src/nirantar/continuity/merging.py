"""Merging: writing the segments of a level that the next one does not cover yet into that one, as one segment.

The node does it, from its own journal: the entries are there in plain, so a merged segment is one zstd stream in one
age file like any other (docs/rfd/0010). What a vault holds is learned from the vault at the first contact, by a list
and a header a level, and nothing about it is kept elsewhere. A merge that was cut off is done again, and finds its own
result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from nirantar.continuity.vault_witness import chain
from nirantar.errors import Conflict, EntryDamaged, InvalidInput, NotFound, SegmentDamaged
from nirantar.host.port import Host
from nirantar.host.times import from_instant
from nirantar.journal.entry import decode
from nirantar.journal.reader import JournalReader
from nirantar.tlog.compact_range import RangeProof
from nirantar.tlog.note import Verifier
from nirantar.vault.keys import LEVELS, SegmentKey
from nirantar.vault.levels import next_merge
from nirantar.vault.port import Vault
from nirantar.vault.segments import SegmentHeader, SegmentWriter, header_bytes_max, prove_header, read_header

_BOTTOM: Final = LEVELS[0]
_TOP: Final = LEVELS[-1]


@dataclass(slots=True)
class Ladder:
    """What one vault holds of one log: at each level the segments that the next level does not cover yet, oldest first.

    `end` is how far the vault holds the log; `note` the newest checkpoint, of `tree_size`, that it holds all of. The
    sealer adds at the end of the lowest level, a merger takes from the front.
    """

    end: int = 0
    tree_size: int = 0
    note: str = ""
    levels: dict[str, list[SegmentKey]] = field(default_factory=lambda: {level: [] for level in LEVELS[:-1]})

    def follows(self, tree_size: int, note: str) -> None:
        """The vault holds all that this checkpoint covers."""
        self.tree_size, self.note = tree_size, note

    def sealed(self, key: SegmentKey) -> None:
        """A new segment stands at the end of the lowest level."""
        self.levels[_BOTTOM].append(key)
        self.end = key.end


def learn(vault: Vault, reader: JournalReader, origin: str) -> Ladder:
    """What a vault holds of a log, from the highest level down: what is merged is not listed again."""
    verifier = Verifier.parse(reader.origins()[origin])
    ladder = Ladder()
    for level in reversed(LEVELS):
        found = chain(vault, verifier, level, ladder.end, lambda size: reader.next_readable(origin, size))
        if level != _TOP:
            ladder.levels[level] = list(found.keys)
        if found.newest is not None:
            ladder.end = found.newest.key.end
            if found.newest.checkpoint.tree_size <= ladder.end:
                ladder.follows(found.newest.checkpoint.tree_size, found.newest.note)
    return ladder


class Merger:
    """Merges what is due in a vault, one segment a call, so that whoever calls can do something else in between."""

    def __init__(self, host: Host, reader: JournalReader, recipients: Callable[[], Sequence[str]]) -> None:
        """Read entries through `reader`, encrypt to whom `recipients` names at the time."""
        self._host = host
        self._reader = reader
        self._recipients = recipients

    def merge(self, vault: Vault, origin: str, ladder: Ladder) -> bool:
        """Write one merged segment, of the lowest level that is due; whether there was one to write.

        Raises VaultUnavailable, DiskFull, and Conflict where the vault holds something else under each fitting key.
        """
        due = next_merge(
            {level: tuple(keys) for level, keys in ladder.levels.items()}, partial(self._age_seconds, origin),
            lambda key: self._reader.plain_bytes(origin, key.first, key.end),
        )
        if due is None:
            return False
        self._merge_into(due[0], vault, origin, ladder, due[1])
        return True

    def _merge_into(self, level: str, vault: Vault, origin: str, ladder: Ladder, run: Sequence[SegmentKey]) -> None:
        conflict: Conflict | None = None
        for count in range(len(run), 0, -1):
            key = SegmentKey(run[0].node, level, run[0].first, run[count - 1].end - run[0].first)
            data = self._encoded(vault, origin, key, run[:count], ladder)
            if data is None:
                # It holds entries that were lost before a recovery: what can still be read of it stays where it is.
                del ladder.levels[run[0].level][:1]
                return
            try:
                vault.put_new(str(key), data)
            except Conflict as other:
                if not self._holds(vault, key, data, origin):
                    # Somebody else was here first: another number of segments has a key of its own.
                    conflict = other
                    continue
            if level != _TOP:
                ladder.levels[level].append(key)
            del ladder.levels[run[0].level][:count]
            return
        if conflict is not None:
            raise conflict

    def _encoded(
        self, vault: Vault, origin: str, key: SegmentKey, run: Sequence[SegmentKey], ladder: Ladder
    ) -> bytes | None:
        """The merged segment of a run of segments; None where entries of it are lost.

        Its checkpoint is one that the vault holds all of, so it promises nothing new. Where the journal no longer has
        the hashes around it, what proved the first and the last of the run proves all of it.
        """
        writer = SegmentWriter(origin, key.first, merged=True)
        for _, data, leaf in self._reader.entries(origin, key.first, key.end):
            if not data:
                return None
            writer.add(data, leaf)
        note = ladder.note
        try:
            proof = self._reader.range_proof(origin, key.first, key.end, ladder.tree_size)
        except (NotFound, InvalidInput):
            first, last = (self._header(vault, origin, run[place]) for place in (0, -1))
            if first is None or last is None:
                return None
            proof, note = RangeProof(first.proof.left, last.proof.right), last.checkpoint
        return writer.finish(proof=proof, checkpoint_note=note, recipients=self._recipients())

    def _header(self, vault: Vault, origin: str, key: SegmentKey) -> SegmentHeader | None:
        """The header of a segment in the vault, if it proves itself."""
        try:
            header = read_header(vault.get(str(key), 0, header_bytes_max(key.count)), key=str(key))
            prove_header(header, Verifier.parse(self._reader.origins()[origin]), key=str(key))
        except (SegmentDamaged, NotFound):
            return None
        return header

    def _holds(self, vault: Vault, key: SegmentKey, data: bytes, origin: str) -> bool:
        """Whether the vault's object under this key is the same merged segment, from an attempt that was cut off."""
        stored = self._header(vault, origin, key)
        return stored is not None and stored.leaf_hashes == read_header(data, key=str(key)).leaf_hashes

    def _age_seconds(self, origin: str, key: SegmentKey) -> float:
        """How long ago the first entry of a segment was recorded. One that does not tell counts as old."""
        try:
            entry = decode(self._reader.entry(origin, key.first), origin, key.first)
            recorded_us = 0 if entry is None else from_instant(entry.recorded_at)
        except (EntryDamaged, NotFound, ValueError):
            recorded_us = 0
        return (self._host.now_us() - recorded_us) / 1e6
