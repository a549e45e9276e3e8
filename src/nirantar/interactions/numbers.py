"""Numbers for people and paper, issued offline without collision: from the block that the node's grant leases.

A number is a serial of the block plus one Verhoeff check digit (Verhoeff 1969: finds every single wrong digit and every
swap of neighbours), so a mistyped number is refused at the counter instead of opening another person's chart.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from stdnum import verhoeff

from nirantar.errors import BusinessRule
from nirantar.fold.grants import NumberBlock
from nirantar.store.port import View


class Numbers:
    """Hands out the next number of a series. What is taken but not used in a durable write is given again after a
    restart; what was used never is."""

    def __init__(self, view: View, blocks: Sequence[NumberBlock]) -> None:
        self._view = view
        self._blocks = tuple(blocks)
        self._turn = Lock()
        self._next: dict[str, int] = {}

    def take(self, series: str) -> str:
        """The next number of `series`, check digit included. Raises BusinessRule when the blocks are used up."""
        with self._turn:
            serial = self._next_serial(series)
            self._next[series] = serial + 1
            return with_check_digit(serial)

    def left(self, series: str) -> int:
        """Numbers that the blocks of `series` still hold."""
        with self._turn:
            try:
                serial = self._next_serial(series)
            except BusinessRule:
                return 0
            return sum(
                block.last - max(block.first, serial) + 1
                for block in self._blocks
                if block.series == series and block.last >= serial
            )

    def _next_serial(self, series: str) -> int:
        """The first serial after everything issued, in block order."""
        wanted = self._next.get(series)
        for block in self._blocks:
            if block.series != series:
                continue
            if wanted is not None:
                if wanted <= block.last:
                    return max(wanted, block.first)
                continue
            with self._view.reader() as state:
                highest = state.highest_number(series, block.first, block.last)
            if highest is None:
                return block.first
            if highest < block.last:
                return highest + 1
        raise BusinessRule(f"This node has no {series} numbers left. Ask for a new block before going on.")


def with_check_digit(serial: int) -> str:
    """The serial in decimal with its Verhoeff check digit behind it."""
    digits = str(serial)
    return digits + str(verhoeff.calc_check_digit(digits))


def is_valid(number: str) -> bool:
    """Whether a number as typed has its right check digit."""
    return bool(verhoeff.is_valid(number))
