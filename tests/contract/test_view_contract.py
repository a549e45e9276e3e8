"""What the view's port promises, asked of every backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from frozen_pages import FrozenPages
from journal_entries import Made, NodeLog, granted, observation, organization, origin_of, patient
from nirantar.errors import Damaged, InvalidInput, ProofInvalid
from nirantar.fhir.search_query import parse_query
from nirantar.host.real import RealHost
from nirantar.store.digest import EMPTY_NODES, verify_digest_proof
from nirantar.store.memory import MemoryReader, MemoryView
from nirantar.store.port import Position
from nirantar.store.sqlite import SqliteView
from nirantar.store.sqlite_reading import SqliteReader

AnyView = MemoryView | SqliteView
AnyReader = MemoryReader | SqliteReader

UHID_SYSTEM = "https://test-hospital.example/uhid"


@pytest.fixture(params=["memory", "sqlite", "sqlite without readers", "sqlite lazily filled"])
def view(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyView]:
    """An empty view of each kind, with grants for two nodes."""
    series = {UHID_SYSTEM: "uhid"}
    made: AnyView
    if request.param == "sqlite lazily filled":
        with lazily_filled(tmp_path, series) as lazy:
            lazy.use_grants(granted("opd-1", "ward-3"))
            yield lazy
        return
    if request.param == "memory":
        made = MemoryView(number_series=series)
    elif request.param == "sqlite":
        made = SqliteView(RealHost(), tmp_path / "view.db", number_series=series)
    else:
        made = SqliteView(RealHost(), tmp_path / "view.db", number_series=series, readers=0)
    made.use_grants(granted("opd-1", "ward-3"))
    yield made
    made.close()


@contextmanager
def lazily_filled(place: Path, series: dict[str, str]) -> Iterator[SqliteView]:
    """A view whose file is empty at first; what it needs of an empty view comes page by page from a frozen copy."""
    host = RealHost()
    SqliteView(host, place / "frozen.db", number_series=series).close()
    source = FrozenPages((place / "frozen.db").read_bytes(), frame_pages=2)
    file = host.lazy_database(place / "view.db", source, "frozen")
    made = SqliteView(host, place / "view.db", number_series=series, lazy=file)
    assert 0 < file.absent < source.page_count
    yield made
    made.close()
    file.close()
    assert source.fetched


def fold(view: AnyView, *entries: Made) -> None:
    """Fold entries as one batch."""
    view.begin()
    for made in entries:
        view.savepoint()
        view.project(made.entry_index, made.leaf_hash, made.entry)
        view.release()
    view.commit()


def ids(view: AnyView, type: str, *pairs: tuple[str, str]) -> list[str]:
    """The ids that a search finds, following every page, which must be of the size asked for."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        with view.reader() as state:
            with_cursor = [*pairs, *([] if cursor is None else [("_cursor", cursor)])]
            query = parse_query(type, with_cursor, strict=True)
            page = state.search(query)
        found.extend(version.id for version in page.versions)
        assert len(page.versions) <= query.count
        cursor = page.next_cursor
        if cursor is None:
            return found


def test_empty_view_holds_nothing(view: AnyView) -> None:
    """Everything that can be asked of an empty view answers with nothing, and its digest is the empty tree's."""
    with view.reader() as state:
        assert state.read("Patient", "a") is None
        assert state.read_version("Patient", "a", "opd-1.0") is None
        assert state.heads("Patient", "a") == ()
        assert state.history("Patient", "a", count=10, cursor=None).versions == ()
        assert state.history("Patient", None, count=10, cursor=None).versions == ()
        assert list(state.compartment("a")) == []
        assert (state.positions(), state.counts(), list(state.unfolded())) == ({}, {}, [])
        assert state.entry_for_key("0" * 64) is None
        assert state.highest_number("uhid", 0, 10**12) is None
        assert state.view_digest() == EMPTY_NODES[0]
        assert state.digest_proof("a") is None
    assert ids(view, "Patient") == []


def test_read_gives_the_exact_bytes(view: AnyView) -> None:
    """What is read is the entry's own bytes, with the entry's origin, index and time."""
    made = NodeLog("opd-1").put(patient("a"), observation("o", "a"))
    fold(view, made)
    with view.reader() as state:
        found = state.read("Observation", "o")
        assert found is not None
        assert found.resource == made.entry.changes[1].resource_bytes
        assert (found.origin, found.entry_index, found.version_id) == (origin_of("opd-1"), 0, "opd-1.0")
        assert (found.heads, found.deleted, found.recorded_at_us) == (1, False, 1_790_000_001_000_000)
        assert state.counts() == {"Observation": 1, "Patient": 1}
        assert state.positions() == {origin_of("opd-1"): Position(1, made.leaf_hash)}


