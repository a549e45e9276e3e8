"""Python's search for garbage cycles, set once for a process that decodes much JSON."""

from __future__ import annotations

import gc
from typing import Final

_THRESHOLDS: Final = (50_000, 20, 100)


def look_for_cycles_seldom() -> None:
    """Look for cycles after 50,000 new objects, not after Python's 700. Reference counts free all else at once.

    A decoded resource is hundreds of objects and no cycle; while a large transaction is read, Python's own thresholds
    have it look through all of them again and again (measured: decoding took three times as long).
    """
    gc.set_threshold(*_THRESHOLDS)
