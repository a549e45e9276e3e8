"""A zip archive in the one spelling that it may have: members stored as they are, no times, no attributes, no comments.

Any program opens it; and since names and contents decide every other byte, a reader who writes it again and compares
has checked them all (APPNOTE 6.3.3, without its optional parts).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Final

from nirantar.errors import LimitExceeded, ProofInvalid
from nirantar.limits import CHART_PROOF_BYTES_MAX

SIGNATURE: Final = b"PK\x03\x04"
_VERSION: Final = 20
_UTF8_NAMES: Final = 0x0800
_FIRST_DAY: Final = 0x0021
"""1 January 1980, the date of every member: a zip has no way to say "none"."""
_LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL: Final = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END: Final = struct.Struct("<4sHHHHIIH")
_MEMBERS_MAX: Final = 0xFFFE


def write_zip(members: Mapping[str, bytes]) -> bytes:
    """The archive of these members in this order. Raises LimitExceeded over CHART_PROOF_BYTES_MAX."""
    body, directory = bytearray(), bytearray()
    for name, content in members.items():
        written, checksum, size = name.encode(), zlib.crc32(content), len(content)
        place = len(body)
        body += _LOCAL.pack(
            SIGNATURE, _VERSION, _UTF8_NAMES, 0, 0, _FIRST_DAY, checksum, size, size, len(written), 0
        ) + written + content
        directory += _CENTRAL.pack(
            b"PK\x01\x02", _VERSION, _VERSION, _UTF8_NAMES, 0, 0, _FIRST_DAY, checksum, size, size, len(written),
            0, 0, 0, 0, 0, place,
        ) + written
        if len(body) + len(directory) > CHART_PROOF_BYTES_MAX or len(members) > _MEMBERS_MAX:
            raise LimitExceeded(
                f"The archive would have more than CHART_PROOF_BYTES_MAX = {CHART_PROOF_BYTES_MAX} bytes."
            )
    count = len(members)
    return bytes(body + directory + _END.pack(b"PK\x05\x06", 0, 0, count, count, len(directory), len(body), 0))


def read_zip(data: bytes) -> dict[str, bytes]:
    """The members of an archive, in order. Raises ProofInvalid for every content but one that `write_zip` gives."""
    if len(data) > CHART_PROOF_BYTES_MAX + _END.size:
        raise ProofInvalid(f"The file has more than CHART_PROOF_BYTES_MAX = {CHART_PROOF_BYTES_MAX} bytes.")
    members: dict[str, bytes] = {}
    place = 0
    try:
        while data.startswith(SIGNATURE, place):
            size, name_bytes = _LOCAL.unpack_from(data, place)[8:10]
            start = place + _LOCAL.size
            members[data[start : start + name_bytes].decode()] = data[start + name_bytes : start + name_bytes + size]
            place = start + name_bytes + size
        same = write_zip(members) == data
    except (struct.error, UnicodeError, LimitExceeded):
        same = False
    if not members or not same:
        raise ProofInvalid("The archive is not as it was written: a byte was changed, or another program packed it.")
    return members
