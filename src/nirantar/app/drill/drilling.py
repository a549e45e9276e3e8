"""A drill from beginning to end: open a scratch hospital, let a client write, attack, recover, compare.

Every actor is a process of its own: the node, its recovery, the recovered node, and the client, which alone measures.
Nothing is drained or stopped before the attack, and the attack does not wait for anything to be sealed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from nirantar import limits
from nirantar.app.drill import client
from nirantar.app.drill.attacker import SABOTAGE_SEGMENTS_MIN, lock_files, sabotage_vault
from nirantar.app.drill.calls import LOOPBACK
from nirantar.app.drill.client import Access, Assignment
from nirantar.app.drill.processes import Program, free_port, health, wait_healthy
from nirantar.app.drill.scratch import HOSPITAL, NODE, Scratch, scratch
from nirantar.app.drill.vault_kinds import VaultKind, vault_ground
from nirantar.continuity.drill.accounting import (
    DrillReport,
    Durability,
    Measured,
    Sabotage,
    Timeline,
    WriteOutcome,
    judge,
)
from nirantar.errors import InvalidInput, Unavailable
from nirantar.vault.keys import segments_prefix
from nirantar.vault.port import Vault

Say = Callable[[str], None]
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class _ClientFiles:
    """The client's own directory; the drill reads what the client leaves there and writes only its access."""

    root: Path

    @property
    def access(self) -> Path:
        return self.root / "access.json"

    @property
    def status(self) -> Path:
        return self.root / "status.json"

    @property
    def report(self) -> Path:
        return self.root / "report.json"

    def give_access(self, access: Access) -> None:
        """Tell the client where and as whom to call, in one step."""
        half = self.root / "access.json.new"
        half.write_bytes(msgspec.json.encode(access._asdict()))
        half.rename(self.access)

    def tally(self) -> tuple[int, int]:
        """(acknowledged, refused) as the client last said."""
        if not self.status.exists():
            return 0, 0
        status = msgspec.json.decode(self.status.read_bytes())
        return status["acknowledged"], status["refused"]


def drill(
    writes: int, durability: Durability, *, sabotage: bool, say: Say, show: Say, vault_kind: VaultKind = "directory"
) -> DrillReport:
    """Run one drill on scratch directories, which are gone afterwards.

    The attack comes once at least `writes` registrations are acknowledged and the vault holds a few segments. `say`
    gets a sentence at each step, `show` a line that is worth seeing only now. Raises InvalidInput for a number out of
    bounds, SetupError or Unavailable when a process does not do its part at all; broken promises are in the report.
    """
    if not 1 <= writes <= limits.DRILL_WRITES_MAX:
        raise InvalidInput(f"--writes must be 1 to {limits.DRILL_WRITES_MAX:,} (DRILL_WRITES_MAX).")
    if sabotage and vault_kind != "directory":
        raise InvalidInput("--sabotage damages a directory from below; a bucket's lock would refuse it.")
    with ExitStack() as running:
        ground = running.enter_context(vault_ground(vault_kind))
        place = running.enter_context(scratch(ground.bucket))
        files = _ClientFiles(place.root / "client")
        files.root.mkdir()
        say(f"Opening a scratch hospital in {place.root}")
        vault_warning = place.open_hospital(HOSPITAL, durability)
        port = free_port()
        node = running.enter_context(_serve(place, files, Access(1, LOOPBACK, port, "")))
        say(f"The hospital serves on {LOOPBACK}:{port}; a client registers patients and waits for nothing "
            f"but each write's acknowledgement (durability: {durability})")
        stranger = running.enter_context(_client(place, files))
        vault = ground.opened(place)
        _let_write(vault, files, node, stranger, writes, show)
        attack = _attack(place, vault, node, port, say)
        killed_at = attack.killed_at
        say("The attacker turns to the vault, with the credentials that he found on the node")
        attempts = ground.attack(place, NODE)
        damage = _sabotage(place, say) if sabotage else None
        say("Recovering on a clean directory from the vault and the recovery identity alone")
        recovery = place.recover()
        say(f"{recovery.entries_verified:,} entries proven; the recovered node starts")
        node = running.enter_context(_serve(place, files, Access(2, LOOPBACK, port, "")))
        found = _await_report(files, node, stranger, say, show)
        node.end()
    return judge(Measured(
        durability=durability,
        writes=msgspec.convert(found["writes"], list[WriteOutcome]),
        vault_confirmed=found["vault_confirmed"], requests_refused=found["refused"], resumed=found["resumed"],
        files_locked=attack.files_locked,
        seconds_to_first_service=_since(killed_at, found["first_read_at"]),
        seconds_to_first_write=_since(killed_at, found["first_write_at"]),
        seconds_to_full=_since(killed_at, found["compared_at"]),
        entries_verified=recovery.entries_verified, recovery_complete=recovery.complete, findings=recovery.findings,
        vault_warning=vault_warning, sabotage=damage, attempts=attempts,
        timeline=Timeline(
            attack.alarm_seconds, _since(attack.began_at, found["last_acknowledged_at"]),
            round(killed_at - attack.began_at, 3), _since(attack.began_at, found["first_read_at"]), attack.watched,
        ),
    ))


