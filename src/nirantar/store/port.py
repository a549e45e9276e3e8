"""The view as a port: what the rest of Nirantar may ask of it. `memory.py` and `sqlite.py` answer alike.

A view is the fold of all journals that a node holds. It can be deleted and rebuilt from them at any time.
The writing side belongs to the single writer; readers have their own snapshot and never wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from nirantar.fhir.outline import Outline
from nirantar.fhir.search_query import SearchQuery
from nirantar.fold.grants import Grant
from nirantar.journal.entry import Entry
from nirantar.store.digest import DigestProof
from nirantar.store.projector import Outlines

VIEW_KIND: Final = "view"
"""The kind of a Finding that speaks of the view: folding it anew heals it."""


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One version of one resource as the view holds it.

    `resource` is its exact JSON (None: this version deletes it). `position` is (origin, entry index) of the entry
    that made it, `recorded_at_us` that entry's time. `heads` counts the current versions of the resource: more than
    one means concurrent edits that a person has yet to decide; the one shown is the highest by (hlc, origin).
    """

    type: str
    id: str
    version_id: str
    resource: bytes | None
    origin: str
    entry_index: int
    recorded_at_us: int
    heads: int = 1

    @property
    def deleted(self) -> bool:
        """Whether this version says that the resource is gone."""
        return self.resource is None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of search or history results. `next_cursor` is opaque and stays valid while the view grows;
    None on the last page. `total` is exact where the query asked for it, else None."""

    versions: tuple[StoredVersion, ...]
    next_cursor: str | None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """How much of one journal the view has folded: entries [0, entries), and the leaf hash of the last of them,
    by which a view that ran ahead of its journal, or belongs to another, is recognised."""

    entries: int
    last_leaf_hash: bytes


class ViewReader(Protocol):
    """Reads of one consistent state."""

    def read(self, type: str, id: str) -> StoredVersion | None:
        """The shown head of a resource (perhaps a deletion), or None if it never was."""

    def read_version(self, type: str, id: str, version_id: str) -> StoredVersion | None:
        """One version, current or not."""

    def heads(self, type: str, id: str) -> tuple[StoredVersion, ...]:
        """All current versions, highest first; more than one after concurrent edits."""

    def history(self, type: str, id: str | None, *, count: int, cursor: str | None) -> Page:
        """Versions newest first: of one resource, or of a whole type when `id` is None. Raises InvalidInput on a
        cursor that is not one of ours."""

    def search(self, query: SearchQuery) -> Page:
        """Shown, not deleted heads that match, in a stable order (newest resource first)."""

    def compartment(self, patient_id: str) -> Iterator[StoredVersion]:
        """Every shown, not deleted head of a patient's compartment, the Patient first."""

    def positions(self) -> dict[str, Position]:
        """Per journal origin: how far this state has folded it."""

    def entry_for_key(self, idempotency_key: str) -> tuple[str, int] | None:
        """(origin, entry index) of the entry that carries this idempotency key, if one was folded."""

    def counts(self) -> dict[str, int]:
        """Current, not deleted resources by type, system records (Nirantar...) included."""

    def highest_number(self, series: str, first: int, last: int) -> int | None:
        """The highest number issued of `series` (for example "uhid") within [first, last], or None."""

    def view_digest(self) -> bytes:
        """The Merkle root over patients (docs/format.md, View digest) of this state: 32 bytes."""

    def digest_proof(self, patient_id: str) -> DigestProof | None:
        """The proof that `digest_lines` are a patient's whole chart under `view_digest`; None if nothing is held."""

    def digest_lines(self, patient_id: str) -> tuple[str, ...]:
        """The lines of the patient's leaf (digest.py): every head in his compartment with its hash, sorted."""

    def unfolded(self) -> Iterator[tuple[str, int, str]]:
        """(origin, entry index, why) of entries kept as evidence but not folded: outside a grant, unknown version."""


