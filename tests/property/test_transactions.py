"""Bundles and reference rewriting, on input that nobody thought of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nirantar.errors import Conflict, InvalidInput, NotFound
from nirantar.fhir import json
from nirantar.fhir.compartment import patient_of, patients_of
from nirantar.fhir.references import references_in, rewrite_references
from nirantar.fhir.search_parameters import extract
from nirantar.fhir.transaction_bundle import parse_transaction
from nirantar.interactions.operations import create
from stepped_writer import SteppedWriter

MAPPING = {"urn:uuid:1": "Patient/one", "urn:uuid:2": "Patient/two"}
TEXTS = st.sampled_from([*MAPPING, "urn:uuid:3", "Patient/1", "#x"]) | st.text(max_size=5)
KEYS = st.sampled_from(["reference", "subject", "value", "system", "display", "url", "div", "member", "contained"])
DECIMALS = st.sampled_from(["72.50", "0.0", "1E+2", "-0.000", "100000000000000000000.1"]).map(Decimal)
VALUES = st.recursive(
    TEXTS | DECIMALS | st.booleans() | st.none() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
RESOURCES = st.dictionaries(KEYS, VALUES, max_size=5)
ENCODER = msgspec.json.Encoder(decimal_format="number")


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every leaf of a JSON value with the way to it."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from leaves(item, (*path, position))
    else:
        yield path, value


# The first text that is drawn in a fresh checkout builds Unicode's tables, which takes seconds.
@given(resource=RESOURCES)
@settings(derandomize=True, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_only_links_change(resource: dict[str, Any]) -> None:
    """Every leaf that is not a mapped link under a link's key is the same, decimals digit by digit."""
    before = ENCODER.encode(resource)
    rewritten = rewrite_references(resource, MAPPING)
    assert ENCODER.encode(resource) == before
    for (path, old), (new_path, new) in zip(leaves(resource), leaves(rewritten), strict=True):
        assert path == new_path
        keys = [step for step in path if isinstance(step, str)]
        if keys[-1] in ("reference", "url") and old in MAPPING:
            assert new == MAPPING[old]
        else:
            assert new is old or new == old
            assert str(new) == str(old)
    assert not set(references_in(rewritten)) & set(MAPPING)
    assert rewrite_references(rewritten, MAPPING) is rewritten


ENTRIES = st.fixed_dictionaries(
    {
        "request": st.fixed_dictionaries(
            {
                "method": st.sampled_from(["POST", "PUT", "DELETE", "GET", "PATCH", "HEAD"]) | TEXTS,
                "url": st.sampled_from(["Patient", "Patient/1", "Patient/2", "Patient?identifier=a", "Group", "/"]) | TEXTS,
            },
            optional={
                "ifNoneExist": st.sampled_from(["identifier=a", "name=b", ""]) | TEXTS,
                "ifMatch": st.just('W/"1"') | TEXTS,
            },
        )
    },
    optional={
        "fullUrl": st.sampled_from([*MAPPING, "https://x/Patient/1"]) | TEXTS,
        "resource": st.builds(
            lambda rest, type, id: {**rest, "resourceType": type, "id": id},
            RESOURCES,
            st.sampled_from(["Patient", "Group"]),
            st.sampled_from(["1", "2"]),
        ),
    },
)


@given(entries=st.lists(ENTRIES | VALUES, max_size=5), kind=st.sampled_from(["transaction", "batch"]))
@settings(derandomize=True, max_examples=200)
def test_any_bundle_is_read_or_refused(entries: list[Any], kind: str) -> None:
    """Nothing but InvalidInput; every entry is read or refused by name, in a transaction all or none."""
    with suppress(InvalidInput):
        request = parse_transaction({"resourceType": "Bundle", "type": kind, "entry": entries})
        done = [one.entry_index for one in request.operations]
        assert sorted([*done, *(one.entry_index for one in request.refused)]) == list(range(len(entries)))
        assert kind == "batch" or not request.refused


SYSTEM = "urn:test:number"
ELSEWHERE = "https://x/Location/1"
NUMBERS = st.sampled_from(["1", "2", "3"])
WRITES = st.fixed_dictionaries(
    {"method": st.sampled_from(["POST", "PUT", "DELETE"]), "number": NUMBERS, "by_condition": st.booleans(),
     "refers": st.sampled_from([None, *MAPPING, ELSEWHERE, f"Location?identifier={SYSTEM}|1"])},
    optional={"full_url": st.sampled_from([*MAPPING, ELSEWHERE])},
)  # fmt: skip


def location_entry(write: dict[str, Any]) -> dict[str, Any]:
    """An entry about a Location that is known by a number, and whose id is that number where the client names it."""
    number, method = write["number"], write["method"]
    condition = f"identifier={SYSTEM}|{number}"
    request = {"method": method, "url": "Location" if method == "POST" else f"Location/{number}"}
    if write["by_condition"]:
        request |= {"ifNoneExist": condition} if method == "POST" else {"url": f"Location?{condition}"}
    entry: dict[str, Any] = {"request": request}
    if method != "DELETE":
        entry["resource"] = {"resourceType": "Location", "id": number, "identifier": [{"system": SYSTEM, "value": number}]}
        if write["refers"] is not None:
            entry["resource"]["partOf"] = {"reference": write["refers"]}
    if "full_url" in write:
        entry["fullUrl"] = write["full_url"]
    return entry


