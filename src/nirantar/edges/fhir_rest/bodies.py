"""Request bodies: read as they stream in, never more than a limit in memory, whatever the client claims or sends."""

from __future__ import annotations

import asyncio

from starlette.types import Receive

from nirantar import limits
from nirantar.edges.fhir_rest.headers import Headers
from nirantar.edges.fhir_rest.statuses import HttpRefusal
from nirantar.errors import Overloaded


class ClientGone(HttpRefusal):
    """The request ended before its body was whole: a connection that broke, where nobody reads the answer any more, or
    a body that is wrong as HTTP, such as a chunk without a length."""

    def __init__(self) -> None:
        super().__init__(400, "structure", "The body ended before it was whole.", ((b"connection", b"close"),))


class Bodies:
    """Reads bodies for one application and knows how many bytes of them are in memory. One event loop."""

    def __init__(self, *, bytes_max: int = limits.REQUEST_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._held = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of bodies read and not yet given back."""
        return self._held

    def release(self, count: int) -> None:
        """Give back what `read` took."""
        self._held -= count

    async def read(self, receive: Receive, headers: Headers) -> bytes:
        """The whole body; the caller owes `release(len(body))`.

        Raises HttpRefusal 413 over REQUEST_BYTES_MAX and 408 after REQUEST_BODY_SECONDS_MAX, Overloaded when all
        bodies together would pass REQUEST_BODIES_BYTES_MAX, ClientGone. A body too large is read to its end and
        thrown away, up to REQUEST_DRAINED_BYTES_MAX, because most clients read no answer before they have sent it all.
        """
        try:
            async with asyncio.timeout(limits.REQUEST_BODY_SECONDS_MAX):
                return await self._read(receive, headers)
        except TimeoutError:
            raise HttpRefusal(
                408, "timeout",
                f"The body did not arrive within {limits.REQUEST_BODY_SECONDS_MAX:.0f} s (REQUEST_BODY_SECONDS_MAX).",
            ) from None

    async def _read(self, receive: Receive, headers: Headers) -> bytes:
        claimed = headers.get(b"content-length", b"")
        if claimed.isdigit() and len(claimed) < 20 and int(claimed) > self._bytes_max:
            await self._drain(receive, 0)
        chunks: list[bytes] = []
        size, more = 0, True
        try:
            while more:
                chunk, more = await _next_chunk(receive)
                size += len(chunk)
                self._held += len(chunk)
                if size > self._bytes_max:
                    chunks.clear()
                    await self._drain(receive, size, more=more)
                if self._held > limits.REQUEST_BODIES_BYTES_MAX:
                    raise Overloaded(
                        f"Requests with more than {limits.REQUEST_BODIES_BYTES_MAX} bytes are being served "
                        "(REQUEST_BODIES_BYTES_MAX): try again in a moment."
                    )
                chunks.append(chunk)
        except BaseException:
            self._held -= size
            raise
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _drain(self, receive: Receive, size: int, *, more: bool = True) -> None:
        """Throw away what is left, then refuse."""
        while more and size <= limits.REQUEST_DRAINED_BYTES_MAX:
            chunk, more = await _next_chunk(receive)
            size += len(chunk)
        raise HttpRefusal(
            413, "too-long", f"The body has more than {self._bytes_max} bytes (REQUEST_BYTES_MAX). Send it in parts.",
            ((b"connection", b"close"),) if more else (),
        )


async def _next_chunk(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] != "http.request":
        raise ClientGone
    return message.get("body", b""), message.get("more_body", False)
