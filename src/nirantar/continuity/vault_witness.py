"""A vault as a witness: how long a node's log was, and with which entries, according to what it holds.

The names of objects are believed by nobody who may be harmed by it: the segment that reaches furthest must prove itself
by the node's signature, so that whoever can add to a vault cannot make a node believe that its log was longer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nirantar.errors import NotFound, ProofInvalid, SegmentDamaged
from nirantar.tlog.checkpoint import Checkpoint, open_checkpoint
from nirantar.tlog.note import Verifier
from nirantar.vault.keys import LEVELS, SegmentKey, parse, segments_from, segments_prefix
from nirantar.vault.port import Vault
from nirantar.vault.segments import header_bytes_max, prove_header, read_header


@dataclass(frozen=True, slots=True)
class VaultWitness:
    """A vault, asked as guard.Witness about the log that `verifier` verifies."""

    vault: Vault
    verifier: Verifier

    def largest_size(self, origin: str) -> int:
        """Entries of `origin` that the vault holds without a gap."""
        newest = self._newest(origin)
        return 0 if newest is None else newest.key.end

    def newest_head(self, origin: str) -> tuple[int, bytes] | None:
        """Tree size and root of the checkpoint that the node signed into the newest segment; None where there is
        none."""
        newest = self._newest(origin)
        return None if newest is None else (newest.checkpoint.tree_size, newest.checkpoint.root_hash)

    def _newest(self, origin: str) -> Newest | None:
        if origin != self.verifier.name:
            raise ValueError(f"asked about {origin}, but it verifies {self.verifier.name}")
        return newest_segment(self.vault, self.verifier)


@dataclass(frozen=True, slots=True)
class Newest:
    """The segment that reaches furthest, and the checkpoint in it, which the node signed."""

    key: SegmentKey
    checkpoint: Checkpoint
    note: str


def covered(vault: Vault, verifier: Verifier) -> int:
    """How many entries of the log that `verifier` verifies a vault holds without a gap."""
    newest = newest_segment(vault, verifier)
    return 0 if newest is None else newest.key.end


def newest_segment(vault: Vault, verifier: Verifier) -> Newest | None:
    """The segment that reaches furthest without a gap before it; None where there is none.

    At each level the last of the chain proves itself; those before it are believed by their names, since the true ones
    are there, too. That costs a list and a part of an object a level.
    """
    newest: Newest | None = None
    for level in reversed(LEVELS):
        newest = chain(vault, verifier, level, 0 if newest is None else newest.key.end).newest or newest
    return newest


@dataclass(frozen=True, slots=True)
class Chain:
    """A level's segments that follow one another, and the last of them, which proves itself."""

    keys: tuple[SegmentKey, ...]
    newest: Newest | None


def chain(
    vault: Vault, verifier: Verifier, level: str, start: int, readable: Callable[[int], int] = lambda size: size
) -> Chain:
    """The segments of a level that hold the log from entry `start` on without a gap. `readable` gives the next entry
    that there still is, where a recovery lost some."""
    node = verifier.name.rpartition("/")[2]
    listed = vault.list(segments_prefix(node, level=level), after=segments_from(node, start, level=level))
    keys = sorted(key for key in map(parse, listed) if isinstance(key, SegmentKey))
    while True:
        linked: list[SegmentKey] = []
        size = start
        for key in keys:
            if key.first > size and key.first > readable(size):
                break
            if key.end > size:
                linked.append(key)
                size = key.end
        if not linked:
            return Chain((), None)
        newest = _proven(vault, verifier, linked[-1])
        if newest is not None:
            return Chain(tuple(linked), newest)
        keys.remove(linked[-1])


def _proven(vault: Vault, verifier: Verifier, key: SegmentKey) -> Newest | None:
    """A segment that proves itself; None for any other object. The first format's checkpoint proves no more than that
    there was a log of its size, so it must not reach beyond the segment."""
    text = str(key)
    try:
        header = read_header(vault.get(text, 0, header_bytes_max(key.count)), key=text)
        if header.proves_itself:
            return Newest(key, prove_header(header, verifier, key=text)[0], header.checkpoint)
        checkpoint = open_checkpoint(header.checkpoint.encode(), verifier)
    except (SegmentDamaged, ProofInvalid, NotFound):
        return None
    return Newest(key, checkpoint, header.checkpoint) if checkpoint.tree_size == key.end else None
