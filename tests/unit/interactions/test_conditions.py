"""Conditions, references and versions as the single writer decides them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nirantar import limits
from nirantar.errors import (
    BusinessRule,
    Conflict,
    InvalidInput,
    LimitExceeded,
    MultipleMatches,
    NotFound,
    ResourceInvalid,
    VersionConflict,
)
from nirantar.interactions.operations import create, delete, update
from stepped_writer import SteppedWriter

SYSTEM = "urn:test:number"
URN = "urn:uuid:8f1e0000-0000-4000-8000-000000000001"


@pytest.fixture(params=["memory", "sqlite"])
def writer(request: pytest.FixtureRequest) -> Iterator[SteppedWriter]:
    """A node's writer over each kind of view."""
    made = SteppedWriter(request.param)
    yield made
    made.close()


def place(number: str, **elements: Any) -> dict[str, Any]:
    """A Location, which is in nobody's chart, known by an identifier."""
    return {"resourceType": "Location", "identifier": [{"system": SYSTEM, "value": number}], **elements}


def person(number: str, **elements: Any) -> dict[str, Any]:
    """A Patient known by an identifier."""
    return {**place(number, **elements), "resourceType": "Patient"}


def by(number: str) -> str:
    """The condition that finds a resource by its identifier."""
    return f"identifier={SYSTEM}|{number}"


def note(subject: str, **elements: Any) -> dict[str, Any]:
    """An Observation about somebody."""
    return {
        "resourceType": "Observation", "status": "final", "code": {"text": "Pulse"}, "subject": {"reference": subject},
        **elements,
    }


def entry(method: str, url: str, resource: dict[str, Any] | None = None, full_url: str | None = None, **request: str) -> dict[str, Any]:
    """One entry of a transaction Bundle."""
    made: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        made["resource"] = resource
    if full_url is not None:
        made["fullUrl"] = full_url
    return made


@pytest.mark.parametrize("how", [{"id": "old"}, {"condition": by("1")}])
def test_a_create_does_not_meet_what_its_transaction_deletes(writer: SteppedWriter, how: dict[str, str]) -> None:
    """Deletes come first wherever they stand, so the create finds nothing there; the results keep the request's order."""
    writer.write(update(place("1", id="old")))
    made, gone = writer.write(create(place("1"), if_none_exist=by("1")), delete("Location", **how)).results
    assert (made.status, gone.status, gone.id) == ("created", "deleted", "old")
    assert made.id != "old"
    assert writer.resource("Location", "old") is None
    assert writer.count("Location") == 1


def test_a_delete_and_a_create_may_share_a_condition_in_a_bundle(writer: SteppedWriter) -> None:
    """They mean different moments, so reading the Bundle does not refuse them."""
    writer.write(update(place("1", id="old")))
    made, gone = writer.write_entries(
        entry("POST", "Location", place("1"), ifNoneExist=by("1")), entry("DELETE", f"Location?{by('1')}")
    ).results
    assert (made.status, gone.status) == ("created", "deleted")


def test_a_condition_passes_over_many_deleted_ones(writer: SteppedWriter) -> None:
    """Deleted matches hide neither the one that stays nor that there are two."""
    numbers = [f"old-{number}" for number in range(5)]
    writer.write(*(update(place("1", id=each)) for each in (*numbers, "kept", "also")))
    with pytest.raises(MultipleMatches):
        writer.write(create(place("1"), if_none_exist=by("1")), *(delete("Location", each) for each in numbers))
    found = writer.write(
        create(place("1"), if_none_exist=by("1")), *(delete("Location", each) for each in (*numbers, "also"))
    ).results[0]
    assert (found.status, found.id) == ("unchanged", "kept")


def test_an_update_by_condition_meets_what_its_transaction_creates(writer: SteppedWriter) -> None:
    """Creates come before updates, so both are about one resource: refused, not made twice."""
    with pytest.raises(BusinessRule, match="Two operations"):
        writer.write(update(place("1", name="Ward"), condition=by("1")), create(place("1")))
    assert writer.count("Location") == 0


