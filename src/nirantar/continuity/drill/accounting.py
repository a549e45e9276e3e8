"""Judging a drill: what became of every acknowledged write, and whether that is what was promised."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

_ENTRIES: Final = re.compile(r" entr(?:y|ies) ([0-9]+)(?: to ([0-9]+))?:")

Durability = Literal["vault", "node"]
Outcome = Literal["recovered", "lost", "altered"]


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """What the client found of one write that was acknowledged before the attack: its patient as `Patient/<id>`, its
    place in the log, and what became of it."""

    resource: str
    entry_index: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Sabotage:
    """What was done to a vault: the segment whose byte `flipped_at` was inverted, and the one that was deleted with the
    entries that it held."""

    flipped: str
    flipped_at: int
    deleted: str
    deleted_entries: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the attacker tried on the vault with the node's credentials, whether it was refused, and by whom.
    `promised`: this kind of vault promises to refuse it."""

    what: str
    refused: bool
    by: str
    promised: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """The attack in seconds since its first file was touched; None: it never happened. `alarm`: the node's alarm was in
    the vault; `last_acknowledged`: the last write before the outage. `watched` is false where the machine cannot tell
    who writes, so that there can be no alarm."""

    alarm: float | None
    last_acknowledged: float | None
    killed: float
    first_service: float | None
    watched: bool = True


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured from outside. Times are seconds from the kill; None: it never happened.

    `vault_confirmed` is the number of entries that the node last said its vault holds. `recovery_complete` and
    `findings` are what recovery said of itself; `resumed` counts interrupted writes that went through afterwards.
    """

    durability: Durability
    writes: Sequence[WriteOutcome]
    vault_confirmed: int
    requests_refused: int
    resumed: int
    files_locked: int
    seconds_to_first_service: float | None
    seconds_to_first_write: float | None
    seconds_to_full: float | None
    entries_verified: int
    recovery_complete: bool
    findings: Sequence[str]
    vault_warning: str | None = None
    sabotage: Sabotage | None = None
    timeline: Timeline | None = None
    attempts: Sequence[Attempt] = ()


@dataclass(slots=True)
class DrillReport:
    """What `nirantar drill` reports. A write is one registration: it counts as recovered when each of its resource
    versions came back byte for byte.

    `at_risk` are writes that were acknowledged before the vault had them, as far as the node had said; only with
    durability "node" there can be any. `broken` names each promise that was not kept, in a sentence; `red` is true when
    there is one. `sabotage_named` is true when recovery named both the flipped segment and the deleted entries.
    """

    durability: Durability
    acknowledged: int
    recovered: int
    lost: int
    altered: int
    at_risk: int
    requests_refused: int
    seconds_to_first_service: float | None
    seconds_to_first_write: float | None
    seconds_to_full: float | None
    entries_verified: int
    files_locked: int
    resumed: int
    vault_warning: str | None
    sabotage: bool
    sabotage_named: bool
    red: bool
    broken: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    sabotaged: Sabotage | None = None
    at_risk_writes: list[WriteOutcome] = field(default_factory=list)
    lost_writes: list[WriteOutcome] = field(default_factory=list)
    altered_writes: list[WriteOutcome] = field(default_factory=list)
    timeline: Timeline | None = None
    attempts: list[Attempt] = field(default_factory=list)


def judge(measured: Measured) -> DrillReport:
    """Hold what was measured against what is promised at this durability."""
    lost = [each for each in measured.writes if each.outcome == "lost"]
    altered = [each for each in measured.writes if each.outcome == "altered"]
    at_risk = [
        each for each in measured.writes
        if measured.durability == "node" and each.entry_index >= measured.vault_confirmed
    ]
    broken = _broken(measured, lost, altered, at_risk)
    return DrillReport(
        durability=measured.durability, acknowledged=len(measured.writes),
        recovered=len(measured.writes) - len(lost) - len(altered), lost=len(lost), altered=len(altered),
        at_risk=len(at_risk), requests_refused=measured.requests_refused,
        seconds_to_first_service=measured.seconds_to_first_service,
        seconds_to_first_write=measured.seconds_to_first_write, seconds_to_full=measured.seconds_to_full,
        entries_verified=measured.entries_verified, files_locked=measured.files_locked, resumed=measured.resumed,
        vault_warning=measured.vault_warning, sabotage=measured.sabotage is not None,
        sabotage_named=_named(measured), red=bool(broken), broken=broken,
        findings=list(measured.findings), sabotaged=measured.sabotage, at_risk_writes=at_risk, lost_writes=lost,
        altered_writes=altered, timeline=measured.timeline,
        attempts=list(measured.attempts),
    )


def _named(measured: Measured) -> bool:
    damage = measured.sabotage
    if damage is None:
        return False
    flipped = any(damage.flipped in finding for finding in measured.findings)
    return flipped and any(_covers(finding, *damage.deleted_entries) for finding in measured.findings)


def _covers(finding: str, first: int, last: int) -> bool:
    """Whether a finding names these entries, perhaps with others beside them."""
    named = _ENTRIES.search(finding)
    return named is not None and int(named[1]) <= first and last <= int(named[2] or named[1])


def _broken(
    measured: Measured, lost: Sequence[WriteOutcome], altered: Sequence[WriteOutcome], at_risk: Sequence[WriteOutcome]
) -> list[str]:
    broken = []
    if not measured.writes:
        broken.append("Nothing was acknowledged before the attack, so nothing was tried.")
    if altered:
        broken.append(f"{len(altered)} acknowledged writes came back altered, entries {ranges(altered)}.")
    risked = set(at_risk)
    promised = [each for each in lost if each not in risked]
    if promised:
        broken.append(
            f"{len(promised)} acknowledged writes that were promised to survive are lost, entries {ranges(promised)}."
        )
    if measured.seconds_to_first_service is None:
        broken.append("No acknowledged patient could be read after recovery.")
    if measured.seconds_to_first_write is None:
        broken.append("Nothing could be registered after recovery.")
    if measured.timeline is not None and measured.timeline.watched and measured.timeline.alarm is None:
        broken.append("No alarm left the node, although another process changed its files.")
    broken += [
        f"The attacker could {each.what} with the node's credentials, which this kind of vault promises to refuse."
        for each in measured.attempts if each.promised and not each.refused
    ]
    if not measured.recovery_complete:
        broken.append("Recovery says itself that it is not complete; it names what is damaged or missing.")
    return broken


def ranges(writes: Sequence[WriteOutcome]) -> str:
    """The entry indexes of writes as people write them: `3–9, 12`."""
    indexes = sorted({each.entry_index for each in writes})
    runs: list[tuple[int, int]] = []
    for index in indexes:
        if runs and runs[-1][1] == index - 1:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in runs)
