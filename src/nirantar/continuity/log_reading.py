"""What reading a node's log back gives, entry by entry, and what is known of it meanwhile: pure, in O(log n) memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from nirantar.continuity.segment_opening import Part
from nirantar.errors import Finding
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.compact_range import subtrees
from nirantar.tlog.merkle import Frontier
from nirantar.tlog.note import Verifier
from nirantar.vault.segments import SegmentHeader

_BEHIND_MAX: Final = 4_096


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of the log: its exact bytes (None when lost) and its leaf hash."""

    entry_index: int
    data: bytes | None
    leaf_hash: bytes


@dataclass(frozen=True, slots=True)
class Stretch:
    """Entries that follow one another, from `first_index` on: their leaf hashes, and what was read of them, None when
    they are lost."""

    first_index: int
    leaf_hashes: Sequence[bytes]
    part: Part | None


@dataclass(frozen=True, slots=True)
class Gap:
    """Entries [start, stop), of which nothing is known. `frontier` is the log's at `stop`: what follows proves it."""

    start: int
    stop: int
    frontier: Frontier


@dataclass(slots=True)
class LogReading:
    """What reading a log gave: `size` entries were read, `lost` are those of them without bytes, `unknown` those among
    the lost without even a leaf hash. The node's signature proves the first `proven_size`. `head_note` is the newest
    signed checkpoint whose whole tree, of `head_size`, was read; `promised_size` the largest that the node signed."""

    origin: str
    verifier: Verifier
    size: int = 0
    lost: list[int] = field(default_factory=list)
    unknown: int = 0
    proven_size: int = 0
    head_size: int = 0
    head_note: bytes = b""
    promised_size: int = 0
    findings: list[Finding] = field(default_factory=list)
    _frontier: Frontier = field(default_factory=Frontier)
    _behind: list[bytes] = field(default_factory=list)
    _waiting: dict[int, tuple[Checkpoint, bytes]] = field(default_factory=dict)

    @property
    def frontier(self) -> Frontier:
        """The tree's frontier after what was read."""
        self._catch_up()
        return self._frontier.copy()

    @classmethod
    def going_on(cls, origin: str, verifier: Verifier, frontier: Frontier) -> LogReading:
        """A reading that begins where a proven frontier ends: what lies before it is taken as read."""
        return cls(origin, verifier, frontier.size, proven_size=frontier.size, _frontier=frontier.copy())

    def expect(self, checkpoint: Checkpoint, note: bytes) -> None:
        """Keep a checkpoint that the node signed until the entries reach its size."""
        self.promised_size = max(self.promised_size, checkpoint.tree_size)
        if checkpoint.tree_size > self.size:
            self._waiting[checkpoint.tree_size] = (checkpoint, note)

    def continued_by(self, header: SegmentHeader) -> bool:
        """Whether a proven segment goes on with the tree that was read, as far as that can be told: all of it where it
        begins at or before `size`, the subtrees that both know where entries between them are unknown."""
        frontier = header.left_frontier()
        frontier.extend(header.leaves(header.first_index, self.size))
        self._catch_up()
        here, there = (
            dict(zip(subtrees(0, each.size), each.hashes, strict=True)) for each in (self._frontier, frontier)
        )
        return all(here[place] == there[place] for place in here.keys() & there.keys())

    def take(self, part: Part | None, leaves: Sequence[bytes], *, proven: bool) -> Stretch:
        """Count the next entries, and compare with what the node signed for each size that they reach."""
        first, end = self.size, self.size + len(leaves)
        if part is None:
            self.lost.extend(range(first, end))
        for size in (*sorted(each for each in self._waiting if first < each < end), end):
            self._behind += leaves[self.size - first : size - first]
            self.size = size
            if proven:
                self.proven_size = size
            self._compare()
        if len(self._behind) > _BEHIND_MAX:
            self._catch_up()
        return Stretch(first, leaves, part)

    def leads_to(self, leaves: Sequence[bytes], frontier: Frontier) -> bool:
        """Whether these next leaf hashes lead from here to that frontier."""
        self._catch_up()
        grown = self._frontier.copy()
        grown.extend(leaves)
        return grown.hashes == frontier.hashes and grown.size == frontier.size

    def root_after(self, leaves: Sequence[bytes]) -> bytes:
        """The root once these next leaf hashes are read."""
        self._catch_up()
        grown = self._frontier.copy()
        grown.extend(leaves)
        return grown.root()

    def skip(self, frontier: Frontier) -> Gap:
        """Go on at a proven frontier; what lies before it is unknown."""
        gap = Gap(self.size, frontier.size, frontier.copy())
        self.lost.extend(range(self.size, frontier.size))
        self.unknown += frontier.size - self.size
        self._behind.clear()
        self._frontier = frontier.copy()
        self.size = self.proven_size = frontier.size
        for size in [each for each in self._waiting if each < self.size]:
            del self._waiting[size]
        self._compare()
        return gap

    def end(self) -> None:
        """Name what was promised and not found."""
        if self.promised_size > self.size:
            self.findings.append(Finding(
                named(self.origin, self.size, self.promised_size),
                "the node signed that they exist, but they cannot be read from any vault", "lost",
            ))

    def _catch_up(self) -> None:
        """Let the tree follow: many leaves at once cost half of what each alone would."""
        self._frontier.extend(self._behind)
        self._behind.clear()

    def _compare(self) -> None:
        if self.size not in self._waiting:
            return
        self._catch_up()
        checkpoint, note = self._waiting.pop(self.size)
        if self._frontier.root() == checkpoint.root_hash:
            self.proven_size = self.head_size = self.size
            self.head_note = note
        else:
            self.findings.append(Finding(
                f"{self.origin} at size {self.size}",
                "its entries do not hash to the root that the node signed: an entry was exchanged", "altered",
            ))


def named(origin: str, start: int, end: int) -> str:
    """Entries [start, end) of a log, as a finding names them."""
    return f"{origin} entry {start}" if end == start + 1 else f"{origin} entries {start} to {end - 1}"
