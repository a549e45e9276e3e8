"""Requests that are sent again under their idempotency key."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from nirantar.errors import Conflict
from nirantar.fhir.transaction_bundle import Operation
from nirantar.interactions.operations import create, delete, update
from nirantar.interactions.repeats import request_hash
from stepped_writer import SteppedWriter

URN = "urn:uuid:8f1e0000-0000-4000-8000-000000000001"


@pytest.fixture
def writer() -> Iterator[SteppedWriter]:
    """A node's writer."""
    made = SteppedWriter()
    yield made
    made.close()


def place(name: str, **elements: Any) -> dict[str, Any]:
    """A Location."""
    return {"resourceType": "Location", "name": name, **elements}


def requests() -> list[tuple[Operation, ...]]:
    """Requests of every kind that differ from each other in one thing each."""
    resource = place("Ward", id="a")
    return [
        (create(place("Ward")),),
        (create(place("Bed")),),
        (create(place("Ward"), full_url=URN),),
        (create(place("Ward"), if_none_exist="name=Ward"),),
        (create(place("Ward"), if_none_exist="name=Bed"),),
        (create(place("Ward", position={"longitude": Decimal("77.2"), "latitude": Decimal("28.60")})),),
        (create(place("Ward", position={"longitude": Decimal("77.2"), "latitude": Decimal("28.6")})),),
        (create({**place("Ward"), "resourceType": "Organization"}),),
        (update(resource),),
        (update(resource, if_match="opd-1.1"),),
        (update(resource, if_none_match="*"),),
        (update(resource, condition="name=Ward"),),
        (delete("Location", "a"),),
        (delete("Location", "b"),),
        (delete("Location", "a"), delete("Location", "b")),
        (delete("Location", "b"), delete("Location", "a")),
    ]


def test_the_hash_tells_requests_apart_and_not_their_spelling() -> None:
    """Whatever is asked counts, digits of decimals too; the order of an object's names does not."""
    hashes = [request_hash(each) for each in requests()]
    assert len(set(hashes)) == len(hashes)
    assert hashes == [request_hash(each) for each in requests()]
    assert request_hash((create({"name": "Ward", "resourceType": "Location"}),)) == hashes[0]


def test_a_repeat_gets_the_first_answer(writer: SteppedWriter) -> None:
    """Same versions, statuses and places, nothing new in the log, whatever happened to the resources since."""
    writer.write(update(place("Old", id="old")), update(place("Gone", id="gone")), update(place("Found", id="found")))
    operations = (
        create(place("Ward", partOf={"reference": URN})),
        create(place("House"), full_url=URN),
        update(place("Bed", id="bed")),
        update(place("New"), condition="name=Old"),
        delete("Location", condition="name=Gone"),
        delete("Location", "never"),
        create(place("Found"), if_none_exist="name=Found"),
    )
    first = writer.write(*operations, key="k")
    assert [each.status for each in first.results] == [
        "created", "created", "created", "updated", "deleted", "deleted", "unchanged",
    ]
    writer.write(update(place("Old", id="another")), delete("Location", "bed"), create(place("Gone")))
    size = writer.journal.size()
    again = writer.write(*operations, key="k")
    assert again.replayed
    assert not first.replayed
    assert [(each.status, each.type, each.version) for each in again.results] == [
        (each.status, each.type, each.version) for each in first.results
    ]
    assert first.appended is not None
    assert again.appended is not None
    assert (again.appended.origin, again.appended.entry_index) == (first.appended.origin, first.appended.entry_index)
    assert writer.journal.size() == size


def test_a_repeat_in_the_same_commit_batch_is_one(writer: SteppedWriter) -> None:
    """A client that sends twice before the first answer gets one resource."""
    sent = [writer.send(create(place("Ward")), key="k") for _ in range(2)]
    writer.sequencer.step()
    first, second = (each.result(0) for each in sent)
    assert (first.replayed, second.replayed) == (False, True)
    assert first.results == second.results
    assert writer.journal.size() == 1


def test_a_key_used_for_another_request_is_refused(writer: SteppedWriter) -> None:
    """Any difference in what is asked is a conflict, and nothing is written."""
    first, *others = requests()
    writer.write(*first, key="k")
    for other in others:
        with pytest.raises(Conflict, match="belongs to another request"):
            writer.write(*other, key="k")
    assert writer.journal.size() == 1
    assert writer.write(*first, key="k").replayed


def test_without_a_hash_the_key_alone_decides(writer: SteppedWriter) -> None:
    """A form's numbers and times differ from one sending to the next; only other resources make another request."""
    writer.write(create(place("Ward, 08:00")), key="form", exact=False)
    assert writer.write(create(place("Ward, 08:01")), key="form", exact=False).replayed
    for other in (
        (update(place("Ward", id="a")),),
        (delete("Location", "a"),),
        (create({**place("Ward"), "resourceType": "Organization"}),),
        (create(place("Ward")), create(place("Bed"))),
    ):
        with pytest.raises(Conflict, match="belongs to another request"):
            writer.write(*other, key="form", exact=False)


def test_a_refused_request_leaves_its_key_free(writer: SteppedWriter) -> None:
    """What wrote nothing is not remembered: the client may mend its request and keep the key."""
    with pytest.raises(Conflict):
        writer.write(update(place("Ward", id="a"), if_match="opd-1.7"), key="k")
    writer.write(delete("Location", "a"), key="k")
    assert writer.write(update(place("Ward", id="a")), key="k").results[0].status == "created"


def test_what_a_create_once_found_may_be_gone(writer: SteppedWriter) -> None:
    """No version can be named for it when nothing or several match now, so that is said."""
    writer.write(update(place("Found", id="found")))
    operations = (create(place("Found"), if_none_exist="name=Found"), create(place("Ward")))
    writer.write(*operations, key="k")
    writer.write(delete("Location", "found"))
    size = writer.journal.size()
    with pytest.raises(Conflict, match="done already"):
        writer.write(*operations, key="k")
    writer.write(create(place("Found")), create(place("Found")))
    with pytest.raises(Conflict, match="done already"):
        writer.write(*operations, key="k")
    assert writer.journal.size() == size + 1
