"""Running commands as an operator does: in a process of their own, or, for the many that only refuse, in this one."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nirantar.cli import __main__ as command_line

SECONDS_MAX = 240


@dataclass(frozen=True)
class Ran:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Its one JSON object."""
        found: dict[str, Any] = json.loads(self.out)
        return found


def nirantar(*words: str | Path, text: str = "", code: int = 0, terminal: bool = True) -> Ran:
    """Run one command in a process of its own; fail unless it ends with `code` and without a traceback. Without
    `terminal` it cannot reach the one at which these tests may have been started, as under cron or systemd."""
    done = subprocess.run(
        [sys.executable, "-m", "nirantar.cli", *map(str, words)], input=text, text=True, capture_output=True,
        timeout=SECONDS_MAX, check=False, start_new_session=not terminal, env={**os.environ, "COLUMNS": "200"},
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, (words, done.stdout, done.stderr)
    return Ran(done.returncode, done.stdout, done.stderr)


def read_sheet_back(identity: Path, vault: str) -> Ran:
    """Scan the recovery sheet of this identity: its code holds the file's lines under another title."""
    text = identity.read_text().replace("recovery identity of", "recovery sheet of")
    return nirantar("custody", "check", "--vault", vault, text=text)


def in_this_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str | Path
) -> Ran:
    """Run one command here, the way its process would; what it raises besides its exit fails the test."""
    thresholds = gc.get_threshold()
    monkeypatch.setattr(sys, "argv", ["nirantar", *map(str, words)])
    code = 0
    try:
        command_line.main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
    said = capsys.readouterr()
    return Ran(code, said.out, " ".join(said.err.split()))
