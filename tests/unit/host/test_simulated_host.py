"""The simulated machine does what it says it does to a program: otherwise every simulation above it proves nothing."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from nirantar.errors import DiskFull, FsyncFailed
from nirantar.host.simulated import START_US, SimulatedCrash, SimulatedExit, SimulatedHost

FILE = Path("/n/file")
DATABASE = Path("/n/journal.db")


def started(seed: int) -> SimulatedHost:
    """A machine with one durable directory."""
    host = SimulatedHost(seed)
    host.files.make_directory(FILE.parent)
    return host


def test_equal_seeds_are_equal_machines() -> None:
    """Bytes, clocks, file names and what survives a crash depend on the seed alone."""

    def run(seed: int) -> list[object]:
        host = started(seed)
        seen: list[object] = [host.random_bytes(8), host.now_us(), host.monotonic_us(), host.machine_id]
        host.disk.crash_at = host.disk.operations + 4
        with host.until_crash():
            host.files.put_new(FILE, bytes(range(256)) * 8)
        with host.reboot() as host:
            seen += [(str(path), host.files.read(path)) for path in host.disk.paths(Path("/"))]
        return seen

    assert [run(seed) for seed in range(20)] == [run(seed) for seed in range(20)]
    assert run(1) != run(2)


def test_the_wall_clock_can_be_set_back_and_the_monotonic_one_cannot() -> None:
    """A wrong battery moves the wall clock only."""
    with started(1) as host:
        before = host.monotonic_us()
        host.set_wall_us(START_US - 1_000_000)
        assert host.now_us() < START_US
        assert host.monotonic_us() > before
        host.advance(5_000_000)
        assert host.monotonic_us() >= before + 5_000_000


def test_put_new_is_all_or_nothing_at_every_crash_point() -> None:
    """After a crash in any step a new file is whole or absent, and it is there once put_new returned."""
    outcomes = set()
    for seed in range(30):
        for step in range(1, 8):
            host = started(seed)
            host.disk.crash_at = host.disk.operations + step
            returned = False
            with host.until_crash():
                host.files.put_new(FILE, b"x" * 2000)
                returned = True
            with host.reboot() as host:
                there = host.files.exists(FILE)
                assert not there or host.files.read(FILE) == b"x" * 2000
                assert there or not returned
                outcomes.add((there, returned))
    assert outcomes == {(False, False), (True, False), (True, True)}


def test_replace_leaves_the_old_or_the_new_at_every_crash_point() -> None:
    """A replaced file is never torn or missing."""
    outcomes = set()
    for seed in range(30):
        for step in range(1, 6):
            host = started(seed)
            host.files.put_new(FILE, b"old" * 500)
            host.disk.crash_at = host.disk.operations + step
            with host.until_crash():
                host.files.replace(FILE, b"new" * 900)
            with host.reboot() as host:
                outcomes.add(host.files.read(FILE))
    assert outcomes == {b"old" * 500, b"new" * 900}


def test_append_keeps_what_was_there_at_every_crash_point() -> None:
    """Old bytes are never lost or altered; new ones are there once append returned; a reboot keeps the identity."""
    for seed in range(30):
        for step in range(1, 4):
            host = started(seed)
            host.files.append(FILE, b"old" * 300)
            identity = host.files.identity(FILE)
            host.disk.crash_at = host.disk.operations + step
            returned = False
            with host.until_crash():
                host.files.append(FILE, b"new" * 300)
                returned = True
            with host.reboot() as host:
                content = host.files.read(FILE)
                assert content.startswith(b"old" * 300)
                assert not returned or content == b"old" * 300 + b"new" * 300
                assert host.files.identity(FILE) == identity


def test_a_lying_fsync_loses_what_was_promised() -> None:
    """With a disk that lies for a path, a file that was put "durably" is gone or torn for some seed, and only there."""
    lost = 0
    for seed in range(30):
        host = started(seed)
        host.disk.lies = lambda path: path.name.startswith(".file.")
        host.files.put_new(FILE, b"x" * 2000)
        host.files.put_new(FILE.with_name("other"), b"y" * 2000)
        with host.reboot() as host:
            assert host.files.read(FILE.with_name("other")) == b"y" * 2000
            lost += host.files.read(FILE) != b"x" * 2000
    assert 0 < lost < 30


def test_a_directory_that_was_not_fsynced_may_forget_its_names() -> None:
    """A directory whose fsync lies loses a file's name for some seed though the file itself was fsynced."""
    kept = []
    for seed in range(30):
        host = started(seed)
        host.disk.lies = lambda path: path == FILE.parent
        host.files.put_new(FILE, b"x")
        with host.reboot() as host:
            kept.append(host.files.exists(FILE))
    assert True in kept
    assert False in kept


