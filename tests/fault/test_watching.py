"""The kernel tells another process's changes from the own ones: every kind, in every directory, as any user."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nirantar import limits
from nirantar.errors import SetupError
from nirantar.host.watching import DirectoryWatch, Touched

NOBODY = 65_534


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A node's directory in small."""
    (tmp_path / "node/keys").mkdir(parents=True)
    (tmp_path / "node/keys/node.key").write_text("secret")
    (tmp_path / "node/view.db").write_text("rows")
    return tmp_path / "node"


@pytest.fixture
def watch(directory: Path) -> Iterator[DirectoryWatch]:
    """A watch over it."""
    made = DirectoryWatch(directory)
    yield made
    made.close()


def elsewhere(directory: Path, command: str) -> None:
    """Run a shell's words in another process."""
    subprocess.run(["sh", "-c", command], cwd=directory, check=True)


def seen(watch: DirectoryWatch) -> set[tuple[str, str]]:
    """What the watch tells now."""
    found: list[Touched] = []
    while more := watch.wait(0.2):
        found += more
    return {(each.path, each.what) for each in found}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("echo x >> view.db", {("view.db", "modified")}),
        ("mv view.db view.db.locked", {("view.db", "renamed"), ("view.db.locked", "renamed")}),
        ("rm keys/node.key", {("keys/node.key", "deleted")}),
        ("echo pay > READ_ME.txt", {("READ_ME.txt", "created"), ("READ_ME.txt", "modified")}),
        ("truncate -s 0 keys/node.key", {("keys/node.key", "modified")}),
        ("mv ../node ../gone", {(".", "renamed")}),
        ("mkdir new", {("new", "created")}),
        ("cat view.db keys/node.key; ls -R", set()),
    ],
)
def test_each_kind_of_change_by_another_process_is_told(
    directory: Path, watch: DirectoryWatch, command: str, expected: set[tuple[str, str]]
) -> None:
    """With the path below the directory and a word for it; reading is not told."""
    elsewhere(directory, command)
    assert seen(watch) == expected


def test_own_changes_are_not_told_also_in_directories_made_later(directory: Path, watch: DirectoryWatch) -> None:
    """The own process writes as it likes; in a directory that it made, another's change is seen all the same."""
    (directory / "view.db").write_text("more")
    (directory / "attachments").mkdir()
    (directory / "view.db").rename(directory / "view.db.new")
    (directory / "view.db.new").unlink()
    assert seen(watch) == set()
    (directory / "attachments/own").write_text("x")
    assert seen(watch) == set()
    elsewhere(directory, "echo x > attachments/theirs")
    assert ("attachments/theirs", "created") in seen(watch)


def test_own_changes_that_nobody_reads_cost_nothing_and_hide_nothing(directory: Path, watch: DirectoryWatch) -> None:
    """Twenty thousand own writes, more than the kernel's queue has places, are added up; a foreign one among them is told."""
    with (directory / "view.db").open("ab", buffering=0) as file:
        for number in range(20_000):
            file.write(b"x")
            if number == 10_000:
                elsewhere(directory, "echo x >> keys/node.key")
    assert seen(watch) == {("keys/node.key", "modified")}


def test_events_that_the_kernel_drops_are_told_as_such(directory: Path, watch: DirectoryWatch) -> None:
    """More different files than its queue takes: the names are lost, the fact is not."""
    many = "import os\nfor n in range(20_000): open(f'f{n}', 'x').close(); os.unlink(f'f{n}')"
    subprocess.run([sys.executable, "-c", many], cwd=directory, check=True)
    told = seen(watch)
    assert ("", "lost") in told
    assert ("f0", "created") in told


def test_an_unprivileged_node_can_tell_too(tmp_path: Path) -> None:
    """A process that runs as nobody sees others' changes and not its own, without any capability."""
    script = (
        "import os, subprocess, sys\n"
        "from pathlib import Path\n"
        "from nirantar.host.watching import DirectoryWatch\n"
        "place = Path(sys.argv[1])\n"
        "if os.getuid() == 0:\n"
        "    os.chown(place, 65534, 65534); os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "watch = DirectoryWatch(place)\n"
        "(place / 'own').write_text('x')\n"
        "assert watch.wait(0.2) == []\n"
        "subprocess.run(['sh', '-c', 'echo x > theirs'], cwd=place, check=True)\n"
        "print(sorted({each.path for each in watch.wait(1.0)}))\n"
    )
    place = Path("/tmp") / f"nirantar-watch-{os.getpid()}-{time.monotonic_ns()}"
    place.mkdir(mode=0o700)
    try:
        ran = subprocess.run(
            [sys.executable, "-B", "-c", script, str(place)], capture_output=True, text=True, check=False
        )
        assert (ran.stdout.strip(), ran.returncode) == ("['theirs']", 0), ran.stderr
    finally:
        for path in place.iterdir():
            path.unlink()
        place.rmdir()


def test_what_cannot_be_watched_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that is not there, and more directories than the bound, are refused with the reason."""
    with pytest.raises(SetupError, match="cannot be watched"):
        DirectoryWatch(tmp_path / "nowhere")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("nirantar.host.watching.WATCHED_DIRECTORIES_MAX", 2)
    with pytest.raises(SetupError, match="WATCHED_DIRECTORIES_MAX"):
        DirectoryWatch(tmp_path)
    assert limits.WATCHED_DIRECTORIES_MAX > 300
