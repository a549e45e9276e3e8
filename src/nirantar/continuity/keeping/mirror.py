"""A second place for all that a keeper takes: a bucket, whose credentials only the keeper holds.

What is taken lies in the keeper's own vault first and is answered for; its records list what the mirror lacks.
It is worked off in the order in which objects came, so that the mirror never holds a manifest without its packs or an
entry without its attachment. How far it lags is part of the status; a lag of minutes is an alarm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nirantar import limits
from nirantar.continuity.keeping.alarms import Alarms
from nirantar.continuity.keeping.records import Records
from nirantar.errors import Conflict, NirantarError, NotFound
from nirantar.host.port import Host
from nirantar.vault.port import Vault

_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class MirrorStatus:
    """Where the mirror is and what it does not protect from; how many objects it lacks, and for how long the first of
    them; why, where there is a reason."""

    location: str
    warning: str | None
    waiting: int
    lag_seconds: float
    trouble: str | None


class Mirror:
    """Copies from the keeper's vault to another, in a thread of its own."""

    def __init__(self, host: Host, source: Vault, target: Vault, records: Records, alarms: Alarms) -> None:
        self._host = host
        self._source = source
        self._target = target
        self._records = records
        self._alarms = alarms
        self._checked = False
        self._trouble: str | None = None

    def step(self) -> bool:
        """Copy some of what is lacking; whether to go on at once. Raises nothing that a mirror can cause."""
        try:
            if not self._checked:
                self._begin()
            waiting = self._records.unmirrored(_AT_ONCE)
            copied = [self._copy(key, noted_us) for key, noted_us in waiting]
        except (NirantarError, OSError) as failure:
            self._trouble = str(failure)
            self._tell_lag()
            return False
        self._trouble = None
        return any(copied) and len(copied) == _AT_ONCE

    def status(self) -> MirrorStatus:
        """What `/status` shows."""
        waiting, oldest_us = self._records.mirror_lag()
        lag_seconds = max(0.0, (self._host.now_us() - oldest_us) / 1e6) if waiting else 0.0
        return MirrorStatus(self._target.location, self._target.warning, waiting, lag_seconds, self._trouble)

    def _begin(self) -> None:
        """See that the mirror protects what it will be given; a new one is given all that is here."""
        self._target.require_protection()
        if self._records.mirror() != self._target.location:
            self._records.begin_mirror(self._target.location, self._source.list(""))
        self._checked = True

    def _copy(self, key: str, noted_us: int) -> bool:
        """Whether the mirror lacks the object no more, for one reason or another."""
        try:
            data = self._source.get(key)
        except NotFound:
            # It is on its way to the disk, its putting failed, or it expired before it was copied.
            if self._host.now_us() - noted_us <= limits.KEEPER_MIRROR_UNSTORED_SECONDS_MAX * 1e6:
                return False
            self._records.mirrored(key)
            return True
        try:
            self._target.put_new(key, data)
        except Conflict:
            self._alarms.raise_alarm(
                "mirror", key.partition("/")[0], f"{self._target.location} holds other bytes under {key}: somebody "
                "else has credentials that add to it. The keeper has the true ones."
            )
        self._records.mirrored(key)
        return True

    def _tell_lag(self) -> None:
        found = self.status()
        if found.lag_seconds > limits.KEEPER_MIRROR_LAG_SECONDS_MAX:
            self._alarms.raise_alarm(
                "mirror", "", f"{found.location} lacks {found.waiting} objects, the first for "
                f"{found.lag_seconds / 60:.0f} minutes: {found.trouble}"
            )
