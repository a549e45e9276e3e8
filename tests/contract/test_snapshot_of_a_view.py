"""A snapshot is the view of one moment, whatever happens meanwhile: writing, readers, moves of the log, restarts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Event, Thread

import pytest

from journal_entries import NodeLog, granted, observation, patient
from nirantar.app.node import Node
from nirantar.host.real import RealHost
from nirantar.interactions.operations import create
from nirantar.interactions.transaction import Purpose
from nirantar.store.sqlite import SqliteView
from nirantar.store.sqlite_freezing import FrozenSqliteView
from node_at_hand import CALLER, found_site, opened
from node_at_hand import patient as person
from node_snapshots import newest, require_right, snapshotter_of, without_a_clock


@contextmanager
def written_to(node: Node, threads: int = 3) -> Iterator[None]:
    """Desks that write and read without a pause."""
    stop, numbers = Event(), count()

    def work() -> None:
        while not stop.is_set():
            node.doors.transact(CALLER, (create(person(next(numbers))),), Purpose("test"))
            with node.view.reader() as state:
                state.counts()

    workers = [Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        stop.set()
        for worker in workers:
            worker.join()


def test_a_snapshot_under_load_is_the_view_of_one_moment(tmp_path: Path) -> None:
    """Six snapshots while three desks write and the log is moved every twenty pages: each is a whole database with the
    digest that its manifest and the log name. Then nothing is written, and no further one is taken."""
    site = without_a_clock(found_site(tmp_path))
    with opened(site) as node:
        node.start()
        node.view.write_ahead_log.pages_max = 20
        snapshotter = snapshotter_of(node)
        for number in range(6):
            with written_to(node):
                snapshotter.step()
            assert snapshotter.status().trouble is None
            manifest = newest(node)
            assert manifest.serial == number + 1
            require_right(site, node, manifest, tmp_path)
        snapshotter.step()
        last = snapshotter.status().serial
        snapshotter.step()
        assert snapshotter.status().serial == last
        assert snapshotter.status().stored_in == 1


def test_the_next_one_after_a_restart_is_a_difference(tmp_path: Path) -> None:
    """What changed is told by the pages' hashes: few new bytes, the old packs are still used, and it is right."""
    site = without_a_clock(found_site(tmp_path))
    with opened(site) as node:
        node.start()
        for number in range(150):
            node.doors.transact(CALLER, (create(person(number)),), Purpose("test"))
        snapshotter_of(node).step()
        first = newest(node)
    with opened(site) as node:
        node.start()
        node.doors.transact(CALLER, (create(person(1_000)),), Purpose("test"))
        snapshotter_of(node).step()
        second = newest(node)
        assert second.serial == first.serial + 1
        assert first.contents.packs[0] in second.contents.packs
        assert second.contents.keys == first.contents.keys
        assert second.contents.new_bytes < first.contents.new_bytes
        require_right(site, node, second, tmp_path)


def test_without_what_was_kept_the_next_one_is_full(tmp_path: Path) -> None:
    """The state lost or damaged: a full snapshot under a new key, with a serial that was never used."""
    site = without_a_clock(found_site(tmp_path))
    for number in range(3):
        with opened(site) as node:
            node.start()
            node.doors.transact(CALLER, (create(person(number)),), Purpose("test"))
            snapshotter_of(node).step()
            manifest = newest(node)
            assert (manifest.serial, manifest.contents.epoch) == (number + 1, number + 1)
            assert len(manifest.contents.packs) == 1
            require_right(site, node, manifest, tmp_path)
        state = site.directory / "snapshot" / "last.state"
        assert state.stat().st_mode & 0o777 == 0o600
        if number:
            state.unlink()
        else:
            state.write_bytes(state.read_bytes()[:-1] + b"?")


@pytest.fixture
def view(tmp_path: Path) -> Iterator[SqliteView]:
    """An empty view on the real disk, whose log is moved often."""
    made = SqliteView(RealHost(), tmp_path / "view.db", number_series={})
    made.use_grants(granted("opd-1"))
    made.write_ahead_log.pages_max = 30
    yield made
    made.close()


def fold(view: SqliteView, log: NodeLog, numbers: range) -> None:
    """A chart for each number, in one batch."""
    view.begin()
    for number in numbers:
        made = log.put(patient(f"p{number}"), *(observation(f"o{number}-{each}", f"p{number}") for each in range(4)))
        view.project(made.entry_index, made.leaf_hash, made.entry)
    view.commit()


def frozen(view: SqliteView) -> FrozenSqliteView:
    """The view's present moment."""
    moment = view.freezing()
    moment.freeze()
    return moment


def pages_of(moment: FrozenSqliteView) -> list[bytes]:
    """Every page."""
    pages = [moment.read_page(number) for number in range(moment.page_count)]
    moment.require_held()
    return pages


def test_the_digest_settles_step_by_step(view: SqliteView) -> None:
    """Any number of patients at a time: after each step the stored tree is right as far as it goes and the digest is
    what all rows give; and it is told when so little is left that one more step does it."""
    log = NodeLog("opd-1")
    fold(view, log, range(50))
    left = []
    while not left or left[-1]:
        left.append(view.settle_some(20))
        with view.reader() as state:
            assert state.view_digest() == state.computed_view_digest()
            assert list(state.check_rows()) == []
    assert left == [21, 10, 0]
    fold(view, log, range(50, 53))
    with view.reader() as state:
        digest = state.view_digest()
    assert (view.settle_some(20), view.settle_digest()) == (0, digest)


