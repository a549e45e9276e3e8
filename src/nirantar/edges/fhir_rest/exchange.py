"""One request on its way through the edge, and what all requests of an application share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.types import Receive, Scope

from nirantar import limits
from nirantar.edges.fhir_rest.bodies import Bodies
from nirantar.edges.fhir_rest.headers import (
    Headers,
    Preferences,
    durability,
    idempotency_key,
    origin_of,
    preferences,
    require_content_type,
)
from nirantar.errors import InvalidInput, NotSignedIn, Overloaded
from nirantar.fhir import json
from nirantar.fhir.transaction_bundle import Operation
from nirantar.interactions.authorize import Caller
from nirantar.interactions.doors import Doors
from nirantar.interactions.repeats import request_hash
from nirantar.interactions.transaction import Outcome, Purpose

Answered = TypeVar("Answered")


class Edge:
    """What the requests of one application share: the doors, and the bounds on their use."""

    def __init__(self, doors: Doors) -> None:
        self.doors = doors
        self.bodies = Bodies()
        # One reader stays free for the reads by id, which do not leave the event loop.
        self._searching = CapacityLimiter(limits.READERS_MAX - 1)
        self._decoding = CapacityLimiter(limits.REQUEST_DECODES_AT_ONCE_MAX)

    async def search(self, work: Callable[[], Answered]) -> Answered:
        """Run what may take milliseconds in the view in a thread, a bounded number at a time."""
        return await to_thread.run_sync(work, limiter=self._searching)

    async def compute(self, size: int, work: Callable[[], Answered]) -> Answered:
        """Run work on `size` bytes: here when they are few (a thread costs more), else in a thread."""
        if size <= limits.REQUEST_BYTES_IN_LOOP_MAX:
            return work()
        return await to_thread.run_sync(work, limiter=self._decoding)


class Exchange:
    """One request. `path` holds the route's parts (`type`, `id`, `version_id`); `caller` is set before any handler
    runs, except on routes that are open to all."""

    __slots__ = ("_caller", "_held", "_receive", "edge", "headers", "path", "scope")

    def __init__(self, edge: Edge, scope: Scope, receive: Receive) -> None:
        self.edge = edge
        self.scope = scope
        self.headers: Headers = dict(scope["headers"])
        self.path: dict[str, str] = scope["path_params"]
        self._receive = receive
        self._caller: Caller | None = None
        self._held = 0

    @property
    def doors(self) -> Doors:
        """The node's doors."""
        return self.edge.doors

    @property
    def caller(self) -> Caller:
        """Whose request it is. Raises NotSignedIn where nobody signed in."""
        if self._caller is None:
            raise NotSignedIn("This needs a token: send the header Authorization: Bearer <token>.")
        return self._caller

    @caller.setter
    def caller(self, caller: Caller) -> None:
        self._caller = caller

    @property
    def query(self) -> str:
        """The query string as it came, percent-encoded. Raises InvalidInput when it is not ASCII."""
        raw: bytes = self.scope.get("query_string", b"")
        try:
            return raw.decode("ascii")
        except UnicodeDecodeError:
            raise InvalidInput("The query must be percent-encoded.") from None

    @property
    def preferences(self) -> Preferences:
        """The Prefer header."""
        return preferences(self.headers)

    @property
    def base_url(self) -> str:
        """The FHIR base URL as this client knows it, without a slash at the end."""
        return origin_of(self.scope.get("scheme", "http"), self.headers) + str(self.scope.get("root_path", ""))

    def purpose(self, action: str, operations: Sequence[Operation] = ()) -> Purpose:
        """Why a write happens, with what the headers ask of it. `operations`: what a repeat under the same key must
        ask for again. Raises InvalidInput."""
        key = idempotency_key(self.headers)
        asked = request_hash(operations) if operations and key is not None else None
        return Purpose(action, idempotency_key=key, durability=durability(self.headers), request_hash=asked)

    async def body(self) -> bytes:
        """The body's bytes, bounded; see `Bodies.read`."""
        data = await self.edge.bodies.read(self._receive, self.headers)
        self._held += len(data)
        return data

    async def resource(self) -> tuple[dict[str, Any], int]:
        """The resource in the body and the size of its JSON. Raises MalformedJson, LimitExceeded, InvalidInput."""
        require_content_type(self.headers)
        data = await self.body()
        value = await self.edge.compute(len(data), lambda: json.decode(data))
        if not isinstance(value, dict) or not isinstance(value.get("resourceType"), str):
            raise InvalidInput("The body must be one FHIR resource: a JSON object with a resourceType.")
        return value, len(data)

    def release(self) -> None:
        """Give back the memory that the body was counted with."""
        self.edge.bodies.release(self._held)
        self._held = 0


async def durable(future: Future[Outcome]) -> Outcome:
    """The outcome of a write once it is durable. Raises what the write raised, or Overloaded after
    WRITE_WAIT_SECONDS_MAX.

    The writer's future is never cancelled, also when the client goes away: the write happens all the same, and a
    cancelled future would break the writer's batch. So this is not `asyncio.wrap_future`, which passes a cancel on.
    """
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[Outcome] = loop.create_future()

    def settle() -> None:
        if waiter.done():
            return
        failure = future.exception()
        if failure is None:
            waiter.set_result(future.result())
        else:
            waiter.set_exception(failure)

    def done(_: Future[Outcome]) -> None:
        # A loop that is closed has nobody who waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle)

    future.add_done_callback(done)
    try:
        async with asyncio.timeout(limits.WRITE_WAIT_SECONDS_MAX):
            return await waiter
    except TimeoutError:
        raise Overloaded(
            f"The write is not durable after {limits.WRITE_WAIT_SECONDS_MAX:.0f} s (WRITE_WAIT_SECONDS_MAX). "
            "It may still happen: repeat it with the same Idempotency-Key."
        ) from None
