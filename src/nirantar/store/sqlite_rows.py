"""Rows from SQLite, as plain tuples with a type that says so. SQL is constant text; values are always bound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import apsw

Row = tuple[Any, ...]
Values = Sequence[Any]


def first_row(cursor: apsw.Cursor, sql: str, values: Values = ()) -> Row | None:
    """The first row, or None where there is none."""
    return cast("Row | None", cursor.execute(sql, values).fetchone())


def one_row(cursor: apsw.Cursor, sql: str, values: Values = ()) -> Row:
    """The first row of a statement that always gives one."""
    return cast("Row", cursor.execute(sql, values).fetchone())


def all_rows(cursor: apsw.Cursor, sql: str, values: Values = ()) -> list[Row]:
    """Every row at once: the cursor is free for the next statement."""
    return cast("list[Row]", cursor.execute(sql, values).fetchall())


def each_row(cursor: apsw.Cursor, sql: str, values: Values = ()) -> Iterator[Row]:
    """Rows one by one: the cursor is taken until the last one."""
    return cast("Iterator[Row]", cursor.execute(sql, values))
