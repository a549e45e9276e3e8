"""A hospital's vault of any size, made at once: entries as registrations write them, in merged segments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from typing import Any, Final

import msgspec

from nirantar.app.bench.synthetic import registration
from nirantar.app.founding import found_hospital, publish
from nirantar.app.vaults import open_vault
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.fhir import json
from nirantar.host.identifiers import uuid7
from nirantar.host.port import Host
from nirantar.host.times import instant
from nirantar.journal.entry import ENTRY_VERSION, SALT_BYTES, Change, Entry, Hlc, encode, encode_salt
from nirantar.limits import SEGMENT_MERGED_ENTRIES_MAX, SEGMENT_MERGED_PLAIN_BYTES_MAX
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.compact_range import RangeProof
from nirantar.tlog.merkle import Frontier, leaf_hash
from nirantar.tlog.note import Signer
from nirantar.vault.keys import SegmentKey
from nirantar.vault.segments import SegmentWriter

_BETWEEN_US: Final = 250_000
"""Four registrations a second, as a large counter hall has at its peak."""


@dataclass(frozen=True, slots=True)
class SealedVault:
    """A vault at `uri` that `identity` opens: `json_bytes` of entries, which are in `entries`, too, each by itself."""

    uri: str
    identity: RecoveryIdentity
    signer: Signer
    node: str
    entries: Sequence[bytes]
    json_bytes: int


def make_vault(host: Host, path: Path, json_bytes: int, *, level: str = "day") -> SealedVault:
    """A hospital of one node whose log has at least so many bytes of entries, all in merged segments of `level`."""
    uri = path.as_uri()
    founded, identity = found_hospital(host, "Bench", "bench", vaults=[uri], durability="node")
    vault = open_vault(host, uri, create=True)
    publish(vault, founded.document, founded.roster, founded.roster_note)
    entries, size = list[bytes](), 0
    started_us = host.now_us() - 365 * 86_400 * 1_000_000
    for number in count():
        entries.append(entry_of(host, founded.signer.name, number, started_us + number * _BETWEEN_US))
        size += len(entries[-1])
        if size >= json_bytes:
            break
    for key, data in segments_of(founded.signer, entries, _bounds(entries), level, identity.recipient):
        vault.put_new(key, data)
    return SealedVault(uri, identity, founded.signer, "bench", entries, size)


def entry_of(host: Host, origin: str, number: int, now_us: int) -> bytes:
    """What a registration writes to the log: Patient, Encounter and Observation, about 4 KB."""
    names: dict[str, str] = {}
    changes = []
    for operation in registration(number):
        resource_id = uuid7(now_us, host)
        if operation.full_url is not None:
            names[operation.full_url] = f"{operation.type}/{resource_id}"
        version_id = f"{origin.rpartition('/')[2]}.{number}"
        meta = {"versionId": version_id, "lastUpdated": instant(now_us)}
        written = {**_named(operation.resource or {}, names), "id": resource_id, "meta": meta}
        changes.append(Change("PUT", operation.type, resource_id, version_id, (), msgspec.Raw(json.encode(written))))
    return encode(Entry(
        v=ENTRY_VERSION, id=uuid7(now_us, host), origin=origin, hlc=str(Hlc(now_us, 0)), recorded_at=instant(now_us),
        actor="bench:clerk", role="registration-clerk", workstation="bench", action="register", changes=tuple(changes),
        salt=encode_salt(host.random_bytes(SALT_BYTES)),
    ))


def segments_of(
    signer: Signer, entries: Sequence[bytes], bounds: Sequence[int], level: str, recipient: str
) -> Iterator[tuple[str, bytes]]:
    """Key and bytes of the segment between each two of `bounds`, each under the checkpoint at its end."""
    origin, before = signer.name, Frontier()
    for first, stop in pairwise(bounds):
        leaves = [leaf_hash(entry) for entry in entries[first:stop]]
        after = before.copy()
        after.extend(leaves)
        writer = SegmentWriter(origin, first, merged=level != "live")
        for entry, leaf in zip(entries[first:stop], leaves, strict=True):
            writer.add(entry, leaf)
        note = Checkpoint(origin, stop, after.root()).sign(signer).decode()
        data = writer.finish(proof=RangeProof(before.hashes), checkpoint_note=note, recipients=[recipient])
        yield str(SegmentKey(origin.rpartition("/")[2], level, first, stop - first)), data
        before = after


def _bounds(entries: Sequence[bytes]) -> list[int]:
    """Where merged segments that are as large as they may be begin and end."""
    bounds, plain = [0], 0
    for index, entry in enumerate(entries):
        plain += len(entry) + 1
        if plain > SEGMENT_MERGED_PLAIN_BYTES_MAX or index - bounds[-1] == SEGMENT_MERGED_ENTRIES_MAX:
            bounds.append(index)
            plain = len(entry) + 1
    return [*bounds, len(entries)]


def _named(value: Any, names: dict[str, str]) -> Any:
    """A resource whose references to others of its transaction are by their ids."""
    if isinstance(value, dict):
        return {name: _named(each, names) for name, each in value.items()}
    if isinstance(value, list):
        return [_named(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value
