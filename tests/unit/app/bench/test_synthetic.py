"""The made-up charts: valid, of the size that is promised, the same each time."""

from __future__ import annotations

import pytest

from nirantar.app.bench.synthetic import chart_bundle, registration
from nirantar.fhir import json
from nirantar.fhir.transaction_bundle import parse_transaction
from nirantar.fhir.validation import validate


@pytest.mark.parametrize("number", [0, 1, 79, 12_345, 999_999])
def test_every_registration_is_valid_and_of_one_size(number: int) -> None:
    """What is measured passes the validation that it is measured with, and its JSON has 3 to 4 KB."""
    resources = [each.resource for each in registration(number)]
    size = 0
    for resource in resources:
        assert resource is not None
        validate(resource)
        size += len(json.encode(resource))
    assert 3_000 <= size <= 4_096


def test_a_chart_as_a_bundle_is_the_same_transaction() -> None:
    """Every reference is explained by an entry, and the same number gives the same bytes."""
    written = json.encode(chart_bundle(3, observations=5))
    assert len(parse_transaction(json.decode(written)).operations) == 7
    assert written == json.encode(chart_bundle(3, observations=5))
