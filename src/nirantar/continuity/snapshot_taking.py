"""Writing one snapshot from a frozen view: what changed goes into packs on this disk, the rest is the last map's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from nirantar import limits
from nirantar.continuity.snapshot_state import PAGE_HASH_BYTES, LastSnapshot, SnapshotFiles, page_hasher
from nirantar.errors import LimitExceeded, Overloaded
from nirantar.host.port import Host
from nirantar.host.times import from_instant, instant
from nirantar.store.port import FrozenView
from nirantar.tlog.note import Signer
from nirantar.vault.manifests import Contents, LogPosition, Manifest, wrap_data_key
from nirantar.vault.packs import DATA_KEY_BYTES
from nirantar.vault.snapshot_writing import PackWriter, packs_in_use, packs_to_empty, pages_in_packs, write_pages

_EPOCH_US: Final = limits.SNAPSHOT_RETENTION_DAYS * 86_400_000_000 // 2
_PAGES_BETWEEN_LOOKS: Final = 256


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whose snapshots they are: the hospital's slug and its age `recipients`, which a rotation changes; the node and
    its key; and the view's table `layout`."""

    slug: str
    node: str
    signer: Signer
    recipients: Callable[[], Sequence[str]]
    layout: int


class SnapshotTaker:
    """Takes the snapshots of one node. `go_on` is asked now and then and raises where it should be given up."""

    def __init__(self, host: Host, files: SnapshotFiles, issuer: Issuer, go_on: Callable[[], None]) -> None:
        self._host = host
        self._files = files
        self._issuer = issuer
        self._go_on = go_on

    def may_build_on(self, last: LastSnapshot) -> bool:
        """Whether the next snapshot may refer to this one's packs. Half the retention after its epoch began it may
        not: so no pack that a manifest refers to has less than half of its time in the vault left. Nor after a
        rotation of the recovery identity: whoever had the old one would open what is new."""
        if last.recipients != tuple(self._issuer.recipients()):
            return False
        age_us = self._host.now_us() - from_instant(last.manifest.contents.epoch_began)
        return 0 <= age_us < _EPOCH_US

    def take(self, frozen: FrozenView, base: LastSnapshot | None, serial: int) -> LastSnapshot | None:
        """Pack what changed since `base`, or everything, and keep the result as the last snapshot; None where no page
        differs. Raises DiskFull, Overloaded, Damaged, FsyncFailed, LimitExceeded, and what `go_on` raises."""
        issuer, now = self._issuer, instant(self._host.now_us())
        recipients = tuple(issuer.recipients()) if base is None else base.recipients
        before = None if base is None else base.manifest.contents
        data_key = self._host.random_bytes(DATA_KEY_BYTES) if base is None else base.data_key
        epoch = serial if before is None else before.epoch
        old_packs = [] if before is None else before.packs
        packs = PackWriter(
            data_key, issuer.slug, issuer.node, serial=serial, epoch=epoch,
            first_number=max((pack.number for pack in old_packs), default=0) + 1,
            random_bytes=self._host.random_bytes, keep=self._files.keep_pack,
        )
        pages_before = 0 if before is None else before.page_count
        hashes = bytearray(b"" if base is None else base.page_hashes[: frozen.page_count * PAGE_HASH_BYTES])
        hashes.extend(bytes(frozen.page_count * PAGE_HASH_BYTES - len(hashes)))
        chunks = write_pages(
            [] if base is None else base.chunks, pages_before, frozen.page_count,
            self._changed_pages(frozen, base, hashes, data_key), packs, node=issuer.node,
        )
        frozen.require_held()
        if not packs.packs and pages_before == frozen.page_count:
            return None
        state, used = frozen.state(), packs_in_use(chunks)
        contents = Contents(
            created=now, layout=issuer.layout, page_bytes=limits.SNAPSHOT_PAGE_BYTES, page_count=frozen.page_count,
            chunk_pages=limits.SNAPSHOT_CHUNK_PAGES, view_digest=state.view_digest().hex(),
            positions={
                origin: LogPosition(position.entries, position.last_leaf_hash.hex())
                for origin, position in state.positions().items()
            },
            epoch=epoch, epoch_began=now if before is None else before.epoch_began,
            keys=[wrap_data_key(epoch, data_key, recipients)] if before is None else before.keys,
            packs=[pack for pack in (*old_packs, *packs.packs) if pack.number in used],
            map=[chunk.digest for chunk in chunks], new_bytes=sum(pack.size for pack in packs.packs),
        )
        if len(contents.packs) > limits.SNAPSHOT_PACKS_MAX:
            raise LimitExceeded(
                f"The view needs {len(contents.packs):,} packs, SNAPSHOT_PACKS_MAX is {limits.SNAPSHOT_PACKS_MAX:,}."
            )
        manifest = Manifest(issuer.slug, issuer.node, serial, contents)
        last = LastSnapshot(manifest, manifest.sign(issuer.signer), data_key, recipients, chunks, bytes(hashes))
        self._files.keep_last(last)
        return last

    def _changed_pages(
        self, frozen: FrozenView, base: LastSnapshot | None, hashes: bytearray, data_key: bytes
    ) -> Iterator[tuple[int, bytes]]:
        """Every page to write, ascending; `hashes` is brought up to date."""
        hasher = page_hasher(data_key)
        moved = frozenset[int]() if base is None else frozenset(self._pages_to_move(base))
        pages_before = 0 if base is None else base.manifest.contents.page_count
        for count, page in enumerate(_pages_to_look_at(frozen, pages_before, moved)):
            if count % _PAGES_BETWEEN_LOOKS == 0:
                self._require_time(frozen)
            data = frozen.read_page(page)
            hashing = hasher.copy()
            hashing.update(data)
            hash_, place = hashing.digest(), page * PAGE_HASH_BYTES
            if page < pages_before and page not in moved and hashes[place : place + PAGE_HASH_BYTES] == hash_:
                continue
            hashes[place : place + PAGE_HASH_BYTES] = hash_
            yield page, data

    def _pages_to_move(self, base: LastSnapshot) -> Iterator[int]:
        pages = base.manifest.contents.page_count
        packs = packs_to_empty(packs_in_use(base.chunks), pages)
        return pages_in_packs(base.chunks, pages, packs, self._issuer.node)

    def _require_time(self, frozen: FrozenView) -> None:
        self._go_on()
        if frozen.held_pages > limits.SNAPSHOT_HELD_PAGES_MAX:
            raise Overloaded(
                f"While the snapshot was taken, {limits.SNAPSHOT_HELD_PAGES_MAX:,} pages were written "
                "(SNAPSHOT_HELD_PAGES_MAX): it was given up and is tried again later."
            )


def _pages_to_look_at(frozen: FrozenView, pages_before: int, moved: frozenset[int]) -> Iterator[int]:
    """Pages that may differ from the last snapshot's `pages_before`, or are `moved`, ascending. After a start it is
    not known which, so all are looked at and told apart by their hashes."""
    end = min(pages_before, frozen.page_count)
    if frozen.changed is None:
        end = 0
    else:
        flags = bytearray(frozen.changed[:end].ljust(end, b"\0"))
        for page in moved:
            if page < end:
                flags[page] = 1
        page = flags.find(1)
        while page >= 0:
            yield page
            page = flags.find(1, page + 1)
    yield from range(end, frozen.page_count)
