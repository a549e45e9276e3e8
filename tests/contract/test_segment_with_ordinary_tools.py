"""The promise of docs/format.md: a segment opens with tail, age and zstd when no program of ours is left."""

from __future__ import annotations

import subprocess
from hashlib import sha256
from pathlib import Path

from nirantar.host.real import RealHost
from nirantar.tlog.compact_range import RangeProof
from nirantar.vault.directory import DirectoryVault
from nirantar.vault.encryption import new_identity
from nirantar.vault.segments import encode_segment

ORIGIN = "aiims-demo.nirantar/opd-1"
KEY = "opd-1/live/000000000000-2.segment"
LINE = 'tail -n +3 "$FILE" | age -d -i "$IDENTITY" | zstd -dc'


def test_one_shell_line_opens_a_segment(tmp_path: Path) -> None:
    """Debian's age and zstd print the entries of a segment as the vault holds it. A missing tool is a failure."""
    entries = [b'{"weight":72.50}', '{"name":"निरन्तर"}'.encode()]
    hashes = [sha256(b"\x00" + entry).digest() for entry in entries]
    identity, recipient = new_identity()
    vault = DirectoryVault.create(RealHost(), tmp_path / "vault")
    data = encode_segment(
        ORIGIN, 0, entries, hashes, proof=RangeProof(), checkpoint_note=f"{ORIGIN}\n2\n", recipients=[recipient]
    )
    vault.put_new(KEY, data)
    identity_file = tmp_path / "identity.txt"
    identity_file.write_text(f"# a comment, as people keep them\n{identity}\n")
    printed = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", LINE],
        env={"FILE": str(tmp_path / "vault" / KEY), "IDENTITY": str(identity_file), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=False,
    )
    assert (printed.returncode, printed.stderr) == (0, b"")
    assert printed.stdout == b"\n".join(entries) + b"\n"
