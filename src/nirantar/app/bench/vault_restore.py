"""Recovering a whole log from a vault, verified and durable, beside `restic restore` of the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from nirantar.app.bench.figure import Figure, Reference, compared
from nirantar.app.bench.ground import Ground, scratch_directory
from nirantar.app.bench.reference_tools import NO_RESTIC, Restic, Stopwatch, Taken
from nirantar.app.bench.sealed_vault import make_vault
from nirantar.app.recovering import recover
from nirantar.app.vaults import open_vault
from nirantar.errors import Damaged

NAME: Final = "vault-restore"
_BYTES_USUAL: Final = 100_000_000
_BYTES_PROMISED: Final = 1_000_000_000


def vault_restore(ground: Ground) -> Iterator[Figure]:
    """Megabytes of JSON a second into a durable journal, each entry proven; then the view folded from it."""
    with scratch_directory(ground.directory) as scratch:
        sealed = make_vault(ground.host, scratch / "vault", _BYTES_PROMISED if ground.full else _BYTES_USUAL)
        content = scratch / "entries.json"
        content.write_bytes(b"\n".join(sealed.entries))
        restic = Restic.of(scratch, content)
        theirs = None if restic is None else restic.restore(scratch / "restored")
        watch, read = Stopwatch(), list[Taken]()
        report = recover(
            ground.host, [open_vault(ground.host, sealed.uri)], [sealed.uri], sealed.identity, scratch / "recovered",
            folding=lambda done, total: None if read else read.append(watch.read()),
        )
        ours = watch.read()
        if not report.ok or report.resources.get("Patient") != len(sealed.entries):
            raise Damaged(f"The vault that was just made is not recovered whole: {report.findings[:3]}")
    megabytes, seconds = sealed.json_bytes / 1e6, report.seconds_reading
    references: tuple[Reference, ...] = ()
    beside = f"{NO_RESTIC}."
    if theirs is not None:
        references = (
            compared(megabytes / seconds, "restic restore, MB of the same JSON/s", megabytes / theirs.seconds),
        )
        beside = f"restic took {theirs.core_seconds:.2f} s of a core."
    yield Figure(
        NAME, "the log restored, every entry proven and durable", megabytes / seconds, "MB of JSON/s",
        None if theirs is None else megabytes / theirs.seconds, "≥ restic restore of the same bytes, same run",
        "SQLite writes each byte twice, to its write-ahead log and to its place, and each is fsynced.",
        f"{megabytes:.0f} MB in {len(sealed.entries):,} entries: {seconds:.2f} s reading and proving, "
        f"{read[0].core_seconds:.2f} s of cores until the first entries were folded, too. {beside}",
        references,
    )
    whole = seconds + report.seconds_folding
    yield Figure(
        NAME, "the same with its view folded anew", megabytes / whole, "MB of JSON/s", None,
        "without one: instant recovery takes the view from a snapshot",
        "One core: Python finds the index rows, then SQLite's index trees (see rebuild).",
        f"{sum(report.resources.values()):,} resources; {report.seconds_folding:.1f} s of folding, "
        f"{ours.core_seconds:.1f} s of cores in all. pg_restore -j2 and Litestream restore databases of their "
        "own, which this run does not make: they are not beside it",
    )
