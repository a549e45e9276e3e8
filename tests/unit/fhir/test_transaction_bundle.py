"""Transaction and batch Bundles, read. What the writer makes of them is in tests/unit/interactions."""

from __future__ import annotations

from typing import Any

import pytest

from nirantar.errors import LimitExceeded, ResourceInvalid
from nirantar.fhir.search_query import parse_condition
from nirantar.fhir.transaction_bundle import parse_transaction, reference_mapping
from nirantar.limits import TRANSACTION_ENTRIES_MAX

URN = "urn:uuid:8f1e"


def entry(
    method: str, url: str, body: dict[str, Any] | None = None, full_url: str | None = None, **request: str
) -> dict[str, Any]:
    """One entry of a Bundle."""
    made: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    if body is not None:
        made["resource"] = body
    if full_url is not None:
        made["fullUrl"] = full_url
    return made


def bundle_of(*entries: Any, kind: str = "transaction") -> dict[str, Any]:
    """A Bundle of entries."""
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def patient(**elements: Any) -> dict[str, Any]:
    """A Patient."""
    return {"resourceType": "Patient", **elements}


def test_entries_are_read_with_all_that_they_ask() -> None:
    """Method, URL, conditions, ETags and body of each kind of entry."""
    request = parse_transaction(
        bundle_of(
            entry("POST", "Patient", patient(), URN, ifNoneExist="identifier=a"),
            entry("PUT", "Patient/7", patient(id="7"), ifMatch='W/"n.3"'),
            entry("PUT", "Patient?identifier=b", patient()),
            entry("PUT", "Patient?identifier=c", patient(id="mine")),
            entry("PUT", "Patient/8", patient(id="8"), ifNoneMatch="*"),
            entry("DELETE", "Encounter/7"),
            entry("PATCH", "Patient/9", {"resourceType": "Parameters"}),
            entry("GET", "Patient?name=x"),
            entry("GET", "Patient/7/_history/n.2"),
            entry("HEAD", "Patient/7"),
        )
    )
    made, updated, conditional, named, only_new, deleted, patched, searched, read, looked_at = request.operations
    assert (made.method, made.type, made.id, made.full_url) == ("POST", "Patient", None, URN)
    assert made.condition == parse_condition("Patient", "identifier=a")
    assert (updated.id, updated.if_match) == ("7", "n.3")
    assert (conditional.id, conditional.condition) == (None, parse_condition("Patient", "identifier=b"))
    assert (named.id, named.condition) == ("mine", parse_condition("Patient", "identifier=c"))
    assert only_new.if_none_match == "*"
    assert (deleted.type, deleted.id, deleted.resource) == ("Encounter", "7", None)
    assert patched.resource == {"resourceType": "Parameters"}
    assert (searched.target.interaction, searched.target.query, searched.condition) == ("type", "name=x", None)
    assert (read.target.interaction, read.target.version_id) == ("version", "n.2")
    assert [each.writes for each in (made, deleted, patched, read, looked_at)] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("wrong", "expression"),
    [
        (7, "Bundle.entry[1].request"),
        ({"resource": patient()}, "Bundle.entry[1].request"),
        (entry("TRACE", "Patient/1"), "Bundle.entry[1].request.method"),
        (entry("HEAD", "Patient/1", patient()), "Bundle.entry[1].resource"),
        ({"request": {"method": "POST"}, "resource": patient()}, "Bundle.entry[1].request.url"),
        ({"request": {"method": "POST", "url": 7}, "resource": patient()}, "Bundle.entry[1].request.url"),
        (entry("POST", "https://x/Patient", patient()), "Bundle.entry[1].request.url"),
        (entry("POST", "Patient/1", patient()), "Bundle.entry[1].request.url"),
        (entry("POST", "Patient?identifier=a", patient()), "Bundle.entry[1].request.url"),
        (entry("PUT", "Patient", patient()), "Bundle.entry[1].request.url"),
        (entry("PUT", "Patient/1/_history/2", patient(id="1")), "Bundle.entry[1].request.url"),
        (entry("DELETE", "Patient?_count=1"), "Bundle.entry[1].request.url"),
        (entry("DELETE", "Patient/$everything"), "Bundle.entry[1].request.url"),
        (entry("POST", "Patient", patient(), ifNoneExist="colour=red"), "Bundle.entry[1].request.ifNoneExist"),
        (entry("POST", "Patient", patient(), ifNoneExist=""), "Bundle.entry[1].request.ifNoneExist"),
        (entry("PUT", "Patient/1", patient(id="1"), ifMatch="3"), "Bundle.entry[1].request.ifMatch"),
        (entry("POST", "Patient"), "Bundle.entry[1].resource"),
        (entry("GET", "Patient/1", patient()), "Bundle.entry[1].resource"),
        (entry("POST", "Patient", {"resourceType": "Group"}), "Bundle.entry[1].resource.resourceType"),
        (entry("PUT", "Patient/1", patient(id="2")), "Bundle.entry[1].resource.id"),
        (entry("PUT", "Patient/1", patient()), "Bundle.entry[1].resource.id"),
        (entry("POST", "Patient", patient(), ""), "Bundle.entry[1].fullUrl"),
        (entry("POST", "Patient", patient(), "Patient/5"), "Bundle.entry[1].fullUrl"),
        (entry("POST", "Patient", patient(), URN), "Bundle.entry[1]"),
        (entry("DELETE", "Group/1"), "Bundle.entry[1]"),
        (entry("POST", "Patient", patient(), ifNoneExist="identifier=a"), "Bundle.entry[1]"),
        (entry("POST", "Patient", patient(a={"reference": "urn:uuid:none"})), "Bundle.entry[1].resource"),
        (entry("POST", "Patient", patient(a={"reference": "Patient?colour=red"})), "Bundle.entry[1].resource"),
    ],
)
def test_a_wrong_entry_refuses_a_transaction_by_name(wrong: Any, expression: str) -> None:
    """All or nothing; the error names entry and element. In a batch the others go on."""
    good = [
        entry("POST", "Patient", patient(), URN, ifNoneExist="identifier=a"),
        entry("DELETE", "Group/1"),
    ]
    with pytest.raises(ResourceInvalid) as caught:
        parse_transaction(bundle_of(good[0], wrong, good[1]))
    # Of two entries that clash, the later one is named.
    assert {issue.expression for issue in caught.value.issues()} <= {expression, "Bundle.entry[2]"}
    if expression != "Bundle.entry[1]":
        request = parse_transaction(bundle_of(good[0], wrong, good[1], kind="batch"))
        assert [operation.entry_index for operation in request.operations] == [0, 2]
        assert [(one.entry_index, one.error.issues()[0].expression) for one in request.refused] == [(1, expression)]


