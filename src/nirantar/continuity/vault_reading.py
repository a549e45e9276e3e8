"""Reading one node's log back from vaults, verified, in order, in bounded memory.

Each stretch is taken from the highest level that holds it undamaged, and from the first vault that does; what is merged
already is not even listed again below. Every segment proves itself by the node's signature (vault.segments), so one
that does not is named and passed over, and another that holds the same entries is used: whoever can add to a vault
cannot hide anything in it. What no vault can give is named, never guessed: an entry whose bytes are lost keeps its
place by its leaf hash where a header or tile still tells it, and by its index alone where nothing does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import count, repeat
from typing import Final

from nirantar.continuity.log_reading import Gap, LogReading, Step, Stretch, named
from nirantar.continuity.segment_opening import Fetched, Opener, SegmentOpener
from nirantar.errors import (
    EntryDamaged,
    Finding,
    IdentityWrong,
    NirantarError,
    NotFound,
    ProofInvalid,
    SegmentDamaged,
    VaultUnavailable,
)
from nirantar.limits import (
    KNOWN_HEADERS_MAX,
    LOG_GAP_ENTRIES_MAX,
    SEGMENT_ENTRIES_MAX,
    SEGMENT_MERGED_ENTRIES_MAX,
)
from nirantar.tlog.checkpoint import Checkpoint, open_checkpoint
from nirantar.tlog.merkle import HASH_BYTES
from nirantar.tlog.note import Verifier
from nirantar.vault.keys import LEVELS, AttachmentKey, SegmentKey, TileKey, parse, segments_from, segments_prefix
from nirantar.vault.port import Vault
from nirantar.vault.segments import SegmentHeader, header_bytes_max, prove_header, read_header

TILE_WIDTH: Final = 256
SEALED: Final = "sealed"
"""The kind of a finding about an object that is whole and sealed to others than this identity."""
_FROM_HIGHEST: Final = tuple(reversed(LEVELS))


def read_log(vaults: Sequence[Vault], identities: Sequence[str], reading: LogReading) -> Iterator[Step | Gap]:
    """Every entry that the vaults hold of `reading.origin`, from where `reading` is on. That is filled as it goes, a
    stretch at a time, so it is ahead of the entries: what is asked of one is in its step.

    Raises VaultUnavailable, and IdentityWrong where the identity opens nothing at all; all damage goes to findings.
    """
    for each in read_stretches(vaults, SegmentOpener(identities, outline=False), reading):
        if isinstance(each, Gap):
            yield each
            continue
        entries = repeat(None) if each.part is None else each.part.entries
        for entry_index, entry, leaf in zip(count(each.first_index), entries, each.leaf_hashes, strict=False):
            yield Step(entry_index, entry, leaf)


def read_stretches(
    vaults: Sequence[Vault], opener: Opener, reading: LogReading, *, must_open: bool = True
) -> Iterator[Stretch | Gap]:
    """The same, many entries at a time, and of them what `opener` gives.

    Raises VaultUnavailable, and IdentityWrong where the identity opens nothing at all but `must_open`; all damage goes
    to findings, that of kind SEALED to what does not open.
    """
    return _Reading(vaults, opener, reading, must_open).stretches()


def reading_from(vaults: Sequence[Vault], verifier: Verifier, index: int) -> LogReading | None:
    """A reading of the log that `verifier` verifies, ready to go on at or a little before entry `index`: a segment that
    holds it proves by itself the log before it. None where no vault has such a segment."""
    if index == 0:
        return LogReading(verifier.name, verifier)
    node = verifier.name.rpartition("/")[2]
    for level in LEVELS:
        longest = SEGMENT_ENTRIES_MAX if level == LEVELS[0] else SEGMENT_MERGED_ENTRIES_MAX
        after = segments_from(node, max(0, index + 1 - longest), level=level)
        for vault in vaults:
            for text in vault.list(segments_prefix(node, level=level), after=after):
                key = parse(text)
                if isinstance(key, SegmentKey) and key.first > index:
                    break
                if isinstance(key, SegmentKey) and key.end > index:
                    with suppress(SegmentDamaged, NotFound, ProofInvalid):
                        header = read_header(vault.get(text, 0, header_bytes_max(key.count)), key=text)
                        prove_header(header, verifier, key=text)
                        return LogReading.going_on(verifier.name, verifier, header.left_frontier())
    return None


@dataclass(frozen=True, slots=True)
class _Found:
    """A segment whose header is good, as the first vault with a good header gave it, and the vaults after that."""

    fetched: Fetched
    others: tuple[Vault, ...]

    @property
    def header(self) -> SegmentHeader:
        return self.fetched.header

    @property
    def named(self) -> str:
        """As a finding names it."""
        return f"{self.fetched.vault.location} {self.fetched.key}"


class _Reading:
    """The walk through the levels. `_known` are headers whose leaf hashes are proven and whose entries could not all be
    opened: they name what is lost, once no other segment has it."""

    def __init__(self, vaults: Sequence[Vault], opener: Opener, reading: LogReading, must_open: bool) -> None:
        self._vaults = vaults
        self._must_open = must_open
        self._opener = opener
        self._reading = reading
        self._node = reading.origin.rpartition("/")[2]
        self._known: list[SegmentHeader] = []
        self._opened = False
        self._wrong: IdentityWrong | None = None

    def stretches(self) -> Iterator[Stretch | Gap]:
        """The whole log."""
        yield from self._level(_FROM_HIGHEST, None)
        for header in sorted(self._known, key=lambda each: each.end):
            if header.end > self._reading.size:
                yield from self._bridge(header.end, None)
        if self._wrong is not None and self._must_open and not self._opened:
            raise self._wrong
        self._reading.end()

    def _level(self, levels: Sequence[str], stop: int | None) -> Iterator[Stretch | Gap]:
        """Read on, up to `stop`, from the first of `levels`, and what it lacks from those after it."""
        reading, below = self._reading, levels[1:]
        of_version_1: list[tuple[SegmentKey, list[Vault]]] = []
        listed = self._listed(levels[0], stop)
        with self._opener.foreseen(self._needed(listed), reading.verifier):
            for key, holders in listed:
                found = self._fetch(key, holders) if key.end > reading.size else None
                if found is None:
                    continue
                if found.fetched.checkpoint is None:
                    of_version_1.append((key, holders))
                    continue
                if key.first > reading.size:
                    yield from self._lower(below, of_version_1, key.first)
                if key.end > reading.size:
                    yield from self._take(found, found.fetched.checkpoint)
        yield from self._lower(below, of_version_1, stop)

    def _lower(
        self, below: Sequence[str], of_version_1: Sequence[tuple[SegmentKey, list[Vault]]], stop: int | None
    ) -> Iterator[Stretch | Gap]:
        """What a level lacks: from the levels below it, and below the lowest from segments that prove nothing alone."""
        if below:
            yield from self._level(below, stop)
            return
        for key, holders in of_version_1:
            if key.end > self._reading.size and (stop is None or key.first < stop):
                yield from self._take_version_1(key, holders)

    def _listed(self, level: str, stop: int | None) -> list[tuple[SegmentKey, list[Vault]]]:
        """A level's segments from here on, by first entry, longest first among equals, with the vaults that list them.

        Nothing is missed by listing from here: merged segments begin and end where those below them do, and where one
        could be opened in part only, `_known` tells where it began.
        """
        since = min([self._reading.size, *(each.first_index for each in self._known if self._covers(each))])
        found: dict[SegmentKey, list[Vault]] = {}
        for vault in self._vaults:
            after = segments_from(self._node, since, level=level)
            for text in vault.list(segments_prefix(self._node, level=level), after=after):
                key = parse(text)
                if not isinstance(key, SegmentKey):
                    continue
                if stop is not None and key.first >= stop:
                    break
                found.setdefault(key, []).append(vault)
        return sorted(found.items(), key=lambda each: (each[0].first, -each[0].count))

    def _needed(self, listed: Sequence[tuple[SegmentKey, Sequence[Vault]]]) -> Iterator[tuple[Vault, SegmentKey]]:
        """What will be asked for, by its names, unless something is damaged."""
        size = self._reading.size
        for key, holders in listed:
            if key.end > size:
                size = key.end
                yield holders[0], key

    def _covers(self, header: SegmentHeader) -> bool:
        return header.first_index <= self._reading.size < header.end

    def _fetch(self, segment: SegmentKey, holders: Sequence[Vault]) -> _Found | None:
        """The segment from the first vault whose object has a good header, proven unless it is of version 1."""
        key = str(segment)
        silent: VaultUnavailable | None = None
        for number, vault in enumerate(holders):
            try:
                fetched = self._opener.fetch(vault, key, self._reading.verifier)
            except SegmentDamaged as damage:
                self._reading.findings.append(Finding(f"{vault.location} {key}", str(damage)))
            except NotFound:
                continue
            except VaultUnavailable as failure:
                silent = failure
            else:
                return _Found(fetched, tuple(holders[number + 1 :]))
        if silent is not None:
            # It may be whole there: to call it lost would close the log before it.
            raise silent
        return None

    def _take(self, found: _Found, checkpoint: Checkpoint) -> Iterator[Stretch | Gap]:
        """The entries of a proven segment that are still wanted, after what lies before it and is nowhere else."""
        reading = self._reading
        if not reading.continued_by(found.header):
            reading.findings.append(Finding(
                found.named,
                "the node's key signed it, but over other entries than those before it: there are two histories of "
                "this log, so somebody else has the key or its disk was rolled back", "altered",
            ))
            return
        if found.header.first_index > reading.size:
            yield from self._bridge(found.header.first_index, found.header)
        reading.expect(checkpoint, found.header.checkpoint.encode())
        if not self._covers(found.header):
            return
        yield from self._entries(found, proven=True)
        self._known = [each for each in self._known if each.end > reading.size]
        if reading.size < found.header.end:
            self._known = [*self._known[1 - KNOWN_HEADERS_MAX :], found.header]

    def _take_version_1(self, segment: SegmentKey, holders: Sequence[Vault]) -> Iterator[Stretch | Gap]:
        """The entries of a segment that proves nothing alone: its checkpoint does once the entries reach its size."""
        reading = self._reading
        found = self._fetch(segment, holders)
        if found is None:
            return
        if segment.first > reading.size:
            yield from self._bridge(segment.first, None)
        if not segment.first <= reading.size < segment.end:
            return
        note = found.header.checkpoint.encode()
        try:
            checkpoint = open_checkpoint(note, reading.verifier)
        except ProofInvalid as damage:
            reading.findings.append(Finding(found.named, str(damage)))
            return
        leaves = found.header.leaves(reading.size, segment.end)
        if checkpoint.tree_size == segment.end and reading.root_after(leaves) != checkpoint.root_hash:
            reading.findings.append(Finding(
                found.named,
                "with the entries before it, it does not hash to the root that the node signed: an entry was exchanged",
                "altered",
            ))
            return
        reading.expect(checkpoint, note)
        yield from self._entries(found, proven=False)
        if rest := found.header.leaves(reading.size, segment.end):
            yield reading.take(None, rest, proven=False)

    def _entries(self, found: _Found, *, proven: bool) -> Iterator[Stretch]:
        """The entries from here on, from one vault after another until all are read or none is left."""
        reading, header, key = self._reading, found.header, found.fetched.key
        silent: VaultUnavailable | None = None
        for vault in (found.fetched.vault, *found.others):
            fetched = found.fetched if vault is found.fetched.vault else found.fetched.of(vault)
            position = header.first_index
            try:
                for part in self._opener.parts(fetched):
                    self._opened = True
                    start, position = position, position + part.count
                    if start <= reading.size < position:
                        wanted, leaves = part.after(reading.size - start), header.leaves(reading.size, position)
                        yield reading.take(wanted, leaves, proven=proven)
            except (SegmentDamaged, EntryDamaged) as damage:
                reading.findings.append(Finding(f"{vault.location} {key}", str(damage)))
            except IdentityWrong as wrong:
                # Anybody can encrypt to others; that this identity is the wrong one is sure once nothing opens.
                self._wrong = self._wrong or wrong
                reading.findings.append(Finding(f"{vault.location} {key}", str(wrong), SEALED))
            except NotFound:
                continue
            except VaultUnavailable as failure:
                silent = failure
            else:
                return
        if silent is not None:
            raise silent

    def _bridge(self, stop: int, header: SegmentHeader | None) -> Iterator[Stretch | Gap]:
        """Cross what no segment holds, up to `stop`: by leaf hashes that are proven, by tiles, which `header` proves if
        it stands there, or else, if it does, by what it says of the tree before it."""
        reading = self._reading
        start, leaves, proven = reading.size, list[bytes](), True
        while (index := start + len(leaves)) < stop:
            known = next((each for each in self._known if each.first_index <= index < each.end), None)
            if known is not None:
                leaves += known.leaves(index, min(stop, known.end))
                continue
            proven = False
            tile = self._tile(index // TILE_WIDTH) if stop - start <= LOG_GAP_ENTRIES_MAX else None
            if tile is None:
                break
            leaves += tile[index % TILE_WIDTH :][: stop - index]
        complete = start + len(leaves) == stop
        if header is not None:
            proven = complete and reading.leads_to(leaves, header.left_frontier())
            complete = proven
        if complete:
            reading.findings.append(Finding(
                named(reading.origin, start, stop),
                "no vault holds their segment whole; their leaf hashes are known, their bytes are lost", "lost",
            ))
            if leaves:
                yield reading.take(None, leaves, proven=proven)
        elif header is not None and stop - start <= LOG_GAP_ENTRIES_MAX:
            reading.findings.append(Finding(
                named(reading.origin, start, stop),
                "no vault holds their segment, nor tiles with their hashes: nothing is known of them; what follows is "
                "proven", "lost",
            ))
            yield reading.skip(header.left_frontier())
        else:
            reading.findings.append(Finding(
                named(reading.origin, start, stop),
                "no vault holds their segment, nor tiles with their hashes: what follows cannot be placed", "lost",
            ))

    def _tile(self, number: int) -> list[bytes] | None:
        for vault in self._vaults:
            try:
                data = vault.get(str(TileKey(self._node, 0, number)))
            except NirantarError:
                continue
            if len(data) == TILE_WIDTH * HASH_BYTES:
                return [data[place : place + HASH_BYTES] for place in range(0, len(data), HASH_BYTES)]
        return None


def read_attachment(vaults: Sequence[Vault], node: str, digest: str) -> bytes | None:
    """An encrypted attachment from the first vault that holds it undamaged, or None."""
    for vault in vaults:
        with suppress(NirantarError):
            sealed = vault.get(str(AttachmentKey(node, digest)))
            if sha256(sealed).hexdigest() == digest:
                return sealed
    return None
