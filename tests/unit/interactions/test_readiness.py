"""Resources made ready before the writer's turn, here and by way of a question and its answer."""

from __future__ import annotations

import msgspec
import pytest

from nirantar.errors import ResourceInvalid
from nirantar.fhir import json
from nirantar.fhir.references import rewrite_references
from nirantar.interactions.readiness import Answer, answer, ask, make_ready, read_answer

BODY = (
    b'{"resourceType":"Observation","id":"old","meta":{"versionId":"9","lastUpdated":"2001-01-01T00:00:00Z",'
    b'"tag":[{"system":"urn:t","code":"x"}]},"status":"final","code":{"text":"Weight"},'
    b'"subject":{"reference":"urn:uuid:00000000-0000-4000-8000-000000000001"},"valueQuantity":{"value":72.50}}'
)
MAPPING = {"urn:uuid:00000000-0000-4000-8000-000000000001": "Patient/p"}


def test_elsewhere_is_as_here() -> None:
    """What another process makes of a resource is what this one would make, byte for byte."""
    resource = json.decode(BODY)
    (elsewhere,) = read_answer(answer(ask([resource], MAPPING)))
    assert elsewhere == make_ready(rewrite_references(resource, MAPPING))
    assert elsewhere.outline.patient == "p"


def test_stamps_stand_first_and_replace_the_clients() -> None:
    """Type, id and meta come first; the client's version and time are gone, his tags and every digit stay."""
    ready = make_ready(rewrite_references(json.decode(BODY), MAPPING))
    stamped = ready.stamped("Observation", "new", "opd-1.4", "2025-01-02T03:04:05.678Z")
    assert stamped == (
        b'{"resourceType":"Observation","id":"new","meta":{"versionId":"opd-1.4","lastUpdated":'
        b'"2025-01-02T03:04:05.678Z","tag":[{"system":"urn:t","code":"x"}]},"status":"final","code":{"text":"Weight"},'
        b'"subject":{"reference":"Patient/p"},"valueQuantity":{"value":72.50}}'
    )
    assert {row.param for row in ready.outline.rows()} >= {"_tag", "status", "patient"}
    assert "_lastUpdated" not in {row.param for row in ready.outline.rows()}


def test_a_meta_of_stamps_alone_leaves_no_trace() -> None:
    """The time of last change that a client read and sends back is not searched for: the view would keep it beside the
    new one."""
    resource = json.decode(
        b'{"resourceType":"Patient","id":"p","meta":{"versionId":"9","lastUpdated":"2001-01-01T00:00:00Z"}}'
    )
    bare = json.decode(b'{"resourceType":"Patient","id":"p"}')
    assert make_ready(resource).outline == make_ready(bare).outline


def test_a_resource_of_stamps_alone_can_be_stamped() -> None:
    """Neither an empty body nor an absent meta breaks the JSON."""
    stamped = make_ready({"resourceType": "Basic"}).stamped("Basic", "b", "n.0", "2025-01-02T03:04:05.678Z")
    assert json.decode(stamped)["meta"] == {"versionId": "n.0", "lastUpdated": "2025-01-02T03:04:05.678Z"}


def test_what_is_wrong_comes_back_as_it_would_here() -> None:
    """The issues of an invalid resource travel whole; an answer that says nothing leaves the work to the asker."""
    wrong = {"resourceType": "Patient", "gender": "unheard", "birthDate": "2024-02-30"}
    with pytest.raises(ResourceInvalid) as refused:
        read_answer(answer(ask([wrong], {})))
    assert {issue.expression for issue in refused.value.found} == {"Patient.gender", "Patient.birthDate"}
    assert read_answer(msgspec.msgpack.encode(Answer())) == []
