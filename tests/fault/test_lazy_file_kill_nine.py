"""kill -9 of a process that changes and fills a lazily filled database, between every two of its steps to the disk."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from frozen_pages import FrozenPages
from lazy_twins import change, content, frozen_image, prepared
from nirantar.host.real import RealHost

TESTS = Path(__file__).resolve().parents[1]
VICTIM = TESTS / "fault" / "lazy_victim.py"
DEATHS = 20
SEED = 20_221_124


def live_and_die(place: Path, seed: int, die_at: int, seconds: float) -> None:
    """One life: killed by itself at a step, or by us after a time."""
    command = (sys.executable, VICTIM, str(place), str(seed), str(die_at))
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as victim:
        try:
            assert victim.stdout is not None
            assert victim.stdout.readline() in {b"started\n", b""}
            if die_at:
                victim.wait(timeout=60)
            else:
                time.sleep(seconds)
        finally:
            victim.kill()
    assert victim.returncode == -9, f"seed={seed} die_at={die_at}"


def compare(place: Path, deaths: int) -> int:
    """After a death: the database is whole, and holds what an ordinary one holds after as many changes."""
    host = RealHost()
    source = FrozenPages(frozen_image(), frame_pages=3)
    file = host.lazy_database(place / "lazy.db", source, "frozen")
    lazy = prepared(file.connect())
    number = lazy.execute("SELECT number FROM step").get
    assert isinstance(number, int)
    ordinary_path = place / f"ordinary-{deaths}.db"
    ordinary_path.write_bytes(frozen_image())
    ordinary = prepared(host.database(ordinary_path))
    ordinary.pragma("synchronous", 0)
    for each in range(1, number + 1):
        change(ordinary, Random(each), each)
    assert content(lazy) == content(ordinary), f"after death {deaths}, at change {number}"
    ordinary.close()
    ordinary_path.unlink()
    lazy.close()
    file.close()
    return number


def die_often(place: Path, deaths: int, seed: int) -> None:
    """Several databases, each with a few lives; each life is compared before the next begins."""
    random = Random(seed)
    changes = 0
    for number in range(deaths):
        home = place / str(number // 4)
        home.mkdir(exist_ok=True)
        by_itself = random.random() < 0.75
        live_and_die(home, number, random.randrange(1, 400) if by_itself else 0, random.uniform(0.0, 0.4))
        # Looking at every row brings every page, so the databases that shall die again are looked at as a copy.
        copy = place / f"copy-{number}"
        subprocess.run(("cp", "-r", "--sparse=always", str(home), str(copy)), check=True)
        changes += compare(copy, number)
        subprocess.run(("rm", "-r", str(copy)), check=True)
    assert changes > deaths


def test_content_is_right_after_every_death(tmp_path: Path) -> None:
    """Twenty deaths at random steps and moments, in the first life of a file and in later ones: what was committed is
    there, old pages cover nothing, and SQLite's own check of the whole file is clean."""
    die_often(tmp_path, DEATHS, SEED)


@pytest.mark.soak
def test_content_is_right_after_five_hundred_deaths(tmp_path: Path) -> None:
    """The same five hundred times."""
    die_often(tmp_path, 500, SEED + 1)
