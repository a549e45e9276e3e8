"""Fifty seeds of a whole node that crashes, and the proof that the simulation would notice a broken node."""

from __future__ import annotations

import pytest

from nirantar.app.node import Node
from nirantar.journal import log
from simulated_hospital import Mutation, SimulatedHospital

SEEDS = range(50)
TROUBLED_SEEDS = range(200, 215)
MUTANT_SEEDS = range(20)
SYNCHRONOUS_OFF = 0


@pytest.mark.parametrize("seed", SEEDS)
def test_every_promise_survives_every_crash(seed: int) -> None:
    """Crashes at random disk operations, torn writes, a wall clock set back; on odd seeds an fsync that lies for the
    view. Nothing acknowledged is lost, nothing a reader saw is missing, the node's own verification is clean (a view
    that the disk lied about is found and healed), retries make no second entry, and the vault gives it all back."""
    hospital = SimulatedHospital(seed, view_lies=bool(seed % 2))
    hospital.run()
    assert hospital.trace


@pytest.mark.parametrize("seed", TROUBLED_SEEDS)
def test_a_refused_fsync_is_never_acknowledged(seed: int) -> None:
    """Now and then the disk refuses an fsync, of any file: the node ends or does without its vault, and nothing that
    it acknowledged is missing afterwards."""
    hospital = SimulatedHospital(seed, fsync_fails=True)
    hospital.run()
    assert hospital.acknowledged


@pytest.mark.parametrize("seed", TROUBLED_SEEDS)
def test_a_full_disk_half_writes_nothing_and_is_recovered_from(seed: int) -> None:
    """Now and then there is hardly any room, for the journal, its view or the vault, at whatever moment: writes are
    refused with a clear error, and when there is room again everything acknowledged is to be read and more is taken."""
    hospital = SimulatedHospital(seed, disk_fills=True)
    hospital.run()
    assert hospital.acknowledged


def test_a_seed_is_replayed_exactly() -> None:
    """The same seed crashes in the same disk operations and ends with the same digests, so a failure can be had again;
    another seed does not."""

    def trace(seed: int) -> list[str]:
        hospital = SimulatedHospital(seed, view_lies=True)
        hospital.run(lives=3)
        return hospital.trace

    assert trace(3) == trace(3)
    assert trace(3) != trace(4)


def test_the_simulation_reaches_what_it_is_for() -> None:
    """Over some seeds: lives end by crashes, writes are acknowledged, a disk that lies does damage views, one that
    fills refuses writes, and one that fails refuses fsyncs."""
    hospitals = [SimulatedHospital(seed, view_lies=True) for seed in range(100, 106)]
    for hospital in hospitals:
        hospital.run()
    assert sum("dead=True" in line for hospital in hospitals for line in hospital.trace) > len(hospitals)
    assert sum(len(hospital.acknowledged) for hospital in hospitals) > 20 * len(hospitals)
    assert sum(hospital.damaged_views for hospital in hospitals) > 0
    troubled = [SimulatedHospital(seed, fsync_fails=True, disk_fills=True) for seed in range(100, 106)]
    for hospital in troubled:
        hospital.run()
    assert sum(hospital.full_disks for hospital in troubled) > 0
    assert sum(hospital.refused_fsyncs for hospital in troubled) > 0


def failures(mutation: Mutation | None) -> list[str]:
    """What the simulation says at those of MUTANT_SEEDS that break a promise."""
    found = []
    for seed in MUTANT_SEEDS:
        try:
            SimulatedHospital(seed, mutation=mutation).run()
        except AssertionError as broken:
            found.append(str(broken))
    return found


def test_a_journal_without_fsync_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant that commits its journal without fsync loses what it acknowledged, and the simulation says so."""
    monkeypatch.setattr(log, "SYNCHRONOUS_FULL", SYNCHRONOUS_OFF)
    assert any("was acknowledged" in failure for failure in failures(None))


def show_before_it_is_durable(node: Node) -> None:
    """The mutant with the commit order swapped: the view first, then the journal."""
    commit_journal, commit_view = node.journal.commit, node.view.commit
    shown: list[bool] = []

    def journal_second() -> bytes:
        commit_view()
        shown.append(True)
        return commit_journal()

    def view_first() -> None:
        if not shown:
            commit_view()
        shown.clear()

    node.journal.commit = journal_second  # type: ignore[method-assign]
    node.view.commit = view_first  # type: ignore[method-assign]


def test_a_swapped_commit_order_is_found() -> None:
    """The mutant that shows a batch before its journal is durable lets a reader see what a crash takes back."""
    assert any("a reader saw entry" in failure for failure in failures(show_before_it_is_durable))


def test_the_unharmed_node_passes_the_mutants_seeds() -> None:
    """The same seeds without a mutation break nothing: the mutants are found by what they broke."""
    assert failures(lambda node: None) == []
