"""What the port `Files` promises, on every host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from nirantar.errors import DirectoryInUse
from nirantar.host.port import Host
from nirantar.host.real import RealHost
from nirantar.host.simulated import SimulatedHost


@pytest.fixture(params=["real", "simulated"])
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    """Each host in turn."""
    if request.param == "real":
        yield RealHost()
    else:
        with SimulatedHost(seed=1) as simulated:
            yield simulated


@pytest.fixture
def place(host: Host, tmp_path: Path) -> Path:
    """An empty directory on the host's disk."""
    host.files.make_directory(tmp_path)
    return tmp_path


def test_what_a_crash_left_half_written_is_swept(host: Host, place: Path) -> None:
    """It is shown to nobody and goes; whole files stay, also those below, and a directory that is not there is none."""
    left = ".a.0123456789abcdef.partial"
    for name in ("a", left):
        host.files.append(place / name, b"half")
    host.files.make_directory(place / "below")
    host.files.append(place / "below" / left, b"half")
    assert list(host.files.walk(place)) == [place / "a"]
    host.files.sweep(place)
    host.files.sweep(place / "nothing")
    assert not host.files.exists(place / left)
    assert host.files.exists(place / "a")
    assert host.files.exists(place / "below" / left)


def test_put_new_creates(host: Host, place: Path) -> None:
    """A new file has exactly the bytes given, and nothing else appears beside it."""
    host.files.put_new(place / "a", b"one")
    assert host.files.read(place / "a") == b"one"
    assert host.files.size(place / "a") == 3
    assert list(host.files.walk(place)) == [place / "a"]


def test_put_new_never_overwrites(host: Host, place: Path) -> None:
    """A second put of a name is refused and the first one's bytes stay."""
    host.files.put_new(place / "a", b"one")
    with pytest.raises(FileExistsError):
        host.files.put_new(place / "a", b"two")
    assert host.files.read(place / "a") == b"one"


def test_put_new_refuses_a_directory_s_name(host: Host, place: Path) -> None:
    """A directory is not replaced by a file either."""
    host.files.make_directory(place / "a")
    with pytest.raises(FileExistsError):
        host.files.put_new(place / "a", b"one")


def test_put_new_needs_its_directory(host: Host, place: Path) -> None:
    """A missing directory is an error, not something that is made on the way."""
    with pytest.raises(FileNotFoundError):
        host.files.put_new(place / "missing" / "a", b"one")


def test_replace(host: Host, place: Path) -> None:
    """replace creates and replaces."""
    host.files.replace(place / "a", b"one")
    host.files.replace(place / "a", b"")
    assert host.files.read(place / "a") == b""
    assert list(host.files.walk(place)) == [place / "a"]


def test_append(host: Host, place: Path) -> None:
    """append creates, then adds at the end."""
    host.files.append(place / "a", b"one")
    host.files.append(place / "a", b"")
    host.files.append(place / "a", b"two")
    assert host.files.read(place / "a") == b"onetwo"


def test_identity_tells_a_file_from_its_copy(host: Host, place: Path) -> None:
    """The same file keeps its identity as it grows; a copy has another, also in the place of the original."""
    host.files.append(place / "a", b"one")
    identity = host.files.identity(place / "a")
    host.files.append(place / "a", b"two")
    assert host.files.identity(place / "a") == identity
    host.files.put_new(place / "b", host.files.read(place / "a"))
    assert host.files.identity(place / "b") != identity
    host.files.replace(place / "a", host.files.read(place / "a"))
    assert host.files.identity(place / "a") != identity


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (0, None, b"0123456789"),
        (3, None, b"3456789"),
        (3, 4, b"3456"),
        (8, 10, b"89"),
        (20, 5, b""),
        (0, 0, b""),
    ],
)
def test_read_ranges(host: Host, place: Path, start: int, length: int | None, expected: bytes) -> None:
    """A range stops at the end of the file without an error."""
    host.files.put_new(place / "a", b"0123456789")
    assert host.files.read(place / "a", start, length) == expected