def test_a_failed_fsync_is_fsync_failed_and_the_next_one_lies() -> None:
    """As on Linux: the bytes of the failed fsync never reach the disk though a later fsync succeeds."""
    host = started(1)
    connection = host.database(DATABASE)
    connection.pragma("synchronous", "full")
    connection.execute("CREATE TABLE t(a)")
    host.disk.fails = lambda path: path.name.startswith(".file.")
    with pytest.raises(FsyncFailed):
        host.files.put_new(FILE, b"x")
    assert not host.files.exists(FILE)
    host.disk.fails = lambda path: path.name.endswith("-wal")
    with pytest.raises(apsw.IOError):
        connection.execute("INSERT INTO t VALUES (1)")
    host.disk.fails = lambda path: False
    with host.reboot() as host:
        assert host.database(DATABASE).execute("SELECT count(*) FROM t").get == 0


def test_a_full_disk_refuses_and_goes_on_when_there_is_room() -> None:
    """ENOSPC is DiskFull for files and SQLITE_FULL for SQLite; nothing is half done; room makes both work again."""
    with started(1) as host:
        connection = host.database(DATABASE)
        connection.execute("CREATE TABLE t(a)")
        host.disk.capacity_bytes = host.disk.used_bytes
        assert host.files.free_bytes(FILE) == 0
        with pytest.raises(DiskFull):
            host.files.put_new(FILE, b"x")
        assert list(host.disk.paths(FILE.parent)) == [DATABASE, DATABASE.with_name("journal.db-wal")]
        with pytest.raises(apsw.FullError):
            connection.execute("INSERT INTO t VALUES (1)")
        host.disk.capacity_bytes += 100_000
        host.files.put_new(FILE, b"x")
        connection.execute("INSERT INTO t VALUES (2)")
        assert connection.execute("SELECT a FROM t").get == 2


def test_nothing_works_on_a_machine_without_power() -> None:
    """After the crash every operation of the old program crashes too: it cannot acknowledge anything."""
    host = started(1)
    connection = host.database(DATABASE)
    connection.execute("CREATE TABLE t(a)")
    host.disk.crash_at = host.disk.operations + 1
    with pytest.raises(SimulatedCrash):
        host.files.put_new(FILE, b"x")
    for attempt in (
        lambda: host.files.read(DATABASE),
        lambda: host.files.exists(FILE),
        lambda: host.files.put_new(FILE, b"x"),
        lambda: connection.execute("INSERT INTO t VALUES (1)"),
    ):
        with pytest.raises(SimulatedCrash):
            attempt()
    with host.reboot() as host:
        assert host.files.exists(FILE.parent)


def test_until_crash_hides_only_the_crash() -> None:
    """An error of a program on a running machine is not taken for a crash."""
    with started(1) as host:
        with pytest.raises(KeyError), host.until_crash():
            raise KeyError
        with host.until_crash():
            host.disk.die()
            raise KeyError


def test_exit_ends_the_program() -> None:
    """Host.exit is SimulatedExit with its reason, and the disk takes nothing afterwards."""
    host = started(1)
    with pytest.raises(SimulatedExit, match="fsync"):
        host.exit("fsync failed")
    with pytest.raises(SimulatedCrash):
        host.files.put_new(FILE, b"x")
    host.reboot().close()


def test_a_database_takes_one_connection() -> None:
    """The second connection is refused as busy after a simulated wait, and let in when the first is closed."""
    with started(1) as host:
        first = host.database(DATABASE)
        first.execute("CREATE TABLE t(a)")
        before = host.monotonic_us()
        with pytest.raises(apsw.BusyError):
            host.database(DATABASE)
        assert host.monotonic_us() > before
        first.close()
        assert host.database(DATABASE, read_only=True).execute("SELECT count(*) FROM t").get == 0


def test_a_reboot_keeps_the_machine_and_frees_its_locks() -> None:
    """Same machine id, clock going on, capacity kept, locks gone, other random bytes than before."""
    host = started(1)
    machine, drawn, wall = host.machine_id, host.random_bytes(8), host.now_us()
    host.disk.capacity_bytes = 1_000_000
    with host.files.lock(FILE.with_name("lock")), host.reboot() as rebooted:
        assert rebooted.machine_id == machine
        assert rebooted.now_us() > wall
        assert rebooted.random_bytes(8) != drawn
        assert rebooted.disk.capacity_bytes == 1_000_000
        with rebooted.files.lock(FILE.with_name("lock")):
            pass
