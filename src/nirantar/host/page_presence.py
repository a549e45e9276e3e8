"""Which pages of a file are here: one bit a page, in memory, told in blocks to whoever keeps it."""

from __future__ import annotations

from typing import Final

BLOCK_BYTES: Final = 4096
_PAGES_PER_BLOCK: Final = BLOCK_BYTES * 8


class PagePresence:
    """The pages [0, page_count) of a file. Those behind the last count as present: there is nothing to fetch for them.

    Bits are only ever set, never cleared, so a block that was torn on its way to the disk claims no page that was not
    there. Any thread may ask; those who set, or take changed blocks, take turns.
    """

    def __init__(self, page_count: int, kept: bytes = b"") -> None:
        """All absent, or as `kept`: what `block` once gave, one after another."""
        self.page_count: Final = page_count
        self.blocks: Final = -(-page_count // _PAGES_PER_BLOCK)
        size = self.blocks * BLOCK_BYTES
        self._bits = bytearray(kept[:size].ljust(size, b"\0"))
        for page in range(page_count, size * 8):
            self._bits[page >> 3] |= 1 << (page & 7)
        self._absent = size * 8 - int.from_bytes(self._bits, "big").bit_count()
        self._changed: set[int] = set()

    def __contains__(self, page: int) -> bool:
        return page >= self.page_count or bool(self._bits[page >> 3] & 1 << (page & 7))

    @property
    def absent(self) -> int:
        """How many pages are not here."""
        return self._absent

    def add(self, page: int) -> None:
        """A page is here now."""
        if page not in self:
            self._bits[page >> 3] |= 1 << (page & 7)
            self._absent -= 1
            self._changed.add(page // _PAGES_PER_BLOCK)

    def next_absent(self, start: int) -> int | None:
        """The first page from `start` on that is not here."""
        if start >= self.page_count:
            return None
        for page in range(start, min((start | 7) + 1, self.page_count)):
            if page not in self:
                return page
        for place in range((start >> 3) + 1, len(self._bits), BLOCK_BYTES):
            chunk = self._bits[place : place + BLOCK_BYTES]
            left = chunk.lstrip(b"\xff")
            if left:
                return next(page for page in range((place + len(chunk) - len(left)) * 8, self.page_count)
                            if page not in self)
        return None

    def take_changed(self) -> dict[int, bytes]:
        """Every block that changed since the last call, by its number, as it is now."""
        taken = {number: self.block(number) for number in sorted(self._changed)}
        self._changed.clear()
        return taken

    def changed_again(self, numbers: set[int]) -> None:
        """These blocks could not be kept: they count as changed."""
        self._changed |= numbers

    def block(self, number: int) -> bytes:
        """One block of the bitmap: BLOCK_BYTES bytes, the bit of a page counted from the lowest of each byte."""
        return bytes(self._bits[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES])
