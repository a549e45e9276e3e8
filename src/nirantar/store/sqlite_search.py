"""Searches as ranges of the index tables.

Each value of a criterion is one or more *arms*: ranges of one table that give resource keys. One criterion, the most
selective, drives: its arms are read newest first, and what they give is checked against the others, by a look into
their index where an arm is one exact key, else by a set of keys made once. Where the driver is small and another
criterion is wide (one patient's observations since last year), that one is checked on the resources themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import apsw

from nirantar.fhir.search_match import matches
from nirantar.fhir.search_parameters import extract
from nirantar.fhir.search_query import SearchQuery
from nirantar.fold.version_graph import version_id
from nirantar.store.cursors import decode_cursor, encode_cursor
from nirantar.store.port import Page, StoredVersion
from nirantar.store.projector import parse_resource
from nirantar.store.search_arms import Arm, Condition, conditions_of
from nirantar.store.sqlite_rows import each_row, one_row

_FEW: Final = 1_000
"""Fewer keys than this are cheap to check one by one; an arm is counted no further."""

_CHECKED_AT_ONCE: Final = 256
_KEY_MAX: Final = 2**63 - 1

_SHOWN: Final = (
    "SELECT t.name, r.id, o.name, v.entry_index, v.recorded_at_us, v.resource, r.heads FROM resource r"
    " JOIN version v ON v.version_row = r.shown JOIN origin o ON o.origin_key = v.origin_key"
    " JOIN type t ON t.type_key = r.type_key WHERE r.resource_key = ?"
)

Values = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where the keys come from, what SQL they must also satisfy, and whether resources are to be checked themselves."""

    arms: tuple[Arm, ...]
    where: str
    values: Values
    check: bool


def search(cursor: apsw.Cursor, query: SearchQuery) -> Page:
    """One page of a query; see the port. Raises InvalidInput on a cursor of another search."""
    question = f"search\n{query.type}\n{query.compartment}\n{query.criteria!r}"
    below = _KEY_MAX if query.cursor is None else _place(question, query.cursor)
    plan = _plan(cursor, query)
    total = _count(cursor, plan, query) if query.total or query.count_only else None
    if query.count_only:
        return Page((), None, total)
    found = _newest(cursor, plan, query, below, query.count + 1)
    versions = tuple(version for _, version in found[: query.count])
    more = len(found) > query.count
    return Page(versions, encode_cursor(question, (found[query.count - 1][0],)) if more else None, total)


def _place(question: str, cursor: str) -> int:
    (key,) = decode_cursor(question, cursor, (int,))
    return int(key)


def _plan(cursor: apsw.Cursor, query: SearchQuery) -> _Plan:
    """Choose the driver and say how each other condition is checked."""
    conditions = conditions_of(cursor, query)
    drivers = [(place, condition) for place, condition in enumerate(conditions) if not condition.absent]
    size, driver_place = min((_estimate(cursor, condition.arms), place) for place, condition in drivers)
    check = any(condition.inexact for condition in conditions)
    clauses: list[str] = []
    values: list[Any] = []
    for place, condition in enumerate(conditions):
        if place == driver_place:
            continue
        if size < _FEW and not condition.exact_keys and _estimate(cursor, condition.arms) >= _FEW:
            check = True
            continue
        clause, needed = _clause(condition)
        clauses.append(clause)
        values.extend(needed)
    return _Plan(conditions[driver_place].arms, "".join(f" AND {each}" for each in clauses), tuple(values), check)


def _estimate(cursor: apsw.Cursor, arms: Sequence[Arm]) -> int:
    """How many keys the arms give, counted no further than _FEW."""
    found = 0
    for arm in arms:
        sql = f"SELECT count(*) FROM (SELECT 1 FROM {arm.table} c WHERE {arm.where} LIMIT {_FEW})"
        found += one_row(cursor, sql, arm.values)[0]
        if found >= _FEW:
            return _FEW
    return found


def _clause(condition: Condition) -> tuple[str, list[Any]]:
    """SQL that says of `c.resource_key` whether the condition holds."""
    parts: list[str] = []
    values: list[Any] = []
    for arm in condition.arms:
        if arm.exact_key:
            same = "c2.resource_key = c.resource_key"
            parts.append(f"EXISTS (SELECT 1 FROM {arm.table} c2 WHERE {arm.of('c2')} AND {same})")
        else:
            parts.append(f"c.resource_key IN (SELECT c2.resource_key FROM {arm.table} c2 WHERE {arm.of('c2')})")
        values.extend(arm.values)
    either = f"({' OR '.join(parts)})" if parts else "0"
    return (f"NOT {either}" if condition.absent else either), values


def _newest(
    cursor: apsw.Cursor, plan: _Plan, query: SearchQuery, below: int, wanted: int
) -> list[tuple[int, StoredVersion]]:
    """Up to `wanted` matches with keys under `below`, highest first."""
    found: list[tuple[int, StoredVersion]] = []
    batch = max(wanted, _CHECKED_AT_ONCE) if plan.check else wanted
    while len(found) < wanted:
        keys = _keys(cursor, plan, below, batch)
        for key in keys:
            version = _shown(cursor, key)
            if not plan.check or _holds(query, version):
                found.append((key, version))
                if len(found) == wanted:
                    break
        if len(keys) < batch:
            break
        below = keys[-1]
    return found


def _keys(cursor: apsw.Cursor, plan: _Plan, below: int, count: int) -> list[int]:
    """The highest `count` keys under `below` that the plan's SQL gives: the best of each arm, merged."""
    keys: set[int] = set()
    for arm in plan.arms:
        sql = (
            f"SELECT DISTINCT c.resource_key FROM {arm.table} c WHERE {arm.where}{plan.where} AND c.resource_key < ?"
            " ORDER BY c.resource_key DESC LIMIT ?"
        )
        keys.update(key for (key,) in each_row(cursor, sql, (*arm.values, *plan.values, below, count)))
    return sorted(keys, reverse=True)[:count]


def _count(cursor: apsw.Cursor, plan: _Plan, query: SearchQuery) -> int:
    """The exact number of matches."""
    if plan.check:
        found, below = 0, _KEY_MAX
        while keys := _keys(cursor, plan, below, _CHECKED_AT_ONCE):
            found += sum(_holds(query, _shown(cursor, key)) for key in keys)
            below = keys[-1]
        return found
    if not plan.arms:
        return 0
    parts = [f"SELECT c.resource_key FROM {arm.table} c WHERE {arm.where}{plan.where}" for arm in plan.arms]
    values = [value for arm in plan.arms for value in (*arm.values, *plan.values)]
    (total,) = one_row(cursor, f"SELECT count(*) FROM ({' UNION '.join(parts)})", values)
    return int(total)


def _shown(cursor: apsw.Cursor, resource_key: int) -> StoredVersion:
    row = one_row(cursor, _SHOWN, (resource_key,))
    type_name, resource_id, origin, entry_index, recorded_at_us, resource, heads = row
    version = version_id(origin, entry_index)
    return StoredVersion(type_name, resource_id, version, resource, origin, entry_index, recorded_at_us, heads)


def _holds(query: SearchQuery, version: StoredVersion) -> bool:
    document = None if version.resource is None else parse_resource(version.resource)
    return document is not None and matches(query, extract(document), document)