def test_creates_do_not_meet_each_other(writer: SteppedWriter) -> None:
    """The order of the entries of one step means nothing."""
    results = writer.write(create(place("1")), create(place("1", name="Ward"), if_none_exist=by("1"))).results
    assert [each.status for each in results] == ["created", "created"]


@pytest.mark.parametrize("other", [
    update({"resourceType": "Location", "name": "Ward"}, condition="_id=old"),
    update({"resourceType": "Location", "id": "old"}),
])
def test_operations_that_meet_in_one_resource_are_refused(writer: SteppedWriter, other: Any) -> None:
    """However each of them names it: one entry never holds two versions of one resource."""
    writer.write(update(place("1", id="old")))
    first = update(place("1", name="Bed"), condition=by("1"))
    with pytest.raises(BusinessRule, match="Two operations"):
        writer.write(first, other)
    kept = writer.resource("Location", "old")
    assert kept is not None
    assert "name" not in kept


def test_two_conditional_creates_of_one_commit_batch_make_one_resource(writer: SteppedWriter) -> None:
    """The second sees what the first wrote although nothing is committed yet."""
    sent = [writer.send(create(place("1"), if_none_exist=by("1"))) for _ in range(2)]
    assert writer.sequencer.step() == 2
    first, second = (each.result(0).results[0] for each in sent)
    assert (first.status, second.status) == ("created", "unchanged")
    assert first.id == second.id
    assert writer.count("Location") == 1


def test_references_follow_their_full_urls(writer: SteppedWriter) -> None:
    """By urn, by another server's URL and by that URL's relative form; of updates and creates that were there already too."""
    writer.write(update(place("1", id="room")))
    results = writer.write_entries(
        entry("POST", "Location", place("1"), URN, ifNoneExist=by("1")),
        entry("POST", "Organization", {"resourceType": "Organization", "name": "A"}, "https://x.test/fhir/Organization/7"),
        entry("PUT", "Organization/mine", {
            "resourceType": "Organization", "id": "mine", "name": "B", "partOf": {"reference": "Organization/7"},
        }, "urn:uuid:8f1e0000-0000-4000-8000-000000000002"),
        entry("POST", "Location", place(
            "2", partOf={"reference": URN}, managingOrganization={"reference": "https://x.test/fhir/Organization/7"},
        )),
    ).results
    organization = f"Organization/{results[1].id}"
    assert [each.status for each in results] == ["unchanged", "created", "created", "created"]
    stored = writer.resource("Location", results[3].id)
    mine = writer.resource("Organization", "mine")
    assert stored is not None
    assert mine is not None
    assert stored["partOf"]["reference"] == "Location/room"
    assert stored["managingOrganization"]["reference"] == mine["partOf"]["reference"] == organization


def test_ambiguous_full_urls_are_refused(writer: SteppedWriter) -> None:
    """Two servers' resources with one id cannot both be meant by `Location/1`."""
    with pytest.raises(ResourceInvalid, match="ambiguous"):
        writer.write_entries(
            entry("POST", "Location", place("1"), "https://x.test/Location/1"),
            entry("POST", "Location", place("2"), "https://y.test/Location/1"),
        )
    assert writer.count("Location") == 0


def test_a_search_as_reference_finds_what_is_there_and_what_its_transaction_writes(writer: SteppedWriter) -> None:
    """References that are searches come last: they see creates, updates and deletes of their own transaction."""
    writer.write(update(place("1", id="there")), update(place("2", id="renamed")), update(place("3", id="gone")))
    made = writer.write(
        create({"resourceType": "HealthcareService", "location": [
            {"reference": f"Location?{by(number)}"} for number in ("1", "2-new", "3", "4")
        ]}),
        update(place("2-new", id="renamed")),
        delete("Location", "gone"),
        create(place("3", name="The new one")),
        create(place("4")),
    ).results
    stored = writer.resource("HealthcareService", made[0].id)
    assert stored is not None
    wanted = ["there", "renamed", made[3].id, made[4].id]
    assert [each["reference"] for each in stored["location"]] == [f"Location/{id}" for id in wanted]


