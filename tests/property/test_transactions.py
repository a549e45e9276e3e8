"""Bundles and reference rewriting, on input that nobody thought of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from nirantar.errors import InvalidInput
from nirantar.fhir.compartment import patient_of, patients_of
from nirantar.fhir.references import references_in, rewrite_references
from nirantar.fhir.search_parameters import extract
from nirantar.fhir.transaction_bundle import parse_transaction, reference_mapping
from nirantar.fhir.transaction_plan import Assigned, plan, resource_to_write

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


@given(resource=RESOURCES)
@settings(derandomize=True, max_examples=150)
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


@given(
    entries=st.lists(ENTRIES | VALUES, max_size=5),
    kind=st.sampled_from(["transaction", "batch"]),
    matched=st.booleans(),
)
@settings(derandomize=True, max_examples=200)
def test_any_bundle_is_planned_or_refused(entries: list[Any], kind: str, matched: bool) -> None:
    """Nothing but InvalidInput; a planned transaction writes each resource once and leaves no urn behind."""
    with suppress(InvalidInput):
        request = parse_transaction({"resourceType": "Bundle", "type": kind, "entry": entries})
        done = [one.entry_index for one in request.operations]
        assert sorted({*done, *(one.entry_index for one in request.refused)}) == list(range(len(entries)))
        planned = plan(request, lambda entry_index, one: Assigned(f"n{entry_index}", exists=matched))
        assert sorted(one.entry_index for one in planned) == done
        if kind == "transaction":
            assert not request.refused
            mapping = reference_mapping(planned)
            written = [one for one in planned if one.writes and one.resource and one.method != "PATCH"]
            assert len({(one.type, one.id) for one in written}) == len(written)
            for one in written:
                body = resource_to_write(one, mapping)
                assert (body["resourceType"], body["id"]) == (one.type, one.id)
                assert not any(reference.startswith("urn:uuid:") for reference in references_in(body))


@given(resource=RESOURCES, type=st.sampled_from(["Patient", "Observation", "Group", "Provenance", "Appointment", "X"]))
@settings(derandomize=True, max_examples=150)
def test_any_shape_can_be_indexed_and_filed(resource: dict[str, Any], type: str) -> None:
    """Index and compartment look at unvalidated shapes without failing, and agree with themselves."""
    shaped = {**resource, "resourceType": type}
    assert extract(shaped) == extract(dict(reversed(shaped.items())))
    patients = patients_of(shaped)
    assert patient_of(shaped) == (patients[0] if patients else None)
