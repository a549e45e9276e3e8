"""What `nirantar doctor` looks at: clock, disk, vault, permissions, custody, versions, and whether this is the node's
own place."""

from __future__ import annotations

import os
import platform
import stat
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Literal

import apsw

from nirantar import __version__, limits
from nirantar.app.custody_watch import authority_in_force, red_of
from nirantar.app.founding import GENERATION_FILE, NODE_KEY_FILE
from nirantar.app.node import Papers, read_papers
from nirantar.app.rehearsal_watch import Rehearsed, certificates, machine_of
from nirantar.app.strays import holds_identity, strays
from nirantar.app.vaults import open_vault, retention_of, secret_file
from nirantar.continuity import guard
from nirantar.continuity.custody import custody_notes
from nirantar.continuity.recovery_state import RecoveryFiles
from nirantar.continuity.vault_witness import VaultWitness
from nirantar.errors import Damaged, NirantarError
from nirantar.fold.custody import Custody, follow
from nirantar.host.port import Host
from nirantar.host.times import from_instant, instant
from nirantar.journal.entry import decode
from nirantar.journal.log import JOURNAL_FILE
from nirantar.journal.reader import JournalReader

SQLITE_MIN: Final = (3, 51, 3)
"""Older versions since 3.7.0 can lose commits when the WAL is reset."""
FREE_BYTES_MIN: Final = 1024 * 1024 * 1024
NEIGHBOURS_LOOKED_AT_MAX: Final = 1_000

Verdict = Literal["good", "caution", "bad"]


@dataclass(frozen=True, slots=True)
class Observation:
    """One thing looked at: what, how it is, and a sentence on what to do if it is not good."""

    what: str
    verdict: Verdict
    sentence: str


def examine(host: Host, directory: Path) -> list[Observation]:
    """Look at a node without changing or locking anything; it may be serving. Raises ConfigInvalid and SetupError when
    the directory is no node."""
    papers = read_papers(host, directory)
    found = [*_versions(), *_permissions(papers), *_custody(host, papers), *_disk(host, directory)]
    try:
        newest_us, sizes = _journal(host, papers)
    except Damaged as damage:
        # Clock, place and vault are judged by the journal.
        return [*found, Observation("journal", "bad", str(damage))]
    found += [*_rehearsal(host, papers), *_recovery(host, directory), *_clock(host, newest_us)]
    found += [*_place(host, papers, sizes), *_vaults(host, papers, sizes)]
    return found


def _recovery(host: Host, directory: Path) -> Iterator[Observation]:
    """A recovery that has not brought everything yet: until then no snapshots are taken."""
    state = RecoveryFiles(host, directory).read()
    if state is None:
        return
    left = sorted(set(state.tails) - set(state.complete))
    yield Observation("recovery", "caution", "The recovery of this node is still under way: " + (
        f"the entries of {', '.join(left)} are not all here; nirantar recover --resume brings the rest" if left
        else "the rest of its view comes while it serves"))


def _versions() -> Iterator[Observation]:
    yield Observation("program", "good", f"Nirantar {__version__}, Python {platform.python_version()}")
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    fit = version >= SQLITE_MIN
    yield Observation("sqlite", "good" if fit else "bad", f"SQLite {apsw.sqlite_lib_version()}" + (
        "" if fit else f"; at least {'.'.join(map(str, SQLITE_MIN))} is needed: older ones can lose commits"))


def _permissions(papers: Papers) -> Iterator[Observation]:
    private = True
    tokens = [path for uri in papers.configuration.vaults if (path := secret_file(uri)) is not None]
    for path, allowed in (
        (papers.directory, 0o700), (papers.directory / NODE_KEY_FILE, 0o600), *((path, 0o600) for path in tokens)
    ):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError as reason:
            private = False
            yield Observation("permissions", "bad", f"{path} cannot be looked at: {reason.strerror}")
            continue
        if mode & ~allowed:
            private = False
            yield Observation("permissions", "bad", f"{path} is open to others ({mode:o}): chmod {allowed:o} {path}")
    if os.geteuid() == 0:
        yield Observation("user", "caution", "Run the node as its own user, not as root (init --systemd-unit-out).")
    if private:
        yield Observation("permissions", "good", "Keys and records are readable by this user only")


def _custody(host: Host, papers: Papers) -> Iterator[Observation]:
    """What only custodians may have is not here, and what they have was tried."""
    found = list(strays(host, papers.directory))
    for path in found:
        yield Observation(
            "identity", "bad", f"{path} holds an identity, a share or a sheet: the node does not start with it. Take "
            "it away from this machine."
        )
    # Only files that stand directly beside the directory, where `init` leaves the identity by default.
    with suppress(OSError):
        for path in islice(sorted(papers.directory.parent.iterdir()), NEIGHBOURS_LOOKED_AT_MAX):
            with suppress(OSError):
                if path.is_file() and holds_identity(host, path):
                    found.append(path)
                    yield Observation(
                        "identity", "caution", f"{path} holds an identity beside the node. Print it, take it away from "
                        "this machine, and delete it here."
                    )
    if not found:
        yield Observation("identity", "good", "No identity lies in the node's directory or beside it")
    custody = _newest_custody(host, papers)
    for sentence in red_of(custody):
        yield Observation("recovery sheet", "bad", sentence)
    if custody is not None and custody.terms.read_back:
        yield Observation("recovery sheet", "good", f"It was read back on {custody.terms.read_back[:10]}")


