"""Bodies are read within bounds, whatever comes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from nirantar import limits
from nirantar.edges.fhir_rest.bodies import Bodies, ClientGone
from nirantar.edges.fhir_rest.statuses import HttpRefusal
from nirantar.errors import Overloaded


class Wire:
    """What a server would hand over: chunks, then the end, then a disconnect."""

    def __init__(self, chunks: Iterable[bytes], *, ends: bool = True) -> None:
        self._chunks = iter(chunks)
        self._next = next(self._chunks, None)
        self._ends = ends
        self.taken = 0

    async def receive(self) -> dict[str, Any]:
        """The next message."""
        chunk, self._next = self._next, next(self._chunks, None)
        if chunk is None:
            return {"type": "http.disconnect"}
        self.taken += len(chunk)
        return {"type": "http.request", "body": chunk, "more_body": self._next is not None or not self._ends}


def read(bodies: Bodies, wire: Wire, claimed: bytes | None = None) -> bytes:
    """One body."""
    return asyncio.run(bodies.read(wire.receive, {} if claimed is None else {b"content-length": claimed}))


def test_chunks_become_one_body() -> None:
    """Chunks are joined, and counted as held until they are given back."""
    bodies = Bodies(bytes_max=10)
    assert read(bodies, Wire([b"abc", b"", b"defg"])) == b"abcdefg"
    assert bodies.held_bytes == 7
    bodies.release(7)
    assert bodies.held_bytes == 0


def test_a_body_of_the_limit_passes_and_one_more_byte_does_not() -> None:
    """The bound is exact, however the body is cut into chunks."""
    bodies = Bodies(bytes_max=10)
    assert len(read(bodies, Wire([b"x" * 9, b"x"]))) == 10
    with pytest.raises(HttpRefusal, match="REQUEST_BYTES_MAX") as refused:
        read(bodies, Wire([b"x" * 10, b"x"]))
    assert refused.value.status == 413
    assert bodies.held_bytes == 10


@pytest.mark.parametrize("claimed", [None, b"100", b"11", b"nonsense", b"9" * 30])
def test_too_large_a_body_is_read_to_its_end_and_not_kept(claimed: bytes | None) -> None:
    """The client can finish sending and then read its 413; nothing of the body is held meanwhile."""
    bodies = Bodies(bytes_max=10)
    wire = Wire(b"x" * 10 for _ in range(10))
    with pytest.raises(HttpRefusal) as refused:
        read(bodies, wire, claimed)
    assert (refused.value.status, refused.value.headers) == (413, ())
    assert wire.taken == 100
    assert bodies.held_bytes == 0


def test_an_endless_body_is_not_read_for_ever() -> None:
    """After REQUEST_DRAINED_BYTES_MAX the connection is closed instead."""
    chunk = b"x" * (1024 * 1024)
    wire = Wire(chunk for _ in range(10_000))
    with pytest.raises(HttpRefusal) as refused:
        read(Bodies(), wire)
    assert refused.value.headers == ((b"connection", b"close"),)
    assert wire.taken <= limits.REQUEST_DRAINED_BYTES_MAX + 2 * len(chunk)


def test_all_bodies_together_are_bounded() -> None:
    """Bodies that are still in use leave no room for more than REQUEST_BODIES_BYTES_MAX."""
    bodies = Bodies()
    chunk = b"x" * limits.REQUEST_BYTES_MAX
    held = 0
    with pytest.raises(Overloaded, match="REQUEST_BODIES_BYTES_MAX"):
        for _ in range(1_000):
            held += len(read(bodies, Wire([chunk])))
    assert held == bodies.held_bytes <= limits.REQUEST_BODIES_BYTES_MAX


def test_a_client_that_leaves_is_noticed() -> None:
    """A connection that ends within the body ends the request, and gives its bytes back."""
    bodies = Bodies()
    with pytest.raises(ClientGone):
        read(bodies, Wire([b"abc"], ends=False))
    assert bodies.held_bytes == 0
