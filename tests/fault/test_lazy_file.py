"""A lazily filled database whose source, disk or maker fails: each failure in a sentence, nothing covered or lost."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import apsw
import pytest

from frozen_pages import PAGE_BYTES, FrozenPages
from journal_entries import NodeLog, granted, patient
from lazy_twins import Twins, content, frozen_image, prepared
from nirantar.errors import Damaged, NotHereYet, SetupError, Unavailable
from nirantar.host import lazy_pages
from nirantar.host.lazy_file import LazyFile
from nirantar.host.lazy_vfs import LazyVfsFile
from nirantar.host.real import RealHost
from nirantar.host.simulated import SimulatedHost
from nirantar.store.sqlite import SqliteView


@pytest.fixture
def source() -> FrozenPages:
    """What is to be filled in."""
    return FrozenPages(frozen_image())


def begin(place: Path, source: FrozenPages, name: str = "frozen") -> LazyFile:
    """The lazy file of a test."""
    return RealHost().lazy_database(place / "lazy.db", source, name)


def fill(file: LazyFile) -> None:
    """Bring everything."""
    while (page := file.next_absent(0)) is not None:
        file.bring(page)
    file.settle()


def test_only_what_is_read_is_fetched(source: FrozenPages, tmp_path: Path) -> None:
    """A look-up by key brings a few frames, not the file; what is here is not fetched again, in a later life neither."""
    file = begin(tmp_path, source)
    connection = file.connect()
    assert connection.execute("SELECT length(note) FROM chart WHERE id = 300").get
    fetched = len(source.fetched)
    assert fetched < 10
    assert (tmp_path / "lazy.db").stat().st_size == len(source.image)
    assert (tmp_path / "lazy.db").stat().st_blocks * 512 < len(source.image) // 4
    connection.close()
    file.close()
    file = begin(tmp_path, source)
    connection = file.connect(read_only=True)
    assert connection.execute("SELECT length(note) FROM chart WHERE id = 300").get
    assert len(source.fetched) == fetched
    connection.close()
    file.close()


def test_an_outage_is_told_as_such_and_ends(source: FrozenPages, tmp_path: Path) -> None:
    """While the vault is out of reach, what is here can be read, what is not says so; afterwards everything is there."""
    file = begin(tmp_path, source)
    connection = file.connect()
    here = "SELECT count(note) FROM chart WHERE id = 0"
    assert connection.execute(here).get == 1
    source.unreachable = True
    with pytest.raises(NotHereYet, match=r"not here yet.*vault cannot be reached") as told:
        connection.execute("SELECT sum(length(note)) FROM chart").fetchall()
    assert isinstance(told.value, Unavailable)
    assert connection.execute(here).get == 1
    absent = file.next_absent(0) or 0
    with pytest.raises(NotHereYet):
        file.bring(absent)
    with pytest.raises(NotHereYet):
        file.bring_many([0, absent])
    source.unreachable = False
    assert connection.execute("SELECT sum(length(note)) FROM chart").get
    connection.close()
    file.close()


def test_a_view_that_cannot_fetch_says_so(tmp_path: Path) -> None:
    """Through the view an outage is NotHereYet too, for readers and for the writer, whose batch goes on with others."""
    host, log = RealHost(), NodeLog("opd-1")
    first = SqliteView(host, tmp_path / "frozen.db", number_series={})
    first.use_grants(granted("opd-1"))
    first.begin()
    made = [log.put(patient(f"p{number}", address=[{"text": "x" * 500}])) for number in range(300)]
    for each in made:
        first.project(each.entry_index, each.leaf_hash, each.entry)
    first.commit()
    first.close()
    source = FrozenPages((tmp_path / "frozen.db").read_bytes(), frame_pages=1)
    file = host.lazy_database(tmp_path / "view.db", source, "frozen")
    view = SqliteView(host, tmp_path / "view.db", number_series={}, lazy=file)
    view.use_grants(granted("opd-1"))
    with view.reader() as state:
        assert state.read("Patient", "p7") is not None
        source.unreachable = True
        with pytest.raises(NotHereYet):
            state.read("Patient", "p250")
        assert state.read("Patient", "p7") is not None
    with pytest.raises(NotHereYet):
        view.shown("Patient", "p200")
    view.begin()
    view.savepoint()
    with pytest.raises(NotHereYet):
        for number in range(20):
            entry = log.put(patient(f"q{number}", address=[{"text": "far away" * 900}]))
            view.project(entry.entry_index, entry.leaf_hash, entry.entry)
    view.roll_back_member()
    source.unreachable = False
    view.commit()
    again = NodeLog("opd-1", made=list(log.made[:300])).put(patient("after"))
    view.begin()
    view.project(again.entry_index, again.leaf_hash, again.entry)
    view.commit()
    assert view.shown("Patient", "after") is not None
    with view.reader() as state:
        assert list(state.check_rows()) == []
    view.close()
    file.close()


def test_a_damaged_frame_is_never_stored(source: FrozenPages, tmp_path: Path) -> None:
    """What the source calls damaged stays absent, so that another source or a later try can still give it."""
    source.damaged = {100}
    file = begin(tmp_path, source)
    with pytest.raises(NotHereYet, match="damaged"):
        file.bring(101)
    absent = file.absent
    source.damaged = set()
    assert file.bring(101)
    assert file.absent == absent - 4
    file.close()


def test_threads_that_want_one_frame_fetch_it_once(source: FrozenPages, tmp_path: Path) -> None:
    """Ten threads ask for pages of one frame at once: one fetch; and an error of it reaches all of them."""
    source.seconds = 0.2
    file = begin(tmp_path, source)
    failures: list[NotHereYet] = []

    def ask(page: int) -> None:
        try:
            file.bring(page)
        except NotHereYet as failure:
            failures.append(failure)

    for fails in (True, False):
        source.unreachable = fails
        source.fetched.clear()
        threads = [Thread(target=ask, args=(80 + number % 4,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert source.fetched == [80]
        assert len(failures) == 10
    file.close()


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let the disk take nothing behind `size` bytes of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_reading_goes_on_where_the_disk_takes_no_more(source: FrozenPages, tmp_path: Path) -> None:
    """Pages that cannot be stored are read from the source all the same, and are not claimed to be here."""
    (tmp_path / "ordinary.db").write_bytes(source.image)
    ordinary = RealHost().database(tmp_path / "ordinary.db")
    expected = content(ordinary)
    ordinary.close()
    file = begin(tmp_path, source)
    connection = prepared(file.connect())
    with largest_file(200 * PAGE_BYTES):
        assert content(connection) == expected
        absent = file.absent
        assert absent >= source.page_count - 204
        assert file.bring(source.page_count - 1) is False
    assert content(connection) == expected
    assert file.absent == 0
    connection.close()
    file.close()


def test_many_pages_by_one_call(source: FrozenPages, tmp_path: Path) -> None:
    """Pages of the same frame are fetched once, those that are here not at all."""
    file = begin(tmp_path, source)
    file.bring(40)
    source.fetched.clear()
    assert file.bring_many([41, 60, 61, 100, 63])
    assert source.fetched == [60, 100]
    assert file.absent == source.page_count - 12
    file.close()


def test_another_image_is_refused(source: FrozenPages, tmp_path: Path) -> None:
    """A file that was begun from one image never goes on with another; nor does one with other pages begin."""
    begin(tmp_path, source, "first").close()
    with pytest.raises(Damaged, match="another image"):
        begin(tmp_path, source, "second")
    with pytest.raises(Damaged, match="another image"):
        begin(tmp_path, FrozenPages(source.image[:-PAGE_BYTES]), "first")
    source.page_size = 8192
    with pytest.raises(Damaged, match="8192 bytes"):
        RealHost().lazy_database(tmp_path / "other.db", source, "first")


@pytest.mark.parametrize("left", ["bitmap alone", "empty file", "old log"])
def test_a_beginning_that_was_cut_short_begins_again(source: FrozenPages, tmp_path: Path, left: str) -> None:
    """Whatever a death while beginning, or the removal of a damaged view, leaves behind: the file is filled from its
    image, and nothing of an earlier file's log gets into it."""
    begin(tmp_path, source).close()
    database = tmp_path / "lazy.db"
    if left == "bitmap alone":
        database.unlink()
    elif left == "empty file":
        database.write_bytes(b"")
    else:
        earlier = RealHost().lazy_database(database, source, "frozen")
        connection = earlier.connect()
        connection.execute("UPDATE step SET number = 99")
        log = Path(f"{database}-wal").read_bytes()
        connection.close()
        earlier.close()
        database.unlink()
        Path(f"{database}-wal").write_bytes(log)
    file = begin(tmp_path, source)
    connection = file.connect()
    assert connection.execute("SELECT number FROM step").get == 0
    fill(file)
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    connection.close()
    file.close()
    assert database.read_bytes() == source.image