def test_shown_is_what_a_new_reader_reads(view: AnyView) -> None:
    """`shown` gives the committed head: nothing before the commit, then each newer version, the deletion too."""
    log = NodeLog("opd-1")
    assert view.shown("Patient", "a") is None
    for made in (log.put(patient("a")), log.put(patient("a", gender="male"), parents=["opd-1.0"])):
        fold(view, made)
        with view.reader() as state:
            assert view.shown("Patient", "a") == state.read("Patient", "a") is not None
    fold(view, log.delete("Patient", "a", parents=["opd-1.1"]))
    deleted = view.shown("Patient", "a")
    assert deleted is not None
    assert deleted.deleted
    assert view.shown("Observation", "a") is None


def test_update_replaces_and_history_remembers(view: AnyView) -> None:
    """A version made from the current one replaces it in reads and searches; history keeps both, newest first."""
    log = NodeLog("opd-1")
    fold(view, log.put(patient("a", gender="male", name=[{"family": "Rao"}])))
    fold(view, log.put(patient("a", gender="male", name=[{"family": "Iyer"}]), parents=["opd-1.0"]))
    assert ids(view, "Patient", ("name", "rao")) == []
    assert ids(view, "Patient", ("name", "iyer")) == ["a"]
    assert ids(view, "Patient", ("gender", "male")) == ["a"]
    with view.reader() as state:
        assert [each.version_id for each in state.heads("Patient", "a")] == ["opd-1.1"]
        history = state.history("Patient", "a", count=10, cursor=None)
        assert [each.version_id for each in history.versions] == ["opd-1.1", "opd-1.0"]
        old = state.read_version("Patient", "a", "opd-1.0")
        assert old is not None
        assert b"Rao" in (old.resource or b"")
        assert state.read_version("Patient", "a", "opd-1.2") is None
        assert state.read_version("Patient", "a", "not a version") is None
        assert state.counts() == {"Patient": 1}


def test_deletion_hides_and_can_be_undone(view: AnyView) -> None:
    """A deleted resource reads as deleted, is in no search, count or compartment, and can be written again."""
    log = NodeLog("opd-1")
    fold(view, log.put(patient("a"), observation("o", "a")), log.delete("Observation", "o", parents=["opd-1.0"]))
    with view.reader() as state:
        found = state.read("Observation", "o")
        assert found is not None
        assert (found.deleted, found.version_id) == (True, "opd-1.1")
        assert state.counts() == {"Patient": 1}
        assert [each.id for each in state.compartment("a")] == ["a"]
    assert ids(view, "Observation") == []
    assert ids(view, "Observation", ("status", "final")) == []
    fold(view, log.put(observation("o", "a"), parents=["opd-1.1"]))
    assert ids(view, "Observation", ("status", "final")) == ["o"]


def test_concurrent_edits_are_all_heads(view: AnyView) -> None:
    """Two versions made from the same one are both current; the later is shown; a version of both decides."""
    desk, ward = NodeLog("opd-1"), NodeLog("ward-3")
    ward.clock_us += 10_000_000
    fold(view, desk.put(patient("a", gender="unknown")))
    fold(view, ward.put(patient("a", gender="female"), parents=["opd-1.0"]))
    fold(view, desk.put(patient("a", gender="male"), parents=["opd-1.0"]))
    with view.reader() as state:
        assert [each.version_id for each in state.heads("Patient", "a")] == ["ward-3.0", "opd-1.1"]
        shown = state.read("Patient", "a")
        assert shown is not None
        assert (shown.version_id, shown.heads) == ("ward-3.0", 2)
    assert ids(view, "Patient", ("gender", "female")) == ["a"]
    assert ids(view, "Patient", ("gender", "male")) == []
    fold(view, desk.put(patient("a", gender="male"), parents=["ward-3.0", "opd-1.1"]))
    with view.reader() as state:
        assert [each.version_id for each in state.heads("Patient", "a")] == ["opd-1.2"]
    assert ids(view, "Patient", ("gender", "female")) == []
    assert ids(view, "Patient", ("gender", "male")) == ["a"]