def test_a_moment_holds_while_others_write(view: SqliteView) -> None:
    """The same pages before and after hundreds of commits and moves of the log, whether the moment found its log moved
    or not; its file read again gives the moment's digest."""
    log = NodeLog("opd-1")
    for number in range(0, 60, 3):
        fold(view, log, range(number, number + 3))
        if number % 2:
            view.write_ahead_log.move()
        moment = frozen(view)
        before, digest = pages_of(moment), moment.state().view_digest()
        for later in range(3):
            fold(view, log, range(1_000 + number * 10 + later, 1_001 + number * 10 + later))
        assert pages_of(moment) == before
        assert moment.state().view_digest() == digest
        moment.close(kept=True)


def test_the_log_is_moved_beside_the_writer(view: SqliteView) -> None:
    """What gathered while a moment was held: nothing is moved for a short log; afterwards the next moment is right,
    whether something was written in between or not."""
    log, number = NodeLog("opd-1"), count()
    assert view.move_log() is None
    for written_in_between in (False, True, False):
        moment = frozen(view)
        for _ in range(20):
            fold(view, log, range(each := next(number), each + 1))
        moment.close(kept=True)
        assert view.write_ahead_log.frames > view.write_ahead_log.pages_max
        moved = view.move_log()
        assert moved is not None
        assert moved[1] == moved[2] == view.write_ahead_log.frames
        if written_in_between:
            fold(view, log, range(each := next(number), each + 1))
        view.log_moved(moved)
        next_moment = frozen(view)
        before, digest = pages_of(next_moment), next_moment.state().view_digest()
        fold(view, log, range(each := next(number), each + 1))
        assert pages_of(next_moment) == before
        assert next_moment.state().view_digest() == digest
        next_moment.close(kept=True)
    view.write_ahead_log.move()
    assert view.write_ahead_log.frames > 0


def test_no_changed_page_is_missed(view: SqliteView) -> None:
    """Growing, freeing pages, using them again and shrinking: every page that differs from the moment before, or was
    not there, is told; and most others are not."""
    log, known = NodeLog("opd-1"), list[bytes]()
    told = different = 0

    def free() -> None:
        view.forget_all()
        nonlocal log
        log = NodeLog("opd-1")

    def shrink() -> None:
        view._connection.execute("VACUUM")

    steps = [
        lambda: fold(view, log, range(40)), lambda: fold(view, log, range(40, 42)), free,
        lambda: fold(view, log, range(20)), shrink, lambda: fold(view, log, range(20, 60)), lambda: None,
        lambda: fold(view, log, range(60, 61)),
    ]
    for number, step in enumerate(steps):
        step()
        moment = frozen(view)
        pages, changed = pages_of(moment), moment.changed
        if number == 0:
            assert changed is None
        else:
            assert changed is not None
            flagged = {page for page, flag in enumerate(changed) if flag}
            differing = {page for page, data in enumerate(pages) if page >= len(known) or known[page] != data}
            assert differing <= flagged, f"step {number} missed {sorted(differing - flagged)}"
            told, different = told + len(flagged), different + len(differing)
        known = pages
        moment.close(kept=True)
    assert told < 3 * different


def test_what_was_not_kept_is_told_again(view: SqliteView) -> None:
    """A snapshot that was given up takes nothing away from the next."""
    log = NodeLog("opd-1")
    fold(view, log, range(5))
    frozen(view).close(kept=True)
    fold(view, log, range(5, 10))
    given_up = frozen(view)
    changed = given_up.changed
    given_up.close(kept=False)
    again = frozen(view)
    assert changed is not None
    assert again.changed is not None
    assert {page for page, flag in enumerate(changed) if flag} <= {
        page for page, flag in enumerate(again.changed) if flag
    }
    again.close(kept=True)
    unknown = view.freezing()
    unknown.close(kept=True)


def test_a_log_that_a_crash_left_is_taken_in(tmp_path: Path) -> None:
    """A copy of the files of a view that was never closed: its first moment is that of the last commit."""
    one = SqliteView(RealHost(), tmp_path / "view.db", number_series={})
    one.use_grants(granted("opd-1"))
    fold(one, NodeLog("opd-1"), range(30))
    (tmp_path / "copy").mkdir()
    for name in ("view.db", "view.db-wal"):
        (tmp_path / "copy" / name).write_bytes((tmp_path / name).read_bytes())
    digest = one.settle_digest()
    one.close()
    other = SqliteView(RealHost(), tmp_path / "copy" / "view.db", number_series={})
    moment = frozen(other)
    assert moment.changed is None
    assert moment.state().view_digest() == digest
    (tmp_path / "again.db").write_bytes(b"".join(pages_of(moment)))
    moment.close(kept=True)
    other.close()
    again = SqliteView(RealHost(), tmp_path / "again.db", number_series={})
    with again.reader() as state:
        assert state.computed_view_digest() == digest
    again.close()
