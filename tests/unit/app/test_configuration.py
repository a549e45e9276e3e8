"""The settings file: what is written reads back, and every wrong setting is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirantar.app import configuration
from nirantar.app.configuration import CONFIGURATION_FILE, Configuration, check_node_name
from nirantar.errors import ConfigInvalid
from nirantar.host.simulated import SimulatedHost

DIRECTORY = Path("/node")
TEXTS = st.text(min_size=1, max_size=30)


@given(vaults=st.lists(TEXTS, max_size=3), host=TEXTS, system=TEXTS, port=st.integers(1, 65_535), secure=st.booleans())
@settings(derandomize=True, max_examples=60, deadline=None)
def test_what_is_written_reads_back(vaults: list[str], host: str, system: str, port: int, secure: bool) -> None:
    """Whatever characters a value has, the commented file gives it back."""
    written = Configuration(node="opd", vaults=vaults, host=host, port=port, secure_cookies=secure, uhid_system=system)
    with SimulatedHost(1) as machine:
        machine.files.make_directory(DIRECTORY)
        configuration.write(machine, DIRECTORY, written)
        assert configuration.read(machine, DIRECTORY) == written


def test_every_setting_has_its_comment() -> None:
    """An operator who opens the file reads what each setting is for."""
    with SimulatedHost(1) as machine:
        machine.files.make_directory(DIRECTORY)
        configuration.write(machine, DIRECTORY, Configuration(node="opd", vaults=[], uhid_system="urn:x"))
        lines = machine.files.read(DIRECTORY / CONFIGURATION_FILE).decode().splitlines()
    named = {line.partition(" = ")[0] for line in lines if " = " in line and not line.startswith("#")}
    assert named == set(Configuration.__struct_fields__)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "node"), ("node = 'opd'", "vaults"), ("node = 3\nvaults = []\nuhid_system = 'u'", "node"),
        ("node = 'opd'\nvaults = 'x'\nuhid_system = 'u'", "vaults"), ("\x00", CONFIGURATION_FILE), ("a = [", CONFIGURATION_FILE),
        ("node = 'opd'\nvaults = []\nuhid_system = ''", "uhid_system"),
        ("node = 'opd'\nvaults = []\nuhid_system = 'u'\ndurability = 'vault'", "needs at least one vault"),
        ("node = 'opd'\nvaults = []\nuhid_system = 'u'\nport = 0", "a port is 1 to 65535"),
        ("node = 'opd'\nvaults = []\nuhid_system = 'u'\nport = true", "port"),
        ("node = 'opd'\nvaults = []\nuhid_system = 'u'\nextra = 1", "extra"),
        ("node = 'opd'\nvaults = []\nuhid_system = 'u'\nsnapshot_seconds = 9", "0 (never) or 10 to 86400"),
        ("node = 'opd'\nvaults = []\nuhid_system = 'u'\nsnapshot_seconds = 86401", "0 (never) or 10 to 86400"),
    ],
)
def test_a_wrong_setting_is_named(text: str, said: str) -> None:
    """Missing, unknown, of the wrong kind, out of bounds, or no TOML."""
    with SimulatedHost(1) as machine:
        machine.files.make_directory(DIRECTORY)
        machine.files.put_new(DIRECTORY / CONFIGURATION_FILE, text.encode())
        with pytest.raises(ConfigInvalid) as refused:
            configuration.read(machine, DIRECTORY)
    assert said in str(refused.value)


def test_bytes_that_are_no_text_are_refused() -> None:
    """An encrypted file is not read as settings."""
    with SimulatedHost(1) as machine:
        machine.files.make_directory(DIRECTORY)
        machine.files.put_new(DIRECTORY / CONFIGURATION_FILE, b"\xff\xfe" * 40)
        with pytest.raises(ConfigInvalid, match=CONFIGURATION_FILE):
            configuration.read(machine, DIRECTORY)


@pytest.mark.parametrize("name", ["", "Opd", "1opd", "-opd", "opd_1", "opd/1", "opd\n", "ओपीडी", "a" * 25, "roster"])
def test_a_node_name_is_refused_before_it_names_a_log(name: str) -> None:
    """Names go into log origins, file names and version ids."""
    with pytest.raises(ConfigInvalid):
        check_node_name(name)


@pytest.mark.parametrize("name", ["a", "opd-1", "a" * 24, "r-"])
def test_a_good_node_name_passes(name: str) -> None:
    """A letter, then letters, digits and hyphens."""
    check_node_name(name)
    assert configuration.NODE_NAME.fullmatch(name)
