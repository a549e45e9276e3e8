"""A vault whose segments are of the first format, as it was written then, is read and proven for ever."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import pytest

from nirantar.app.recovering import recover
from nirantar.app.verifying import verify_vault
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.errors import SegmentDamaged
from nirantar.host.real import RealHost
from nirantar.tlog.note import Verifier
from nirantar.vault.directory import DirectoryVault
from nirantar.vault.segments import open_segment, prove_header

HERE: Final = Path(__file__).resolve().parent
KEY: Final = "centre/live/000000000000-2.segment"
VKEY: Final = "nirantar.city-hospital/centre+d2d720d3+AazrNi7hXjxGSUW7KvzYb4dddaplXUzX1zNKdJhE4aOD"
IDENTITY: Final = RecoveryIdentity.parse((HERE / "identity_version_1").read_bytes())


def test_a_segment_of_version_1_opens_and_does_not_claim_to_prove_itself() -> None:
    """Its entries come out, checked against their leaf hashes; only a reader of the whole log can prove those."""
    data = (HERE / "vault_version_1" / KEY).read_bytes()
    header, entries = open_segment(data, (IDENTITY.age_identity,), key=KEY)
    assert (header.v, header.count, len(entries), header.proves_itself) == (1, 2, 2, False)
    assert (header.left_hashes, header.right_hashes) == (b"", b"")
    with pytest.raises(SegmentDamaged, match="its format is 1"):
        prove_header(header, Verifier.parse(VKEY), key=KEY)


def test_a_vault_of_version_1_is_verified_and_recovered(tmp_path: Path) -> None:
    """Both entries are proven by the checkpoint that the node signed then."""
    host = RealHost()
    vault = DirectoryVault(host, Path(shutil.copytree(HERE / "vault_version_1", tmp_path / "vault")))
    verified = verify_vault(host, [vault], IDENTITY)
    assert (verified.ok, verified.entries, verified.logs) == (True, 2, {"nirantar.city-hospital/centre": 2})
    report = recover(host, [vault], [vault.location], IDENTITY, tmp_path / "new")
    assert (report.ok, report.findings, report.logs[0].proven) == (True, [], 2)