def test_missing_files(host: Host, place: Path) -> None:
    """What is not there is FileNotFoundError for each operation that needs it, and False for exists."""
    missing = place / "missing"
    assert not host.files.exists(missing)
    for operation in (host.files.read, host.files.size, host.files.remove, host.files.identity):
        with pytest.raises(FileNotFoundError):
            operation(missing)
    assert list(host.files.walk(missing)) == []


def test_make_directory(host: Host, place: Path) -> None:
    """Parents are made, an existing directory is no error, a file in the way is."""
    host.files.make_directory(place / "a" / "b")
    host.files.make_directory(place / "a" / "b")
    assert host.files.exists(place / "a" / "b")
    host.files.put_new(place / "file", b"")
    with pytest.raises(FileExistsError):
        host.files.make_directory(place / "file")


def test_walk_is_in_the_order_of_whole_paths(host: Host, place: Path) -> None:
    """Vault keys are compared as strings, where "a-b" comes before "a/x"; `after` cuts that order anywhere."""
    names = ["a/x", "a-b", "a/y/z", "a.b", "b", "a/w"]
    for name in names:
        host.files.make_directory((place / name).parent)
        host.files.put_new(place / name, b"")
    expected = sorted((place / name for name in names), key=str)
    assert list(host.files.walk(place)) == expected
    for position, path in enumerate(expected):
        assert list(host.files.walk(place, after=path)) == expected[position + 1 :]
    assert list(host.files.walk(place, after=place / "a/wa")) == expected[3:]
    assert list(host.files.walk(place / "a", after=place / "b")) == []


def test_remove(host: Host, place: Path) -> None:
    """A removed name can be used again."""
    host.files.put_new(place / "a", b"one")
    host.files.remove(place / "a")
    assert not host.files.exists(place / "a")
    host.files.put_new(place / "a", b"two")


def test_lock_excludes_until_it_ends(host: Host, place: Path) -> None:
    """A held lock refuses a second holder, an ended one does not; ending by an error counts."""
    with suppress(KeyError), host.files.lock(place / "lock"):
        with pytest.raises(DirectoryInUse), host.files.lock(place / "lock"):
            pass
        raise KeyError
    with host.files.lock(place / "lock"):
        assert host.files.exists(place / "lock")


def test_free_bytes(host: Host, place: Path) -> None:
    """Room is known for a place that is not there yet as well."""
    assert host.files.free_bytes(place / "not" / "yet") > 0


def test_clocks_and_randomness(host: Host) -> None:
    """Time is after 2025 in microseconds, the monotonic clock never goes back, random bytes differ."""
    assert host.now_us() > 1_735_689_600_000_000
    assert host.monotonic_us() <= host.monotonic_us()
    assert len(host.random_bytes(16)) == 16
    assert host.random_bytes(16) != host.random_bytes(16)


def test_database_settings(host: Host, place: Path) -> None:
    """A writer's database is in WAL mode with 4 KiB pages and no enforced foreign keys."""
    connection = host.database(place / "a.db")
    connection.execute("CREATE TABLE t(a)")
    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("page_size") == 4096
    assert connection.pragma("foreign_keys") == 0
    connection.close()


def test_database_read_only(host: Host, place: Path) -> None:
    """A reader sees what was committed, cannot write, and does not create."""
    with pytest.raises(FileNotFoundError):
        host.database(place / "a.db", read_only=True)
    assert not host.files.exists(place / "a.db")
    writer = host.database(place / "a.db")
    writer.execute("CREATE TABLE t(a); INSERT INTO t VALUES (1)")
    if host.exclusive_databases:
        writer.close()
    reader = host.database(place / "a.db", read_only=True)
    assert reader.execute("SELECT a FROM t").get == 1
    with pytest.raises(apsw.ReadOnlyError):
        reader.execute("INSERT INTO t VALUES (2)")
    reader.close()
    writer.close()
