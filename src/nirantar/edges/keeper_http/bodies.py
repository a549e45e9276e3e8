"""Bodies of objects: read as they stream in, their length declared first, never more of all of them than a limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request

from nirantar import limits
from nirantar.errors import InvalidInput, LimitExceeded, Overloaded


class Bodies:
    """Knows how many bytes of bodies are being held. One event loop."""

    def __init__(self, *, bytes_max: int = limits.KEEPER_BODIES_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._held = 0

    @asynccontextmanager
    async def held(self, request: Request, size: int) -> AsyncIterator[bytes]:
        """The body, of the declared `size`, for as long as the context lasts.

        Raises Overloaded when too many are held, InvalidInput when it is longer, shorter or too slow.
        """
        if self._held + size > self._bytes_max:
            raise Overloaded(
                f"Objects of more than {self._bytes_max} bytes are on their way (KEEPER_BODIES_BYTES_MAX): in a moment."
            )
        self._held += size
        try:
            yield await read_body(request, size)
        finally:
            self._held -= size


def declared_size(request: Request) -> int:
    """What Content-Length says. Raises InvalidInput without one: space is asked for before it is used."""
    text = request.headers.get("content-length", "")
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise InvalidInput("An object comes with its Content-Length.")
    return int(text)


async def read_body(request: Request, bytes_max: int) -> bytes:
    """At most `bytes_max` bytes. Raises LimitExceeded for more, InvalidInput for a body that stalls or breaks off."""
    data = bytearray()
    try:
        async with asyncio.timeout(limits.KEEPER_BODY_SECONDS_MAX):
            async for chunk in request.stream():
                data += chunk
                if len(data) > bytes_max:
                    raise LimitExceeded(f"The body has more than the {bytes_max} bytes that it may have.")
    except TimeoutError:
        raise InvalidInput(
            f"The body did not come within {limits.KEEPER_BODY_SECONDS_MAX:.0f} s (KEEPER_BODY_SECONDS_MAX)."
        ) from None
    except ClientDisconnect:
        raise InvalidInput("The body broke off.") from None
    return bytes(data)