def test_a_full_file_is_an_ordinary_one(source: FrozenPages, tmp_path: Path) -> None:
    """When the last page came the bitmap goes; open connections go on without a detour; a later start needs neither
    bitmap nor source."""
    file = begin(tmp_path, source)
    connection = prepared(file.connect())
    fill(file)
    assert (file.complete, file.absent, file.next_absent(0), file.bring(3)) == (True, 0, None, True)
    assert not (tmp_path / "lazy.db-pages").exists()
    source.unreachable = True
    reader = file.connect(read_only=True)
    assert reader.open_vfs.startswith("unix")
    connection.execute("UPDATE step SET number = 5")
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    assert reader.execute("SELECT number FROM step").get == 5
    for each in (reader, connection):
        each.close()
    file.close()
    assert begin(tmp_path, source).complete
    ordinary = RealHost().database(tmp_path / "lazy.db")
    assert ordinary.execute("SELECT number FROM step").get == 5
    ordinary.close()


def test_a_vacuum_that_shortens_the_file(source: FrozenPages, tmp_path: Path) -> None:
    """The file gets shorter than the image, and longer again later: what was cut off does not come back."""
    twins = Twins(tmp_path, source.image, 4)
    for connection in twins.both():
        connection.execute("DELETE FROM chart WHERE id > 100")
        connection.execute("VACUUM")
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    assert (tmp_path / "lazy.db").stat().st_size == (tmp_path / "ordinary.db").stat().st_size < len(source.image)
    twins.reopen()
    for connection in twins.both():
        connection.execute("INSERT INTO chart VALUES (9999, zeroblob(3000000))")
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    assert content(twins.lazy) == content(twins.ordinary)
    fill(begin_again(twins))
    twins.close()
    assert (tmp_path / "lazy.db").read_bytes() == (tmp_path / "ordinary.db").read_bytes()


