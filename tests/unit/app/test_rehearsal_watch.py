"""What a node believes of rehearsals: its machine's certificates, the newest first, and red when they are old."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from nirantar import limits
from nirantar.app.rehearsal_watch import RehearsalWatch, certificates
from nirantar.continuity.certificate import Certificate, machine_name, open_certificate
from nirantar.continuity.recovery_record import RecordedFinding
from nirantar.errors import InvalidInput, ProofInvalid
from nirantar.host.simulated import SimulatedHost
from nirantar.host.times import instant
from nirantar.tlog.note import Signer, sign_note
from nirantar.vault.directory import DirectoryVault
from nirantar.vault.keys import RehearsalKey

SLUG = "test"
MACHINE = Signer(machine_name(SLUG), b"m" * 32)
THIEF = Signer(machine_name(SLUG), b"t" * 32)
DAY_US = 24 * 60 * 60 * 1_000_000
FOUND = (RecordedFinding("vault centre/live/x", "it is damaged", "damage"),)


def certificate(at_us: int, *, proven: bool = True, machine: Signer = MACHINE) -> Certificate:
    """A certificate of that time."""
    return Certificate(
        v=1, hospital="Test", slug=SLUG, machine=machine.vkey, program="0", identity="rehearsal", vaults=("v",),
        started_at=instant(at_us), finished_at=instant(at_us), proven=proven, restored_by="log", custodian_minutes=None,
        seconds_to_first_patient=1.0, seconds_to_full=2.0, entries=3, opened=3, segments_opened=1, resources={},
        view_digest="00" * 32, logs=(), snapshot=None, work=None, findings=() if proven else FOUND,
    )


@pytest.fixture
def host() -> Iterator[SimulatedHost]:
    """A machine whose clock moves when it is told to."""
    with SimulatedHost(7) as made:
        yield made


@pytest.fixture
def vault(host: SimulatedHost) -> DirectoryVault:
    """An empty vault."""
    return DirectoryVault.create(host, Path("/vault"))


def leave(host: SimulatedHost, vault: DirectoryVault, *, proven: bool = True, machine: Signer = MACHINE) -> Certificate:
    """Store a certificate of now."""
    made = certificate(host.now_us(), proven=proven, machine=machine)
    vault.put_new(str(RehearsalKey(host.now_us())), made.sign(machine))
    return made


def test_the_last_proven_restore_is_shown_and_turns_red(host: SimulatedHost, vault: DirectoryVault) -> None:
    """Red before the first one, quiet for seven days, red on the eighth."""
    watch = RehearsalWatch(host, SLUG, MACHINE.vkey)
    watch.look(vault)
    assert (watch.status(), "ever proven" in watch.red()[0]) == (None, True)
    made = leave(host, vault)
    watch.look(vault)
    assert watch.status() is None, "a vault is asked once a minute"
    host.advance(int(limits.REHEARSAL_LOOK_SECONDS * 1e6) + 1)
    watch.look(vault)
    shown = watch.status()
    assert shown is not None
    assert (shown.at, shown.entries, watch.red()) == (made.finished_at, 3, ())
    host.advance(limits.REHEARSAL_DAYS_MAX * DAY_US)
    assert "more than 7 days ago" in watch.red()[0]


def test_a_failed_rehearsal_is_red_at_once(host: SimulatedHost, vault: DirectoryVault) -> None:
    """Though a good one is a minute old, which is still shown; a later good one ends it."""
    good = leave(host, vault)
    host.advance(DAY_US)
    leave(host, vault, proven=False)
    watch = RehearsalWatch(host, SLUG, MACHINE.vkey)
    watch.look(vault)
    shown = watch.status()
    assert shown is not None
    assert (shown.at, "did not prove" in watch.red()[0]) == (good.finished_at, True)
    host.advance(DAY_US)
    leave(host, vault)
    watch.look(vault)
    assert watch.red() == ()


def test_nobody_else_is_believed(host: SimulatedHost, vault: DirectoryVault) -> None:
    """Another machine's, another time's, one of the future, and noise are passed over; without a registered machine
    nothing is asked at all."""
    good = leave(host, vault)
    host.advance(DAY_US)
    leave(host, vault, machine=THIEF)
    vault.put_new(str(RehearsalKey(host.now_us() + 1)), b"noise")
    vault.put_new(str(RehearsalKey(host.now_us() + 2)), good.sign(MACHINE))
    ahead = certificate(host.now_us() + 30 * DAY_US)
    vault.put_new(str(RehearsalKey(host.now_us() + 30 * DAY_US)), ahead.sign(MACHINE))
    assert list(certificates(host, vault, MACHINE.verifier, SLUG)) == [good]
    unregistered = RehearsalWatch(host, SLUG, "")
    unregistered.look(vault)
    assert (unregistered.status(), "no machine that rehearses" in unregistered.red()[0]) == (None, True)


def test_nothing_with_findings_is_signed_or_read_as_proven() -> None:
    """Neither does the machine sign it, nor a reader take it, whoever signed."""
    lie = msgspec.structs.replace(certificate(0), findings=FOUND)
    with pytest.raises(InvalidInput, match="findings"):
        lie.sign(MACHINE)
    text = f"nirantar-rehearsal/v1\n{SLUG}\n{lie.finished_at}\n{msgspec.json.encode(lie).decode()}\n"
    with pytest.raises(ProofInvalid, match="names findings"):
        open_certificate(sign_note(text, MACHINE), MACHINE.verifier, SLUG)


def test_a_certificate_is_its_machines_and_its_hospitals() -> None:
    """Another key, another hospital, a changed byte: refused."""
    made = certificate(0)
    note = made.sign(MACHINE)
    assert open_certificate(note, MACHINE.verifier, SLUG) == made
    for data, machine, slug in (
        (note, THIEF, SLUG), (note, MACHINE, "other"), (note.replace(b'"entries":3', b'"entries":4'), MACHINE, SLUG),
    ):
        with pytest.raises(ProofInvalid):
            open_certificate(data, machine.verifier, slug)
    with pytest.raises(InvalidInput, match="the machine that it names"):
        made.sign(THIEF)
