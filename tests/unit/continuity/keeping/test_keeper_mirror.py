"""The second place for all that a keeper takes: complete, in order, behind for as long as it is away, and told about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kept_log import KeptLog, kept
from nirantar.app.keeping import KeeperHouse
from nirantar.continuity.keeping.alarms import Alarms
from nirantar.continuity.keeping.mirror import Mirror
from nirantar.errors import SetupError, VaultUnavailable
from nirantar.host.simulated import SimulatedHost
from nirantar.limits import KEEPER_MIRROR_LAG_SECONDS_MAX, KEEPER_MIRROR_UNSTORED_SECONDS_MAX
from nirantar.vault.directory import DirectoryVault

LOG = KeptLog()


class Bucket(DirectoryVault):
    """A vault that can be away, and that remembers in which order it was given objects."""

    away = ""
    unprotected = ""

    def require_protection(self) -> None:
        """As it is told."""
        if self.unprotected:
            raise SetupError(self.unprotected)

    def put_new(self, key: str, data: bytes) -> None:
        """Unless it is away."""
        if self.away:
            raise VaultUnavailable(self.away)
        super().put_new(key, data)


class Mirrored:
    """A keeper's parts with a mirror that a test steps."""

    def __init__(self, host: SimulatedHost, house: KeeperHouse) -> None:
        self.host, self.house = host, house
        self.source = DirectoryVault(host, Path("/keeper/vault"))
        self.bucket = Bucket.create(host, Path("/bucket"))
        self.mirror = self.started()

    def started(self) -> Mirror:
        """The mirror as after a start of the keeper."""
        alarms = Alarms(self.host, Path("/keeper/mirror-alarms.jsonl"), lambda _: None)
        self.alarms = alarms
        mirror = Mirror(self.host, self.source, self.bucket, self.house.records, alarms)
        self.house.keeper._mirror = mirror
        return mirror

    def copy(self) -> None:
        """Until nothing is left to do at once."""
        while self.mirror.step():
            pass

    def require_whole(self) -> None:
        """Every object of the keeper's vault is in the bucket, byte for byte, and nothing waits."""
        assert list(self.bucket.list("")) == list(self.source.list(""))
        assert all(self.bucket.get(key) == self.source.get(key) for key in self.source.list(""))
        assert (self.mirror.status().waiting, self.mirror.status().lag_seconds) == (0, 0.0)


@pytest.fixture
def mirrored() -> Iterator[Mirrored]:
    """A keeper that holds a log, before its mirror was ever reached."""
    with kept() as (host, house):
        LOG.seal(house.keeper, 200, 700)
        yield Mirrored(host, house)


def test_a_new_mirror_is_given_all_that_is_here_and_what_comes(mirrored: Mirrored) -> None:
    """Also after a restart in the middle; tiles that the keeper made are among it."""
    mirrored.copy()
    mirrored.require_whole()
    assert list(mirrored.bucket.list("opd/tile/"))

    mirrored.house.keeper.add_checkpoint(LOG.submission(700, 1_200), None)
    for first, count in ((700, 100), (800, 400)):
        LOG.put(mirrored.house.keeper, first, count, 1_200)
        assert mirrored.mirror.status().waiting > 0
    mirrored.mirror = mirrored.started()
    mirrored.copy()
    mirrored.require_whole()


def test_a_mirror_that_is_away_delays_nobody_and_is_told_about(mirrored: Mirrored) -> None:
    """The keeper takes what comes; the status says how much the mirror lacks and since when; after a while it alarms;
    when the mirror is back it gets everything."""
    mirrored.copy()
    mirrored.bucket.away = "the bucket cannot be reached"
    mirrored.house.keeper.add_checkpoint(LOG.submission(700, 1_200), None)
    assert LOG.put(mirrored.house.keeper, 700, 500, 1_200)
    mirrored.host.advance(20_000_000)
    assert not mirrored.mirror.step()
    status = mirrored.house.keeper.status().mirror
    assert status is not None
    assert (status.waiting, round(status.lag_seconds), status.trouble) == (3, 20, "the bucket cannot be reached")
    assert mirrored.alarms.latest() == []
    mirrored.host.advance(int(KEEPER_MIRROR_LAG_SECONDS_MAX * 1e6))
    mirrored.mirror.step()
    (alarm,) = mirrored.alarms.latest()
    assert alarm.kind == "mirror"
    assert "lacks 3 objects, the first for 15 minutes: the bucket cannot be reached" in alarm.what
    mirrored.bucket.away = ""
    mirrored.copy()
    mirrored.require_whole()


def test_nothing_goes_into_a_mirror_that_does_not_protect(mirrored: Mirrored) -> None:
    """Its own reason is the trouble that is shown."""
    mirrored.bucket.unprotected = "these credentials could delete"
    assert not mirrored.mirror.step()
    assert mirrored.mirror.status().trouble == "these credentials could delete"
    assert list(mirrored.bucket.list("")) == []


def test_other_bytes_in_the_mirror_are_an_alarm_and_stop_nothing(mirrored: Mirrored) -> None:
    """Somebody with credentials of his own was there first: the rest is copied, and the alarm names the key."""
    mirrored.bucket.put_new("hospital.json", b"{}")
    mirrored.copy()
    (alarm,) = mirrored.alarms.latest()
    assert "holds other bytes under hospital.json" in alarm.what
    assert list(mirrored.bucket.list("")) == list(mirrored.source.list(""))
    assert mirrored.mirror.status().waiting == 0


def test_what_was_noted_and_never_stored_is_forgotten_after_a_while(mirrored: Mirrored) -> None:
    """A put that failed on the disk leaves a note: it waits for the object as long as one may be on its way."""
    mirrored.copy()
    with mirrored.house.records.change():
        mirrored.house.records.note_unmirrored("opd/map/" + "0" * 64)
    assert not mirrored.mirror.step()
    assert mirrored.mirror.status().waiting == 1
    mirrored.host.advance(int(KEEPER_MIRROR_UNSTORED_SECONDS_MAX * 1e6) + 1_000_000)
    mirrored.copy()
    assert mirrored.mirror.status().waiting == 0
