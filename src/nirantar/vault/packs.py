"""Packs: encrypted pages of the view as one vault object, a frame after the other (docs/format.md, Pack).

A frame is at most 16 pages, zstd-compressed together and sealed with AES-256-GCM. Each pack has a key of its own,
derived from the data key and the pack's name; the name holds 128 random bits drawn for this pack alone, and the nonce
is the frame's number in the pack. So no key and nonce ever meet twice, whatever was interrupted and begun again. The
associated data name hospital, node, pack, frame and pages: a frame opens in its own place and nowhere else.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Final

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from nirantar.errors import SnapshotDamaged
from nirantar.limits import SNAPSHOT_FRAME_PAGES_MAX, SNAPSHOT_PAGE_BYTES
from nirantar.vault.keys import PackKey
from nirantar.vault.page_map import Frame, decompressed

DATA_KEY_BYTES: Final = 32
ZSTD_LEVEL: Final = 3
_PACK_LABEL: Final = "nirantar-pack/v1"
_FRAME_LABEL: Final = "nirantar-frame/v1"
_FRAME_BYTES_MAX: Final = SNAPSHOT_FRAME_PAGES_MAX * SNAPSHOT_PAGE_BYTES


class PackCipher:
    """Seals and opens the frames of one pack. One thread at a time seals; any may open."""

    def __init__(self, data_key: bytes, slug: str, node: str, name: str) -> None:
        if len(data_key) != DATA_KEY_BYTES:
            raise ValueError(f"a data key has {DATA_KEY_BYTES} bytes")
        label = f"{_PACK_LABEL}\n{slug}\n{node}\n{name}\n"
        self._cipher = AESGCM(hmac.digest(data_key, label.encode(), "sha256"))
        self._place = f"{_FRAME_LABEL}\n{slug}\n{node}\n{name}"
        self._key = str(PackKey(node, name))

    def seal(self, number: int, pages: Mapping[int, bytes]) -> bytes:
        """Frame `number` of the pack with these pages, each SNAPSHOT_PAGE_BYTES long, in ascending order."""
        plain = b"".join(pages.values())
        if not pages or len(plain) != len(pages) * SNAPSHOT_PAGE_BYTES or len(plain) > _FRAME_BYTES_MAX:
            raise ValueError("a frame has 1 to 16 whole pages")
        packed = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(plain)
        return self._cipher.encrypt(_nonce(number), packed, self._associated(number, tuple(pages)))

    def open(self, frame: Frame, sealed: bytes) -> dict[int, bytes]:
        """The pages of a frame, authenticated. Raises SnapshotDamaged for any other bytes than were sealed for it."""
        try:
            packed = self._cipher.decrypt(
                _nonce(frame.number), sealed, self._associated(frame.number, frame.pages)
            )
            plain = decompressed(packed, _FRAME_BYTES_MAX)
        except InvalidTag:
            raise SnapshotDamaged(self._key, f"frame {frame.number} was altered, or is not of this place") from None
        except (zstandard.ZstdError, ValueError) as reason:
            raise SnapshotDamaged(self._key, f"frame {frame.number} cannot be decompressed: {reason}") from None
        if len(plain) != len(frame.pages) * SNAPSHOT_PAGE_BYTES:
            raise SnapshotDamaged(self._key, f"frame {frame.number} does not hold {len(frame.pages)} pages")
        return {
            page: plain[place * SNAPSHOT_PAGE_BYTES : (place + 1) * SNAPSHOT_PAGE_BYTES]
            for place, page in enumerate(frame.pages)
        }

    def _associated(self, number: int, pages: Sequence[int]) -> bytes:
        return f"{self._place}\n{number}\n{','.join(map(str, pages))}\n".encode()


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")
