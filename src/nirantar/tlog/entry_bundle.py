"""C2SP entry bundles: up to 256 entries in one file, each behind its length (tlog-tiles v0.1.0)."""

from __future__ import annotations

from collections.abc import Iterable

from nirantar.errors import Damaged, LimitExceeded
from nirantar.limits import ENTRY_BUNDLE_ENTRY_BYTES_MAX
from nirantar.tlog.tiles import TILE_WIDTH


def write_entry_bundle(entries: Iterable[bytes]) -> bytes:
    """Join entries, each after its length as 16 bits big-endian.

    Raises LimitExceeded for a longer entry than the length can say, or more entries than a tile has slots.
    """
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > ENTRY_BUNDLE_ENTRY_BYTES_MAX:
            raise LimitExceeded(
                f"An entry is over ENTRY_BUNDLE_ENTRY_BYTES_MAX = {ENTRY_BUNDLE_ENTRY_BYTES_MAX} bytes."
            )
        parts.append(len(entry).to_bytes(2, "big") + entry)
    if len(parts) > TILE_WIDTH:
        raise LimitExceeded(f"An entry bundle holds at most {TILE_WIDTH} entries.")
    return b"".join(parts)


def read_entry_bundle(data: bytes) -> tuple[bytes, ...]:
    """The entries that `write_entry_bundle` joined. Raises Damaged when the lengths do not add up."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if start > len(data) or at > len(data) or len(entries) == TILE_WIDTH:
            raise Damaged("An entry bundle is cut short or holds more entries than a tile has slots.")
        entries.append(data[start:at])
    return tuple(entries)
