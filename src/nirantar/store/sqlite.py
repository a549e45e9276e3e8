"""The view in SQLite: one writing connection, and a bounded pool of readers that never wait for it.

WAL gives each reader the state as of its first read. `synchronous` is NORMAL: a crash of the machine may lose the
last commits of the view, never its consistency, and what is missing is folded again from the journal at start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, LifoQueue
from threading import Lock

import apsw

from nirantar import limits
from nirantar.errors import DiskFull, FsyncFailed, Overloaded, Unavailable
from nirantar.fold.grants import Grant
from nirantar.host.database_files import database_files
from nirantar.host.database_pages import DatabasePages
from nirantar.host.port import Host, LazyDatabase
from nirantar.host.pragmas import set_pragma
from nirantar.host.write_ahead_log import WriteAheadLog
from nirantar.journal.entry import Entry
from nirantar.store.disk_errors import translated
from nirantar.store.port import StoredVersion
from nirantar.store.projector import NO_OUTLINES, Outlines
from nirantar.store.schema import LAYOUT, empty, set_up
from nirantar.store.sqlite_ahead import AheadOfFold
from nirantar.store.sqlite_digest import settle, stale_subjects
from nirantar.store.sqlite_freezing import FrozenSqliteView
from nirantar.store.sqlite_reading import SqliteReader
from nirantar.store.sqlite_writing import Writer


@contextmanager
def view_as_it_is(host: Host, path: Path) -> Iterator[SqliteReader | None]:
    """One consistent state of the view in `path`, which a node may be serving: nothing is written to it. None where
    there is none of the present layout; a node folds it anew. Raises Damaged where the file is not a view."""
    if not host.files.exists(path):
        yield None
        return
    with translated():
        connection = host.database(path, read_only=True)
    try:
        with translated():
            outdated = connection.pragma("user_version") != LAYOUT
        if outdated:
            yield None
            return
        set_up(connection, limits.READER_CACHE_BYTES, writer=False)
        with translated():
            connection.execute("BEGIN")
        state = SqliteReader(connection)
        try:
            yield state
        finally:
            state.close()
    finally:
        connection.close()


class SqliteView:
    """A View in the file `path`, made if it is not there; of another layout, emptied (positions say so).

    `number_series` declares which identifiers carry issued numbers: identifier system -> series ("uhid").
    `readers` is how many may be out at once. On a host that allows one connection there are none: reads go through
    the writer's connection, between batches and in its thread only.
    `lazy` is the same file where a recovery is still filling it; the giver closes it after the view. Until it is
    complete, whatever reads may raise NotHereYet.
    Raises Damaged where the file is no database, DiskFull and FsyncFailed as the disk does.
    """

    def __init__(
        self, host: Host, path: Path, *, number_series: Mapping[str, str], readers: int = limits.READERS_MAX,
        lazy: LazyDatabase | None = None,
    ) -> None:
        self._host = host
        self._path = path
        self._lazy = lazy
        self._grants: Mapping[str, Grant] = {}
        with translated():
            self._connection = self._connect()
        try:
            set_up(self._connection, limits.VIEW_CACHE_BYTES, writer=True)
            pages = None if host.exclusive_databases else DatabasePages(path)
            self.write_ahead_log = WriteAheadLog(self._connection, limits.VIEW_WAL_PAGES_MAX, translated(), pages)
            with self._at_disk():
                self.write_ahead_log.watch()
        except BaseException:
            self._connection.close()
            raise
        self._writer = Writer(self._connection, number_series)
        self._uncommitted = SqliteReader(self._connection)
        self._idle: LifoQueue[apsw.Connection | None] = LifoQueue()
        self._readers = 0 if host.exclusive_databases else readers
        for _ in range(self._readers):
            self._idle.put(None)
        self._closing = Lock()
        self._closed = False
        self._showing = Lock()
        self._shown: SqliteReader | None = None

    def begin(self) -> None:
        """See the port."""
        self._execute("BEGIN IMMEDIATE")

    def savepoint(self) -> None:
        """See the port."""
        self._execute("SAVEPOINT member")

    def release(self) -> None:
        """See the port."""
        self._execute("RELEASE member")

    def roll_back_member(self) -> None:
        """See the port. Raises DiskFull where SQLite has already undone the whole batch for want of space."""
        self._writer.forget_caches()
        self._uncommitted.close()
        if self._connection.get_autocommit():
            raise DiskFull("The disk of the view is full: the whole batch is undone. Free some space.")
        self._execute("ROLLBACK TO member")
        self._execute("RELEASE member")

    def commit(self) -> None:
        """See the port."""
        self._uncommitted.close()
        self._execute("COMMIT")
        with self._at_disk():
            self.write_ahead_log.settle()

    def roll_back(self) -> None:
        """See the port. Nothing to do where SQLite has undone the batch by itself, or none was begun."""
        self._writer.forget_caches()
        self._uncommitted.close()
        if not self._connection.get_autocommit():
            self._execute("ROLLBACK")

    def project(
        self, entry_index: int, leaf_hash: bytes, entry: Entry, outlines: Outlines = NO_OUTLINES
    ) -> None:
        """See the port."""
        self._require_batch()
        with self._at_disk():
            self._writer.project(entry_index, leaf_hash, entry, self._grants, outlines)

    def skip(self, origin: str, entry_index: int, leaf_hash: bytes, why: str) -> None:
        """See the port."""
        self._require_batch()
        with self._at_disk():
            self._writer.skip(origin, entry_index, leaf_hash, why)

    def uncommitted(self) -> SqliteReader:
        """See the port."""
        return self._uncommitted

    @contextmanager
    def reader(self) -> Iterator[SqliteReader]:
        """See the port. Waits while all readers are out; Overloaded after READER_WAIT_SECONDS_MAX."""
        if not self._readers:
            if not self._connection.get_autocommit():
                raise AssertionError("without readers, reads wait for the end of the batch")
            yield self._uncommitted
            return
        connection = self._borrow()
        try:
            with translated():
                connection.execute("BEGIN")
            state = SqliteReader(connection)
            try:
                yield state
            finally:
                state.close()
                if not connection.get_autocommit():
                    connection.execute("ROLLBACK")
        finally:
            self._give_back(connection)

    def shown(self, type: str, id: str) -> StoredVersion | None:
        """See the port. One statement, so it needs no transaction; all such reads take turns on one connection."""
        if not self._readers:
            with self.reader() as state:
                return state.read(type, id)
        with self._showing:
            if self._closed:
                raise Unavailable("The view is closed: this node is stopping.")
            if self._shown is None:
                self._shown = SqliteReader(self._open_reader())
            return self._shown.read(type, id)

    def ahead(self, threads: int) -> AheadOfFold:
        """What reads ahead of a fold; on a host that allows one connection there is none (AssertionError)."""
        if not self._readers:
            raise AssertionError("reading ahead needs connections of its own")
        return AheadOfFold(self._open_reader, threads)

    def use_grants(self, grants: Mapping[str, Grant]) -> None:
        """See the port."""
        self._grants = dict(grants)

    def forget_all(self) -> None:
        """See the port. A transaction of its own, unless one is open."""
        self._writer.forget_caches()
        self._uncommitted.close()
        own = self._connection.get_autocommit()
        if own:
            self.begin()
        with translated():
            empty(self._connection)
        if own:
            self.commit()

    def settle_digest(self) -> bytes:
        """Write the digest's tree up to date, in a transaction of its own, and return the digest.

        Without it `view_digest` is right too, but hashes again at every call whatever changed since the last one.
        """
        self.begin()
        try:
            with translated():
                digest = settle(self._connection.cursor())
        except BaseException:
            self.roll_back()
            raise
        self.commit()
        return digest

    def settle_some(self, subjects_max: int) -> int:
        """See the port's FreezableView."""
        self.begin()
        try:
            with translated():
                settle(self._connection.cursor(), subjects_max)
                left = stale_subjects(self._connection.cursor(), subjects_max + 1)
        except BaseException:
            self.roll_back()
            raise
        self.commit()
        return left

    def move_log(self) -> tuple[int, int, int] | None:
        """See the port's FreezableView. After FsyncFailed the view's file is gone, and the process must exit."""
        times_begun = self.write_ahead_log.times_begun
        if self.write_ahead_log.frames_to_move < self.write_ahead_log.pages_max // 2:
            return None
        with self._at_disk():
            connection = self._connect()
            try:
                set_pragma(connection, "synchronous", 1)
                set_pragma(connection, "wal_autocheckpoint", 0)
                return times_begun, *connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            finally:
                connection.close()

    def log_moved(self, moved: tuple[int, int, int]) -> None:
        """See the port's FreezableView."""
        self.write_ahead_log.moved_beside(*moved)

    def freezing(self) -> FrozenSqliteView:
        """See the port's FreezableView. On a host that allows one connection there is none (AssertionError)."""
        return FrozenSqliteView(self._open_reader(), self.settle_digest, self.write_ahead_log)

    def close(self) -> None:
        """See the port. Readers that are out close when they come back."""
        with self._closing, self._showing:
            self._closed = True
            if self._shown is not None:
                self._shown.close_connection()
                self._shown = None
        while True:
            try:
                connection = self._idle.get_nowait()
            except Empty:
                break
            if connection is not None:
                connection.close()
        self._uncommitted.close()
        try:
            with self._at_disk():
                self.write_ahead_log.move()
        finally:
            self._connection.close()
            if self.write_ahead_log.pages is not None:
                self.write_ahead_log.pages.close()

    def _execute(self, sql: str) -> None:
        with self._at_disk():
            self._connection.execute(sql)

    @contextmanager
    def _at_disk(self) -> Iterator[None]:
        """Statements that write. After a failed fsync nobody knows what the file holds, so it is removed: the process
        ends, and the next start folds the view anew."""
        try:
            with translated():
                yield
        except FsyncFailed:
            for name in database_files(self._path):
                with suppress(OSError, FsyncFailed):
                    self._host.files.remove(name)
            raise

    def _require_batch(self) -> None:
        if self._connection.get_autocommit():
            raise AssertionError("entries are folded between begin and commit")

    def _borrow(self) -> apsw.Connection:
        try:
            connection = self._idle.get(timeout=limits.READER_WAIT_SECONDS_MAX)
        except Empty:
            raise Overloaded(
                f"All {self._readers} readers of the view (READERS_MAX) are busy; try again in a moment."
            ) from None
        if connection is not None:
            return connection
        try:
            return self._open_reader()
        except BaseException:
            self._idle.put(None)
            raise

    def _open_reader(self) -> apsw.Connection:
        with translated():
            connection = self._connect(read_only=True)
        try:
            set_up(connection, limits.READER_CACHE_BYTES, writer=False)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self, *, read_only: bool = False) -> apsw.Connection:
        if self._lazy is not None:
            return self._lazy.connect(read_only=read_only)
        return self._host.database(self._path, read_only=read_only)

    def _give_back(self, connection: apsw.Connection) -> None:
        with self._closing:
            if not self._closed:
                self._idle.put(connection)
                return
        connection.close()
