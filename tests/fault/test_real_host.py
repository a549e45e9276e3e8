"""The real host against a real kernel: refusing disks, dead processes, failed fsyncs (strace makes them fail)."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from nirantar.errors import Damaged, DirectoryInUse, SetupError, VaultUnavailable
from nirantar.host.pragmas import set_pragma
from nirantar.host.real import EXIT_BROKEN_PROMISE, RealHost
from nirantar.vault.directory import DirectoryVault

PRELUDE = """
import sys
from pathlib import Path
from nirantar.errors import NirantarError
from nirantar.host.real import RealHost
from nirantar.vault.directory import DirectoryVault
place = Path(sys.argv[1])
host = RealHost()
def attempt(operation):
    try:
        operation()
        print("done", flush=True)
    except NirantarError as error:
        print(type(error).__name__, flush=True)
"""


def run(program: str, place: Path, *wrapper: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, by way of `wrapper`."""
    command = [*wrapper, sys.executable, "-c", PRELUDE + program, str(place)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def failing(call: str, error: str, first: int, place: Path) -> list[str]:
    """An strace that makes the `first`-th and every later `call` of a process fail with `error`."""
    log = str(place.parent / "strace.log")
    return [
        "strace",
        "-f",
        "-o",
        log,
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:error={error}:when={first}+",
    ]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty directory with room beside it."""
    directory = tmp_path / "place"
    directory.mkdir()
    return directory


def test_exit_ends_at_once_with_its_code() -> None:
    """exit runs no handler and no finally, prints the reason, and its code tells a service manager to restart."""
    done = run("try:\n    host.exit('the journal was not fsynced')\nfinally:\n    print('cleaned up')", Path("/"))
    assert done.returncode == EXIT_BROKEN_PROMISE == 70
    assert done.stdout == ""
    assert done.stderr == "nirantar: the journal was not fsynced\n"


def test_a_killed_process_lets_go_of_its_lock(place: Path) -> None:
    """While a process holds the lock another is refused; kill -9 frees it."""
    program = PRELUDE + "with host.files.lock(place / 'lock'):\n    print('held', flush=True)\n    sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(DirectoryInUse), RealHost().files.lock(place / "lock"):
            raise AssertionError("two processes hold one lock")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with RealHost().files.lock(place / "lock"):
        pass


@pytest.mark.parametrize("operation", ["put_new", "replace"])
def test_no_room_is_disk_full_and_leaves_nothing(place: Path, operation: str) -> None:
    """A file-size limit stands for a disk without room: DiskFull, no file, no half of one; less data then fits."""
    done = run(
        f"import resource\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        f"attempt(lambda: host.files.{operation}(place / 'a', b'x' * 20_000))\n"
        f"print(sorted(path.name for path in place.iterdir()))\n"
        f"attempt(lambda: host.files.{operation}(place / 'a', b'x' * 5_000))\n",
        place,
    )
    assert done.stdout.splitlines() == ["DiskFull", "[]", "done"], done.stderr


def test_an_append_without_room_adds_nothing(place: Path) -> None:
    """A line that does not fit is not half there: the next one begins where the last whole one ended."""
    done = run(
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "attempt(lambda: host.files.append(place / 'a', b'x' * 6_000))\n"
        "attempt(lambda: host.files.append(place / 'a', b'y' * 6_000))\n"
        "attempt(lambda: host.files.append(place / 'a', b'z' * 4_000))\n",
        place,
    )
    assert done.stdout.splitlines() == ["done", "DiskFull", "done"], done.stderr
    assert (place / "a").read_bytes() == b"x" * 6_000 + b"z" * 4_000


def test_a_file_restored_in_place_has_another_identity(place: Path) -> None:
    """Deleted and written again at once, a file often gets its old inode number: the generation still differs, on
    every file system that has one."""
    files = RealHost().files
    seen = set()
    for _ in range(5):
        files.append(place / "a", b"generation 1")
        seen.add(files.identity(place / "a"))
        files.remove(place / "a")
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("error", "first", "expected", "left"),
    [
        ("ENOSPC", 1, "DiskFull", []),
        ("EDQUOT", 1, "DiskFull", []),
        ("EIO", 1, "FsyncFailed", []),
        ("EIO", 2, "FsyncFailed", ["a"]),
        ("ENOSPC", 2, "FsyncFailed", ["a"]),
    ],
)
def test_a_failed_fsync(place: Path, error: str, first: int, expected: str, left: list[str]) -> None:
    """The first fsync is the file's, the second its directory's. A new file that found no room is gone and may be
    tried again; everything else that fsync refuses leaves the disk in an unknown state and is FsyncFailed."""
    program = "attempt(lambda: host.files.put_new(place / 'a', b'x'))"
    done = run(program, place, *failing("fsync", error, first, place))
    assert done.stdout.splitlines() == [expected], done.stderr
    assert sorted(path.name for path in place.iterdir()) == left


def test_a_vault_whose_fsync_failed_takes_nothing_more(place: Path) -> None:
    """fsync fails for a vault's directory, once. The object is there and a second attempt would be told "durable"
    by the kernel; the vault refuses instead, for this and every other object, until the node is started again."""
    program = (
        "vault = DirectoryVault(host, place)\n"
        "attempt(lambda: vault.put_new('a', b'x'))\n"
        "attempt(lambda: vault.put_new('a', b'x'))\n"
        "attempt(lambda: vault.put_new('b', b'x'))\n"
        "vault = DirectoryVault(host, place)\n"
        "attempt(lambda: vault.put_new('b', b'x'))\n"
    )
    strace = failing("fsync", "EIO", 2, place)
    strace[-1] = strace[-1].removesuffix("+")
    done = run(program, place, *strace)
    assert done.stdout.splitlines() == ["VaultUnavailable"] * 3 + ["done"], done.stderr


def test_a_vault_whose_disk_is_not_there_is_unavailable(tmp_path: Path) -> None:
    """An unmounted disk is not an empty vault: nothing is created in its place."""
    vault = DirectoryVault(RealHost(), tmp_path / "vault")
    for operation in (lambda: vault.put_new("a", b""), lambda: vault.get("a"), lambda: list(vault.list(""))):
        with pytest.raises(VaultUnavailable):
            operation()
    assert list(tmp_path.iterdir()) == []


def test_vault_objects_are_read_only_and_private(place: Path) -> None:
    """Mode 0440 for objects, 0750 for directories, whatever the umask."""
    vault = DirectoryVault.create(RealHost(), place / "vault")
    vault.put_new("opd-1/live/a", b"")
    modes = [
        stat.S_IMODE((place / "vault" / part).stat().st_mode) for part in ("", "opd-1", "opd-1/live", "opd-1/live/a")
    ]
    assert modes == [0o750, 0o750, 0o750, 0o440]


def test_half_written_files_are_not_listed(place: Path) -> None:
    """What a crash leaves beside objects is not one of them; nor is a symbolic link."""
    vault = DirectoryVault(RealHost(), place)
    vault.put_new("a", b"")
    (place / ".b.0011.partial").write_bytes(b"half")
    (place / "c").symlink_to(place / "a")
    (place / "LOST+FOUND").write_bytes(b"")
    assert list(vault.list("")) == ["a"]


def test_a_database_is_private_from_its_first_byte(place: Path) -> None:
    """Neither a database nor its WAL is readable by others: both hold patients."""
    connection = RealHost().database(place / "a.db")
    connection.execute("CREATE TABLE t(a)")
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()} == {
        "a.db": 0o600,
        "a.db-wal": 0o600,
        "a.db-shm": 0o600,
    }
    connection.close()


def test_a_file_that_is_no_database_is_damaged(place: Path) -> None:
    """An encrypted database says what is wrong with which file."""
    (place / "a.db").write_bytes(b"\x93" * 8192)
    with pytest.raises(Damaged, match=r"a\.db"):
        RealHost().database(place / "a.db")


def test_a_pragma_that_does_not_take_is_an_error(place: Path) -> None:
    """A database with other pages, and a pragma that does not exist, are not passed over."""
    connection = apsw.Connection(str(place / "a.db"))
    connection.execute("PRAGMA page_size=8192; CREATE TABLE t(a)")
    connection.close()
    with pytest.raises(SetupError, match="page_size"):
        RealHost().database(place / "a.db")
    with pytest.raises(SetupError, match="no_such_pragma"):
        set_pragma(apsw.Connection(":memory:"), "no_such_pragma", 1)


def test_the_machine_has_a_name_that_is_not_its_machine_id() -> None:
    """The id is stable, 64 hex digits, and does not give /etc/machine-id away."""
    name = RealHost().machine_id
    assert name == RealHost().machine_id
    assert len(bytes.fromhex(name)) == 32
    assert Path("/etc/machine-id").read_text().strip() not in name
