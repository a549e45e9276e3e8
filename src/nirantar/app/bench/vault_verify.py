"""Verifying a whole vault, as `nirantar verify --vault` does, beside `restic check --read-data` of the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from os import sched_getaffinity
from typing import Final

from nirantar.app.bench.figure import Figure, Reference, compared
from nirantar.app.bench.ground import Ground, scratch_directory
from nirantar.app.bench.reference_tools import NO_RESTIC, Restic, Stopwatch, Taken
from nirantar.app.bench.sealed_vault import SealedVault, make_vault
from nirantar.app.vaults import open_vault
from nirantar.app.verifying import verify_vault
from nirantar.errors import Damaged

NAME: Final = "vault-verify"
_BYTES_USUAL: Final = 200_000_000
_BYTES_PROMISED: Final = 1_000_000_000
_FLOOR: Final = 500.0
_CORES_PROMISED: Final = 2
_ROUNDS: Final = 3


def vault_verify(ground: Ground) -> Iterator[Figure]:
    """Megabytes of JSON a second, every entry decrypted, hashed, proven by the node's signature and decoded."""
    with scratch_directory(ground.directory) as scratch:
        sealed = make_vault(ground.host, scratch / "vault", _BYTES_PROMISED if ground.full else _BYTES_USUAL)
        content = scratch / "entries.json"
        content.write_bytes(b"\n".join(sealed.entries))
        restic = Restic.of(scratch, content)
        ours, theirs = list[Taken](), list[Taken]()
        for _ in range(_ROUNDS):
            ours.append(_verify(ground, sealed))
            if restic is not None:
                theirs.append(restic.check())
        megabytes, cores = sealed.json_bytes / 1e6, len(sched_getaffinity(0))
        best = min(ours, key=lambda each: each.seconds)
        least = min(each.core_seconds for each in ours)
        of_vault = sum(each.stat().st_size for each in (scratch / "vault").rglob("*.segment")) / 1e6
        beside = "" if restic is None else (
            f" restic's repository has {restic.repository_bytes / 1e6:.0f} MB, and its check took "
            f"{min(each.core_seconds for each in theirs):.2f} s of a core at least."
        )
    references: tuple[Reference, ...] = ()
    if theirs:
        references = (compared(
            megabytes / best.seconds, "restic check --read-data, MB of the same JSON a second",
            megabytes / min(each.seconds for each in theirs),
        ),)
    yield Figure(
        NAME, "a whole vault verified", megabytes / best.seconds, "MB of JSON/s",
        _FLOOR if cores == _CORES_PROMISED else None, f"≥ {_FLOOR:.0f} MB/s on two cores",
        "Each core: SHA-256 and decoding of each entry (a third each), zstd and splitting into lines (the rest).",
        f"{megabytes:.0f} MB in {len(sealed.entries):,} entries, {of_vault:.0f} MB in the vault; {cores} cores, best "
        f"of {_ROUNDS}: {best.seconds:.2f} s, {megabytes / least:.0f} MB for each second of a core (other work "
        f"beside it makes that less, too).{beside or ' ' + NO_RESTIC + '.'}",
        references,
    )


def _verify(ground: Ground, sealed: SealedVault) -> Taken:
    watch = Stopwatch()
    report = verify_vault(ground.host, [open_vault(ground.host, sealed.uri)], sealed.identity, uris=[sealed.uri])
    taken = watch.read()
    if not report.ok or report.entries != len(sealed.entries):
        raise Damaged(f"The vault that was just made does not verify: {report.findings[:3]}")
    return taken
