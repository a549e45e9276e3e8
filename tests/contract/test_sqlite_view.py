"""What the SQLite view promises beyond the port: readers in threads, damage found and named, a full disk, old layouts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from journal_entries import Made, NodeLog, granted, observation, organization, patient
from nirantar import limits
from nirantar.errors import Damaged, DiskFull, Finding, Overloaded
from nirantar.host.real import RealHost
from nirantar.store.sqlite import SqliteView, view_as_it_is


def open_view(path: Path, readers: int = limits.READERS_MAX) -> SqliteView:
    """A view in this file with grants for two nodes."""
    view = SqliteView(RealHost(), path, number_series={"urn:uhid": "uhid"}, readers=readers)
    view.use_grants(granted("opd-1", "ward-3"))
    return view


def fold(view: SqliteView, *entries: Made) -> None:
    """Fold entries as one batch."""
    view.begin()
    for made in entries:
        view.project(made.entry_index, made.leaf_hash, made.entry)
    view.commit()


def chart() -> list[Made]:
    """Two patients with observations, an update, a deletion, concurrent edits and a patient-less resource."""
    desk, ward = NodeLog("opd-1"), NodeLog("ward-3")
    return [
        desk.put(patient("a", gender="male", name=[{"family": "Rao"}]), observation("o1", "a"), organization("x")),
        desk.put(patient("b", identifier=[{"system": "urn:uhid", "value": "100000014"}]), idempotency_key="1" * 64),
        desk.put(observation("o1", "a", status="amended"), parents=["opd-1.0"]),
        desk.put(observation("o2", "b")),
        desk.delete("Observation", "o2", parents=["opd-1.3"]),
        ward.put(patient("a", gender="female"), parents=["opd-1.0"]),
        desk.put(patient("a", gender="other"), parents=["opd-1.0"]),
    ]


@pytest.fixture
def view(tmp_path: Path) -> Iterator[SqliteView]:
    """A view that holds `chart`, its digest half settled."""
    made = open_view(tmp_path / "view.db")
    entries = chart()
    fold(made, *entries[:3])
    made.settle_digest()
    fold(made, *entries[3:])
    yield made
    made.close()


def findings(view: SqliteView) -> list[Finding]:
    """What checking the rows finds."""
    with view.reader() as state:
        return list(state.check_rows())


def tamper(path: Path, sql: str) -> None:
    """Change the file behind the view's back."""
    connection = apsw.Connection(str(path))
    connection.execute(sql)
    connection.close()


def test_a_whole_view_has_no_findings(view: SqliteView) -> None:
    """The check accepts what the fold wrote, settled or not, and the computed digest is the stored one."""
    assert findings(view) == []
    with view.reader() as state:
        assert state.computed_view_digest() == state.view_digest()


TAMPERING = {
    "a resource's bytes": "UPDATE version SET resource = CAST(replace(CAST(resource AS TEXT), 'other', 'male') AS BLOB)",
    "an index row is missing": "DELETE FROM token_index WHERE code = 'amended'",
    "an index row too many": "INSERT INTO reference_index SELECT param_key, 'Patient/z', 1 FROM search_param LIMIT 1",
    "a string row is another": "UPDATE string_index SET value = 'word' WHERE value = 'ward'",
    "another version is shown": "UPDATE resource SET shown = (SELECT min(version_row) FROM version)",
    "the heads' count": "UPDATE resource SET heads = 1 WHERE heads = 2",
    "a head is left out": "DELETE FROM head WHERE version_row = (SELECT max(version_row) FROM head)",
    "a deletion mark": "UPDATE resource SET deleted = 1 WHERE id = 'b'",
    "a stored leaf": "UPDATE digest_leaf SET hash = zeroblob(32)",
    "a stored node": "UPDATE digest_node SET hash = zeroblob(32)",
    "a resource's row is gone": "DELETE FROM resource WHERE id = 'x'",
}


@pytest.mark.parametrize("sql", TAMPERING.values(), ids=TAMPERING.keys())
def test_tampering_is_found(view: SqliteView, tmp_path: Path, sql: str) -> None:
    """A change of any stored fact that is not carried through to all that follows from it is found."""
    tamper(tmp_path / "view.db", sql)
    assert findings(view)


