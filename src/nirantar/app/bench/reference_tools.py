"""Other people's programs, run on the same bytes in the same run, where this machine has them."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final

from nirantar.errors import Damaged

_SECONDS_MAX: Final = 600.0
NO_RESTIC: Final = "restic is not installed here (Debian's package restic), so there is nothing beside it"


@dataclass(frozen=True, slots=True)
class Taken:
    """What work took: by the clock, and of all cores together, processes of its own included."""

    seconds: float
    core_seconds: float


class Stopwatch:
    """Starts when it is made."""

    def __init__(self) -> None:
        self._clock, self._cores = perf_counter(), _core_seconds()

    def read(self) -> Taken:
        """What was taken so far; of other processes only what has ended."""
        return Taken(perf_counter() - self._clock, _core_seconds() - self._cores)


class Restic:
    """A repository of restic's below `directory`, with `content` (a file) in it as the newest snapshot."""

    def __init__(self, program: str, directory: Path, content: Path) -> None:
        self._program, self._directory = program, directory
        self._run("init")
        self._run("backup", str(content))

    @classmethod
    def of(cls, directory: Path, content: Path) -> Restic | None:
        """None where restic is not installed."""
        program = shutil.which("restic")
        return None if program is None else cls(program, directory, content)

    @property
    def repository_bytes(self) -> int:
        """What it takes on disk."""
        return sum(each.stat().st_size for each in (self._directory / "repository").rglob("*") if each.is_file())

    def check(self) -> Taken:
        """`restic check --read-data`: every byte of the repository read and verified."""
        return self._run("check", "--read-data")

    def restore(self, target: Path) -> Taken:
        """`restic restore latest`."""
        return self._run("restore", "latest", "--target", str(target))

    def _run(self, *words: str) -> Taken:
        watch = Stopwatch()
        home = str(self._directory)
        done = subprocess.run(  # noqa: S603 - the program that was found, with arguments of ours
            [self._program, "--quiet", "--no-cache", "--repo", str(self._directory / "repository"), *words],
            env={**os.environ, "RESTIC_PASSWORD": "bench", "HOME": home, "TMPDIR": home},
            capture_output=True, timeout=_SECONDS_MAX, check=False,
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace")[:300]
            raise Damaged(f"restic {words[0]} ended with {done.returncode}: {said}")
        return watch.read()


def _core_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