def begin_again(twins: Twins) -> LazyFile:
    """The twins' file, as what it is."""
    assert isinstance(twins.file, LazyFile)
    return twins.file


def test_partial_writes_keep_the_rest_of_the_page(source: FrozenPages, tmp_path: Path) -> None:
    """A write into the middle of an absent page, and one over the edge of two, leaves the image's other bytes alone."""
    file = begin(tmp_path, source)
    begun = file.connect()
    flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READWRITE, 0]
    handle = LazyVfsFile(str(tmp_path / "lazy.db"), flags, file._pages)
    expected = bytearray(source.image)
    whole = (70 * PAGE_BYTES, bytes(PAGE_BYTES))
    for offset, data in ((50 * PAGE_BYTES + 7, b"middle"), (90 * PAGE_BYTES - 3, b"over the edge"), whole):
        handle.xWrite(data, offset)
        expected[offset : offset + len(data)] = data
        assert handle.xRead(len(data) + 20, offset - 10) == expected[offset - 10 : offset + len(data) + 10]
    handle.xClose()
    begun.close()
    fill(file)
    file.close()
    assert (tmp_path / "lazy.db").read_bytes() == expected


def test_the_bitmap_never_runs_ahead_of_the_file(
    source: FrozenPages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every block of the bitmap is written after an fsync of the file that began after its pages were stored: a machine
    that loses its power keeps no bit without its page. And SQLite's own sync returns with the bitmap durable."""
    file = begin(tmp_path, source)
    pages = file._pages
    stored: list[int] = []
    durable: set[int] = set()
    events: list[str] = []
    add, write = pages.presence.add, os.pwrite

    def added(page: int) -> None:
        add(page)
        stored.append(page)

    def synced(self: LazyVfsFile, flags: int) -> None:
        began = set(stored)
        apsw.VFSFile.xSync(self, flags)
        durable.update(began)
        events.append("file")

    def written(descriptor: int, block: bytes, offset: int) -> int:
        claimed = {number for number in range(source.page_count) if block[number >> 3] & 1 << (number & 7)}
        assert claimed <= durable
        events.append("bits")
        return write(descriptor, block, offset)

    def fdatasync(descriptor: int) -> None:
        os.fsync(descriptor)
        events.append("bitmap")

    monkeypatch.setattr(pages.presence, "add", added)
    monkeypatch.setattr(pages, "_file", Watched(pages._file, synced))
    monkeypatch.setattr(LazyVfsFile, "xSync", lambda self, flags: pages.sync(lambda: synced(self, flags)))
    monkeypatch.setattr(lazy_pages.os, "pwrite", written)
    monkeypatch.setattr(lazy_pages.os, "fdatasync", fdatasync)
    connection = prepared(file.connect())
    for number in range(20):
        connection.execute("UPDATE chart SET note = zeroblob(5000) WHERE id = ?", (number * 20,))
        if number % 4 == 3:
            events.clear()
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            assert events == ["file", "bits", "bitmap"]
        elif number % 2:
            file.bring(number * 10)
            file.settle()
    monkeypatch.undo()
    connection.close()
    file.close()


class Watched:
    """The file as the fill uses it, with its sync told."""

    def __init__(self, file: apsw.VFSFile, synced: object) -> None:
        self._file = file
        self._synced = synced

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        """Sync and tell."""
        self._synced(self._file, flags)  # type: ignore[operator]

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def test_a_simulated_machine_refuses(source: FrozenPages) -> None:
    """It has a VFS of its own; nobody shall believe that it fetched pages."""
    with SimulatedHost(seed=1) as host, pytest.raises(SetupError, match="page by page"):
        host.lazy_database(Path("/view.db"), source, "frozen")