def _rehearsal(host: Host, papers: Papers) -> Iterator[Observation]:
    """When a restore was last proven, by the certificates in the vaults. A hospital without a machine that rehearses is
    told so; where there is one, its silence is bad."""
    machine = machine_of(papers.configuration.rehearsal_verifier)
    found = Rehearsed()
    for uri in papers.configuration.vaults:
        if machine is None:
            break
        # A vault that cannot be asked is shown as such below.
        with suppress(NirantarError):
            vault = open_vault(host, uri, home=papers.directory)
            found = found.and_of(certificates(host, vault, machine, papers.document.slug))
    red, proven = found.red(host.now_us(), registered=machine is not None), found.status()
    if red is not None:
        yield Observation("last proven restore", "caution" if machine is None else "bad", red)
    elif proven is not None:
        yield Observation("last proven restore", "good", (
            f"On {proven.at[:10]}: {_entries(proven.entries)}, everything verified {proven.seconds_to_full:.1f} s "
            "after the key was in hand"))


def _newest_custody(host: Host, papers: Papers) -> Custody | None:
    """The custody note in force by the node's own files and by its vaults, from which it takes a newer one when it
    serves."""
    newest = papers.custody
    for uri in papers.configuration.vaults:
        # A vault that cannot be asked is shown as such below.
        with suppress(NirantarError):
            serial = 0 if newest is None else newest.serial
            notes = custody_notes(open_vault(host, uri), after=serial)
            authority = authority_in_force(papers.document, newest)
            newest = follow(notes, authority, papers.document.slug, after=serial) or newest
    return newest


def _disk(host: Host, directory: Path) -> Iterator[Observation]:
    free = host.files.free_bytes(directory)
    verdict: Verdict = "good" if free >= FREE_BYTES_MIN else "bad"
    yield Observation("disk", verdict, f"{free / 2**30:.1f} GiB free" + (
        "" if verdict == "good" else ": writing will soon stop; free space or move the node"))


def _journal(host: Host, papers: Papers) -> tuple[int, dict[str, int]]:
    """The time of the newest entry and every log's size."""
    newest_us, sizes = 0, {}
    if not host.files.exists(papers.directory / JOURNAL_FILE):
        return 0, {}
    with closing(JournalReader(host, papers.directory / JOURNAL_FILE)) as reader:
        for origin in reader.origins():
            sizes[origin] = size = reader.size(origin)
            # What is damaged is for `verify` to name; here only the newest time is wanted.
            with suppress(Damaged, ValueError):
                entry = decode(reader.entry(origin, size - 1), origin, size - 1) if size else None
                if entry is not None:
                    newest_us = max(newest_us, from_instant(entry.recorded_at))
    return newest_us, sizes


def _clock(host: Host, newest_us: int) -> Iterator[Observation]:
    now_us = host.now_us()
    if newest_us > now_us + limits.CLOCK_AHEAD_SECONDS_MAX * 1_000_000:
        yield Observation("clock", "bad", (
            f"The clock shows {instant(now_us)}, but the newest entry is of {instant(newest_us)}: set the clock. "
            "The order of entries is safe, their times are not."))
    else:
        yield Observation("clock", "good", f"{instant(now_us)}, not behind the newest entry")


def _place(host: Host, papers: Papers, sizes: dict[str, int]) -> Iterator[Observation]:
    moved = guard.moved(host, papers.directory / GENERATION_FILE)
    yield Observation("place", "bad" if moved else "good", moved or "The directory is the one that was made here")
    yield Observation("log", "good", f"{_entries(sizes.get(papers.origin, 0))} of {papers.origin}, " + (
        "1 log" if len(sizes) == 1 else f"{len(sizes)} logs"))


def _vaults(host: Host, papers: Papers, sizes: dict[str, int]) -> Iterator[Observation]:
    if not papers.configuration.vaults:
        yield Observation("vault", "bad", "There is no vault: after an attack nothing could be recovered.")
    for uri in papers.configuration.vaults:
        try:
            vault = open_vault(host, uri, home=papers.directory, retention=retention_of(papers.configuration))
            protection = vault.require_protection()
            held = VaultWitness(vault, papers.signer.verifier).largest_size(papers.origin)
        except NirantarError as reason:
            yield Observation("vault", "bad", str(reason))
            continue
        if protection is not None:
            yield Observation("vault", "good", protection)
        own = sizes.get(papers.origin, 0)
        if held > own:
            yield Observation("vault", "bad", f"{vault.location} holds {_entries(held)}, this node {own:,}")
        elif held < own:
            lacking = _entries(own - held)
            yield Observation("vault", "caution", f"{vault.location} lacks {lacking}; serve to seal the rest")
        else:
            yield Observation("vault", "good", f"{vault.location} holds every entry")
        if vault.warning:
            yield Observation("vault", "caution", f"{vault.location} is {vault.warning}")


def _entries(number: int) -> str:
    return "1 entry" if number == 1 else f"{number:,} entries"
