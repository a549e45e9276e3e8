"""What the search index holds of a resource, and how an element becomes rows of it.

Four kinds of row, one per kind of comparison. `param` is the search parameter's code ("identifier", "_lastUpdated").
A parameter has one kind within a resource type, so rows of different kinds never compare equal by accident.
Elements are told apart by their shape (a Coding has no `value`, a Period has `start` or `end`): the validator has
already checked that they are what R4 allows there. Source: R4 search §3.1.1.4.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from nirantar.fhir.dates import range_of_value


class TokenRow(NamedTuple):
    """A code, identifier, boolean or URI. `system` is "" where the element has none."""

    param: str
    system: str
    code: str


class StringRow(NamedTuple):
    """Text as `normalised_text` returns it."""

    param: str
    value: str


class DateRow(NamedTuple):
    """The half-open range `[low_us, high_us)` of a date, in microseconds since 1970 UTC."""

    param: str
    low_us: int
    high_us: int


class ReferenceRow(NamedTuple):
    """A link: `Type/id` without a version where it is relative, else the URL or canonical as it stands."""

    param: str
    target: str


IndexRow = TokenRow | StringRow | DateRow | ReferenceRow

# The columns of a row after `param`: one element gives one set of columns to each parameter that points at it.
Columns = tuple[Any, ...]
Values = Callable[[Any], Iterator[Columns]]

_ACCENTS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")


def normalised_text(text: str) -> str:
    """Text as searches compare it: without case, accents and invisible characters, with single spaces.

    Only the combining marks of European scripts are accents. The vowel signs and the nukta of Devanagari and its
    sisters are letters to their readers and stay; composed and decomposed spellings come out the same.
    """
    if text.isascii():
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    folded = unicodedata.normalize("NFKD", _INVISIBLE.sub("", _ACCENTS.sub("", folded)))
    return " ".join(folded.split())


# ContactPoint.system is a channel, not a namespace: R4 gives its token no system.
_CHANNELS: Final = frozenset({"phone", "fax", "email", "pager", "url", "sms", "other"})


def token_values(value: Any) -> Iterator[Columns]:
    """(system, code) of a code, boolean, URI, Coding, CodeableConcept, Identifier or ContactPoint."""
    if isinstance(value, str):
        yield "", value
    elif isinstance(value, bool):
        yield "", "true" if value else "false"
    elif isinstance(value, dict):
        codings = value.get("coding")
        if isinstance(codings, list):
            for coding in codings:
                yield from token_values(coding)
            return
        code = value.get("code") if "code" in value else value.get("value")
        if isinstance(code, str):
            system = value.get("system", "")
            yield ("" if system in _CHANNELS or not isinstance(system, str) else system), code


# The parts of a HumanName and of an Address that a search for the whole finds.
_TEXT_PARTS: Final = (
    *("text", "family", "given", "prefix", "suffix"),
    *("line", "city", "district", "state", "postalCode", "country"),
)


def exact_values(value: Any) -> Iterator[Columns]:
    """The texts of a string, a HumanName or an Address, letter by letter as they were written."""
    if isinstance(value, str):
        yield (value,)
    elif isinstance(value, dict):
        for part in _TEXT_PARTS:
            found = value.get(part)
            if isinstance(found, str):
                yield (found,)
            elif isinstance(found, list):
                for text in found:
                    if isinstance(text, str):
                        yield (text,)


def string_values(value: Any) -> Iterator[Columns]:
    """The texts of a string, a HumanName or an Address, normalised; nothing for one that is all spaces."""
    for (text,) in exact_values(value):
        normal = normalised_text(text)
        if normal:
            yield (normal,)


def date_values(value: Any) -> Iterator[Columns]:
    """(low_us, high_us) of a date, dateTime, instant, Period or Timing."""
    found = range_of_value(value)
    if found is not None:
        yield found


_VERSION = re.compile(r"/_history/[^/]+$")


def reference_values(value: Any) -> Iterator[Columns]:
    """The target of a Reference, canonical or uri; none for a contained resource, a bare identifier or a display."""
    target = value.get("reference") if isinstance(value, dict) else value
    if isinstance(target, str) and target and target[0] != "#":
        yield (_VERSION.sub("", target) if "/_history/" in target else target,)


def type_of_target(value: Any) -> str | None:
    """The resource type that a Reference says it points at, by its URL or else by its `type` element."""
    if isinstance(value, dict):
        target = value.get("reference")
        if isinstance(target, str):
            parts = _VERSION.sub("", target).rsplit("/", 2)
            if len(parts) > 1:
                return parts[-2]
        declared = value.get("type")
        if isinstance(declared, str):
            return declared
    return None
