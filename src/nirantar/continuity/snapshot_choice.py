"""Which snapshot a recovery opens: the one that has folded most, if the logs bear it out; else the next older one.

A snapshot is borne out where each log, by what its node signed, has at the snapshot's position the very entry that the
manifest names, and goes on from there without a gap. What follows is read and proven on the way: it is the tail that is
folded on top. Whether the node journalled this very manifest, with its view digest, is told by the tail, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from nirantar.continuity.log_reading import Gap, LogReading, Step
from nirantar.continuity.vault_reading import read_log, reading_from
from nirantar.errors import EntryDamaged, Finding, NotFound, SnapshotDamaged
from nirantar.fold.roster import Roster
from nirantar.journal.entry import Hlc, clock_of, decode
from nirantar.limits import SNAPSHOT_CANDIDATES_MAX
from nirantar.tlog.note import Verifier
from nirantar.vault.manifests import Manifest, note_sha256
from nirantar.vault.port import Vault
from nirantar.vault.snapshots import read_manifest_note, snapshot_serials

SNAPSHOT_TYPE = "NirantarSnapshot"

Keep = Callable[[str, Iterable[Step | Gap]], Iterator[Step | Gap]]
"""Keeps what passes of a log (origin, steps) and hands it on."""


@dataclass(slots=True)
class LogTail:
    """What follows the snapshot in one log: entries [first, reading.size)."""

    first: int
    reading: LogReading


@dataclass(slots=True)
class UsableSnapshot:
    """A snapshot that the logs bear out. `journalled`: its node's log names this very manifest and view digest."""

    manifest: Manifest
    note: bytes
    tails: dict[str, LogTail] = field(default_factory=dict)
    journalled: bool = False
    newest_clock: Hlc = field(default_factory=lambda: Hlc(0, 0))

    @property
    def tail_entries(self) -> int:
        """How many entries follow it, in all logs."""
        return sum(tail.reading.size - tail.first for tail in self.tails.values())


def candidates(
    vaults: Sequence[Vault], roster: Roster, layout: int, findings: list[Finding]
) -> Iterator[tuple[Manifest, bytes]]:
    """Manifests with their notes, those that have folded most first; damaged ones are named in `findings`.

    At most SNAPSHOT_CANDIDATES_MAX are looked at. Raises VaultUnavailable.
    """
    walks = [_manifests(vaults, roster, grant.node, Verifier.parse(grant.vkey), layout, findings)
             for grant in roster.grants]
    heads = [next(walk, None) for walk in walks]
    for _ in range(SNAPSHOT_CANDIDATES_MAX):
        waiting = [(_folded(head[0]), number) for number, head in enumerate(heads) if head is not None]
        if not waiting:
            return
        _, number = max(waiting)
        found = heads[number]
        if found is not None:
            yield found
        heads[number] = next(walks[number], None)


def _manifests(
    vaults: Sequence[Vault], roster: Roster, node: str, verifier: Verifier, layout: int, findings: list[Finding]
) -> Iterator[tuple[Manifest, bytes]]:
    for serial in snapshot_serials(vaults, node):
        try:
            manifest, note = read_manifest_note(vaults, verifier, slug=roster.slug, node=node, serial=serial)
        except (SnapshotDamaged, NotFound) as damage:
            findings.append(Finding(f"snapshot {serial} of {node}", str(damage), "snapshot"))
            continue
        if manifest.contents.layout == layout:
            yield manifest, note


def _folded(manifest: Manifest) -> int:
    return sum(position.entries for position in manifest.contents.positions.values())


def bear_out(
    vaults: Sequence[Vault], identities: Sequence[str], roster: Roster, manifest: Manifest, note: bytes, keep: Keep
) -> UsableSnapshot:
    """Read what follows a snapshot, out of every log of the roster, through `keep`.

    Raises SnapshotDamaged where a log does not bear the snapshot out; IdentityWrong, VaultUnavailable.
    """
    snapshot = UsableSnapshot(manifest, note)
    unknown = set(manifest.contents.positions) - set(roster.by_origin())
    if unknown:
        raise SnapshotDamaged(manifest.key, f"it has folded {min(unknown)}, which no roster names")
    for grant in roster.grants:
        position = manifest.contents.positions.get(grant.origin)
        entries = 0 if position is None else position.entries
        reading = reading_from(vaults, Verifier.parse(grant.vkey), max(0, entries - 1))
        if reading is None:
            raise SnapshotDamaged(
                manifest.key, f"no vault holds entry {entries - 1} of {grant.origin}, the last that it has folded"
            )
        last = "" if position is None else position.last_leaf_hash
        following = _following(snapshot, read_log(vaults, identities, reading), grant.origin, entries, last)
        for step in keep(grant.origin, following):
            _look(snapshot, step, grant.origin)
        if reading.size < entries:
            raise SnapshotDamaged(manifest.key, f"it has folded {entries} entries of {grant.origin}, which the "
                                                f"vault has only {reading.size} of")
        snapshot.tails[grant.origin] = LogTail(entries, reading)
    return snapshot


def _following(
    snapshot: UsableSnapshot, steps: Iterable[Step | Gap], origin: str, entries: int, last: str
) -> Iterator[Step | Gap]:
    """The steps from index `entries` on; the one before must have the leaf hash that the manifest names."""
    for step in steps:
        if isinstance(step, Gap):
            if step.start < entries:
                raise SnapshotDamaged(snapshot.manifest.key, f"the vault lacks the last entry of {origin} that it has")
            yield step
        elif step.entry_index >= entries:
            yield step
        elif step.entry_index == entries - 1:
            if step.leaf_hash.hex() != last:
                raise SnapshotDamaged(
                    snapshot.manifest.key, f"entry {entries - 1} of {origin} is another one than it has folded"
                )
            _look(snapshot, step, origin)


def _look(snapshot: UsableSnapshot, step: Step | Gap, origin: str) -> None:
    """Learn from an entry how late it is, and whether it is the record of the snapshot."""
    if isinstance(step, Gap) or step.data is None:
        return
    clock = clock_of(step.data, origin, step.entry_index)
    if clock is not None:
        snapshot.newest_clock = max(snapshot.newest_clock, clock)
    manifest = snapshot.manifest
    if origin.rpartition("/")[2] != manifest.node or SNAPSHOT_TYPE.encode() not in step.data:
        return
    try:
        entry = decode(step.data, origin, step.entry_index)
    except EntryDamaged:
        return
    for change in () if entry is None else entry.changes:
        if change.type != SNAPSHOT_TYPE or change.resource_bytes is None:
            continue
        record = msgspec.json.decode(change.resource_bytes)
        if record.get("serial") != manifest.serial:
            continue
        if (record.get("manifestSha256"), record.get("viewDigest")) != (
            note_sha256(snapshot.note), manifest.contents.view_digest,
        ):
            raise SnapshotDamaged(manifest.key, "its node's log names another manifest or view digest for it")
        snapshot.journalled = True
