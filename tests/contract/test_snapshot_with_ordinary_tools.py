"""The promise of docs/format.md: one page of a snapshot opens by the script printed there, with nothing of ours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from nirantar.host.real import RealHost
from nirantar.vault.directory import DirectoryVault
from snapshots_at_hand import IDENTITY, SnapshotMaker, page

DOCUMENT: Final = (Path(__file__).resolve().parents[2] / "docs/format.md").read_text(encoding="utf-8")


def test_the_script_gives_every_page_of_a_snapshot_and_refuses_an_altered_one(tmp_path: Path) -> None:
    """Unchanged, changed and new pages come out as they are; one flipped byte of the pack and nothing comes out."""
    host = RealHost()
    maker = SnapshotMaker(host, DirectoryVault.create(host, tmp_path / "vault"))  # type: ignore[arg-type]
    maker.write({number: page(number) for number in range(20)}, 20)
    manifest = maker.write({2: page(2, 1), 19: page(19, 1), 20: page(20)}, 21)
    found = re.search(r"^```python page-by-hand\n(.*?)^```$", DOCUMENT, flags=re.MULTILINE | re.DOTALL)
    assert found is not None
    (tmp_path / "one_page.py").write_text(found[1], encoding="utf-8")
    (tmp_path / "identity").write_text(f"# not Nirantar's\n{IDENTITY}\n", encoding="utf-8")

    def run(number: int) -> subprocess.CompletedProcess[bytes]:
        command = [
            sys.executable, "-I", str(tmp_path / "one_page.py"), str(tmp_path / "vault"),
            str(tmp_path / "vault" / manifest.key), str(tmp_path / "identity"), str(number),
        ]
        return subprocess.run(command, capture_output=True, check=False)

    for number in (0, 2, 18, 19, 20):
        done = run(number)
        assert (done.returncode, done.stdout) == (0, maker.pages[number]), done.stderr.decode()
    path = tmp_path / "vault" / "centre" / "pack" / maker.packs[1].name
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    refused = run(0)
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert b"InvalidTag" in refused.stderr
