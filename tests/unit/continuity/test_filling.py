"""Filling a recovered node's journal: it goes on where it stood, wherever that is in a segment, and only there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest

from nirantar.continuity.filling import LogFill, OldLog
from nirantar.continuity.log_reading import LogReading
from nirantar.errors import Damaged
from nirantar.host.simulated import SimulatedHost
from nirantar.journal.log import JournalWriter
from nirantar.tlog.merkle import root
from nirantar.tlog.note import Signer
from nirantar.vault.directory import DirectoryVault
from sealed_log import ORIGIN, SealedLog, empty_vault

T = TypeVar("T")

LOG = SealedLog(600)
OWN = Signer("nirantar.test/opd-1-r1", b"n" * 32)


@pytest.fixture
def host() -> Iterator[SimulatedHost]:
    """The recovered node's machine."""
    with SimulatedHost(1) as host:
        yield host


@pytest.fixture
def vault(host: SimulatedHost) -> DirectoryVault:
    """A vault with the whole old log in two segments."""
    vault = empty_vault(host)
    LOG.seal(vault, 0, 500, 600, level="day")
    return vault


def journal_with(host: SimulatedHost, log: SealedLog, size: int) -> JournalWriter:
    """The new node's journal, which has the first entries of an old log already."""
    journal = JournalWriter(host, Path("/journal.db"), OWN.name, OWN)
    journal.begin()
    journal.add_log(ORIGIN, LOG.signer.vkey)
    for entry in log.entries[:size]:
        journal.append(entry, ORIGIN)
    journal.keep()
    return journal


def at_once(work: Callable[[], T]) -> Future[T]:
    """The writer has nothing else to do."""
    future = Future[T]()
    future.set_result(work())
    return future


def fill_of(
    host: SimulatedHost, vault: DirectoryVault, journal: JournalWriter
) -> tuple[LogFill, list[int], list[LogReading]]:
    """A fill, the entries that it tells before they are appended, and the logs that are whole."""
    kept, whole = list[int](), list[LogReading]()
    fill = LogFill(
        host, [vault], [LOG.identity], [OldLog(ORIGIN, LOG.signer.vkey, 600)], journal, at_once,
        kept=lambda _, step: kept.append(step.entry_index), completed=lambda _, reading: whole.append(reading),
        done=lambda: None,
    )
    return fill, kept, whole


@pytest.mark.parametrize("size", [0, 1, 255, 300, 499, 500, 501, 600])
def test_it_goes_on_where_the_journal_stands(host: SimulatedHost, vault: DirectoryVault, size: int) -> None:
    """At a segment's edge or within one: each entry that is lacking is told and appended once, and the log is whole."""
    with closing(journal_with(host, LOG, size)) as journal:
        fill, kept, whole = fill_of(host, vault, journal)
        assert fill.fill()
        assert kept == list(range(size, 600))
        assert journal.root_hash(ORIGIN) == root(LOG.leaves)
        assert [(each.size, each.proven_size, each.findings) for each in whole] == [(600, 600, [])]


@pytest.mark.parametrize("size", [300, 500, 501])
def test_it_does_not_go_on_after_other_entries(host: SimulatedHost, vault: DirectoryVault, size: int) -> None:
    """A journal whose entries are not the vault's gets nothing appended: somebody changed one of the two."""
    with closing(journal_with(host, SealedLog(600, twist="other"), size)) as journal:
        fill, kept, whole = fill_of(host, vault, journal)
        with pytest.raises(Damaged, match="others than the vault's"):
            fill.fill()
        assert (kept, whole, journal.size(ORIGIN)) == ([], [], size)
