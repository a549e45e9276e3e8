"""The founding document: one form, and nothing that is not it passes for it."""

from __future__ import annotations

import pytest

from nirantar.errors import ConfigInvalid, Damaged
from nirantar.fold.founding import SLUG_CHARS_MAX, FoundingDocument, slug_of

DOCUMENT = FoundingDocument(1, "City Hospital", "city-hospital", ("age1x",), "vkey")


def test_it_comes_back_as_it_was() -> None:
    """Encode, parse, encode: the same bytes, and the origin that nodes get from it."""
    data = DOCUMENT.encode()
    assert FoundingDocument.parse(data) == DOCUMENT
    assert FoundingDocument.parse(data).encode() == data
    assert DOCUMENT.origin("opd-1") == "nirantar.city-hospital/opd-1"


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"null", b"\xff", b"[" * 100_000, DOCUMENT.encode().replace(b'"v": 1', b'"v": 2'),
             DOCUMENT.encode().replace(b'"slug"', b'"more": 1, "slug"'), DOCUMENT.encode()[:-5]],
)
def test_anything_else_is_damaged(data: bytes) -> None:
    """Torn, foreign, of another format or with more in it: Damaged, naming the file."""
    with pytest.raises(Damaged, match=r"hospital\.json"):
        FoundingDocument.parse(data)


@pytest.mark.parametrize(
    ("name", "slug"),
    [("AIIMS Delhi", "aiims-delhi"), ("  St. Mary's -- OPD!", "st-mary-s-opd"), ("Straße", "strasse"), ("7", "7"),
     ("अस्पताल 2", "2"), ("x" * 99, "x" * SLUG_CHARS_MAX), ("a" * 39 + " b", "a" * 39)],
)
def test_a_name_becomes_a_slug(name: str, slug: str) -> None:
    """Lower-case letters, digits and single hyphens, within its length."""
    assert slug_of(name) == slug


@pytest.mark.parametrize("name", ["---", "अस्पताल"])
def test_a_name_in_another_script_gets_a_slug_of_its_own(name: str) -> None:
    """A short hash of it: the same for the same name, another for another."""
    slug = slug_of(name)
    assert slug.removeprefix("hospital-").isalnum()
    assert slug == slug_of(f" {name} ") != slug_of(f"{name}!")


@pytest.mark.parametrize("name", ["", "  ", "City\nAGE-SECRET-KEY-1X", "a\x00", "a\u2028b"])
def test_a_name_that_cannot_name_a_log_is_refused(name: str) -> None:
    """Nothing left of it, or a line break that would forge a line of the identity file."""
    with pytest.raises(ConfigInvalid):
        slug_of(name)