class FrozenView(Protocol):
    """The pages of a view's file as of one moment, while writing goes on. Pages are counted from 0.

    Made by any thread; `freeze` runs in the writer's, between batches; everything else in one thread afterwards."""

    def freeze(self) -> None:
        """Fix the moment: settle what is left of the digest, and keep this state until `close`. Takes milliseconds."""

    @property
    def page_count(self) -> int:
        """How many pages the file has."""

    @property
    def changed(self) -> bytes | None:
        """One byte a page, not 0 where the page may have changed since the last frozen view that was kept; pages
        beyond its end have not. None where that is not known."""

    @property
    def held_pages(self) -> int:
        """How many pages wait in the log for this state to be let go."""

    def read_page(self, page: int) -> bytes:
        """4,096 bytes. Raises Damaged."""

    def require_held(self) -> None:
        """Raise Damaged unless everything that was read until now is of that one moment."""

    def state(self) -> ViewReader:
        """Reads of the same state."""

    def close(self, *, kept: bool) -> None:
        """Let go. Without `kept`, what changed counts as changed for the next one, too."""


class Ahead(Protocol):
    """Reads ahead of a fold what it will touch; see store.sqlite_ahead."""

    def begin(self, entries: Sequence[Entry]) -> Future[list[Outlines]]:
        """Look up for these entries, in a thread; their resources' outlines to come. What cannot be fetched now is
        left to the fold."""


class FreezableView(Protocol):
    """A view that lies in a file of pages."""

    def freezing(self) -> FrozenView:
        """A frozen view to come; any thread."""

    def settle_some(self, subjects_max: int) -> int:
        """Bring the digest's tree up to date for so many subjects, in a transaction of its own, between batches; how
        many are left, counted no further than one more than that."""

    def move_log(self) -> tuple[int, int, int] | None:
        """Move what gathered in the file's log into the file, beside the writer, who would otherwise have to do it
        after one of his next batches; what to tell `log_moved`, or None where it is little. Any thread but the
        writer's. Raises FsyncFailed, after which the process must exit; Overloaded, DiskFull."""

    def log_moved(self, moved: tuple[int, int, int]) -> None:
        """What `move_log` gave; in the writer's thread, between batches."""


class View(Protocol):
    """The writing side, used by one thread, and the way to readers."""

    def begin(self) -> None:
        """Open the transaction that all members of one commit batch share."""

    def savepoint(self) -> None:
        """Start one member's part of the batch."""

    def release(self) -> None:
        """Keep the member's part."""

    def roll_back_member(self) -> None:
        """Undo the member's part as if it had never been."""

    def commit(self) -> None:
        """Make the batch visible to readers. The journal was committed before."""

    def roll_back(self) -> None:
        """Undo the whole batch."""

    def project(
        self, entry_index: int, leaf_hash: bytes, entry: Entry, outlines: Mapping[tuple[str, str], Outline] = ...
    ) -> None:
        """Fold one entry; the next of its origin, in order. `outlines` by (type, id) are those of its resources that
        its maker has at hand. Raises Damaged when it is not the next one."""

    def skip(self, origin: str, entry_index: int, leaf_hash: bytes, why: str) -> None:
        """Count an entry as seen without folding it (unknown format version)."""

    def uncommitted(self) -> ViewReader:
        """Reads that see the open transaction; only for the writer's thread."""

    def reader(self) -> AbstractContextManager[ViewReader]:
        """A reader of the last committed state, from a bounded pool; any thread."""

    def shown(self, type: str, id: str) -> StoredVersion | None:
        """What `read` of a new reader gives, at the least cost and without waiting for any reader; any thread."""

    def use_grants(self, grants: Mapping[str, Grant]) -> None:
        """The grants in force, by origin, from the signed roster. `project` checks every entry against them."""

    def forget_all(self) -> None:
        """Empty the view, for a rebuild."""

    def close(self) -> None:
        """Release every file."""
