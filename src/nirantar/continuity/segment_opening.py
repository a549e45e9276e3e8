"""A segment fetched, proven and opened: what reading a log costs, and what another process can do as well (Opener)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Protocol

import msgspec

from nirantar.errors import EntryDamaged, SegmentDamaged
from nirantar.journal.entry import attachments_in, decode
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.note import Verifier
from nirantar.vault.keys import SegmentKey
from nirantar.vault.port import Vault
from nirantar.vault.segments import SegmentHeader, check_sealed, prove_header, read_header, runs_of


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """What is to be said of the entry at `position` of a part: the sentence that it cannot be read, or else the SHA-256
    (hex) of each of its attachments."""

    position: int
    damage: str
    attachments: list[str]


class Part(msgspec.Struct, frozen=True, array_like=True):
    """Some entries of a segment that follow one another, each of which is what its leaf hash says: their exact bytes
    or, where only an outline was asked for, the number of resource versions in each. `marks` are in order."""

    count: int
    entries: list[bytes]
    versions: list[int]
    marks: list[Mark]

    def after(self, skipped: int) -> Part:
        """Without its first entries."""
        if not skipped:
            return self
        marks = [msgspec.structs.replace(each, position=each.position - skipped) for each in self.marks]
        return Part(
            self.count - skipped, self.entries[skipped:], self.versions[skipped:],
            [each for each in marks if each.position >= 0],
        )


@dataclass(frozen=True, slots=True)
class Fetched:
    """A segment with a good header, proven unless it is of version 1 (`checkpoint` is None then). `data` is the object,
    None where it is not at hand."""

    vault: Vault
    key: str
    header: SegmentHeader
    checkpoint: Checkpoint | None
    data: bytes | None = field(repr=False)

    def of(self, vault: Vault) -> Fetched:
        """What another vault has under the same key, which must hold the same entries."""
        return replace(self, vault=vault, data=None)


class Opener(Protocol):
    """Who fetches and opens segments, with the identities that it holds."""

    def foreseen(
        self, needed: Iterable[tuple[Vault, SegmentKey]], verifier: Verifier
    ) -> AbstractContextManager[None]:
        """While the context lasts, these will be fetched in this order, if nothing is damaged."""

    def fetch(self, vault: Vault, key: str, verifier: Verifier) -> Fetched:
        """A segment and its proof. Raises SegmentDamaged, NotFound, VaultUnavailable."""

    def parts(self, fetched: Fetched) -> Iterator[Part]:
        """What is in it, once. What is damaged is found when its turn comes: the parts before it are good.

        Raises SegmentDamaged, also where another vault's object has other leaf hashes; EntryDamaged, IdentityWrong,
        and NotFound and VaultUnavailable where the object is not at hand."""


class SegmentOpener:
    """An Opener that does the work at once, in the memory of one compressed segment."""

    def __init__(self, identities: Sequence[str], *, outline: bool) -> None:
        """Open by `identities`. With `outline` each entry is decoded, and its bytes are not kept."""
        self._identities = identities
        self._outline = outline

    def foreseen(
        self, needed: Iterable[tuple[Vault, SegmentKey]], verifier: Verifier  # noqa: ARG002 - nothing is begun early
    ) -> AbstractContextManager[None]:
        """See the port."""
        return nullcontext()

    def fetch(self, vault: Vault, key: str, verifier: Verifier) -> Fetched:
        """See the port."""
        data = vault.get(key)
        header = read_header(data, key=key)
        checkpoint = prove_header(header, verifier, key=key)[0] if header.proves_itself else None
        return Fetched(vault, key, header, checkpoint, data)

    def parts(self, fetched: Fetched) -> Iterator[Part]:
        """See the port."""
        key, header = fetched.key, fetched.header
        data = fetched.vault.get(key) if fetched.data is None else fetched.data
        if check_sealed(data, key=key).leaf_hashes != header.leaf_hashes:
            raise SegmentDamaged(key, "it has other leaf hashes than the same object of another vault")
        position = header.first_index
        for run in runs_of(data, header, self._identities, key=key):
            yield _outline(run, header.origin, position) if self._outline else _with_bytes(run, header.origin, position)
            position += len(run)


def _outline(run: Sequence[bytes], origin: str, first_index: int) -> Part:
    versions, marks = list[int](), list[Mark]()
    for position, data in enumerate(run):
        try:
            entry = decode(data, origin, first_index + position)
        except EntryDamaged as reason:
            marks.append(Mark(position, str(reason), []))
            versions.append(0)
            continue
        versions.append(0 if entry is None else len(entry.changes))
        if entry is not None and entry.attachments:
            marks.append(Mark(position, "", [each.sha256 for each in entry.attachments]))
    return Part(len(run), [], versions, marks)


def _with_bytes(run: list[bytes], origin: str, first_index: int) -> Part:
    marks = [
        Mark(position, "", [each.sha256 for each in attachments])
        for position, data in enumerate(run)
        if (attachments := attachments_in(data, origin, first_index + position))
    ]
    return Part(len(run), run, [], marks)
