"""The promise of docs/format.md: a whole vault is checked by the script printed there, with nothing of ours."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from nirantar.continuity.custody import first_custody, rotated
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.fold.founding import FoundingDocument
from nirantar.fold.grants import Grant
from nirantar.fold.roster import Roster
from nirantar.host.real import RealHost
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.compact_range import range_proof
from nirantar.tlog.merkle import MemoryHashReader, leaf_hash, root
from nirantar.tlog.note import Signer
from nirantar.vault.directory import DirectoryVault
from nirantar.vault.encryption import new_identity, recipient_of
from nirantar.vault.keys import HOSPITAL_KEY, RosterKey, SegmentKey
from nirantar.vault.segments import encode_segment

DOCUMENT: Final = (Path(__file__).resolve().parents[2] / "docs/format.md").read_text(encoding="utf-8")
UPGRADE: Final = Path(__file__).resolve().parents[1] / "upgrade"
ORIGIN: Final = "nirantar.test/opd-1"
ENTRIES: Final = tuple(f'{{"n":{number},"weight":72.50}}'.encode() for number in range(11))
LEAVES: Final = tuple(leaf_hash(entry) for entry in ENTRIES)


def block(name: str) -> str:
    """A code block of the document."""
    found = re.search(rf"^```\w+ {name}\n(.*?)^```$", DOCUMENT, flags=re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/format.md has no block {name}"
    return found[1]


def run_script(directory: Path) -> subprocess.CompletedProcess[str]:
    """The document's script in a Python that sees only the standard library, on the vault and identity in `directory`."""
    script = directory / "check_vault.py"
    script.write_text(block("check-vault"), encoding="utf-8")
    command = [sys.executable, "-I", "-S", str(script), str(directory / "vault"), str(directory / "identity")]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"})


class Hospital:
    """A vault and an identity, written by the code, whose segments a test stores one by one."""

    def __init__(self, directory: Path) -> None:
        self.vault = DirectoryVault.create(RealHost(), directory / "vault")
        age_identity, recipient = new_identity()
        self.signer = Signer(ORIGIN, bytes(range(32)))
        identity = RecoveryIdentity(age_identity, Signer("nirantar.test/authority", bytes(range(32, 64))))
        (directory / "identity").write_bytes(identity.encode("Test"))
        self.recipients = (recipient,)
        authority = identity.authority
        document = FoundingDocument(1, "Test", "test", self.recipients, authority.verifier.vkey)
        roster = Roster("test", 1, (Grant("opd-1", ORIGIN, self.signer.verifier.vkey),))
        self.vault.put_new(HOSPITAL_KEY, document.encode())
        self.vault.put_new(str(RosterKey(1)), roster.sign(authority))

    def seal(
        self, first: int, stop: int, *, size: int = 0, entries: Sequence[bytes] = ENTRIES, signer: Signer | None = None
    ) -> str:
        """Store one segment with a checkpoint at its end, or at `size`; its key."""
        size = size or stop
        leaves = [leaf_hash(entry) for entry in entries]
        note = Checkpoint(ORIGIN, size, root(LEAVES[:size])).sign(signer or self.signer).decode()
        key = str(SegmentKey("opd-1", "live", first, stop - first))
        data = encode_segment(
            ORIGIN, first, entries[first:stop], leaves[first:stop], checkpoint_note=note, recipients=self.recipients,
            proof=range_proof(first, stop, size, MemoryHashReader(LEAVES)),
        )
        self.vault.put_new(key, data)
        return key


    def forget(self) -> None:
        """Look at the vault afresh after a test deleted directories in it."""
        self.vault = DirectoryVault(RealHost(), Path(self.vault.location.removeprefix("file://")))


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    """A fresh vault."""
    return Hospital(tmp_path)


def test_the_script_proves_the_example_of_the_document(tmp_path: Path) -> None:
    """The example's vault, put together from the document's own blocks, gives the output printed there."""
    segment = tmp_path / "vault" / block("segment-key").strip()
    segment.parent.mkdir(parents=True)
    segment.write_bytes(b64decode(block("segment")))
    (tmp_path / "vault/roster").mkdir()
    (tmp_path / "vault/roster/00000001.note").write_text(block("roster"), encoding="utf-8")
    (tmp_path / "identity").write_text(block("identity"), encoding="utf-8")
    done = run_script(tmp_path)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", block("check-vault-output"))
    line = block("one-line").strip().replace("FILE", str(segment)).replace("IDENTITY", str(tmp_path / "identity"))
    printed = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout
    assert printed == block("entry-0") + block("entry-1")