@contextmanager
def _serve(place: Scratch, files: _ClientFiles, access: Access) -> Iterator[Program]:
    """The node or, in generation 2, the recovered node; the client gets a token of it while it starts."""
    directory = place.node if access.generation == 1 else place.recovered
    arguments = ["serve", str(directory), "--host", access.host, "--port", str(access.port)]
    with Program("nirantar.cli", arguments, place.log, place.environment) as program:
        files.give_access(access._replace(token=place.token(directory, "integration", "drill")))
        wait_healthy(access.port, program)
        yield program


@contextmanager
def _client(place: Scratch, files: _ClientFiles) -> Iterator[Program]:
    records = files.root / "records"
    records.mkdir()
    settings = Assignment(
        access=str(files.access), records=str(records), status=str(files.status), report=str(files.report),
        connections=limits.DRILL_CONNECTIONS, answer_seconds=limits.WRITE_WAIT_SECONDS_MAX + 5,
        outage_seconds=limits.DRILL_OUTAGE_SECONDS_MAX, year=time.gmtime().tm_year,
    )
    path = files.root / "settings.json"
    path.write_bytes(msgspec.json.encode(settings._asdict()))
    with Program(client.__name__, [str(path)], place.log) as program:
        yield program


def _let_write(vault: Vault, files: _ClientFiles, node: Program, stranger: Program, writes: int, show: Say) -> None:
    """Return when enough is acknowledged, at a moment that has nothing to do with sealing."""
    started = time.monotonic()
    while time.monotonic() - started < limits.DRILL_TRAFFIC_SECONDS_MAX:
        node.require_running()
        stranger.require_running()
        acknowledged, _ = files.tally()
        show(f"{acknowledged:,} registrations acknowledged")
        if acknowledged >= writes and sum(1 for _ in vault.list(segments_prefix(NODE))) >= SABOTAGE_SEGMENTS_MIN:
            # The time since the start is as good as random against the sealer's seconds; half of one more hides it.
            time.sleep((time.monotonic_ns() // 1_000) % 500_000 / 1_000_000)
            return
        time.sleep(_POLL_SECONDS)
    raise Unavailable(
        f"Only {files.tally()[0]:,} writes were acknowledged in {limits.DRILL_TRAFFIC_SECONDS_MAX:.0f} s "
        "(DRILL_TRAFFIC_SECONDS_MAX)."
    )


@dataclass(slots=True)
class _Attack:
    """What the attack did. Times are monotonic seconds, `began_wall_ns` the same moment on the wall clock."""

    began_at: float
    began_wall_ns: int
    watched: bool
    killed_at: float = 0.0
    files_locked: int = 0
    alarm_seconds: float | None = None


def _attack(place: Scratch, vault: Vault, node: Program, port: int, say: Say) -> _Attack:
    """Lock every file while the node serves, kill it, lock what it still created.

    Between the first file and the others the attacker gives the alarm DRILL_ALARM_SECONDS_MAX: on a hospital's disk, it
    would be busy for hours.
    """
    known = health(port)
    attack = _Attack(time.monotonic(), time.time_ns(), known is None or known["unwatched"] is None)

    def let_it_leave() -> None:
        while attack.alarm_seconds is None and time.monotonic() - attack.began_at < limits.DRILL_ALARM_SECONDS_MAX:
            attack.alarm_seconds = _alarm_seconds(place, vault, attack.began_wall_ns)
            time.sleep(_POLL_SECONDS)

    attack.files_locked = lock_files(place.node, let_it_leave)
    attack.killed_at = node.kill()
    attack.files_locked += lock_files(place.node)
    say(f"ATTACK: {attack.files_locked} files of the node overwritten and renamed to .locked, its processes killed")
    if attack.alarm_seconds is not None:
        say(f"The node's alarm was in the vault {attack.alarm_seconds:.2f} s after the first file")
    return attack


def _alarm_seconds(place: Scratch, vault: Vault, began_wall_ns: int) -> float | None:
    """When the first alarm was in the vault, in seconds since the attack began; of a bucket, when it was seen there."""
    if place.bucket is not None:
        seen = next(vault.list(f"{NODE}/alarm/"), None)
        return None if seen is None else round((time.time_ns() - began_wall_ns) / 1e9, 3)
    times = [path.stat().st_mtime_ns for path in (place.vault / NODE / "alarm").glob("*.json")]
    return round((min(times) - began_wall_ns) / 1e9, 3) if times else None


def _sabotage(place: Scratch, say: Say) -> Sabotage:
    damage = sabotage_vault(place.vault, NODE)
    say(f"SABOTAGE of the vault: byte {damage.flipped_at} of {damage.flipped} flipped, {damage.deleted} deleted. "
        "This drill must end red")
    return damage


def _await_report(files: _ClientFiles, node: Program, stranger: Program, say: Say, show: Say) -> dict[str, Any]:
    """What the client measured, once it compared everything."""
    say("The client reads every acknowledged resource back and compares the bytes")
    stop = time.monotonic() + limits.DRILL_OUTAGE_SECONDS_MAX + limits.DRILL_TRAFFIC_SECONDS_MAX
    while not files.report.exists():
        node.require_running()
        if time.monotonic() > stop:
            raise Unavailable("The client does not come to an end of comparing.")
        if not files.report.exists():
            stranger.require_running()
        acknowledged, refused = files.tally()
        show(f"{acknowledged:,} acknowledged writes, {refused:,} requests refused during the outage")
        time.sleep(_POLL_SECONDS)
    return dict(msgspec.json.decode(files.report.read_bytes()))


def _since(start: float, moment: float | None) -> float | None:
    return None if moment is None else round(moment - start, 3)
