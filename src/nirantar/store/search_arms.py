"""What each criterion of a search means in the index tables.

An arm is one range of one table, as SQL over the alias `c` with its values. Nothing that a caller wrote becomes SQL:
texts come from this file, values are bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import apsw

from nirantar.fhir.search_query import (
    Criterion,
    DateValue,
    ReferenceValue,
    SearchQuery,
    StringValue,
    TokenValue,
)
from nirantar.store.schema import SEQUENCE_BITS, SPAN_WIDTHS_US
from nirantar.store.sqlite_rows import all_rows, first_row

_SYSTEMS_OF_A_CODE_MAX: Final = 16
_LOWEST: Final = -(2**63)
_HIGHEST: Final = 2**63 - 1

_TABLE_OF_KIND: Final = {
    "token": "token_index",
    "string": "string_index",
    "date": "date_index",
    "reference": "reference_index",
}

# Which stored ranges answer a prefix: dates.range_matches as SQL, and which end of the asked range each ? is.
_DATE_PREFIXES: Final = {
    "eq": ("c.low_us >= ? AND c.high_us <= ?", "lh"),
    "ne": ("NOT (c.low_us >= ? AND c.high_us <= ?)", "lh"),
    "gt": ("c.high_us > ?", "h"),
    "lt": ("c.low_us < ?", "l"),
    "ge": ("(c.high_us > ? OR c.low_us >= ? AND c.high_us <= ?)", "hlh"),
    "le": ("(c.low_us < ? OR c.low_us >= ? AND c.high_us <= ?)", "llh"),
    "sa": ("c.low_us >= ?", "h"),
    "eb": ("c.high_us <= ?", "l"),
    "ap": ("c.low_us < ? AND c.high_us > ?", "hl"),
}


@dataclass(frozen=True, slots=True)
class Arm:
    """Rows of `table` (alias c) that satisfy `where` with `values`. `exact_key`: all columns of the table's key but
    the resource's are given, so that a row for one resource is found by one look and rows come ordered by resource."""

    table: str
    where: str
    values: tuple[Any, ...]
    exact_key: bool = False

    def of(self, alias: str) -> str:
        """The condition with another alias."""
        return self.where.replace("c.", f"{alias}.")


@dataclass(frozen=True, slots=True)
class Condition:
    """A resource satisfies it when any arm has it; when `absent`, if none has. `inexact`: the arms may give too much,
    so that what they give must be checked on the resource itself."""

    arms: tuple[Arm, ...]
    absent: bool = False
    inexact: bool = False

    @property
    def exact_keys(self) -> bool:
        """Whether one resource is checked by one look an arm."""
        return all(arm.exact_key for arm in self.arms)


def conditions_of(cursor: apsw.Cursor, query: SearchQuery) -> list[Condition]:
    """The query as conditions of which all must hold; at least one of them is not `absent`.

    The first is the type (and patient) alone; it drives only where nothing narrower does.
    """
    row = first_row(cursor, "SELECT type_key FROM type WHERE name = ?", (query.type,))
    if row is None:
        return [Condition(())]
    type_key = row[0]
    conditions = [_condition(cursor, type_key, criterion) for criterion in query.criteria]
    if query.compartment is not None:
        conditions.append(Condition(tuple(_compartment_arms(cursor, type_key, query.compartment))))
    elif not any(not condition.absent for condition in conditions):
        everything = Arm("resource", "c.type_key = ? AND c.deleted = 0", (type_key,), exact_key=True)
        conditions.append(Condition((everything,)))
    return conditions


def _compartment_arms(cursor: apsw.Cursor, type_key: int, patient_id: str) -> Iterator[Arm]:
    name = f"Patient/{patient_id}"
    for (key,) in all_rows(cursor, "SELECT compartment_key FROM compartment WHERE name = ?", (name,)):
        first = key << SEQUENCE_BITS
        yield Arm(
            "version",
            "c.version_row >= ? AND c.version_row < ? AND c.type_key = ? AND EXISTS"
            " (SELECT 1 FROM resource shown_of WHERE shown_of.resource_key = c.resource_key"
            " AND shown_of.shown = c.version_row AND shown_of.deleted = 0)",
            (first, first + (1 << SEQUENCE_BITS), type_key),
        )


def _condition(cursor: apsw.Cursor, type_key: int, criterion: Criterion) -> Condition:
    if criterion.param == "_id":
        return _id_condition(type_key, criterion)
    find = "SELECT param_key FROM search_param WHERE type_key = ? AND name = ?"
    row = first_row(cursor, find, (type_key, criterion.param))
    table = _TABLE_OF_KIND[criterion.kind]
    if criterion.modifier == "missing":
        any_row = () if row is None else (Arm(table, "c.param_key = ?", (row[0],)),)
        return Condition(any_row, absent=_asks_for_missing(criterion))
    arms = () if row is None else tuple(_arms(cursor, table, row[0], criterion))
    return Condition(arms, absent=criterion.modifier == "not", inexact=criterion.modifier == "exact")


