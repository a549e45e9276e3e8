"""How commands speak: progress on standard error, results on standard output, exit codes that mean something.

0 all is well · 1 it ran and found damage or loss · 2 the input is wrong · 3 the directory, key or configuration is not
usable · 4 something is unavailable now; try later · 70 the disk broke a promise, or a defect of ours ·
141 nobody read on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, NoReturn

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from nirantar.errors import Damaged, FsyncFailed, InvalidInput, NirantarError, NotFound, SetupError, Unavailable
from nirantar.host.real import EXIT_BROKEN_PROMISE

EXIT_DAMAGE: Final = 1
EXIT_INPUT: Final = 2
EXIT_SETUP: Final = 3
EXIT_UNAVAILABLE: Final = 4
EXIT_NOBODY_READS: Final = 141

_WIDTH: Final = None if sys.stdout.isatty() else 160


class _Console(Console):
    """Rich's, which ends as `nobody_reads` where its reader has gone."""

    def on_broken_pipe(self) -> NoReturn:
        nobody_reads()


def nobody_reads() -> NoReturn:
    """End quietly, as programs do whose reader (`| head`) has enough: nothing was wrong with the command."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        # What waits in a buffer is written at the end, and would complain again.
        with suppress(OSError, ValueError):
            stream.flush()
        with suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
    raise SystemExit(EXIT_NOBODY_READS)


out: Final = _Console(highlight=False, soft_wrap=True, width=_WIDTH)
err: Final = _Console(stderr=True, highlight=False, soft_wrap=True)

_EXIT_CODES: Final[tuple[tuple[type[NirantarError], int], ...]] = (
    (FsyncFailed, EXIT_BROKEN_PROMISE),
    (Damaged, EXIT_DAMAGE),
    (SetupError, EXIT_SETUP),
    (NotFound, EXIT_SETUP),
    (Unavailable, EXIT_UNAVAILABLE),
    (InvalidInput, EXIT_INPUT),
    (NirantarError, EXIT_INPUT),
)


def fail(error: NirantarError) -> NoReturn:
    """Print the error's sentence and end with its exit code."""
    err.print(f"[bold red]nirantar:[/] {escape(str(error))}")
    raise SystemExit(next(code for kind, code in _EXIT_CODES if isinstance(error, kind)))


@contextmanager
def progress(title: str, *, unit: str = "entries") -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error for work that may take over two seconds; silent when that is no terminal."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 entry`, `2,000 entries`. `many` is by default `one` and an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def print_json(report: Any) -> None:
    """One JSON object on standard output."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n")


def print_facts(title: str, facts: Sequence[tuple[str, str]]) -> None:
    """A titled list of name and value."""
    table = Table.grid(padding=(0, 2))
    for name, value in facts:
        table.add_row(f"[dim]{escape(name)}[/]", escape(value))
    out.print(f"\n[bold]{escape(title)}[/]")
    out.print(table)


def print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A titled table."""
    table = Table(title=escape(title), title_justify="left", show_edge=False, pad_edge=False)
    for heading in headings:
        table.add_column(escape(heading))
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    out.print(table)


def good(sentence: str) -> None:
    """A sentence that all is well."""
    out.print(f"[bold green]✓[/] {escape(sentence)}")


def bad(sentence: str) -> None:
    """A sentence that something is not."""
    out.print(f"[bold red]✗[/] {escape(sentence)}")


def caution(sentence: str) -> None:
    """A sentence to take note of."""
    out.print(f"[bold yellow]![/] {escape(sentence)}")


def note(sentence: str) -> None:
    """A plain sentence."""
    out.print(escape(sentence))
