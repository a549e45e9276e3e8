"""What a node knows of rehearsals: the newest certificates of the registered machine, as its vaults hold them.

Anybody who can add to a vault can hide one behind noise or leave it out of a vault of his own; then the page turns red,
which is what an absent proof should look like. Nobody but the machine can make one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final

from nirantar import limits
from nirantar.continuity.certificate import Certificate, open_certificate
from nirantar.errors import InvalidInput, NotFound, ProofInvalid
from nirantar.host.port import Host
from nirantar.host.times import from_instant
from nirantar.interactions.doors import RestoreStatus
from nirantar.tlog.note import Verifier
from nirantar.vault.keys import REHEARSAL_PREFIX, RehearsalKey, parse
from nirantar.vault.port import Vault

ADVICE: Final = "See docs/how-to/rehearse.md."
_DAY_US: Final = 24 * 60 * 60 * 1_000_000


def certificates(host: Host, vault: Vault, machine: Verifier, slug: str) -> Iterator[Certificate]:
    """The machine's certificates in a vault, newest first; at most REHEARSAL_CERTIFICATES_TRIED_MAX objects are tried.
    Raises VaultUnavailable."""
    ahead_us = limits.CLOCK_AHEAD_SECONDS_MAX * 1_000_000
    listed = (parse(key) for key in vault.list(REHEARSAL_PREFIX))
    keys = [each for each in listed if isinstance(each, RehearsalKey) and each.at_us <= host.now_us() + ahead_us]
    for key in islice(sorted(keys, reverse=True), limits.REHEARSAL_CERTIFICATES_TRIED_MAX):
        with suppress(NotFound, ProofInvalid, ValueError):
            found = open_certificate(vault.get(str(key), 0, limits.NOTE_BYTES_MAX + 1), machine, slug)
            # A certificate counts for the time that was signed, whatever it is stored as.
            if from_instant(found.finished_at) // 1_000 == key.at_us // 1_000:
                yield found


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """The newest certificate, and the newest that proves a restore."""

    last: Certificate | None = None
    proven: Certificate | None = None

    def and_of(self, found: Iterator[Certificate]) -> Rehearsed:
        """With what one more vault holds, newest first."""
        last, proven = self.last, self.proven
        for each in found:
            if last is None or each.finished_at > last.finished_at:
                last = each
            if each.proven:
                if proven is None or each.finished_at > proven.finished_at:
                    proven = each
                break
        return Rehearsed(last, proven)

    def status(self) -> RestoreStatus | None:
        """The last proven restore for pages and `/health`; None where there is none."""
        proven = self.proven
        if proven is None:
            return None
        return RestoreStatus(
            proven.finished_at, proven.entries, proven.seconds_to_first_patient, proven.seconds_to_full,
            proven.custodian_minutes,
        )

    def red(self, now_us: int, *, registered: bool) -> str | None:
        """What is red about it, as a sentence."""
        if not registered:
            return (
                "No restore was ever proven: no machine that rehearses is registered (rehearsal_verifier). " + ADVICE
            )
        if self.last is not None and not self.last.proven:
            return (
                f"The rehearsal of {self.last.finished_at[:10]} did not prove a restore: look at what its certificate "
                f"found. {ADVICE}"
            )
        if self.proven is None:
            return f"No restore was ever proven. {ADVICE}"
        if now_us - from_instant(self.proven.finished_at) > limits.REHEARSAL_DAYS_MAX * _DAY_US:
            return (
                f"The last proven restore was on {self.proven.finished_at[:10]}, more than "
                f"{limits.REHEARSAL_DAYS_MAX} days ago. {ADVICE}"
            )
        return None


class RehearsalWatch:
    """Looks into each vault at most every REHEARSAL_LOOK_SECONDS. Any sealer's thread may ask."""

    def __init__(self, host: Host, slug: str, verifier: str) -> None:
        """`verifier` is the registered machine's key, empty where there is none."""
        self._host = host
        self._slug = slug
        self._machine = machine_of(verifier)
        self._looked_us: dict[str, int] = {}
        self._found = Rehearsed()

    def look(self, vault: Vault) -> None:
        """Take what is new. Raises VaultUnavailable."""
        now_us = self._host.monotonic_us()
        looked_us = self._looked_us.get(vault.location)
        recent = looked_us is not None and now_us - looked_us < limits.REHEARSAL_LOOK_SECONDS * 1e6
        if self._machine is None or recent:
            return
        self._looked_us[vault.location] = now_us
        self._found = self._found.and_of(certificates(self._host, vault, self._machine, self._slug))

    def status(self) -> RestoreStatus | None:
        """The last proven restore."""
        return self._found.status()

    def red(self) -> tuple[str, ...]:
        """What makes the status page red, as sentences."""
        sentence = self._found.red(self._host.now_us(), registered=self._machine is not None)
        return () if sentence is None else (sentence,)


def machine_of(verifier: str) -> Verifier | None:
    """The registered machine's key. Its spelling was checked when the settings were read."""
    try:
        return Verifier.parse(verifier) if verifier else None
    except InvalidInput:
        return None
