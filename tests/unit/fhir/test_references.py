"""Links inside a resource."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from nirantar.fhir.references import condition_of, is_urn, references_in, rewrite_references

URN = "urn:uuid:8f1e"
MAPPING = {URN: "Patient/1", "https://x/Binary/7": "Binary/9", "Patient?identifier=a": "Patient/3"}


def test_links_are_rewritten_wherever_they_may_stand() -> None:
    """References, uri elements that can lead to a resource, links in the narrative, contained resources."""
    resource: dict[str, Any] = {
        "subject": {"reference": URN, "display": URN},
        "performer": [{"reference": "Patient?identifier=a"}, {"reference": f"{URN}#part"}],
        "contained": [{"focus": {"reference": URN}}],
        "content": [{"attachment": {"url": "https://x/Binary/7"}}],
        "instantiatesUri": [URN, "urn:other"],
        "extension": [{"url": "http://e", "valueUri": URN}],
        "text": {"div": f"<div><a href=\"{URN}\">{URN}</a><img src = '{URN}'/></div>"},
    }
    assert rewrite_references(resource, MAPPING) == {
        "subject": {"reference": "Patient/1", "display": URN},
        "performer": [{"reference": "Patient/3"}, {"reference": "Patient/1#part"}],
        "contained": [{"focus": {"reference": "Patient/1"}}],
        "content": [{"attachment": {"url": "Binary/9"}}],
        "instantiatesUri": ["Patient/1", "urn:other"],
        "extension": [{"url": "http://e", "valueUri": "Patient/1"}],
        "text": {"div": f"<div><a href=\"Patient/1\">{URN}</a><img src = 'Patient/1'/></div>"},
    }


def test_names_and_data_that_look_like_links_stay() -> None:
    """An identifier, a coding system, a longer urn and a text that mentions the urn are not links."""
    resource = {
        "identifier": [{"system": URN, "value": URN}],
        "note": [{"text": f"see {URN}"}],
        "subject": {"reference": f"{URN}0"},
        "performer": [{"reference": "https://x/Binary/7#part"}],
        "value": Decimal("72.50"),
    }
    assert rewrite_references(resource, MAPPING) is resource


def test_the_argument_is_not_modified_and_parts_are_shared() -> None:
    """What has no link is the same object in the result."""
    resource = {"subject": {"reference": URN}, "code": {"text": "x"}}
    rewritten = rewrite_references(resource, MAPPING)
    assert resource["subject"] == {"reference": URN}
    assert rewritten["code"] is resource["code"]
    assert rewrite_references(resource, {}) is resource


def test_references_are_found_in_contained_resources_too() -> None:
    """Everything under a `reference` key that is a string."""
    resource = {
        "a": {"reference": "x"},
        "contained": [{"b": [{"reference": "y"}]}],
        "reference": {"reference": "z"},
    }
    assert references_in(resource) == ["x", "y", "z"]


def test_kinds_of_references() -> None:
    """Urns and searches are told from ordinary references."""
    assert is_urn("urn:uuid:1")
    assert is_urn("urn:oid:1.2")
    assert not is_urn("Patient/1")
    assert condition_of("Patient?identifier=a|b") == ("Patient", "identifier=a|b")
    assert condition_of("Patient/1") is None
    assert condition_of("https://x/Patient?identifier=a") is None
