"""The table of promises beside the figures of 2022, as rows for a terminal or a page."""

from __future__ import annotations

from nirantar.continuity.drill.accounting import DrillReport
from nirantar.continuity.drill.yardstick import DATABASE, LABORATORY, NOT_PROVEN, PAPER, REGISTRATION

Row = tuple[str, str, str]

TITLE = "What was promised, beside what happened to a hospital in November 2022"
HEADINGS: Row = ("", "here", "2022")


def comparison(report: DrillReport) -> list[Row]:
    """(what, here, in 2022) for each promise."""
    allowed = "none allowed" if report.durability == "vault" else "each named, and no other may be lost"
    return [
        *_alarm(report),
        (DATABASE.what, _seconds(report.seconds_to_first_service), f"{DATABASE.days} days"),
        (REGISTRATION.what, _seconds(report.seconds_to_first_write), f"{REGISTRATION.days} days"),
        ("Every acknowledged write compared", _seconds(report.seconds_to_full), NOT_PROVEN),
        (LABORATORY.what, "not built yet", f"{LABORATORY.days} days"),
        ("Acknowledged writes lost", f"{report.lost:,} of {report.acknowledged:,}", PAPER),
        ("Acknowledged writes altered", f"{report.altered:,} of {report.acknowledged:,}", NOT_PROVEN),
        ("At risk when it struck", f"{report.at_risk:,} ({allowed})", "not known"),
        ("Entries proven by signature", f"{report.entries_verified:,}", NOT_PROVEN),
        ("Requests refused meanwhile", f"{report.requests_refused:,}", "everything was on paper"),
    ]


def _alarm(report: DrillReport) -> list[Row]:
    """The alarm, where the drill looked for one."""
    if report.timeline is None:
        return []
    here = _seconds(report.timeline.alarm) if report.timeline.watched else "this machine cannot watch"
    return [("Alarm after the first file", here, "not known")]


def _seconds(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f} s"
