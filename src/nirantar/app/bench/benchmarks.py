"""Every benchmark by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from nirantar.app.bench import (
    checkpoint,
    importing,
    instant_recovery,
    memory,
    reading,
    rebuild,
    registrations,
    s3_latency,
    snapshots,
    vault_latency,
    vault_restore,
    vault_space,
    vault_verify,
    verify,
)
from nirantar.app.bench.figure import Figure
from nirantar.app.bench.ground import Ground

Benchmark = Callable[[Ground], Iterator[Figure]]

BENCHMARKS: Final[dict[str, Benchmark]] = {
    registrations.NAME: registrations.registrations,
    vault_latency.NAME: vault_latency.vault_latency,
    s3_latency.NAME: s3_latency.s3_latency,
    importing.NAME: importing.importing,
    rebuild.NAME: rebuild.rebuild,
    reading.NAME: reading.reading,
    verify.NAME: verify.verify,
    checkpoint.NAME: checkpoint.checkpoint,
    vault_verify.NAME: vault_verify.vault_verify,
    vault_restore.NAME: vault_restore.vault_restore,
    vault_space.NAME: vault_space.vault_space,
    snapshots.NAME: snapshots.snapshots,
    instant_recovery.NAME: instant_recovery.instant_recovery,
    memory.NAME: memory.memory,
}