def test_a_missing_search_row_names_its_resource(view: SqliteView, tmp_path: Path) -> None:
    """The finding says which resource, by type and id, and quotes nothing of it."""
    tamper(tmp_path / "view.db", TAMPERING["an index row is missing"])
    assert "Observation/o1" in {finding.where for finding in findings(view)}


REWRITES = {
    "a chart is altered": lambda log: log.put(patient("a", gender="male", name=[{"family": "Rap"}])),
    "another time": lambda log: log.put(patient("a", gender="male", name=[{"family": "Rao"}]), hlc="1790000001000009.0"),
    "other parents": lambda log: log.put(patient("a", gender="male", name=[{"family": "Rao"}]), parents=["opd-1.9"]),
    "a resource left out": lambda log: log.put(organization("z")),
    "a key left out": lambda log: log.put(patient("a", gender="male", name=[{"family": "Rao"}])),
}


@pytest.mark.parametrize("forge", REWRITES.values(), ids=REWRITES.keys())
def test_a_consistent_rewrite_is_found_against_a_fresh_fold(
    tmp_path: Path, forge: Callable[[NodeLog], Made]
) -> None:
    """A view folded from forged entries agrees with itself; compared with the journal's fold it does not."""
    log = NodeLog("opd-1")
    genuine = log.put(patient("a", gender="male", name=[{"family": "Rao"}]), idempotency_key="3" * 64)
    forged = forge(NodeLog("opd-1"))
    ours, fresh = open_view(tmp_path / "ours.db"), open_view(tmp_path / "fresh.db")
    fold(ours, Made(0, genuine.leaf_hash, forged.entry))
    fold(fresh, genuine)
    assert findings(ours) == []
    with ours.reader() as mine, fresh.reader() as theirs:
        found = list(mine.compare(theirs))
        assert found
        assert list(theirs.compare(theirs)) == []
    assert not any("Rap" in finding.what + finding.where for finding in found)
    ours.close()
    fresh.close()


def test_readers_see_one_state_while_the_writer_goes_on(view: SqliteView) -> None:
    """A reader keeps the state of its first read; a batch is invisible until it is committed, then to new readers."""
    log = NodeLog("opd-1")
    log.made.extend(made for made in chart() if made.entry.origin == log.origin)
    with view.reader() as before:
        counts = before.counts()
        fold(view, log.put(organization("new")))
        assert before.counts() == counts
        assert before.read("Organization", "new") is None
        with view.reader() as after:
            assert after.read("Organization", "new") is not None
    view.begin()
    made = log.put(organization("newer"))
    view.project(made.entry_index, made.leaf_hash, made.entry)
    assert view.uncommitted().read("Organization", "newer") is not None
    with view.reader() as state:
        assert state.read("Organization", "newer") is None
    view.roll_back()


def test_readers_are_bounded_and_shared_between_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More threads than readers all get their turn; one that waits too long for none to come back is told so."""
    view = open_view(tmp_path / "view.db", readers=2)
    fold(view, *chart())

    def read_often(_: int) -> set[int]:
        seen = set()
        for _ in range(50):
            with view.reader() as state:
                seen.add(sum(state.counts().values()))
        return seen

    with ThreadPoolExecutor(6) as threads:
        assert set().union(*threads.map(read_often, range(6))) == {4}
    monkeypatch.setattr(limits, "READER_WAIT_SECONDS_MAX", 0.01)
    with view.reader(), view.reader(), pytest.raises(Overloaded, match="READERS_MAX"), view.reader():
        pass
    view.close()


def test_an_unfinished_iterator_does_not_hold_its_reader(view: SqliteView) -> None:
    """Leaving a chart half read ends the reader's transaction all the same, and the next one sees new commits."""
    with view.reader() as state:
        assert next(state.compartment("b")).id == "b"
        assert next(state.unfolded(), None) is None
    log = NodeLog("opd-1")
    log.made.extend(made for made in chart() if made.entry.origin == log.origin)
    for _ in range(limits.READERS_MAX + 1):
        fold(view, log.put(organization("new")))
        with view.reader() as state:
            next(state.compartment("a"))
            assert state.read("Organization", "new") is not None