def test_child_may_arrive_before_its_parent(view: AnyView) -> None:
    """A parent that arrives after the version made from it does not come back as current."""
    desk, ward = NodeLog("opd-1"), NodeLog("ward-3")
    parent = desk.put(patient("a", gender="male"))
    child = ward.put(patient("a", gender="female"), parents=["opd-1.0"])
    fold(view, child)
    fold(view, parent)
    with view.reader() as state:
        assert [each.version_id for each in state.heads("Patient", "a")] == ["ward-3.0"]
    assert ids(view, "Patient", ("gender", "male")) == []


def test_a_suspect_clock_never_wins(view: AnyView) -> None:
    """An entry whose logical clock runs far ahead of its own recording time is a head, but not the shown one."""
    desk, ward = NodeLog("opd-1"), NodeLog("ward-3")
    fold(view, desk.put(patient("a")))
    fold(view, ward.put(patient("a"), parents=["opd-1.0"], hlc="1990000000000000.0"))
    fold(view, desk.put(patient("a"), parents=["opd-1.0"]))
    with view.reader() as state:
        assert [each.version_id for each in state.heads("Patient", "a")] == ["opd-1.1", "ward-3.0"]


@pytest.mark.parametrize("first", ["opd-1", "ward-3"])
def test_a_forged_circle_hides_nothing(view: AnyView, first: str) -> None:
    """Two versions that name each other as parents leave the later one shown, whichever arrives first."""
    desk, ward = NodeLog("opd-1"), NodeLog("ward-3")
    desk.clock_us += 10_000_000
    entries = [desk.put(patient("a"), parents=["ward-3.0"]), ward.put(patient("a"), parents=["opd-1.0"])]
    for made in sorted(entries, key=lambda made: made.entry.origin != origin_of(first)):
        fold(view, made)
    with view.reader() as state:
        assert [each.version_id for each in state.heads("Patient", "a")] == ["opd-1.0"]


def test_only_the_next_entry_is_folded(view: AnyView) -> None:
    """A gap, a repetition and an unknown journal that does not begin at 0 are refused."""
    log = NodeLog("opd-1")
    first, _, third = log.put(patient("a")), log.put(patient("b")), log.put(patient("c"))
    fold(view, first)
    view.begin()
    for wrong in (first, third):
        with pytest.raises(Damaged, match="not the next one"):
            view.project(wrong.entry_index, wrong.leaf_hash, wrong.entry)
    with pytest.raises(Damaged, match="not the next one"):
        view.skip(origin_of("ward-3"), 1, b"\x00" * 32, "unknown version")
    view.roll_back()
    with view.reader() as state:
        assert state.positions() == {origin_of("opd-1"): Position(1, first.leaf_hash)}


def test_entries_outside_their_grant_are_kept_not_folded(view: AnyView) -> None:
    """A stranger, a type that is not granted and a forged version id are counted, told apart and not folded."""
    stranger, limited, forger = NodeLog("elsewhere"), NodeLog("opd-1"), NodeLog("ward-3")
    view.use_grants({**granted("opd-1", types=("Observation",)), **granted("ward-3")})
    genuine = forger.put(patient("c")).entry
    forged = genuine.changes[0].__class__("PUT", "Patient", "c", "opd-1.7", (), genuine.changes[0].resource)
    forger.made.clear()
    fold(view, stranger.put(patient("a")), limited.put(patient("b")), forger.entry(forged))
    with view.reader() as state:
        assert state.counts() == {}
        reasons = {origin: why for origin, _, why in state.unfolded()}
        assert "not on the hospital's roster" in reasons[origin_of("elsewhere")]
        assert "Patient is not granted" in reasons[origin_of("opd-1")]
        assert "not its own" in reasons[origin_of("ward-3")]
        assert {origin: each.entries for origin, each in state.positions().items()} == dict.fromkeys(reasons, 1)


@pytest.mark.parametrize(
    "fields",
    [{"hlc": "yesterday"}, {"hlc": f"{2**70}.0"}, {"recorded_at": "2026-11-23"}],
    ids=["clock", "clock range", "time without zone"],
)
def test_entries_that_make_no_sense_are_not_folded(view: AnyView, fields: dict[str, str]) -> None:
    """A foreign entry with an unreadable time is kept as evidence, and the journal goes on after it."""
    log = NodeLog("opd-1")
    fold(view, log.put(patient("a"), **fields), log.put(patient("b")))
    with view.reader() as state:
        assert state.counts() == {"Patient": 1}
        assert [index for _, index, _ in state.unfolded()] == [0]


