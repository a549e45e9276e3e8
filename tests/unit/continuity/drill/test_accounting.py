"""How a drill is judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nirantar.continuity.drill.accounting import (
    Attempt,
    Durability,
    Measured,
    Outcome,
    Sabotage,
    Timeline,
    WriteOutcome,
    judge,
    ranges,
)


def written(outcomes: str) -> list[WriteOutcome]:
    """One write for each letter: r(ecovered), l(ost), a(ltered); the entry indexes count from 10."""
    words: dict[str, Outcome] = {"r": "recovered", "l": "lost", "a": "altered"}
    return [WriteOutcome(f"Patient/{index}", index, words[each]) for index, each in enumerate(outcomes, start=10)]


def measured(outcomes: str, durability: Durability = "vault", vault_confirmed: int = 12) -> Measured:
    """A drill in which all but the writes went well."""
    return Measured(
        durability=durability, writes=written(outcomes), vault_confirmed=vault_confirmed, requests_refused=7, resumed=4,
        files_locked=9, seconds_to_first_service=1.0, seconds_to_first_write=1.1, seconds_to_full=2.0,
        entries_verified=14, recovery_complete=True, findings=(),
    )


@pytest.mark.parametrize("durability", ["vault", "node"])
def test_a_drill_in_which_everything_came_back_is_green(durability: Durability) -> None:
    """With nothing lost or altered, no promise is broken, and every write is counted once."""
    report = judge(measured("rrrr", durability))
    assert not report.red
    assert (report.acknowledged, report.recovered, report.lost, report.altered) == (4, 4, 0, 0)


@pytest.mark.parametrize(("alarm", "watched", "red"), [(0.1, True, False), (None, True, True), (None, False, False)])
def test_a_missing_alarm_is_a_broken_promise_where_there_could_be_one(
    alarm: float | None, watched: bool, red: bool
) -> None:
    """A machine that cannot tell who writes promises none."""
    timeline = Timeline(alarm, 0.3, 2.0, 9.0, watched)
    report = judge(replace(measured("rrrr"), timeline=timeline))
    assert (report.red, report.timeline) == (red, timeline)


def test_a_lost_write_breaks_the_vault_promise() -> None:
    """With durability vault nothing may be lost, whatever the node said of its vault."""
    report = judge(measured("rrrl", "vault"))
    assert report.red
    assert (report.at_risk, report.lost) == (0, 1)
    assert "entries 13" in report.broken[0]


def test_only_writes_at_risk_may_be_lost_without_the_vault() -> None:
    """With durability node the writes that the vault had not confirmed are named and may be lost; no other may."""
    allowed = judge(measured("rrrl", "node", vault_confirmed=12))
    assert not allowed.red
    assert [each.entry_index for each in allowed.at_risk_writes] == [12, 13]
    assert [each.resource for each in allowed.lost_writes] == ["Patient/13"]
    assert judge(measured("rlrr", "node", vault_confirmed=12)).red


@pytest.mark.parametrize("durability", ["vault", "node"])
def test_an_altered_write_is_never_allowed(durability: Durability) -> None:
    """A write that comes back with other bytes breaks the promise at either durability, at risk or not."""
    assert judge(measured("rrra", durability)).red


@pytest.mark.parametrize("change", [
    {"seconds_to_first_service": None}, {"seconds_to_first_write": None}, {"recovery_complete": False}, {"writes": ()},
])
def test_a_drill_that_proved_nothing_is_red(change: dict[str, object]) -> None:
    """No service, no writing, an incomplete recovery or no acknowledged write at all: each alone turns a drill red."""
    assert judge(replace(measured("rr"), **change)).red  # type: ignore[arg-type]


def test_sabotage_counts_as_named_only_when_both_damages_are() -> None:
    """The control is convincing only if recovery names the flipped segment and the deleted entries."""
    sabotage = Sabotage("opd-1/live/1.segment", 9, "opd-1/live/2.segment", (40, 59))
    flipped, deleted = "opd-1/live/1.segment: it differs", "nirantar.x/opd-1 entries 40 to 59: gone"
    damaged = replace(measured("rl"), recovery_complete=False, sabotage=sabotage)
    assert judge(replace(damaged, findings=(flipped, deleted))).sabotage_named
    together = "nirantar.x/opd-1 entries 30 to 59: nothing is known of them"
    assert judge(replace(damaged, findings=(flipped, together))).sabotage_named
    short = "nirantar.x/opd-1 entries 40 to 58: gone"
    for findings in ((flipped,), (deleted,), (flipped, short), ()):
        report = judge(replace(damaged, findings=findings))
        assert report.red
        assert not report.sabotage_named


def test_entry_indexes_are_shown_as_runs() -> None:
    """Neighbours become a range, whatever order they come in."""
    assert ranges([WriteOutcome("Patient/x", index, "lost") for index in (9, 3, 4, 5, 12, 11)]) == "3–5, 9, 11–12"


@pytest.mark.parametrize(("refused", "promised", "red"), [(True, True, False), (False, True, True), (False, False, False)])
def test_an_attempt_that_should_be_refused_and_is_not_makes_it_red(refused: bool, promised: bool, red: bool) -> None:
    """What a kind of vault promises to refuse and does not is a broken promise; what it never promised is told only."""
    attempt = Attempt("delete a sealed segment", refused=refused, by="somebody", promised=promised)
    report = judge(replace(measured("r" * 12), attempts=(attempt,)))
    assert (report.red, report.attempts) == (red, [attempt])
    assert any("delete a sealed segment" in each for each in report.broken) is red
