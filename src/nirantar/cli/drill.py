"""`nirantar drill`: attack a scratch hospital and see what comes back."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Literal

from nirantar import limits
from nirantar.app.drill.drilling import drill as run_drill
from nirantar.cli import terminal
from nirantar.continuity.drill.accounting import Attempt, DrillReport, Timeline, WriteOutcome
from nirantar.continuity.drill.comparison import HEADINGS, TITLE, comparison
from nirantar.continuity.drill.yardstick import HONEST_LINE


def drill(
    *,
    writes: int = 300,
    durability: Literal["vault", "node"] = "vault",
    sabotage: bool = False,
    vault_kind: Literal["directory", "s3"] = "directory",
    json: bool = False,
) -> None:
    """Attack a scratch hospital in the middle of its work, recover it from its vault, and measure every promise.

    A node serves; a client in a process of its own registers invented patients without a pause and keeps what was
    acknowledged on its own disk. Then every file of the node is overwritten and its process killed. A clean directory
    is recovered from the vault, and the client compares every acknowledged resource byte for byte over HTTP. Nothing
    of yours is touched: the attacker works only on directories that the drill itself made and marked.

    Exit code 0 when every promise was kept, 1 otherwise.

    Parameters
    ----------
    writes
        How many registrations must be acknowledged before the attack; the traffic goes on during it.
    durability
        `vault`: a write is acknowledged once the vault has it, and none may be lost. `node`: once this disk has it;
        those the vault did not have yet are named as at risk, and no other may be lost.
    sabotage
        The control: flip one byte of the vault and delete a segment. This drill must end red.
    vault_kind
        `directory`: one of the same user, so that the attacker can do to it what he likes, and the report says so.
        `s3`: a bucket with Object Lock of a server that the drill starts; what he is refused is listed.
    json
        Report as one JSON object.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with terminal.err.status("Starting", spinner="dots") as status:
        report = run_drill(
            writes, durability, sabotage=sabotage, vault_kind=vault_kind, show=status.update,
            say=lambda sentence: terminal.err.print(f"  {sentence}"),
        )
    if json:
        terminal.print_json(report)
    else:
        print_comparison(report)
        if report.timeline is not None:
            _print_timeline(report.timeline)
        _print_attempts(report.attempts)
        _print_verdict(report)
    if report.red:
        raise SystemExit(terminal.EXIT_DAMAGE)


def print_comparison(report: DrillReport) -> None:
    """The table of promises beside 2022, and the honest line."""
    terminal.out.print()
    terminal.print_table(TITLE, HEADINGS, comparison(report))
    terminal.note(HONEST_LINE)
    if report.vault_warning:
        terminal.caution(f"The vault is a directory: {report.vault_warning}.")


def _print_timeline(timeline: Timeline) -> None:
    """The attack, minute by minute as it were."""
    moments = [
        ("first file of the node overwritten", 0.0), ("alarm in the vault", timeline.alarm),
        ("last acknowledged write", timeline.last_acknowledged), ("node killed", timeline.killed),
        ("first service again", timeline.first_service),
    ]
    happened = sorted((at, what) for what, at in moments if at is not None)
    terminal.print_facts("Timeline", [
        *((what, f"{at:+.2f} s") for at, what in happened),
        *((what, "never") for what, at in moments if at is None),
    ])


def _print_attempts(attempts: Sequence[Attempt]) -> None:
    """What was tried on the vault with the node's credentials, and who refused it."""
    terminal.print_table("The attacker at the vault", ("tried", "refused", "by"), [
        (each.what, "yes" if each.refused else "NO", each.by) for each in attempts
    ])


def _print_verdict(report: DrillReport) -> None:
    for sentence in report.findings:
        terminal.bad(f"Recovery found: {sentence}")
    _print_writes("At risk", "the vault did not have them yet", report.at_risk_writes)
    _print_writes("Lost", "acknowledged, and not there after recovery", report.lost_writes)
    _print_writes("Altered", "acknowledged with other bytes", report.altered_writes)
    for sentence in report.broken:
        terminal.bad(sentence)
    if report.sabotage and report.sabotage_named:
        terminal.note("Red, as it must be: the vault was sabotaged, and both damages were found and named.")
    elif report.sabotage:
        terminal.bad("The vault was sabotaged, and recovery did not name both damages.")
    elif not report.red:
        terminal.good(f"Every promise was kept: {report.recovered:,} of {report.acknowledged:,} acknowledged "
                      "registrations came back byte for byte.")


def _print_writes(title: str, why: str, writes: Sequence[WriteOutcome]) -> None:
    """The first few of a list by name; all of them are in the JSON report."""
    if not writes:
        return
    shown = limits.DRILL_NAMES_SHOWN_MAX
    terminal.caution(f"{title}: {terminal.counted(len(writes), 'write')} ({why})")
    for each in writes[:shown]:
        terminal.note(f"    entry {each.entry_index}  {each.resource}  {each.outcome}")
    if len(writes) > shown:
        terminal.note(f"    and {len(writes) - shown:,} more; --json names all")