def test_skipped_entries_are_counted(view: AnyView) -> None:
    """An entry of an unknown version moves the position on and says why it is not folded."""
    view.begin()
    view.skip(origin_of("opd-1"), 0, b"\x01" * 32, "unknown version")
    view.commit()
    with view.reader() as state:
        assert state.positions() == {origin_of("opd-1"): Position(1, b"\x01" * 32)}
        assert list(state.unfolded()) == [(origin_of("opd-1"), 0, "unknown version")]


def test_members_are_undone_alone(view: AnyView) -> None:
    """Rolling a member back leaves the rest of the batch, whatever the undone one was the first to name."""
    log = NodeLog("opd-1")
    kept = log.put(patient("a"))
    undone = log.put(organization("x"), idempotency_key="1" * 64)
    log.made.pop()
    after = log.put(organization("y"))
    view.begin()
    for made, keep in ((kept, True), (undone, False), (after, True)):
        view.savepoint()
        view.project(made.entry_index, made.leaf_hash, made.entry)
        view.release() if keep else view.roll_back_member()
    assert view.uncommitted().counts() == {"Organization": 1, "Patient": 1}
    view.commit()
    with view.reader() as state:
        assert state.read("Organization", "x") is None
        assert state.entry_for_key("1" * 64) is None
        assert state.positions()[origin_of("opd-1")].entries == 2
    assert ids(view, "Organization", ("name", "ward")) == ["y"]


def test_a_batch_is_undone_whole(view: AnyView) -> None:
    """After a roll-back nothing of the batch is there, and the same entries can be folded again."""
    log = NodeLog("opd-1")
    made = log.put(patient("a", name=[{"family": "Rao"}]))
    view.begin()
    view.project(made.entry_index, made.leaf_hash, made.entry)
    view.roll_back()
    view.roll_back()
    with view.reader() as state:
        assert state.counts() == {}
    fold(view, made)
    assert ids(view, "Patient", ("name", "rao")) == ["a"]


def test_idempotency_keys_are_found(view: AnyView) -> None:
    """The entry that carries a key is found by it; a later one with the same key does not take its place."""
    desk, ward = NodeLog("opd-1"), NodeLog("ward-3")
    fold(view, desk.put(patient("a"), idempotency_key="2" * 64), ward.put(patient("b"), idempotency_key="2" * 64))
    with view.reader() as state:
        assert state.entry_for_key("2" * 64) == (origin_of("opd-1"), 0)


def test_issued_numbers_are_known_even_after_deletion(view: AnyView) -> None:
    """The highest serial in a range counts every version ever folded, without the check digit."""
    log = NodeLog("opd-1")

    def numbered(id: str, value: str) -> Made:
        return log.put(patient(id, identifier=[{"system": UHID_SYSTEM, "value": value}]))

    fold(view, numbered("a", "100000014"), numbered("b", "100000025"), numbered("c", "200000017"))
    fold(view, numbered("d", "not digits"), numbered("e", "1"), log.delete("Patient", "b", parents=["opd-1.1"]))
    with view.reader() as state:
        assert state.highest_number("uhid", 10_000_001, 20_000_000) == 10_000_002
        assert state.highest_number("uhid", 10_000_003, 20_000_000) is None
        assert state.highest_number("uhid", 0, 10**9) == 20_000_001
        assert state.highest_number("other", 0, 10**9) is None


def test_compartment_gives_the_whole_chart(view: AnyView) -> None:
    """A patient's chart is the Patient first, then everything shown that is filed under him, and nothing else."""
    log = NodeLog("opd-1")
    fold(view, log.put(observation("o1", "a")), log.put(patient("a")), log.put(patient("b"), observation("o2", "b")))
    fold(view, log.put(observation("o3", "a")), log.put(observation("o1", "b"), parents=["opd-1.0"]))
    with view.reader() as state:
        assert [(each.type, each.id) for each in state.compartment("a")] == [("Patient", "a"), ("Observation", "o3")]
        chart = [each.id for each in state.compartment("b")]
        assert chart[0] == "b"
        assert sorted(chart[1:]) == ["o1", "o2"]
        assert list(state.compartment("c")) == []


