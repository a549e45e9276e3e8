"""Ownership as data."""

from __future__ import annotations

from nirantar.fhir.search_parameters import search_parameters_of
from nirantar.fold.ownership import OWNED, owners_of, things_of


def test_each_type_and_place_is_declared_once() -> None:
    """No type has two declarations for one kind of place, and each names a type that R4 has."""
    assert len({(owned.type, owned.place) for owned in OWNED}) == len(OWNED)
    assert all("status" in search_parameters_of(owned.type) for owned in OWNED)


def test_declarations_are_found_both_ways() -> None:
    """A type leads to its place, a place to its things; what is not declared has no owner."""
    assert [owned.place for owned in owners_of("Specimen")] == ["laboratory"]
    assert {owned.thing for owned in things_of("ward")} == {"bed", "medication chart"}
    assert owners_of("Observation") == ()
