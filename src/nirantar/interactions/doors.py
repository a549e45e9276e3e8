"""All doors of one node, composed once by `app` and handed to every edge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nirantar.interactions.access_log import AccessLog
from nirantar.interactions.accounts import Accounts
from nirantar.interactions.attach import Attach
from nirantar.interactions.credentials import Credentials
from nirantar.interactions.disclose import Disclose
from nirantar.interactions.numbers import Numbers
from nirantar.interactions.prove import Prove
from nirantar.interactions.read import Read
from nirantar.interactions.transact import Transact


@dataclass(frozen=True, slots=True)
class VaultStatus:
    """How far one vault follows: `confirmed` is the number of the node's own entries that it holds,
    `lag_seconds` the age of the oldest entry it lacks (0.0 when none), `trouble` the last failure's sentence."""

    location: str
    warning: str | None
    confirmed: int
    lag_seconds: float
    trouble: str | None


@dataclass(frozen=True, slots=True)
class SnapshotStatus:
    """The newest snapshot of the view: `taken_at_us` is the moment that it shows, `new_bytes` what it added to the
    vaults, `stored_in` how many of them hold it. `serial` 0: there is none yet. `trouble`: why the last attempt
    failed, or what a vault lacks; None where all is well."""

    serial: int
    taken_at_us: int
    new_bytes: int
    stored_in: int
    trouble: str | None


@dataclass(frozen=True, slots=True)
class RecoveryStatus:
    """A recovery that is under way: the `snapshot` that the view came from and its moment, whether the lost node's log
    names it (`journalled`), how much of the view's pages and of the old logs' entries is here. `needs_identity`: the
    rest of the entries comes only with the recovery identity. `findings` is what was lost or altered."""

    snapshot: str
    snapshot_at_us: int
    journalled: bool
    pages: int
    pages_here: int
    entries: int
    entries_here: int
    needs_identity: bool
    trouble: str | None
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RestoreStatus:
    """The last restore that a rehearsing machine proved: when it ended, how many entries came back, and the seconds
    from the key in hand to the first patient and to everything verified. What custodians took is apart."""

    at: str
    entries: int
    seconds_to_first_patient: float | None
    seconds_to_full: float
    custodian_minutes: float | None


@dataclass(frozen=True, slots=True)
class AlarmStatus:
    """Another process changed the node's files: when that was first seen, what happened to which file, how many more
    changes there were; when each vault had the alarm, and what keeps it from others or from the log."""

    at: str
    touched: tuple[str, ...]
    more: int
    reached: dict[str, str]
    trouble: dict[str, str]


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What every page and `/health` may say of the node; nothing in it is about a patient. `red` are sentences on what
    somebody must do before the hospital is safe, though the node serves. `unwatched` says why nobody would notice if
    another process changed the node's files."""

    hospital: str
    node: str
    origin: str
    version: str
    entries: int
    durability: str
    vaults: tuple[VaultStatus, ...]
    read_only: str | None
    recovered_from: tuple[str, ...]
    started_at_us: int
    red: tuple[str, ...] = ()
    alarm: AlarmStatus | None = None
    unwatched: str | None = None
    snapshot: SnapshotStatus | None = None
    recovery: RecoveryStatus | None = None
    last_proven_restore: RestoreStatus | None = None


@dataclass(frozen=True, slots=True)
class Doors:
    """What an edge may use, and nothing else."""

    transact: Transact
    read: Read
    attach: Attach
    prove: Prove
    disclose: Disclose
    accounts: Accounts
    credentials: Credentials
    access_log: AccessLog
    numbers: Numbers
    status: Callable[[], NodeStatus]