SEARCHES = [
    ((), "cba"),
    ((("gender", "male"),), "ca"),
    ((("gender", "http://hl7.org/fhir/administrative-gender|male"),), ""),
    ((("gender", "|male"),), "ca"),
    ((("gender:not", "male"),), "b"),
    ((("gender", "male,female"),), "cba"),
    ((("name", "ra"),), "ba"),
    ((("name", "RAÒ"),), "a"),
    ((("name:contains", "ao"),), "a"),
    ((("name:exact", "Rao"),), "a"),
    ((("name:exact", "rao"),), ""),
    ((("name", "ra"), ("gender", "female")), "b"),
    ((("name:missing", "true"),), "c"),
    ((("name:missing", "false"),), "ba"),
    ((("birthdate", "1970"),), "ba"),
    ((("birthdate", "1970-02"),), "b"),
    ((("birthdate", "ne1970-02"),), "ca"),
    ((("birthdate", "gt1970-02"),), "c"),
    ((("birthdate", "lt1970-02"),), "a"),
    ((("birthdate", "ge1980"),), "c"),
    ((("birthdate", "le1970"),), "ba"),
    ((("birthdate", "sa1970-02"),), "c"),
    ((("birthdate", "eb1970-02"),), "a"),
    ((("birthdate", "ap1970-01"),), "ba"),
    ((("birthdate", "ge1970-01-15"), ("birthdate", "lt1975")), "b"),
    ((("identifier", "https://one.example|77"),), "a"),
    ((("identifier", "77"),), "ba"),
    ((("identifier", "https://one.example|"),), "a"),
    ((("identifier", "https://unknown.example|77"),), ""),
    ((("general-practitioner", "Practitioner/p"),), "b"),
    ((("general-practitioner", "p"),), "b"),
    ((("general-practitioner:missing", "true"),), "ca"),
    ((("_id", "a,c,z"),), "ca"),
    ((("_id:not", "a"),), "cb"),
    ((("_id", "a"), ("name", "ra")), "a"),
    ((("_lastUpdated", "ge2026-09-21T14:13:21Z"),), "cb"),
    ((("active", "true"), ("gender", "male"), ("birthdate", "lt1975")), "a"),
]


@pytest.mark.parametrize(("pairs", "expected"), SEARCHES, ids=[repr(pairs) for pairs, _ in SEARCHES])
@pytest.mark.parametrize("count", [1, 20])
def test_search(view: AnyView, pairs: Sequence[tuple[str, str]], expected: str, count: int) -> None:
    """Each kind of criterion finds what R4 says, newest resource first, in pages of any size, with exact totals."""
    log = NodeLog("opd-1")
    one, two = "https://one.example", "https://two.example"
    fold(
        view,
        log.put(patient("a", gender="male", birthDate="1970-01-10", name=[{"family": "Rao"}],
                        identifier=[{"system": one, "value": "77"}])),
        log.put(patient("b", gender="female", birthDate="1970-02-20", name=[{"text": "Rani Das"}],
                        identifier=[{"system": two, "value": "77"}],
                        generalPractitioner=[{"reference": "Practitioner/p"}])),
        log.put(patient("c", gender="male", deceasedBoolean=False, birthDate="1981")),
        log.put(patient("d", gender="male", name=[{"family": "Rao"}])),
        log.delete("Patient", "d", parents=["opd-1.3"]),
        log.put(organization("e", name="Rao")),
    )  # fmt: skip
    assert ids(view, "Patient", *pairs, ("_count", str(count))) == list(expected)
    with view.reader() as state:
        query = parse_query("Patient", [*pairs, ("_summary", "count")], strict=True)
        page = state.search(query)
        assert (page.versions, page.total, page.next_cursor) == ((), len(expected), None)


def test_search_within_a_compartment(view: AnyView) -> None:
    """A search bound to one patient finds nothing of another's, with and without other criteria."""
    log = NodeLog("opd-1")
    fold(view, log.put(patient("a"), observation("o1", "a")), log.put(observation("o2", "b")))
    fold(view, log.put(observation("o3", "a", status="amended")))
    for pairs, expected in ([], ["o3", "o1"]), ([("status", "final")], ["o1"]):
        with view.reader() as state:
            page = state.search(parse_query("Observation", pairs, strict=True, compartment="a"))
        assert [each.id for each in page.versions] == expected


def test_pages_stay_valid_while_the_view_grows(view: AnyView) -> None:
    """What is added after the first page is on no later page, and nothing is missed or repeated."""
    log = NodeLog("opd-1")
    fold(view, *(log.put(patient(f"p{number}")) for number in range(5)))
    with view.reader() as state:
        first = state.search(parse_query("Patient", [("_count", "2")], strict=True))
    fold(view, log.put(patient("new")))
    pairs = [("_count", "9"), ("_cursor", first.next_cursor or "")]
    with view.reader() as state:
        rest = state.search(parse_query("Patient", pairs, strict=True))
    assert [each.id for each in (*first.versions, *rest.versions)] == ["p4", "p3", "p2", "p1", "p0"]


