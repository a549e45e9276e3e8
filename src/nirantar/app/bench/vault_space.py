"""How much a vault holds after a year: each level and the snapshots measured, the year computed from them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import Final

from nirantar.app.bench.figure import Figure, compared
from nirantar.app.bench.ground import Ground, running_node
from nirantar.app.bench.registrations import CLERK
from nirantar.app.bench.sealed_vault import entry_of, segments_of
from nirantar.app.bench.synthetic import registration
from nirantar.app.founding import found_hospital
from nirantar.continuity.snapshotting import Snapshotter
from nirantar.errors import Damaged
from nirantar.interactions.transaction import Purpose
from nirantar.limits import LEVEL_EXPIRES_SECONDS, SNAPSHOT_RETENTION_DAYS
from nirantar.tlog.merkle import HASH_BYTES

NAME: Final = "vault-space"
_SECONDS_USUAL: Final = 900
_SECONDS_PROMISED: Final = 3_600
_ENTRIES_A_SECOND: Final = 4
_WRITTEN_USUAL: Final = 600
_WRITTEN_PROMISED: Final = 4_800
_IN_FLIGHT: Final = 64
_DAYS: Final = 365
_FLOOR_MERGED: Final = 35.0
_FLOOR_ALL: Final = 3 * _FLOOR_MERGED
_FULL_ONES: Final = 3
"""A full snapshot each half of the retention, each kept for all of it: so many at most lie in the vault."""
_PATIENTS: Final = 40_000_000
_ENTRIES_A_PATIENT: Final = 25
"""Registrations, visits, results and bills of a patient over the years: an assumption, which the figure repeats."""


def vault_space(ground: Ground) -> Iterator[Figure]:
    """Per cent of the raw JSON: what is kept for good, and all that lies in a vault at the end of a year."""
    seconds = _SECONDS_PROMISED if ground.full else _SECONDS_USUAL
    founded, identity = found_hospital(ground.host, "Bench", "bench", vaults=[], durability="node")
    now_us = ground.host.now_us()
    entries = [
        entry_of(ground.host, founded.signer.name, number, now_us + number * 1_000_000 // _ENTRIES_A_SECOND)
        for number in range(seconds * _ENTRIES_A_SECOND)
    ]
    raw = sum(map(len, entries))
    shares = {
        level: 100 * sum(
            len(data) for _, data in segments_of(
                founded.signer, entries, range(0, len(entries) + 1, each * _ENTRIES_A_SECOND), level, identity.recipient
            )
        ) / raw
        for level, each in (("live", 1), ("minute", 60), ("hour", seconds))
    }
    merged = shares["hour"]
    sample = f"{seconds // 60} minutes of {_ENTRIES_A_SECOND} registrations a second, {raw / 1e6:.0f} MB of JSON; "
    bounded = "Leaf hashes (3 % of entries of 4 KB where nothing else is left) and what zstd leaves of the JSON."
    yield Figure(
        NAME, "day and month segments", merged, "% of the raw JSON", _FLOOR_MERGED, f"≤ {_FLOOR_MERGED:.0f} %", bounded,
        f"{sample}live segments {shares['live']:.1f} %, of a minute {shares['minute']:.1f} %, of {seconds // 60} "
        f"minutes {merged:.1f} %, which stands for days and months: larger ones are no larger by the entry. "
        f"Synthetic FHIR repeats itself: real records compress less", less_is_better=True,
    )
    full, delta = _snapshots(ground, raw / len(entries))
    kept = {
        level: shares.get(level, merged) * seconds_kept / 86_400 / _DAYS
        for level, seconds_kept in LEVEL_EXPIRES_SECONDS.items()
    }
    tiles = 100 * len(entries) * HASH_BYTES * 256 / 255 / raw
    copies = _FULL_ONES * full + delta * SNAPSHOT_RETENTION_DAYS / _DAYS
    whole = merged + sum(kept.values()) + tiles + copies
    yield Figure(
        NAME, "all of a vault after a year", whole, "% of the raw JSON", _FLOOR_ALL, f"≤ 3 × {_FLOOR_MERGED:.0f} %",
        "Snapshots: the view in full is a quarter of the JSON, and three full ones are kept.",
        f"computed from measured bytes: months {merged:.1f}, lower levels until they expire "
        f"{', '.join(f'{level} {share:.2f}' for level, share in kept.items())}, tiles {tiles:.1f}, "
        f"snapshots {copies:.1f} ({_FULL_ONES} full ones of {full:.1f} each, one in 14 days; what writing adds between "
        f"two {delta:.1f} of its JSON, kept {SNAPSHOT_RETENTION_DAYS} days); attachments not counted; a year's work "
        "spread evenly; what has expired was removed by a keeper or an operator",
        (compared(whole, "day and month segments alone", merged),), less_is_better=True,
    )
    gigabytes = _PATIENTS * _ENTRIES_A_PATIENT * raw / len(entries) / 1e9
    yield Figure(
        NAME, f"a vault of {_PATIENTS // 1_000_000} million patients", gigabytes * whole / 100, "GB", None,
        "what it would need",
        bounded,
        f"computed, not stored: {_ENTRIES_A_PATIENT} entries a patient (assumed) of {raw / len(entries):,.0f} bytes "
        f"are {gigabytes:,.0f} GB of JSON, {gigabytes * merged / 100:,.0f} GB of them in months",
    )


def _snapshots(ground: Ground, entry_bytes: float) -> tuple[float, float]:
    """Bytes of a full snapshot, and of the next after as much again was written, in per cent of the JSON written."""
    written = _WRITTEN_PROMISED if ground.full else _WRITTEN_USUAL
    numbers = count()
    with running_node(ground, with_vault=True) as node:
        snapshotter = node.snapshotter
        if snapshotter is None:
            raise Damaged("This node takes no snapshots, so there is nothing to measure.")
        sizes = []
        for _ in range(2):
            left = written
            while left > 0:
                futures = [
                    node.doors.transact.submit(CLERK, registration(number), Purpose("register"))
                    for number in islice(numbers, _IN_FLIGHT)
                ]
                left -= sum(len(future.result().results) > 0 for future in futures)
            sizes.append(_taken(snapshotter))
    json_bytes = -(-written // _IN_FLIGHT) * _IN_FLIGHT * entry_bytes
    return 100 * sizes[0] / json_bytes, 100 * sizes[1] / json_bytes


def _taken(snapshotter: Snapshotter) -> int:
    snapshotter.step()
    status = snapshotter.status()
    if status.trouble is not None:
        raise Damaged(f"The snapshot failed: {status.trouble}")
    return status.new_bytes
