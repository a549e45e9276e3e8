"""Identifiers that sort by the time they were made."""

from __future__ import annotations

from nirantar.host.port import Host


def uuid7(now_us: int, host: Host) -> str:
    """A UUID of version 7 (RFC 9562 §5.7): 48 bits of milliseconds, the rest random, as lower-case text."""
    number = (now_us // 1000) << 80 | int.from_bytes(host.random_bytes(10))
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
