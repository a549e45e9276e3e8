"""Checks of FHIR's primitive types: form, range, and the codes of required bindings.

https://hl7.org/fhir/R4/datatypes.html#primitive. Every check takes a decoded JSON value and gives None or problems.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from nirantar.fhir import date_forms, narrative
from nirantar.fhir.definitions import value_set_codes
from nirantar.fhir.problem import Problem, Problems, Scope

Check = Callable[[Any, Scope], Problems | None]

STRING_CHARS_MAX: Final = 1024 * 1024
"""R4's own bound for a string."""

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def _wrong(rule: str, code: str = "value") -> Problems:
    return (Problem(code, rule),)


_NOT_TEXT: Final = _wrong("must be a JSON string", "structure")
_EMPTY: Final = _wrong("must not be an empty string")
_TOO_LONG: Final = _wrong(f"is longer than R4's {STRING_CHARS_MAX} characters for a string", "too-long")
_CONTROL_CHARACTER: Final = _wrong("has a control character, which FHIR does not allow")


def check_string(value: Any, _scope: Scope) -> Problems | None:
    """A string or markdown: not empty, no control characters but tab, CR and LF."""
    if type(value) is not str:
        return _NOT_TEXT
    if not value:
        return _EMPTY
    if len(value) > STRING_CHARS_MAX:
        return _TOO_LONG
    if not value.isprintable() and _CONTROL.search(value):
        return _CONTROL_CHARACTER
    return None


def _by_predicate(holds: Callable[[str], object], rule: str) -> Check:
    problems = _wrong(rule)

    def check(value: Any, _scope: Scope) -> Problems | None:
        if type(value) is not str:
            return _NOT_TEXT
        return None if holds(value) else problems

    return check


def _by_pattern(pattern: str, rule: str) -> Check:
    return _by_predicate(re.compile(pattern).fullmatch, rule)


_NOT_BOOLEAN: Final = _wrong("must be true or false", "structure")
_NOT_NUMBER: Final = _wrong("must be a JSON number", "structure")


def _check_boolean(value: Any, _scope: Scope) -> Problems | None:
    return None if type(value) is bool else _NOT_BOOLEAN


def _check_decimal(value: Any, _scope: Scope) -> Problems | None:
    if type(value) is int or (type(value) is Decimal and value.is_finite()):
        return None
    return _NOT_NUMBER


def _integer_from(minimum: int, rule: str) -> Check:
    problems = _wrong(rule)

    def check(value: Any, _scope: Scope) -> Problems | None:
        return None if type(value) is int and minimum <= value < 2**31 else problems

    return check


def _is_base64(text: str) -> bool:
    try:
        return bool(binascii.a2b_base64("".join(text.split()).encode(), strict_mode=True))
    except (ValueError, UnicodeEncodeError):
        return False


def _check_xhtml(value: Any, _scope: Scope) -> Problems | None:
    if type(value) is not str:
        return _NOT_TEXT
    broken = narrative.broken_rule(value)
    return _wrong(broken) if broken else None


_DATE_RULE: Final = "is not a FHIR date (YYYY, YYYY-MM or YYYY-MM-DD) of a day that exists"
_URI: Final = _by_pattern(r"\S+", "is not a FHIR uri: not empty, no white space")

_CHECKS: Final[dict[str, Check]] = {
    "base64Binary": _by_predicate(_is_base64, "is not base64"),
    "boolean": _check_boolean,
    "canonical": _URI,
    "code": _by_pattern(r"[^\s]+(?: [^\s]+)*", "is not a FHIR code: not empty, no white space but single spaces"),
    "date": _by_predicate(date_forms.is_date, _DATE_RULE),
    "dateTime": _by_predicate(
        date_forms.is_date_time,
        "is not a FHIR dateTime (a date, or date, time to the second and offset) of a day that exists",
    ),
    "decimal": _check_decimal,
    "id": _by_pattern(r"[A-Za-z0-9\-.]{1,64}", "is not a FHIR id: 1 to 64 letters, digits, '-' and '.'"),
    "instant": _by_predicate(
        date_forms.is_instant, "is not a FHIR instant (date, time to the second and offset) of a day that exists"
    ),
    "integer": _integer_from(-(2**31), "must be a whole JSON number of 32 bits"),
    "markdown": check_string,
    "oid": _by_pattern(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+", "is not an OID in the form urn:oid:1.2.3"),
    "positiveInt": _integer_from(1, "must be a whole JSON number from 1 to 2147483647"),
    "string": check_string,
    "time": _by_predicate(date_forms.is_time, "is not a FHIR time (HH:MM:SS)"),
    "unsignedInt": _integer_from(0, "must be a whole JSON number from 0 to 2147483647"),
    "uri": _URI,
    "url": _URI,
    "uuid": _by_pattern(
        r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "is not a UUID in the form urn:uuid:..., in lower case",
    ),
    "xhtml": _check_xhtml,
}


def primitive_check(type_name: str, value_set: str | None = None) -> Check:
    """The check of a primitive type; with `value_set`, also that the code is one of its codes.

    Raises KeyError for a type that is not primitive.
    """
    if value_set is None:
        return _CHECKS[type_name]
    codes = frozenset().union(*value_set_codes(value_set).values())
    problems = _wrong(f"is not a code of the required value set {value_set}", "code-invalid")

    def check(value: Any, _scope: Scope) -> Problems | None:
        if type(value) is not str:
            return _NOT_TEXT
        return None if value in codes else problems

    return check
