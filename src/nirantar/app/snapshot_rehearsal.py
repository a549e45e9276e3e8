"""The newest snapshot, put together on a scratch disk and held against what the log says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import msgspec

from nirantar import limits
from nirantar.app.founding import Published
from nirantar.app.node import open_view, read_papers
from nirantar.continuity.certificate import RestoredSnapshot
from nirantar.continuity.replay import bring_forward
from nirantar.continuity.snapshot_choice import SNAPSHOT_TYPE
from nirantar.errors import Damaged, EntryDamaged, Finding, IdentityWrong, NotFound
from nirantar.fold.grants import Grant
from nirantar.host.port import Host
from nirantar.journal.entry import decode
from nirantar.journal.reader import JournalReader
from nirantar.store.sqlite import view_as_it_is
from nirantar.tlog.note import Verifier
from nirantar.vault.manifests import Manifest
from nirantar.vault.port import Vault
from nirantar.vault.snapshots import open_snapshot, read_manifest, snapshot_serials

_FILE: Final = "snapshot.db"


class _Record(msgspec.Struct, frozen=True):
    """What the log states of a snapshot."""

    serial: int
    viewDigest: str  # noqa: N815 - as the record spells it
    positions: dict[str, int]


class SnapshotRehearsal:
    """Takes the newest snapshot that this identity opens and the log vouches for; an older one where that is damaged,
    which is a finding all the same."""

    def __init__(self, host: Host, vaults: Sequence[Vault], published: Published, scratch: Path) -> None:
        self._host = host
        self._vaults = vaults
        self._published = published
        self._scratch = scratch
        self._path = scratch / _FILE
        self.found: RestoredSnapshot | None = None
        self.findings: list[Finding] = []

    def put_together(self, journal: JournalReader) -> None:
        """Fetch every page of it and check the digest, computed afresh, against manifest and log. Raises
        VaultUnavailable."""
        for grant in reversed(self._published.roster.grants):
            stated = _stated(journal, grant)
            wanted = [each for each in snapshot_serials(self._vaults, grant.node) if each in stated]
            for serial in wanted[: limits.REHEARSAL_SNAPSHOTS_TRIED_MAX]:
                try:
                    self.found = self._fetch(grant, stated[serial], journal)
                except IdentityWrong:
                    break  # it and all before it were sealed before this identity was named
                except (Damaged, NotFound) as damage:
                    self.findings.append(Finding(f"snapshot {serial} of {grant.node}", str(damage)))
                    continue
                return

    def require_covers(self, sealed_before: Mapping[str, int]) -> None:
        """Note a finding where entries that are older than the identity are in no snapshot. Raises Damaged then: there
        is nothing to restore from."""
        shown = {} if self.found is None else self.found.positions
        lacking = [origin for origin, old in sealed_before.items() if old > shown.get(origin, 0)]
        if lacking:
            raise Damaged(
                f"The first {sealed_before[lacking[0]]:,} entries of {lacking[0]} were sealed before this identity was "
                "named, and no snapshot that it opens shows them. Let the node take one (snapshot_seconds), or "
                "rehearse with the recovery identity."
            )

    def move_to(self, path: Path) -> None:
        """Let it be the view in `path`."""
        self._path.rename(path)

    def compare_with(self, journal: JournalReader, digest: str) -> None:
        """Bring it to the end of the log; it must then be what folding every entry gave. Raises Damaged."""
        if self.found is None:
            return
        with closing(open_view(self._host, read_papers(self._host, self._scratch), self._path)) as view:
            bring_forward(journal, view)
            with view.reader() as state:
                if state.computed_view_digest().hex() != digest:
                    raise Damaged(
                        f"Snapshot {self.found.serial} of {self.found.node}, with the entries after it, is not what "
                        "folding every entry gives: somebody changed the view before it was taken."
                    )
        self.found = msgspec.structs.replace(self.found, folded_too=True)

    def _fetch(self, grant: Grant, stated: _Record, journal: JournalReader) -> RestoredSnapshot:
        manifest = read_manifest(
            self._vaults, Verifier.parse(grant.vkey), slug=self._published.document.slug, node=grant.node,
            serial=stated.serial,
        )
        pages = open_snapshot(self._vaults, manifest, self._published.identities)
        self._path.unlink(missing_ok=True)
        with self._path.open("xb") as file:
            for fetched in pages.fetch_many(range(pages.page_count)):
                for number, data in fetched.items():
                    file.seek(number * pages.page_size)
                    file.write(data)
        self._require_right(manifest, stated, journal)
        return RestoredSnapshot(
            grant.node, manifest.serial, pages.page_count, manifest.contents.view_digest,
            {origin: each.entries for origin, each in manifest.contents.positions.items()}, folded_too=False,
        )

    def _require_right(self, manifest: Manifest, stated: _Record, journal: JournalReader) -> None:
        """Raise Damaged unless the pages are a view of the logs at hand with the digest that log and manifest state."""
        contents = manifest.contents
        for origin, position in contents.positions.items():
            last = position.entries - 1
            with suppress(NotFound, LookupError):
                if last < 0 or journal.leaf_hashes(origin, last, last + 1) == [bytes.fromhex(position.last_leaf_hash)]:
                    continue
            raise Damaged(f"It was taken of other entries of {origin} than the vault holds.")
        with view_as_it_is(self._host, self._path) as state:
            if state is None:
                raise Damaged("It is of another version's table layout.")
            computed = state.computed_view_digest().hex()
            if not computed == state.view_digest().hex() == contents.view_digest == stated.viewDigest:
                raise Damaged("Its digest, computed afresh, is not the one that its manifest and the log state.")
            first = next(iter(state.check_rows()), None)
            if first is not None:
                raise Damaged(f"Its rows do not agree with each other: {first.where}: {first.what}")


def _stated(journal: JournalReader, grant: Grant) -> dict[int, _Record]:
    """What a node's log says of its snapshots, by serial."""
    found: dict[int, _Record] = {}
    for entry_index, data, _ in journal.entries(grant.origin, 0, journal.size(grant.origin)):
        if SNAPSHOT_TYPE.encode() not in data:
            continue
        with suppress(EntryDamaged, msgspec.MsgspecError):
            entry = decode(data, grant.origin, entry_index)
            for change in () if entry is None else entry.changes:
                if change.type == SNAPSHOT_TYPE and change.id == grant.node and change.resource_bytes:
                    record = msgspec.json.decode(change.resource_bytes, type=_Record)
                    found[record.serial] = record
    return found
