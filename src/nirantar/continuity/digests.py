"""Journalling the access log's digest, so that no line of it can be cut or changed unnoticed (docs/format.md,
Access log)."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event, Thread
from typing import Final

import msgspec

from nirantar import limits
from nirantar.errors import NirantarError
from nirantar.interactions.access_log import START_OF_CHAIN, AccessLog
from nirantar.interactions.authorize import Caller
from nirantar.interactions.transact import Transact
from nirantar.interactions.transaction import Purpose
from nirantar.store.port import View

ACCESS_DIGEST_TYPE: Final = "NirantarAccessDigest"


def journalled(view: View, node: str) -> Iterator[tuple[int, str]]:
    """Every digest of a node's access log that its journal holds, newest first: (lines, chain value)."""
    cursor: str | None = None
    with view.reader() as state:
        while True:
            page = state.history(ACCESS_DIGEST_TYPE, node, count=limits.SEARCH_COUNT_MAX, cursor=cursor)
            for version in page.versions:
                if version.resource is not None:
                    record = msgspec.json.decode(version.resource)
                    yield record["lines"], record["chain"]
            cursor = page.next_cursor
            if cursor is None:
                return


class AccessDigests:
    """Writes `{lines, chain}` of the access log to the journal when it grew, each ACCESS_DIGEST_SECONDS and at the
    end."""

    def __init__(
        self, node: str, access_log: AccessLog, transact: Transact, journalled: tuple[int, str] | None
    ) -> None:
        """`journalled` is the newest digest that the journal holds."""
        self._caller = Caller(f"node:{node}", node, "integration", node)
        self._node = node
        self._access_log = access_log
        self._transact = transact
        self._stopping = Event()
        self._thread: Thread | None = None
        # Lines that a crash kept from being journalled differ from it, so the next round covers them.
        self._journalled = journalled or (0, START_OF_CHAIN.hex())

    def start(self) -> None:
        """Write in the background."""
        self._thread = Thread(target=self._serve, name="access-digests", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write once more if there is something new, and end."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def write(self) -> None:
        """Journal the present digest unless it already is. Raises what `Transact` raises."""
        lines, chain = self._access_log.digest()
        if (lines, chain) == self._journalled:
            return
        record = {"resourceType": ACCESS_DIGEST_TYPE, "id": self._node, "lines": lines, "chain": chain}
        purpose = Purpose("access-digest", durability="node")
        self._transact.system_record(self._caller, record, purpose)
        self._journalled = lines, chain

    def _serve(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stopping.wait(limits.ACCESS_DIGEST_SECONDS)
            try:
                self.write()
            except NirantarError:
                # A full disk or a stopping node: the next round, or the next start, covers these lines too.
                continue