def test_every_fault_of_a_transaction_is_reported() -> None:
    """Somebody who mends a Bundle sees all of it at once."""
    with pytest.raises(ResourceInvalid) as caught:
        parse_transaction(bundle_of(entry("PUT", "Patient", patient()), entry("POST", "Patient"), 7))
    assert [issue.expression[:15] for issue in caught.value.issues()] == [f"Bundle.entry[{i}]" for i in range(3)]


def test_bundles_of_other_kinds_and_sizes_are_refused() -> None:
    """A collection is no request, and a Bundle has a largest size."""
    for wrong in ({}, {"resourceType": "Bundle", "type": "collection"}, {"resourceType": "Bundle", "type": [1]},
                  {"resourceType": "Bundle", "type": "batch", "entry": {}}):  # fmt: skip
        with pytest.raises(ResourceInvalid):
            parse_transaction(wrong)
    with pytest.raises(LimitExceeded, match="TRANSACTION_ENTRIES_MAX"):
        parse_transaction(bundle_of(*[{}] * (TRANSACTION_ENTRIES_MAX + 1)))
    assert parse_transaction({"resourceType": "Bundle", "type": "batch"}).operations == ()


def test_a_batch_does_not_explain_urns() -> None:
    """Its entries stand alone, so a reference from one to another refuses that one."""
    request = parse_transaction(
        bundle_of(
            entry("POST", "Patient", patient(), URN),
            entry("POST", "Group", {"resourceType": "Group", "member": [{"entity": {"reference": URN}}]}),
            kind="batch",
        )
    )
    assert [one.entry_index for one in request.refused] == [1]


def test_a_deleted_entry_explains_no_urn() -> None:
    """Only an entry that leaves a resource behind can be referred to."""
    with pytest.raises(ResourceInvalid, match="refers to a urn"):
        parse_transaction(
            bundle_of(
                entry("DELETE", "Patient/1", full_url=URN),
                entry("POST", "Group", {"resourceType": "Group", "member": [{"entity": {"reference": URN}}]}),
            )
        )


def test_a_condition_may_come_twice_in_different_methods() -> None:
    """A DELETE and a POST ask at different moments; two of one method would race each other and are refused."""
    deleting = entry("DELETE", "Patient?identifier=a")
    creating = entry("POST", "Patient", patient(), ifNoneExist="identifier=a")
    assert len(parse_transaction(bundle_of(creating, deleting)).operations) == 2
    for twice in (deleting, creating):
        with pytest.raises(ResourceInvalid, match="same condition"):
            parse_transaction(bundle_of(twice, twice))


def test_two_updates_that_name_one_resource_are_refused() -> None:
    """Whether the URL names it or the resource of an update by condition."""
    with pytest.raises(ResourceInvalid, match="same identity"):
        parse_transaction(bundle_of(
            entry("PUT", "Patient/7", patient(id="7")), entry("PUT", "Patient?identifier=a", patient(id="7"))
        ))


def test_a_bundle_inside_explains_its_own_urns() -> None:
    """A document's links are about its own entries, also in a batch."""
    document = {"resourceType": "Bundle", "type": "document", "entry": [
        {"resource": {"resourceType": "Group", "member": [{"entity": {"reference": URN}}]}}
    ]}
    for kind in ("transaction", "batch"):
        assert len(parse_transaction(bundle_of(entry("POST", "Bundle", document), kind=kind)).operations) == 1


def test_references_mean_what_the_full_urls_say() -> None:
    """By urn, by a server's URL and by that URL's relative form, once the ids are known."""
    request = parse_transaction(
        bundle_of(
            entry("PUT", "Patient/7", patient(id="7"), URN),
            entry("PUT", "Group/new", {"resourceType": "Group", "id": "new"}, "https://x/fhir/Group/old"),
        )
    )
    assert reference_mapping(request.operations) == {
        URN: "Patient/7", "https://x/fhir/Group/old": "Group/new", "Group/old": "Group/new",
    }