def test_a_full_disk_undoes_and_reading_goes_on(tmp_path: Path) -> None:
    """Where SQLite gets no more pages the batch ends in DiskFull; afterwards readers and smaller batches work."""
    view = open_view(tmp_path / "view.db")
    log = NodeLog("opd-1")
    fold(view, log.put(patient("a")))
    connection = view._connection
    pages = connection.pragma("page_count")
    connection.pragma("max_page_count", pages + 2)
    big = log.put(patient("b", name=[{"text": "n" * 100_000}]))
    log.made.pop()
    view.begin()
    view.savepoint()
    with pytest.raises(DiskFull):
        view.project(big.entry_index, big.leaf_hash, big.entry)
    view.roll_back()
    with view.reader() as state:
        assert state.counts() == {"Patient": 1}
    connection.pragma("max_page_count", pages + 1_000)
    fold(view, log.put(patient("c")))
    with view.reader() as state:
        assert state.counts() == {"Patient": 2}
    assert findings(view) == []
    view.close()


def test_another_layout_is_emptied(tmp_path: Path) -> None:
    """A view of another layout number opens empty, so that it is folded again; one of ours opens as it was."""
    path = tmp_path / "view.db"
    first = open_view(path)
    fold(first, *chart())
    first.close()
    again = open_view(path)
    with again.reader() as state:
        assert len(state.positions()) == 2
    again.close()
    tamper(path, "PRAGMA user_version = 999")
    emptied = open_view(path)
    with emptied.reader() as state:
        assert (state.positions(), state.counts()) == ({}, {})
    fold(emptied, *chart())
    assert findings(emptied) == []
    emptied.close()


def test_a_file_that_is_no_database_is_damaged(tmp_path: Path) -> None:
    """Opening a view over other bytes says Damaged, so that the caller may replace it."""
    path = tmp_path / "view.db"
    path.write_bytes(b"ransom" * 2_000)
    with pytest.raises(Damaged):
        open_view(path)


def test_a_broken_page_is_one_finding(tmp_path: Path) -> None:
    """A file whose pages were overwritten is reported by the check, which ends without an exception."""
    path = tmp_path / "view.db"
    view = open_view(path)
    fold(view, *chart())
    view.close()
    connection = apsw.Connection(str(path))
    ((root_page,),) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'version'").fetchall()
    connection.close()
    data = bytearray(path.read_bytes())
    start = (root_page - 1) * 4096
    data[start : start + 64] = b"\xff" * 64
    path.write_bytes(bytes(data))
    broken = open_view(path)
    assert findings(broken)
    broken.close()


def test_a_view_is_looked_at_without_changing_a_byte_of_it(view: SqliteView, tmp_path: Path) -> None:
    """While its node has it open: the same state, and neither the file nor its write-ahead log is written."""
    files = [tmp_path / "view.db", tmp_path / "view.db-wal"]
    before = [path.read_bytes() for path in files]
    with view_as_it_is(RealHost(), tmp_path / "view.db") as state, view.reader() as own:
        assert state is not None
        assert state.view_digest() == own.view_digest()
        assert list(state.check_rows()) == []
    assert [path.read_bytes() for path in files] == before


def test_what_is_no_view_of_this_layout_is_left_alone(tmp_path: Path) -> None:
    """None where there is no file, or one of another layout, which a node folds anew; garbage is Damaged."""
    with view_as_it_is(RealHost(), tmp_path / "view.db") as state:
        assert state is None
    assert not (tmp_path / "view.db").exists()
    open_view(tmp_path / "view.db").close()
    tamper(tmp_path / "view.db", "PRAGMA user_version = 99")
    with view_as_it_is(RealHost(), tmp_path / "view.db") as state:
        assert state is None
    (tmp_path / "garbage.db").write_bytes(b"no database" * 500)
    with pytest.raises(Damaged), view_as_it_is(RealHost(), tmp_path / "garbage.db"):
        pass