def test_a_search_as_reference_does_not_find_what_its_transaction_took_away(writer: SteppedWriter) -> None:
    """Deleted, or updated to something that no longer matches: the transaction fails as if it never was there."""
    writer.write(update(place("1", id="room")))
    asking = create({"resourceType": "HealthcareService", "location": [{"reference": f"Location?{by('1')}"}]})
    for change in (delete("Location", "room"), update(place("2", id="room"))):
        with pytest.raises(NotFound):
            writer.write(asking, change)
    with pytest.raises(MultipleMatches):
        writer.write(asking, create(place("1")))
    kept = writer.resource("Location", "room")
    assert kept is not None
    assert kept["meta"]["versionId"] == "opd-1.0"


def test_a_search_as_reference_may_go_by_a_rewritten_reference(writer: SteppedWriter) -> None:
    """fullUrls are resolved before searches, so an Encounter is found by the patient whom the client names by id."""
    results = writer.write_entries(
        entry("PUT", "Patient/7", person("1", id="7"), URN),
        entry("POST", "Encounter", {
            "resourceType": "Encounter", "status": "arrived", "class": {"code": "AMB"}, "subject": {"reference": URN},
        }),
        entry("POST", "Observation", note(URN, encounter={"reference": "Encounter?patient=Patient/7"})),
    ).results
    stored = writer.resource("Observation", results[2].id)
    assert stored is not None
    assert stored["encounter"]["reference"] == f"Encounter/{results[1].id}"