@given(transactions=st.lists(st.lists(WRITES, min_size=1, max_size=4), min_size=1, max_size=3))
@settings(derandomize=True, max_examples=80, deadline=None)
def test_any_transaction_is_done_whole_or_not_at_all(transactions: list[list[dict[str, Any]]]) -> None:
    """Refused: nothing changed. Done: one version of each resource, results in the order of the request, references
    final, and sending it again under its key answers the same."""
    writer = SteppedWriter()
    for place, writes in enumerate(transactions):
        size = writer.journal.size()
        body = {"resourceType": "Bundle", "type": "transaction", "entry": [location_entry(each) for each in writes]}
        try:
            operations = parse_transaction(body).operations
            outcome = writer.write(*operations, key=str(place))
        except (InvalidInput, Conflict, NotFound):
            assert writer.journal.size() == size
            continue
        assert writer.journal.size() == size + (outcome.appended is not None)
        made = [each for each in outcome.results if each.version is not None and each.status != "unchanged"]
        assert {each.version.version_id for each in made if each.version} <= {f"opd-1.{size}"}
        assert len({each.id for each in made}) == len(made)
        explained = {each.get("full_url") for each in writes if each["method"] != "DELETE"}
        for write, result in zip(writes, outcome.results, strict=True):
            wanted = {"POST": {"created", "unchanged"}, "PUT": {"created", "updated"}, "DELETE": {"deleted"}}
            assert result.status in wanted[write["method"]]
            if result.version is not None and result.version.resource is not None and result.status != "unchanged":
                stored = json.decode(result.version.resource)
                final = all(each.startswith("Location/") for each in references_in(stored))
                assert final or (write["refers"] not in explained and write["refers"] == ELSEWHERE)
        if outcome.appended is not None:
            again = writer.write(*operations, key=str(place))
            assert [(each.status, each.version) for each in again.results if each.status != "unchanged"] == [
                (each.status, each.version) for each in outcome.results if each.status != "unchanged"
            ]
    writer.close()


@given(resource=RESOURCES, type=st.sampled_from(["Patient", "Observation", "Group", "Provenance", "Appointment", "X"]))
@settings(derandomize=True, max_examples=150)
def test_any_shape_can_be_indexed_and_filed(resource: dict[str, Any], type: str) -> None:
    """Index and compartment look at unvalidated shapes without failing, and agree with themselves."""
    shaped = {**resource, "resourceType": type}
    assert extract(shaped) == extract(dict(reversed(shaped.items())))
    patients = patients_of(shaped)
    assert patient_of(shaped) == (patients[0] if patients else None)


ELEMENTS = st.fixed_dictionaries({"valueQuantity": st.fixed_dictionaries({"value": DECIMALS, "unit": st.just("kg")})}, optional={
    "note": st.lists(st.fixed_dictionaries({"text": st.text("aé€😀\\\" \n", min_size=1, max_size=8).filter(str.strip)}),
                     min_size=1, max_size=2),
    "referenceRange": st.lists(st.fixed_dictionaries({"low": st.fixed_dictionaries({"value": DECIMALS})}), min_size=1, max_size=2),
    "meta": st.fixed_dictionaries({"source": st.just("urn:test:source"), "versionId": st.just("9")}),
    "id": st.just("theirs"),
})  # fmt: skip


@given(elements=ELEMENTS, linked=st.booleans())
@settings(derandomize=True, max_examples=60, deadline=None)
def test_what_is_stored_is_what_was_sent(elements: dict[str, Any], linked: bool) -> None:
    """All but id, meta and links: the same names in the same order, decimals digit by digit; meta keeps the client's
    own words and loses its versionId."""
    writer = SteppedWriter()
    sent = {"resourceType": "Observation", "status": "final", "code": {"text": "Weight"}, **elements}
    if linked:
        sent["focus"] = [{"reference": f"Location?identifier={SYSTEM}|1"}]
    place = {"resourceType": "Location", "identifier": [{"system": SYSTEM, "value": "1"}]}
    result, other = writer.write(create(sent), create(place)).results
    assert result.version is not None
    assert result.version.resource is not None
    stored = json.decode(result.version.resource)
    assert list(stored)[:3] == ["resourceType", "id", "meta"]
    assert stored["id"] == result.id != "theirs"
    wanted = {key: value for key, value in sent.items() if key not in ("resourceType", "id", "meta")}
    if linked:
        wanted["focus"] = [{"reference": f"Location/{other.id}"}]
    assert json.encode({key: stored[key] for key in list(stored)[3:]}) == json.encode(wanted)
    assert stored["meta"]["versionId"] == result.version.version_id
    assert stored["meta"].get("source") == sent.get("meta", {}).get("source")
    writer.close()
