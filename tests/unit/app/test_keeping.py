"""A keeper's directory: made once, opened by one server at a time, and refused where it is damaged."""

from __future__ import annotations

import pytest

from kept_log import AUTHORITY, KEEPER, kept
from nirantar.app.keeping import AlarmCommands, KeeperHouse, read_keeper, set_up_keeper
from nirantar.continuity.keeping.alarms import Alarm
from nirantar.continuity.keeping.register import slug_of_authority
from nirantar.errors import ConfigInvalid, DirectoryInUse, SetupError
from nirantar.host.simulated import SimulatedHost
from nirantar.limits import KEEPER_ALARM_COMMANDS_WAITING_MAX


def test_it_signs_with_keys_of_its_own_under_its_hospitals_name() -> None:
    """Two kinds of cosigning keys, one name, drawn at random; the same when it is opened again."""
    with SimulatedHost(seed=3) as host:
        vkeys = set_up_keeper(host, KEEPER, AUTHORITY.vkey, "keeper-1")
        papers, cosigners = read_keeper(host, KEEPER)
        assert tuple(each.vkey for each in cosigners) == vkeys
        assert papers.name == "nirantar.test/keepers/keeper-1"
        with pytest.raises(SetupError, match="not empty"):
            set_up_keeper(host, KEEPER, AUTHORITY.vkey, "keeper-1")


def test_one_process_serves_it() -> None:
    """The directory is locked while it serves; looking at its status needs no lock."""
    with kept() as (host, house):
        house.close()
        serving = KeeperHouse(host, KEEPER, serving=True)
        with pytest.raises(DirectoryInUse):
            KeeperHouse(host, KEEPER, serving=True)
        serving.close()


@pytest.mark.parametrize("file", ["keeper.json", "keys/cosigner.keys"])
def test_damaged_papers_are_named(file: str) -> None:
    """A file that is gone or mangled stops the start with its name or what to do, and quotes no key."""
    with SimulatedHost(seed=3) as host:
        set_up_keeper(host, KEEPER, AUTHORITY.vkey, "keeper-1")
        before = host.files.read(KEEPER / file)
        host.files.replace(KEEPER / file, before[:-20] + b"x")
        with pytest.raises(SetupError) as told:
            KeeperHouse(host, KEEPER)
        assert "keeper.json" in str(told.value) or "cosigner.keys" in str(told.value)
        assert before.split()[-1].decode() not in str(told.value)
        host.files.remove(KEEPER / file)
        with pytest.raises(SetupError, match="keeper init"):
            KeeperHouse(host, KEEPER)


@pytest.mark.parametrize("name", ["nirantar./authority", "nirantar.x/node", "x/authority", "nirantar.x/authority/", ""])
def test_an_authority_has_the_name_of_one(name: str) -> None:
    """The hospital's slug comes from the authority's name."""
    with pytest.raises(ConfigInvalid):
        slug_of_authority(name)
    assert slug_of_authority("nirantar.city-hospital/authority") == "city-hospital"


def test_alarms_that_wait_for_the_command_are_bounded() -> None:
    """A command that hangs does not fill the memory: what does not fit is in the log alone."""
    with SimulatedHost(seed=3) as host:
        commands = AlarmCommands(KEEPER / "nobody")
        for number in range(KEEPER_ALARM_COMMANDS_WAITING_MAX * 2):
            commands.tell(Alarm("", "fork", "opd", str(number)))
        assert commands._waiting.qsize() == KEEPER_ALARM_COMMANDS_WAITING_MAX
        assert host.monotonic_us() >= 0
    with pytest.raises(ConfigInvalid, match="absolute"):
        AlarmCommands(KEEPER.relative_to("/"))