def test_the_script_proves_a_vault_with_overlapping_segments(tmp_path: Path, hospital: Hospital) -> None:
    """Several segments, one of them stored again longer as after a crash, are read as one log."""
    for first, stop in ((0, 3), (3, 4), (3, 7), (7, 11)):
        hospital.seal(first, stop)
    done = run_script(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{ORIGIN}: 11 entries, 11 proven, root {root(LEAVES).hex()}\n"


def test_the_script_finds_a_flipped_byte(tmp_path: Path, hospital: Hospital) -> None:
    """One changed byte of a ciphertext is found, and the segment is named."""
    path = tmp_path / "vault" / hospital.seal(0, 5)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    done = run_script(tmp_path)
    assert done.returncode == 1
    assert path.name in done.stderr


def test_the_script_finds_a_missing_segment(tmp_path: Path, hospital: Hospital) -> None:
    """A gap between segments is named by the entries that are missing."""
    hospital.seal(0, 3)
    hospital.seal(5, 8)
    done = run_script(tmp_path)
    assert done.returncode == 1
    assert "entries 3 to 4 are missing" in done.stderr


def test_the_script_finds_an_exchanged_entry(tmp_path: Path, hospital: Hospital) -> None:
    """A segment made anew around a forged entry, fitting in itself, does not fit what the node signed."""
    hospital.seal(0, 4, entries=(ENTRIES[0], b'{"n":1,"weight":99.99}', *ENTRIES[2:]))
    done = run_script(tmp_path)
    assert done.returncode == 1
    assert "are not those signed" in done.stderr


@pytest.mark.parametrize("field", ["left_hashes", "right_hashes"])
def test_the_script_finds_another_place(tmp_path: Path, hospital: Hospital, field: str) -> None:
    """A segment whose proof has another hash, or one too many, is refused though its entries are the node's."""
    for changed in (lambda hashes: bytes(32) + hashes[32:], lambda hashes: hashes + bytes(32), lambda hashes: hashes[32:]):
        hospital.seal(0, 3)
        path = tmp_path / "vault" / hospital.seal(3, 7, size=11)
        head, _, sealed = path.read_bytes().partition(b"\n\n")
        fields = json.loads(head)
        fields[field] = b64encode(changed(b64decode(fields[field]))).decode()
        path.chmod(0o600)
        path.write_bytes(json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n" + sealed)
        done = run_script(tmp_path)
        shutil.rmtree(tmp_path / "vault" / "opd-1")
        hospital.forget()
        assert done.returncode == 1
        assert "its entries are not those signed" in done.stderr


def test_the_script_reads_the_first_format(tmp_path: Path) -> None:
    """A vault whose segments are of version 1 is proven as it was."""
    shutil.copytree(UPGRADE / "vault_version_1", tmp_path / "vault")
    shutil.copy(UPGRADE / "identity_version_1", tmp_path / "identity")
    done = run_script(tmp_path)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", block("check-vault-output"))


def test_the_script_finds_a_forged_signature(tmp_path: Path, hospital: Hospital) -> None:
    """A checkpoint that another key signed under the node's name is refused."""
    hospital.seal(0, 4, signer=Signer(ORIGIN, bytes(32)))
    done = run_script(tmp_path)
    assert done.returncode == 1
    assert "did not sign" in done.stderr
    assert recipient_of(RecoveryIdentity.parse((tmp_path / "identity").read_bytes()).age_identity) == hospital.recipients[0]


def test_the_line_for_earlier_identities(tmp_path: Path) -> None:
    """After a rotation, a custody note, the new identity and ordinary tools give the old age identity back."""
    old, new = (
        RecoveryIdentity(new_identity()[0], Signer("nirantar.test/authority", seed * 32)) for seed in (b"o", b"n")
    )
    document = FoundingDocument(1, "Test", "test", (old.recipient,), old.authority.vkey)
    custody = rotated(first_custody(document, old), old, new, serial=2, roster_serial=2)
    (tmp_path / "note").write_bytes(custody.note)
    (tmp_path / "identity").write_bytes(new.encode("Test"))
    line = block("earlier").replace("custody/….note", "note").replace("IDENTITY", "identity")
    ran = subprocess.run(["bash", "-euo", "pipefail", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout == f"{old.age_identity}\n"
