"""Reading ahead of a fold: the outlines are the resources' own, and the pages that the fold touches are here by then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from msgspec.structs import replace

from frozen_pages import FrozenPages
from journal_entries import Made, NodeLog, granted, patient
from nirantar.fhir.outline import outline_of
from nirantar.host.real import RealHost
from nirantar.store.projector import parse_resource
from nirantar.store.sqlite import SqliteView
from nirantar.store.sqlite_ahead import outlines_of

PEOPLE = 400


def fold(view: SqliteView, entries: list[Made]) -> None:
    """Fold in one batch, everybody known to the view by the roster."""
    view.use_grants(granted("opd-1"))
    view.begin()
    for each in entries:
        view.project(each.entry_index, each.leaf_hash, each.entry)
    view.commit()


def weighed(number: int) -> dict[str, object]:
    """A value of one of these people."""
    return {
        "resourceType": "Observation", "id": f"w{number}", "status": "final", "code": {"text": "Weight"},
        "subject": {"reference": f"Patient/p{number}"},
    }


@contextmanager
def absent_view(place: Path, log: NodeLog) -> Iterator[tuple[SqliteView, FrozenPages]]:
    """A view with many people, of which no page is here yet."""
    people = [log.put(patient(f"p{number}", address=[{"text": "x" * 900}])) for number in range(PEOPLE)]
    fold_into = SqliteView(RealHost(), place / "frozen.db", number_series={})
    fold(fold_into, people)
    fold_into.close()
    source = FrozenPages((place / "frozen.db").read_bytes(), frame_pages=1)
    file = RealHost().lazy_database(place / "view.db", source, "frozen")
    view = SqliteView(RealHost(), place / "view.db", number_series={}, lazy=file)
    try:
        yield view, source
    finally:
        view.close()
        file.close()


def later(log: NodeLog) -> list[Made]:
    """What is to be folded: changes and values of known people, and new ones."""
    changed = [log.put(patient(f"p{number}"), parents=[f"opd-1.{number}"]) for number in range(0, PEOPLE, 40)]
    return [*changed, *(log.put(weighed(number)) for number in range(5, PEOPLE, 40)), log.put(patient("new"))]


def test_the_fold_finds_the_pages_here(tmp_path: Path) -> None:
    """What was looked up in threads is not fetched by the fold: at most a fifth of what it would fetch alone."""
    fetched = []
    for name, reads_ahead in (("alone", False), ("ahead", True)):
        (tmp_path / name).mkdir()
        log = NodeLog("opd-1")
        with absent_view(tmp_path / name, log) as (view, source):
            entries = later(log)
            if reads_ahead:
                with closing(view.ahead(3)) as ahead:
                    for future in [ahead.begin([each.entry]) for each in entries]:
                        future.result()
            source.fetched.clear()
            fold(view, entries)
            fetched.append(len(source.fetched))
            with view.reader() as state:
                assert list(state.check_rows()) == []
    assert fetched[1] * 5 <= fetched[0]


def test_the_outlines_are_those_of_the_bytes(tmp_path: Path) -> None:
    """An outline for each resource, made of its bytes; none for one that is not what its change names, which the fold
    then refuses. A source that cannot be reached costs nothing but the look ahead."""
    log = NodeLog("opd-1")
    with absent_view(tmp_path, log) as (view, source), closing(view.ahead(2)) as ahead:
        source.unreachable = True
        entry = log.put(patient("new"), weighed(7)).entry
        (outlines,) = ahead.begin([entry]).result()
        documents = [parse_resource(change.resource_bytes or b"") for change in entry.changes]
        assert list(outlines.values()) == [outline_of(each) for each in documents if each is not None]
    (change,) = log.put(patient("another")).entry.changes
    assert list(outlines_of(log.entry(change).entry)) == [("Patient", "another")]
    assert outlines_of(log.entry(replace(change, id="other")).entry) == {}
