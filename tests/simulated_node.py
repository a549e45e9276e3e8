"""The writing side of a node on a simulated machine: journal, view in memory, doors. Its clock is set by the test."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

from argon2 import PasswordHasher

from nirantar.fold.grants import Grant, NumberBlock
from nirantar.host.simulated import SimulatedHost
from nirantar.interactions.access_log import AccessLog
from nirantar.interactions.accounts import Accounts
from nirantar.interactions.authorize import Caller
from nirantar.interactions.credentials import Credentials
from nirantar.interactions.numbers import Numbers
from nirantar.interactions.read import Read
from nirantar.interactions.transact import Transact
from nirantar.journal.log import JournalWriter
from nirantar.journal.reader import JournalReader
from nirantar.journal.sequencer import Member, Sequencer
from nirantar.store.memory import MemoryView
from nirantar.tlog.note import Signer

ORIGIN = "nirantar.test/opd-1"
DIRECTORY = Path("/node")
UHID_SYSTEM = "urn:nirantar:test:uhid"
BLOCK = NumberBlock("uhid", 1000, 1099)

INTEGRATION = Caller("token:test", "Test", "integration", "api")
IT = Caller("staff:ravi", "Ravi", "it-security", "pc-1")
CLERK = Caller("staff:asha", "Asha", "registration-clerk", "counter-1")


class SimulatedNode:
    """A node without vault and HTTP. Use it as a context; the sequencer runs in its thread while the test waits."""

    def __init__(self, host: SimulatedHost | None = None, *, confirmations: Confirmed | None = None) -> None:
        self.host = host or SimulatedHost(7)
        self.host.files.make_directory(DIRECTORY)
        self.signer = Signer(ORIGIN, b"n" * 32)
        self.journal = JournalWriter(self.host, DIRECTORY / "journal.db", ORIGIN, self.signer)
        self.reader = JournalReader(self.host, DIRECTORY / "journal.db", self.journal._connection)
        self.view = MemoryView(number_series={UHID_SYSTEM: "uhid"})
        self.view.use_grants({ORIGIN: Grant("opd-1", ORIGIN, self.signer.vkey)})
        self.sequencer = Sequencer(self.host, self.journal, self.view)
        self.transact = Transact(
            self.host, "opd-1", self.sequencer, self.view, confirmations=confirmations,
            durability="node" if confirmations is None else "vault",
        )
        self.access_log = AccessLog(self.host, DIRECTORY / "access")
        self.read = Read(self.view, self.access_log, self.reader.entry)
        quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        self.accounts = Accounts(self.host, self.view, self.transact, self.access_log, quick)
        self.credentials = Credentials(self.host, DIRECTORY / "credentials.db")
        self.numbers = Numbers(self.view, (BLOCK,))

    def __enter__(self) -> Self:
        self.sequencer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.sequencer.stop()
        self.host.close()

    def access_lines(self) -> bytes:
        """Everything that the access log has written, after a flush."""
        self.access_log.flush()
        return b"".join(self.host.files.read(path) for path in self.host.files.walk(DIRECTORY / "access"))


class Confirmed:
    """A vault that notes which entries it is asked for, and answers as told."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.asked: list[int] = []
        self._failure = failure

    def confirmed(self, entry_index: int) -> Future[None]:
        """Done at once."""
        self.asked.append(entry_index)
        future: Future[None] = Future()
        if self._failure is None:
            future.set_result(None)
        else:
            future.set_exception(self._failure)
        return future


def in_one_batch(sequencer: Sequencer, members: Sequence[Member]) -> list[Future[Any]]:
    """Run members as one commit batch in this thread; their futures are done."""
    futures = [sequencer.submit(member) for member in members]
    sequencer.step()
    return futures


def a_patient(family: str = "Sharma", **more: Any) -> dict[str, Any]:
    """An invented patient."""
    return {"resourceType": "Patient", "name": [{"text": f"Asha {family}", "family": family}], **more}


def an_observation(patient_id: str, **more: Any) -> dict[str, Any]:
    """An invented pulse."""
    return {
        "resourceType": "Observation", "status": "final", "code": {"text": "Pulse"},
        "subject": {"reference": f"Patient/{patient_id}"}, **more,
    }
