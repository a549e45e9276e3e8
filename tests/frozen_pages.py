"""A page source for tests: a frozen copy of a database, which can be slow, out of reach or damaged."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from threading import Lock

from nirantar.errors import SegmentDamaged, VaultUnavailable

PAGE_BYTES = 4096


class FrozenPages:
    """The pages of `image`, in frames of `frame_pages`. `fetched` are the frames that were asked for, in order."""

    page_size = PAGE_BYTES

    def __init__(self, image: bytes, frame_pages: int = 4) -> None:
        assert len(image) % PAGE_BYTES == 0
        self.image = image
        self.frame_pages = frame_pages
        self.fetched: list[int] = []
        self.seconds = 0.0
        self.unreachable = False
        self.damaged: set[int] = set()
        self._lock = Lock()

    @property
    def page_count(self) -> int:
        """Pages of the image."""
        return len(self.image) // PAGE_BYTES

    def frame_of(self, page: int) -> tuple[int, ...]:
        """The pages around this one."""
        first = page - page % self.frame_pages
        return tuple(range(first, min(first + self.frame_pages, self.page_count)))

    def fetch(self, page: int) -> Mapping[int, bytes]:
        """The frame, or the fault that was set."""
        frame = self.frame_of(page)
        with self._lock:
            self.fetched.append(frame[0])
        if self.seconds:
            time.sleep(self.seconds)
        if self.unreachable:
            raise VaultUnavailable("The vault cannot be reached.")
        if not self.damaged.isdisjoint(frame):
            raise SegmentDamaged("snapshot", "it is damaged")
        return {each: self.image[each * PAGE_BYTES : (each + 1) * PAGE_BYTES] for each in frame}

    def fetch_many(self, pages: Iterable[int]) -> Iterator[Mapping[int, bytes]]:
        """The frames, one after another."""
        for first in sorted({self.frame_of(page)[0] for page in pages}):
            yield self.fetch(first)
