"""Rows from SQLite, as plain tuples with a type that says so. SQL is constant text; values are always bound.

Statements are read to their end, also for a single row: one left half read would keep its transaction from ending.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import apsw

from nirantar.errors import Damaged

Row = tuple[Any, ...]
Values = Sequence[Any]


def first_row(cursor: apsw.Cursor, sql: str, values: Values = ()) -> Row | None:
    """The only row of a statement that gives at most one; None where there is none."""
    rows = cursor.execute(sql, values).fetchall()
    return rows[0] if rows else None


def one_row(cursor: apsw.Cursor, sql: str, values: Values = ()) -> Row:
    """The only row of a statement that always gives one. Raises Damaged where the file has lost it."""
    rows = cursor.execute(sql, values).fetchall()
    if not rows:
        raise Damaged("A row of the view is gone that others lead to; rebuild it from the journal: verify --heal.")
    return cast("Row", rows[0])


def all_rows(cursor: apsw.Cursor, sql: str, values: Values = ()) -> list[Row]:
    """Every row at once: the cursor is free for the next statement."""
    return cast("list[Row]", cursor.execute(sql, values).fetchall())


def each_row(cursor: apsw.Cursor, sql: str, values: Values = ()) -> Iterator[Row]:
    """Rows one by one: the cursor is taken until the last one."""
    return cast("Iterator[Row]", cursor.execute(sql, values))
