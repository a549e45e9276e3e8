"""Where the pages of a database come from that is used before it is here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol


class PageSource(Protocol):
    """An unchanging image of a database's main file, given page by page (counted from 0). Safe for several threads."""

    @property
    def page_size(self) -> int:
        """Bytes of a page: 4,096."""

    @property
    def page_count(self) -> int:
        """Pages of the image."""

    def frame_of(self, page: int) -> tuple[int, ...]:
        """The pages, ascending, that come together with `page`, itself included: frames partition all pages. Raises
        a NirantarError where that cannot be learnt now."""

    def fetch(self, page: int) -> Mapping[int, bytes]:
        """Every page of `page`'s frame with its bytes. Raises a NirantarError when it cannot be had, or is not what was
        stored."""

    def fetch_many(self, pages: Iterable[int]) -> Iterator[Mapping[int, bytes]]:
        """The frames of all these pages, once each, in as few requests as their places allow. Raises as `fetch`."""
