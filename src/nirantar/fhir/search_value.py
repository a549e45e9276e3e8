"""The values of a search: how they are written, and what they mean. Source: R4 search §3.1.1.4."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from nirantar.errors import InvalidInput
from nirantar.fhir.dates import range_of
from nirantar.fhir.index_rows import normalised_text
from nirantar.fhir.search_parameters import SearchParameter

DatePrefix = Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]

_DATE_PREFIXES: Final[tuple[DatePrefix, ...]] = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)
_ESCAPED = re.compile(r"\\([\\,|$])")


@dataclass(frozen=True, slots=True)
class TokenValue:
    """`system` None: any system; "": only tokens without one. `code` None: any code of the system."""

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class StringValue:
    """`text` is normalised like the index; `exact` is the text as it was asked, for the modifier `exact`."""

    text: str
    exact: str


@dataclass(frozen=True, slots=True)
class DateValue:
    """A prefix and the half-open range asked for, in microseconds; `text` is the date as it was asked.

    For `ap` the range is already widened by its own length at both ends: it then asks for any overlap.
    """

    prefix: DatePrefix
    low_us: int
    high_us: int
    text: str


@dataclass(frozen=True, slots=True)
class ReferenceValue:
    """A target as the index holds it: `Type/id`, or a URL."""

    target: str


@dataclass(frozen=True, slots=True)
class MissingValue:
    """The only value of the modifier `missing`: whether the resource is to have no row of the parameter."""

    missing: bool


Value = TokenValue | StringValue | DateValue | ReferenceValue | MissingValue


def split_escaped(text: str, separator: str) -> list[str]:
    """The parts between separators that no backslash escapes; the parts are still escaped."""
    parts: list[str] = []
    start, escaped = 0, False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == separator:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]


def _unescaped(text: str) -> str:
    """R4's escapes undone; a backslash before anything else stands for itself."""
    return _ESCAPED.sub(r"\1", text)


def values_written(parameter: SearchParameter, target_type: str | None, part: str) -> list[Value]:
    """One written value as values of its kind; a bare id of a reference is one for each type it may mean."""
    match parameter.kind:
        case "token":
            return [_token_value(part)]
        case "uri":
            return [TokenValue("", _unescaped(part))]
        case "string":
            return [_string_value(parameter.code, _unescaped(part))]
        case "date":
            return [_date_value(parameter.code, _unescaped(part))]
    return _reference_values(parameter, target_type, _unescaped(part))


def _token_value(part: str) -> TokenValue:
    """`code`, `system|code`, `|code` or `system|`."""
    written_system, *rest = split_escaped(part, "|")
    if not rest:
        return TokenValue(None, _unescaped(part))
    system, code = _unescaped(written_system), _unescaped("|".join(rest))
    if not system and not code:
        raise InvalidInput("A token needs a system, a code or both.")
    return TokenValue(system, code or None)


def _string_value(code: str, text: str) -> StringValue:
    normal = normalised_text(text)
    if not normal:
        raise InvalidInput(f"{code}: a value is empty.")
    return StringValue(normal, text)


def _date_value(code: str, text: str) -> DateValue:
    prefix: DatePrefix = "eq"
    written = text
    for known in _DATE_PREFIXES:
        if text.startswith(known):
            prefix, written = known, text[2:]
    # In a query, a plus sign that nobody percent-encoded arrives as a space.
    written = written.replace(" ", "+")
    try:
        low, high = range_of(written)
    except InvalidInput as error:
        raise InvalidInput(f"{code}: {error}") from error
    if prefix == "ap":
        low, high = low - (high - low), high + (high - low)
    return DateValue(prefix, low, high, written)


def _reference_values(parameter: SearchParameter, target_type: str | None, text: str) -> list[Value]:
    """A bare id stands for one of each target type, `Type/id` and URLs for themselves without a version."""
    target = text.split("/_history/", 1)[0]
    types = (target_type,) if target_type is not None else parameter.targets
    if types and _ID.fullmatch(target):
        return [ReferenceValue(f"{type}/{target}") for type in types]
    parts = target.rsplit("/", 2)
    if target_type is not None and (len(parts) < 2 or parts[-2] != target_type):
        raise InvalidInput(f"{parameter.code}:{target_type} needs an id, or a reference to a {target_type}.")
    return [ReferenceValue(target)]


def escaped(text: str) -> str:
    """R4's escapes, and the backslash's own."""
    for special in "\\,|$":
        text = text.replace(special, "\\" + special)
    return text
