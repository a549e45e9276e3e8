"""A database that is filled page by page behaves as one that was here from the start, whatever happens in between."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from threading import Event, Thread

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazy_twins import Twins, change, content, frozen_image
from nirantar.errors import NotHereYet

STEPS = ("change", "change", "change", "checkpoint", "read", "fill", "settle", "reopen", "outage", "undo")


def undo(connection: apsw.Connection, random: Random) -> None:
    """A batch of which one member is undone."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO chart SELECT max(id) + 1, zeroblob(9000) FROM chart")
    connection.execute("SAVEPOINT member")
    connection.execute("DELETE FROM chart WHERE id > ?", (random.randrange(400),))
    connection.execute("ROLLBACK TO member")
    connection.execute("RELEASE member")
    connection.execute("COMMIT")


def outage(twins: Twins, random: Random) -> None:
    """The source fails in the middle of a batch: the member that met it is undone, the rest of the batch is kept."""
    twins.lazy.execute("BEGIN IMMEDIATE")
    twins.lazy.execute("UPDATE step SET number = number + 1000")
    twins.lazy.execute("SAVEPOINT member")
    twins.source.unreachable = True
    undone = False
    try:
        for _ in range(5):
            key = random.randrange(800)
            twins.lazy.execute("DELETE FROM chart WHERE id BETWEEN ? AND ?", (key, key + 50))
            twins.lazy.execute("INSERT OR REPLACE INTO chart VALUES (?, zeroblob(30000))", (key,))
    except NotHereYet:
        undone = True
    twins.source.unreachable = False
    assert not twins.lazy.get_autocommit(), "only the member is undone, not the batch"
    twins.lazy.execute("ROLLBACK TO member")
    twins.lazy.execute("RELEASE member")
    twins.lazy.execute("COMMIT")
    with twins.ordinary:
        twins.ordinary.execute("UPDATE step SET number = number + 1000")
    assert undone or twins.file.absent < twins.source.page_count


def take(twins: Twins, step: str, seed: int) -> None:
    """One step on both."""
    if step == "change":
        for connection in twins.both():
            change(connection, Random(seed), seed)
    elif step == "undo":
        for connection in twins.both():
            undo(connection, Random(seed))
    elif step == "checkpoint":
        for connection in twins.both():
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    elif step == "read":
        key = seed % 400
        found, expected = (each.execute("SELECT note FROM chart WHERE id = ?", (key,)).get for each in twins.both())
        assert found == expected
    elif step == "fill":
        page = twins.file.next_absent(seed % twins.source.page_count)
        assert page is None or twins.file.bring(page)
    elif step == "settle":
        twins.file.settle()
    elif step == "reopen":
        twins.reopen()
    else:
        outage(twins, Random(seed))


def fill(twins: Twins) -> None:
    """Bring everything that is absent."""
    page = 0
    while (found := twins.file.next_absent(page)) is not None:
        assert twins.file.bring(found)
        page = found
    twins.file.settle()


@given(
    steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 2**32)), max_size=25),
    frame_pages=st.sampled_from([1, 3, 16]),
)
@settings(max_examples=40, deadline=None)
def test_any_order_of_steps_gives_what_an_ordinary_database_gives(
    steps: list[tuple[str, int]], frame_pages: int
) -> None:
    """Whatever is written, read, fetched, synced, undone or interrupted, in any order: equal rows, a whole file, and
    in the end the same bytes page by page, and no bitmap."""
    with TemporaryDirectory() as place:
        twins = Twins(Path(place), frozen_image(), frame_pages)
        for step, seed in steps:
            take(twins, step, seed)
        fill(twins)
        assert twins.file.complete
        assert content(twins.lazy) == content(twins.ordinary)
        twins.close()
        assert sorted(each.name for each in Path(place).iterdir()) == ["lazy.db", "ordinary.db"]
        if "outage" not in dict(steps):  # what an undone member leaves in free pages is nobody's
            assert (Path(place) / "lazy.db").read_bytes() == (Path(place) / "ordinary.db").read_bytes()


@pytest.mark.parametrize("seed", range(4))
def test_readers_and_the_fill_in_other_threads(tmp_path: Path, seed: int) -> None:
    """While one thread writes and moves the log, three read and one fills: no reader ever sees a row that is torn, old
    pages never cover newer ones, and the whole file is right in the end."""
    twins = Twins(tmp_path, frozen_image(), frame_pages=5)
    twins.source.seconds = 0.001
    over, failures = Event(), list[BaseException]()

    def look(number: int) -> None:
        random = Random(number)
        try:
            connection = twins.file.connect(read_only=True)
            connection.pragma("cache_size", 5)
            while not over.is_set():
                with suppress(apsw.BusyError):
                    connection.execute("BEGIN")
                    first = connection.execute("SELECT number FROM step").get
                    key = random.randrange(800)
                    connection.execute("SELECT note FROM chart WHERE id BETWEEN ? AND ?", (key, key + 40)).fetchall()
                    assert connection.execute("SELECT number FROM step").get == first
                    connection.execute("ROLLBACK")
            assert connection.execute("PRAGMA quick_check").get == "ok"
            connection.close()
        except BaseException as failure:  # noqa: BLE001 - told by the test's own thread
            failures.append(failure)

    def bring_all() -> None:
        try:
            fill(twins)
        except BaseException as failure:  # noqa: BLE001 - the same
            failures.append(failure)

    threads = [Thread(target=look, args=(number,)) for number in range(3)]
    filler = Thread(target=bring_all)
    for thread in (*threads, filler):
        thread.start()
    for number in range(40):
        for connection in twins.both():
            change(connection, Random(seed * 1000 + number), number)
        if number % 3 == 0:
            twins.lazy.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    filler.join()
    over.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert twins.file.complete
    assert content(twins.lazy) == content(twins.ordinary)
    twins.close()
