"""A hospital from before there were custody notes: the vault that docs/format.md prints byte for byte, without its note."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from nirantar import limits
from nirantar.app.ceremony import check_identity, name_rehearsal, rotate
from nirantar.app.founding import CUSTODY_FILE
from nirantar.app.node import Node
from nirantar.app.recovering import recover
from nirantar.app.vaults import open_vault
from nirantar.app.verifying import verify_vault
from nirantar.continuity.identity import RecoveryIdentity, parse_identity
from nirantar.errors import IdentityWrong, SetupError
from nirantar.host.simulated import SimulatedHost
from nirantar.vault.keys import HOSPITAL_KEY, RosterKey
from nirantar.vault.port import Vault

DOCUMENT: Final = (Path(__file__).resolve().parents[2] / "docs/format.md").read_text(encoding="utf-8")
BLOCKS: Final = dict(re.findall(r"^```\w+ ([\w-]+)\n(.*?)^```$", DOCUMENT, flags=re.MULTILINE | re.DOTALL))
URI: Final = "file:///vault"
NODE: Final = Path("/node")


@dataclass(frozen=True)
class Hospital:
    """Its machine, vault and identity."""

    host: SimulatedHost
    vault: Vault
    identity: RecoveryIdentity

    def recovered(self, directory: Path = NODE, identity: RecoveryIdentity | None = None) -> dict[str, int]:
        """Recover; the resources by type. Everything must be there and proven."""
        report = recover(self.host, [self.vault], [URI], identity or self.identity, directory)
        assert report.ok, report.findings
        return report.resources


@pytest.fixture
def hospital() -> Iterator[Hospital]:
    """The document's vault as a version without custody notes left it."""
    with SimulatedHost(7) as host:
        vault = open_vault(host, URI, create=True)
        vault.put_new(HOSPITAL_KEY, BLOCKS["founding-document"].encode())
        vault.put_new(str(RosterKey(1)), BLOCKS["roster"].encode())
        vault.put_new(BLOCKS["segment-key"].strip(), b64decode(BLOCKS["segment"]))
        yield Hospital(host, vault, RecoveryIdentity.parse(BLOCKS["identity"].encode()))


def test_it_still_verifies_recovers_and_serves(hospital: Hospital) -> None:
    """Nothing of custody is needed; the node is red, since nobody has read the sheet back, and works."""
    assert verify_vault(hospital.host, [hospital.vault], hospital.identity).entries == 2
    assert hospital.recovered() == {"Patient": 1, "Observation": 1}
    assert not hospital.host.files.exists(NODE / CUSTODY_FILE)
    node = Node(hospital.host, NODE)
    status = node.status()
    node.close()
    assert status.read_only is None
    assert "has never been read back" in status.red[0]


def test_its_unsigned_document_is_held_to_the_identity(hospital: Hospital) -> None:
    """Another recipient or authority in it is refused, as it always was."""
    path = Path("/vault") / HOSPITAL_KEY
    document = hospital.host.files.read(path)
    other = b"age1mecyw7fv4gszyg75z2k96y6anscx05k9ut43eh7pvwrjhnlw4f7sfqsray"
    own = hospital.identity.recipient.encode()
    for changed in (document.replace(own, other), document.replace(own, own + b'",\n    "' + other)):
        hospital.host.files.replace(path, changed)
        with pytest.raises((SetupError, IdentityWrong)):
            hospital.recovered(Path("/refused"))


def test_reading_its_sheet_back_begins_the_notes(hospital: Hospital) -> None:
    """The first check signs recipients and document; the node takes the note by itself and is no longer red."""
    hospital.recovered()
    node = Node(hospital.host, NODE)
    node.sealer.step()
    assert check_identity(hospital.host, [hospital.vault], hospital.identity).first_time
    hospital.host.advance(int(limits.CUSTODY_LOOK_SECONDS * 1e6) + 1)
    node.custody.look(hospital.vault)
    assert node.custody.red() == ()
    node.close()
    assert hospital.host.files.exists(NODE / CUSTODY_FILE)
    assert verify_vault(hospital.host, [hospital.vault], hospital.identity).ok


@pytest.mark.parametrize("first", ["rotate", "rehearse"])
def test_its_custody_can_be_changed_at_once(hospital: Hospital, first: str) -> None:
    """Also without a reading back before: the new identity recovers what the old one sealed."""
    identity = hospital.identity
    if first == "rehearse":
        name_rehearsal(hospital.host, [hospital.vault], identity, Path("/offline/rehearsal"))
    rotate(hospital.host, [hospital.vault], identity, Path("/offline/new"))
    new = parse_identity(hospital.host.files.read(Path("/offline/new")))
    assert isinstance(new, RecoveryIdentity)
    with pytest.raises(IdentityWrong, match="was replaced"):
        hospital.recovered()
    assert hospital.recovered(identity=new) == {"Patient": 1, "Observation": 1}