def test_conditions_have_a_bound(writer: SteppedWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that compares everything with everything is refused, for all others wait for it."""
    monkeypatch.setattr(limits, "CONDITION_COMPARISONS_MAX", 10)
    places = [create(place(str(number), name=f"Bed {number}")) for number in range(4)]
    asking = [{"reference": f"Location?name=Bed%20{number}"} for number in range(4)]
    with pytest.raises(LimitExceeded, match="CONDITION_COMPARISONS_MAX"):
        writer.write(*places, create({"resourceType": "HealthcareService", "location": asking}))
    by_identifier = [{"reference": f"Location?{by(str(number))}"} for number in range(4)]
    writer.write(*places, create({"resourceType": "HealthcareService", "location": by_identifier}))


def test_if_match_needs_a_current_version(writer: SteppedWriter) -> None:
    """Neither what never was nor what was deleted has one: not by its ETag, not by that of its deletion, not by `*`."""
    writer.write(update(place("1", id="room")))
    gone = writer.write(delete("Location", "room", if_match="opd-1.0")).results[0].version
    assert gone is not None
    for version in ("opd-1.0", gone.version_id, "*"):
        for id in ("room", "never"):
            with pytest.raises(VersionConflict):
                writer.write(update(place("1", id=id), if_match=version))
            with pytest.raises(VersionConflict):
                writer.write(delete("Location", id, if_match=version))
    with pytest.raises(VersionConflict):
        writer.write(update(place("1"), condition=by("1"), if_match="opd-1.0"))
    assert writer.write(update(place("1", id="room"), if_none_match="*")).results[0].status == "created"


def test_if_none_match_refuses_what_is_there(writer: SteppedWriter) -> None:
    """`*` refuses any current version, a version id that one; an earlier version's does not."""
    writer.write(update(place("1", id="room")))
    writer.write(update(place("1", id="room"), if_match="opd-1.0"))
    for version in ("*", "opd-1.1"):
        with pytest.raises(VersionConflict):
            writer.write(update(place("2", id="room"), if_none_match=version))
    assert writer.write(update(place("2", id="room"), if_none_match="opd-1.0")).results[0].status == "updated"


def test_an_update_by_condition_respects_the_id_it_brings(writer: SteppedWriter) -> None:
    """No match: the resource gets that id, unless somebody has it. A match: it must be that one."""
    made = writer.write_entries(entry("PUT", f"Location?{by('1')}", place("1", id="mine"))).results[0]
    assert (made.status, made.id) == ("created", "mine")
    again = writer.write_entries(entry("PUT", f"Location?{by('1')}", place("1", id="mine", name="Ward"))).results[0]
    assert (again.status, again.id) == ("updated", "mine")
    with pytest.raises(InvalidInput, match="another Location"):
        writer.write_entries(entry("PUT", f"Location?{by('1')}", place("1", id="other")))
    with pytest.raises(Conflict, match="does not match it"):
        writer.write_entries(entry("PUT", f"Location?{by('2')}", place("2", id="mine")))
    without = writer.write_entries(entry("PUT", f"Location?{by('1')}", place("1"))).results[0]
    assert (without.status, without.id) == ("updated", "mine")


def test_ids_that_are_no_text_are_refused(writer: SteppedWriter) -> None:
    """An id of another JSON type in an update by condition is an error of the resource, not of ours."""
    for wrong in (7, ["mine"], {"id": "mine"}, None):
        with pytest.raises(InvalidInput):
            writer.write_entries(entry("PUT", f"Location?{by('1')}", place("1", id=wrong)))


def test_a_delete_of_nothing_writes_nothing(writer: SteppedWriter) -> None:
    """By id, by condition, of what is deleted already: no version, no entry, no error."""
    writer.write(update(place("1", id="room")))
    writer.write(delete("Location", "room"))
    for nothing in (delete("Location", "never"), delete("Location", "room"), delete("Location", condition=by("1"))):
        outcome = writer.write(nothing)
        assert outcome.appended is None
        assert [(each.status, each.version) for each in outcome.results] == [("deleted", None)]


def test_a_taken_id_is_not_created_over(writer: SteppedWriter) -> None:
    """The id that a key gives may have been used by an update: the create is refused, the resource stays."""
    id = writer.write(create(place("1")), key="form").results[0].id
    other = SteppedWriter()
    other.write(update(place("9", id=id)))
    with pytest.raises(Conflict, match="already there"):
        other.write(create(place("1")), key="form")
    kept = other.resource("Location", id)
    assert kept is not None
    assert kept["identifier"][0]["value"] == "9"
    other.close()


def test_every_way_to_touch_two_patients_is_refused(writer: SteppedWriter) -> None:
    """Also to delete of one chart and write in another, and to move a resource between them."""
    writer.write(update(note("Patient/a", id="pulse")))
    for operations in (
        [create(note("Patient/a")), create(note("Patient/b"))],
        [delete("Observation", "pulse"), create(note("Patient/b"))],
        [update(note("Patient/b", id="pulse"))],
        [create(person("1")), update(note("Patient/a", id="pulse"))],
        [update(person("1", id="b")), delete("Observation", "pulse")],
    ):
        with pytest.raises(BusinessRule, match="one patient"):
            writer.write(*operations)
    kept = writer.resource("Observation", "pulse")
    assert kept is not None
    assert kept["subject"]["reference"] == "Patient/a"


def test_a_delete_that_finds_nobody_touches_nobody(writer: SteppedWriter) -> None:
    """A patient who is not there does not count beside the one whose chart is written."""
    results = writer.write(
        delete("Patient", condition=by("1")), delete("Patient", "never"), create(note("Patient/a"))
    ).results
    assert [each.status for each in results] == ["deleted", "deleted", "created"]


def test_a_bundle_as_a_resource_is_stored_as_it_is(writer: SteppedWriter) -> None:
    """Links inside a document lead to its own entries: they are neither resolved, refused nor rewritten."""
    inner = {"resourceType": "Bundle", "type": "collection", "entry": [
        {"fullUrl": URN, "resource": {"resourceType": "Patient"}},
        {"fullUrl": "urn:uuid:8f1e0000-0000-4000-8000-000000000003", "resource": note(URN)},
        {"fullUrl": "urn:uuid:8f1e0000-0000-4000-8000-000000000004", "resource": note("Patient?identifier=nobody")},
    ]}
    results = writer.write_entries(
        entry("POST", "Location", place("1"), URN), entry("POST", "Bundle", inner),
        entry("POST", "HealthcareService", {"resourceType": "HealthcareService", "location": [{"reference": f"Location?{by('1')}"}]}),
    ).results
    stored = writer.resource("Bundle", results[1].id)
    assert stored is not None
    assert stored["entry"] == inner["entry"]
