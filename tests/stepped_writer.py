"""The write door of one node on a simulated machine, without threads: a commit batch is what was sent before `step`."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal

from nirantar.fhir import json
from nirantar.fhir.transaction_bundle import Operation, parse_transaction
from nirantar.fold.grants import Grant
from nirantar.host.simulated import SimulatedHost
from nirantar.interactions.authorize import Caller
from nirantar.interactions.repeats import request_hash
from nirantar.interactions.transact import Transact
from nirantar.interactions.transaction import Outcome, Purpose
from nirantar.journal.log import JournalWriter
from nirantar.journal.sequencer import Sequencer
from nirantar.store.memory import MemoryView
from nirantar.store.sqlite import SqliteView
from nirantar.tlog.note import Signer

ORIGIN = "nirantar.test/opd-1"
CALLER = Caller("token:test", "Test", "integration", "api")
ViewKind = Literal["memory", "sqlite"]


class SteppedWriter:
    """Journal, view and `Transact`; close it at the end."""

    def __init__(self, kind: ViewKind = "memory") -> None:
        self.host = SimulatedHost(11)
        self.host.files.make_directory(Path("/node"))
        signer = Signer(ORIGIN, b"n" * 32)
        self.journal = JournalWriter(self.host, Path("/node/journal.db"), ORIGIN, signer)
        self.view: MemoryView | SqliteView = (
            MemoryView(number_series={}) if kind == "memory"
            else SqliteView(self.host, Path("/node/view.db"), number_series={})
        )
        self.view.use_grants({ORIGIN: Grant("opd-1", ORIGIN, signer.vkey)})
        self.sequencer = Sequencer(self.host, self.journal, self.view)
        self.transact = Transact(
            self.host, "opd-1", self.sequencer, self.view, confirmations=None, durability="node"
        )

    def send(self, *operations: Operation, key: str | None = None, exact: bool = True) -> Future[Outcome]:
        """Queue one transaction. `exact`: a repeat under the same key must ask for the same."""
        asked = request_hash(operations) if key is not None and exact else None
        return self.transact.submit(CALLER, operations, Purpose("test", idempotency_key=key, request_hash=asked))

    def write(self, *operations: Operation, key: str | None = None, exact: bool = True) -> Outcome:
        """Do one transaction in a commit batch of its own."""
        future = self.send(*operations, key=key, exact=exact)
        self.sequencer.step()
        return future.result(0)

    def write_entries(self, *entries: dict[str, Any]) -> Outcome:
        """Do a transaction Bundle of these entries."""
        body = {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}
        return self.write(*parse_transaction(body).operations)

    def resource(self, type: str, id: str) -> dict[str, Any] | None:
        """What is shown of a resource; None when it is deleted or never was."""
        with self.view.reader() as state:
            head = state.read(type, id)
        return None if head is None or head.resource is None else json.decode(head.resource)

    def count(self, type: str) -> int:
        """How many resources of a type there are."""
        with self.view.reader() as state:
            return state.counts().get(type, 0)

    def close(self) -> None:
        """Release the databases."""
        self.view.close()
        self.host.close()