def _id_condition(type_key: int, criterion: Criterion) -> Condition:
    """`_id` is answered from the resources themselves: no index repeats their ids."""
    if criterion.modifier == "missing":
        everything = Arm("resource", "c.type_key = ? AND c.deleted = 0", (type_key,), exact_key=True)
        return Condition((everything,), absent=_asks_for_missing(criterion))
    arms = tuple(
        Arm("resource", "c.type_key = ? AND c.id = ? AND c.deleted = 0", (type_key, value.code), exact_key=True)
        for value in criterion.values
        if isinstance(value, TokenValue) and not value.system and value.code is not None
    )
    return Condition(arms, absent=criterion.modifier == "not")


def _asks_for_missing(criterion: Criterion) -> bool:
    return bool(getattr(criterion.values[0], "missing", False))


def _arms(cursor: apsw.Cursor, table: str, param_key: int, criterion: Criterion) -> Iterator[Arm]:
    for value in criterion.values:
        match value:
            case TokenValue():
                yield from _token_arms(cursor, param_key, value)
            case ReferenceValue():
                yield Arm(table, "c.param_key = ? AND c.target = ?", (param_key, value.target), exact_key=True)
            case StringValue():
                yield _string_arm(param_key, criterion.modifier, value)
            case DateValue():
                yield from _date_arms(param_key, value)


def _token_arms(cursor: apsw.Cursor, param_key: int, value: TokenValue) -> Iterator[Arm]:
    """A token with a system is one key, one of any system a key for each system that uses the code."""
    if value.system is not None:
        keys = [0] if value.system == "" else _system_keys(cursor, value.system)
        for key in keys:
            if value.code is None:
                yield Arm("token_index", "c.param_key = ? AND c.system_key = ?", (param_key, key))
            else:
                yield _token_arm(param_key, value.code, key)
        return
    next_system = "SELECT system_key FROM token_index WHERE param_key = ? AND code = ? AND system_key > ? LIMIT 1"
    systems: list[int] = []
    while row := first_row(cursor, next_system, (param_key, value.code, systems[-1] if systems else -1)):
        systems.append(row[0])
        if len(systems) > _SYSTEMS_OF_A_CODE_MAX:
            yield Arm("token_index", "c.param_key = ? AND c.code = ?", (param_key, value.code))
            return
    for key in systems:
        yield _token_arm(param_key, str(value.code), key)


def _token_arm(param_key: int, code: str, system_key: int) -> Arm:
    where = "c.param_key = ? AND c.code = ? AND c.system_key = ?"
    return Arm("token_index", where, (param_key, code, system_key), exact_key=True)


def _system_keys(cursor: apsw.Cursor, system: str) -> list[int]:
    return [key for (key,) in all_rows(cursor, "SELECT system_key FROM code_system WHERE name = ?", (system,))]


def _string_arm(param_key: int, modifier: str | None, value: StringValue) -> Arm:
    if modifier == "contains":
        return Arm("string_index", "c.param_key = ? AND instr(c.value, ?) > 0", (param_key, value.text))
    if modifier == "exact":
        return Arm("string_index", "c.param_key = ? AND c.value = ?", (param_key, value.text), exact_key=True)
    above = _first_after(value.text)
    if above is None:
        return Arm("string_index", "c.param_key = ? AND c.value >= ?", (param_key, value.text))
    where = "c.param_key = ? AND c.value >= ? AND c.value < ?"
    return Arm("string_index", where, (param_key, value.text, above))


def _first_after(prefix: str) -> str | None:
    """The least text above all that begin with `prefix` (texts compare by code point); None if there is none."""
    while prefix:
        code = ord(prefix[-1])
        if code < 0x10FFFF:
            return prefix[:-1] + chr(0xE000 if code == 0xD7FF else code + 1)
        prefix = prefix[:-1]
    return None


def _date_arms(param_key: int, value: DateValue) -> Iterator[Arm]:
    """One arm for each class of spans: a range whose width is bounded cannot begin long before it ends."""
    low, high = value.low_us, value.high_us
    condition, ends = _DATE_PREFIXES[value.prefix]
    where = f"c.param_key = ? AND c.span = ? AND c.low_us >= ? AND c.low_us < ? AND {condition}"
    for span, width in enumerate(SPAN_WIDTHS_US):
        first, last = _begins_within(value.prefix, low, high, width)
        bounds = (max(first, _LOWEST), min(last, _HIGHEST))
        yield Arm("date_index", where, (param_key, span, *bounds, *(low if end == "l" else high for end in ends)))


def _begins_within(prefix: str, low: int, high: int, width: int) -> tuple[int, int]:
    """[first, last): where a stored range no wider than `width` must begin to answer `prefix` with [low, high)."""
    match prefix:
        case "eq":
            return low, high
        case "gt":
            return high - width, _HIGHEST
        case "ge":
            return min(low, high - width), _HIGHEST
        case "lt" | "eb":
            return _LOWEST, low
        case "le":
            return _LOWEST, high
        case "sa":
            return high, _HIGHEST
        case "ap":
            return low - width, high
    return _LOWEST, _HIGHEST
