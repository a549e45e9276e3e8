"""What a keeper shows of itself: `/status` and `nirantar keeper status`."""

from __future__ import annotations

from dataclasses import dataclass

from nirantar.continuity.keeping.alarms import Alarm
from nirantar.continuity.keeping.mirror import MirrorStatus


@dataclass(frozen=True, slots=True)
class LogStatus:
    """One log as `/status` shows it; nothing in it is about a patient."""

    node: str
    origin: str
    cosigned_size: int
    proven_size: int
    closed_at: int | None
    bytes: int
    objects: int
    heard_at: str | None
    silent: bool


@dataclass(frozen=True, slots=True)
class KeeperStatus:
    """The keeper as `/status` shows it. `ok` is false while a node is silent or an alarm is younger than a day."""

    ok: bool
    hospital: str
    name: str
    vkeys: tuple[str, ...]
    roster_serial: int
    logs: tuple[LogStatus, ...]
    free_bytes: int
    alarms: tuple[Alarm, ...]
    mirror: MirrorStatus | None = None
