"""What SQLite says of the view's disk, in Nirantar's words."""

from __future__ import annotations

from typing import Final

from nirantar.host.disk_errors import DiskErrors

_OF_THE_VIEW: Final = DiskErrors("the view", "rebuild it from the journal: nirantar verify --heal")


def translated() -> DiskErrors:
    """Inside this context an error of SQLite that speaks of the disk leaves as one of errors.py."""
    return _OF_THE_VIEW
