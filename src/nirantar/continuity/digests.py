"""Journalling the access log's digest, so that no line of it can be cut or changed unnoticed (docs/format.md,
Access log)."""

from __future__ import annotations

from threading import Event, Thread
from typing import Final

from nirantar import limits
from nirantar.errors import NirantarError
from nirantar.interactions.access_log import AccessLog
from nirantar.interactions.authorize import Caller
from nirantar.interactions.transact import Transact
from nirantar.interactions.transaction import Purpose

ACCESS_DIGEST_TYPE: Final = "NirantarAccessDigest"


class AccessDigests:
    """Writes `{lines, chain}` of the access log to the journal when it grew, each ACCESS_DIGEST_SECONDS and at the
    end."""

    def __init__(self, node: str, access_log: AccessLog, transact: Transact) -> None:
        self._caller = Caller(f"node:{node}", node, "integration", node)
        self._node = node
        self._access_log = access_log
        self._transact = transact
        self._stopping = Event()
        self._thread: Thread | None = None
        self._journalled = access_log.digest()[0]

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
        if lines == self._journalled:
            return
        record = {"resourceType": ACCESS_DIGEST_TYPE, "id": self._node, "lines": lines, "chain": chain}
        purpose = Purpose("access-digest", durability="node")
        self._transact.submit_system_record(self._caller, record, purpose).result(limits.WRITE_WAIT_SECONDS_MAX)
        self._journalled = lines

    def _serve(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stopping.wait(limits.ACCESS_DIGEST_SECONDS)
            try:
                self.write()
            except NirantarError:
                # A full disk or a stopping node: the next round, or the next start, covers these lines too.
                continue
