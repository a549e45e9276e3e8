"""The files that make up one SQLite database."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from nirantar.host.port import Host

BITMAP_SUFFIX: Final = "-pages"
"""What the name of a lazily filled database's bitmap ends in."""


def database_files(path: Path) -> tuple[Path, ...]:
    """A SQLite database and what may lie beside it, in the order in which to remove them: a bitmap says that its
    database is not whole, so it goes last."""
    return (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", BITMAP_SUFFIX)))


def remove_database(host: Host, path: Path) -> None:
    """Delete a SQLite database and what lies beside it."""
    for name in database_files(path):
        if host.files.exists(name):
            host.files.remove(name)
