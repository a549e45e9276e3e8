"""A keeper served over HTTP from a thread of the test's own process, on the real host."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from keeper_at_hand import free_port
from nirantar.app.server import serve
from nirantar.continuity.keeping.keeper import Keeper
from nirantar.edges.keeper_http import keeper_app


@contextmanager
def served(keeper: Keeper) -> Iterator[int]:
    """Serve `keeper` on a free port, which is given, while the context lasts."""
    port, ready = free_port(), Event()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(serve(keeper_app(keeper), "127.0.0.1", port, kind="uvicorn", stop=stop, ready=ready.set))
        loop.close()

    thread = Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