@pytest.mark.parametrize("cursor", ["x", "bm90IGpzb24", "WyIiLDFd", "A" * 1000, "é"])
def test_foreign_cursors_are_refused(view: AnyView, cursor: str) -> None:
    """A cursor that is not one of ours, or belongs to another question, is InvalidInput."""
    log = NodeLog("opd-1")
    fold(view, log.put(patient("a")), log.put(patient("b")))
    with view.reader() as state:
        other = state.search(parse_query("Patient", [("_count", "1"), ("active", "true")], strict=True)).next_cursor
        for wrong in (cursor, other):
            with pytest.raises(InvalidInput):
                state.search(parse_query("Patient", [("_cursor", wrong or "")], strict=True))
            with pytest.raises(InvalidInput):
                state.history("Patient", "a", count=1, cursor=wrong)
            with pytest.raises(InvalidInput):
                state.history("Patient", None, count=1, cursor=wrong)


def test_history_of_a_type_pages_through_everything(view: AnyView) -> None:
    """Every version of a type, deletions included, comes once, newest recorded first, a page at a time."""
    log = NodeLog("opd-1")
    fold(view, log.put(patient("a"), observation("o", "a")), log.put(patient("a"), parents=["opd-0.0"]))
    fold(view, log.put(patient("b")), log.delete("Patient", "b", parents=["opd-1.2"]))
    for one in (None, "b"):
        seen: list[str] = []
        cursor = None
        while True:
            with view.reader() as state:
                page = state.history("Patient", one, count=1, cursor=cursor)
            seen.extend(each.version_id for each in page.versions)
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seen == ["opd-1.3", "opd-1.2", "opd-1.1", "opd-1.0"][: 2 if one else 4]


def test_digest_proof_shows_a_complete_chart(view: AnyView) -> None:
    """A chart's lines verify under the digest; a missing, altered or added line, or another's proof, does not."""
    log = NodeLog("opd-1")
    for number in range(40):
        fold(view, log.put(patient(f"p{number}"), observation(f"o{number}", f"p{number}")))
        if number == 20:
            view.settle_digest()
    with view.reader() as state:
        digest, lines, proof = state.view_digest(), state.digest_lines("p7"), state.digest_proof("p7")
        other = state.digest_proof("p8")
    assert proof is not None
    assert other is not None
    assert [line.split()[:2] for line in lines] == [["Observation/o7", "opd-1.7"], ["Patient/p7", "opd-1.7"]]
    verify_digest_proof(digest, "Patient/p7", lines, proof)
    wrong: list[Callable[[], None]] = [
        lambda: verify_digest_proof(digest, "Patient/p7", lines[1:], proof),
        lambda: verify_digest_proof(digest, "Patient/p7", (*lines, lines[0]), proof),
        lambda: verify_digest_proof(digest, "Patient/p8", lines, proof),
        lambda: verify_digest_proof(digest, "Patient/p7", lines, other),
        lambda: verify_digest_proof(bytes(32), "Patient/p7", lines, proof),
        lambda: verify_digest_proof(digest, "Patient/p7", (), proof),
    ]
    for each in wrong:
        with pytest.raises(ProofInvalid):
            each()


def test_digest_changes_with_content_and_settling_does_not_change_it(view: AnyView) -> None:
    """Each change gives another digest; writing the tree down gives the same; a rebuild too."""
    log, seen = NodeLog("opd-1"), set()
    for made in (
        log.put(patient("a")),
        log.put(organization("x")),
        log.put(patient("a", gender="male"), parents=["opd-1.0"]),
        log.delete("Organization", "x", parents=["opd-1.1"]),
        log.delete("Patient", "a", parents=["opd-1.2"]),
    ):
        fold(view, made)
        with view.reader() as state:
            digest = state.view_digest()
        assert view.settle_digest() == digest
        with view.reader() as state:
            assert state.view_digest() == digest
        seen.add(digest)
    assert len(seen) == 5
    view.forget_all()
    with view.reader() as state:
        assert (state.view_digest(), state.positions()) == (EMPTY_NODES[0], {})
    fold(view, *log.made)
    with view.reader() as state:
        assert state.view_digest() == digest
