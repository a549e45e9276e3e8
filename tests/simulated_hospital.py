"""A whole node on a simulated machine, driven by one seed in one thread: writes, crashes, restarts, checks.

Each life of the node opens it, sends batches of random requests, moves the clock, seals, and ends by a crash in a
random disk operation (or a clean stop). After each life the machine is started again and everything that was promised
is looked for. A broken promise is an AssertionError that begins with `seed=…`; the same seed gives the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

from nirantar.app.founding import found_hospital, publish, write_directory
from nirantar.app.node import Node
from nirantar.app.recovering import recover
from nirantar.app.vaults import open_vault
from nirantar.app.verifying import verify_node
from nirantar.continuity.vault_witness import covered
from nirantar.errors import Conflict, DiskFull, FsyncFailed, InvalidInput, NotFound, VaultUnavailable
from nirantar.fhir.transaction_bundle import Operation
from nirantar.host.simulated import SimulatedHost
from nirantar.interactions.authorize import Caller
from nirantar.interactions.operations import create, delete, update
from nirantar.interactions.transaction import Outcome, Purpose
from nirantar.journal.entry import Entry, Hlc, decode
from nirantar.journal.log import JOURNAL_FILE
from nirantar.journal.reader import JournalReader
from nirantar.tlog.note import Verifier

NODE = Path("/node")
VAULT = "file:///vault"
SYSTEM = "urn:example:number"
CALLER = Caller("simulation", "Simulation", "integration", "seed")
PEOPLE = 12
"""So few different people that conditional creates often meet."""

_DAY_US = 86_400_000_000

Mutation = Callable[[Node], None]
"""Breaks an open node, for the tests that prove that the simulation would notice."""


@dataclass(frozen=True)
class Request:
    """One transaction under an idempotency key; a retry is the same object sent again."""

    key: str
    operations: tuple[Operation, ...]
    durability: str

    @property
    def key_hash(self) -> str:
        """The key as entries carry it."""
        return sha256(f"{CALLER.actor}\n{self.key}".encode()).hexdigest()


@dataclass(frozen=True)
class Acknowledged:
    """What a client was told: where the entry stands, and every resource version with its exact bytes."""

    entry_index: int | None
    versions: tuple[tuple[str, str, str, bytes | None], ...]


@dataclass
class SimulatedHospital:
    """The hospital of one seed. `view_lies`: every fsync of the view's files reports success and does nothing.
    `fsync_fails`: now and then the disk refuses one, after which nothing may be acknowledged. `disk_fills`: now and
    then there is hardly any room, and later there is again."""

    seed: int
    view_lies: bool = False
    fsync_fails: bool = False
    disk_fills: bool = False
    mutation: Mutation | None = None
    trace: list[str] = field(default_factory=list)
    acknowledged: dict[str, Acknowledged] = field(default_factory=dict)
    damaged_views: int = 0
    full_disks: int = 0
    refused_fsyncs: int = 0

    def __post_init__(self) -> None:
        self._random = Random(f"{self.seed}/requests")
        self._trouble = Random(f"{self.seed}/trouble")
        self._host = SimulatedHost(self.seed)
        self._sent: list[Request] = []
        self._seen: tuple[int, bytes] = (0, b"")
        self._patients: dict[str, tuple[str, str]] = {}
        founded, self._identity = found_hospital(self._host, "Simulated Hospital", "opd-1", vaults=[VAULT], durability="node")
        self._verifier = Verifier.parse(founded.roster.grants[0].vkey)
        vault = open_vault(self._host, VAULT, create=True)
        publish(vault, founded.document, founded.roster, founded.roster_note)
        write_directory(self._host, NODE, founded)

    def run(self, lives: int = 4) -> None:
        """Live, crash and check that often, then recover the hospital from its vault."""
        with self._naming_the_seed():
            try:
                for _ in range(lives):
                    self._live()
                    self._host = self._host.reboot()
                    self._check()
                self._recover()
            finally:
                self._host.close()

    @contextmanager
    def _naming_the_seed(self) -> Iterator[None]:
        try:
            yield
        except Exception as broken:
            modes = [name for name in ("view_lies", "fsync_fails", "disk_fills") if getattr(self, name)]
            raise AssertionError(f"seed={self.seed} {' '.join(modes)}: {broken!r}") from broken

    # --- a life --------------------------------------------------------------------------------------------------------

    def _live(self) -> None:
        host, random = self._host, self._random
        host.disk.lies = lambda path: self.view_lies and path.name.startswith("view.db")
        host.disk.fails = self._fails
        host.disk.crash_at = host.disk.operations + random.randrange(1, 600)
        with host.until_crash():
            node = self._open()
            for _ in range(random.randrange(4, 20)):
                self._fill_or_free(node)
                self._batch(node)
                if random.random() < 0.3:
                    node.sealer.step()
                if random.random() < 0.2:
                    host.set_wall_us(host.now_us() + random.choice((-_DAY_US, -2_000_000, -1, _DAY_US, 30 * _DAY_US)))
                if random.random() < 0.05:
                    self._close(node)
                    node = self._open()
        host.disk.capacity_bytes = None
        self.trace.append(f"life ended at {host.disk.operations}, dead={host.disk.dead}, {len(self.acknowledged)} acks")

    def _fails(self, _path: Path) -> bool:
        """Whether this fsync is refused. The founding papers are durable already."""
        refused = self.fsync_fails and self._trouble.random() < 0.01
        self.refused_fsyncs += refused
        return refused

    def _fill_or_free(self, node: Node) -> None:
        """Take the room away, or give it back; then everything that was acknowledged is to be read again."""
        disk = self._host.disk
        if disk.capacity_bytes is None:
            if self.disk_fills and self._trouble.random() < 0.4:
                disk.capacity_bytes = disk.used_bytes + self._trouble.choice((0, 5_000, 20_000, 60_000))
        elif self._trouble.random() < 0.5:
            disk.capacity_bytes = None
            self._batch(node)
            if not disk.dead:
                self._check_view(node)

    def _open(self) -> Node:
        try:
            node = Node(self._host, NODE)
        except FsyncFailed as failure:
            self._host.exit(str(failure))
        except DiskFull:
            self._host.disk.capacity_bytes = None
            node = Node(self._host, NODE)
        # Checkpoints are rare in a short life; here they come often, so that crashes fall into them as well.
        pages = self._random.randrange(3, 60)
        node.journal.write_ahead_log.pages_max = node.view.write_ahead_log.pages_max = pages
        self._watch_readers(node)
        if self.mutation is not None:
            self.mutation(node)
        return node

    def _close(self, node: Node) -> None:
        try:
            node.close()
        except FsyncFailed as failure:
            self._host.exit(str(failure))

    def _watch_readers(self, node: Node) -> None:
        """Look at the view at every moment at which a reader's next transaction would see something new."""
        commit = node.view.commit

        def watched() -> None:
            commit()
            with node.view.reader() as state:
                position = state.positions().get(node.papers.origin)
            if position is not None and position.entries > self._seen[0]:
                self._seen = (position.entries, position.last_leaf_hash)

        node.view.commit = watched  # type: ignore[method-assign]

    def _batch(self, node: Node) -> None:
        waiting: list[tuple[Request, Future[Outcome]]] = []
        for request in self._requests():
            self._sent.append(request)
            purpose = Purpose("simulate", idempotency_key=request.key, durability=request.durability)
            try:
                waiting.append((request, node.doors.transact.submit(CALLER, request.operations, purpose)))
            except InvalidInput:
                continue
        node.sequencer.step()
        if any(request.durability == "vault" for request, _ in waiting):
            node.sealer.step()
        for request, future in waiting:
            if not self._host.disk.dead and future.done():
                self._hear(request, future)
        self._host.advance(self._random.randrange(2_000_000))

    def _hear(self, request: Request, future: Future[Outcome]) -> None:
        refusal = future.exception()
        if refusal is not None:
            if isinstance(refusal, (DiskFull, VaultUnavailable)):
                assert self.disk_fills or self.fsync_fails, f"{request.key} ended with {refusal!r}"
                self.full_disks += isinstance(refusal, DiskFull)
                return
            assert isinstance(refusal, (Conflict, NotFound, InvalidInput)), f"{request.key} ended with {refusal!r}"
            assert request.key not in self.acknowledged, f"the retry of {request.key} was refused: {refusal!r}"
            return
        outcome = future.result()
        versions = tuple(
            (each.type, each.id, each.version.version_id, each.version.resource)
            for each in outcome.results if each.version is not None
        )
        told = Acknowledged(None if outcome.appended is None else outcome.appended.entry_index, versions)
        before = self.acknowledged.setdefault(request.key, told)
        if before.entry_index is not None:
            assert told.entry_index == before.entry_index, f"the retry of {request.key} made a second entry"
            assert told.versions == before.versions, f"the retry of {request.key} was answered otherwise"
        for type, id, version_id, resource in versions:
            if type == "Patient" and resource is not None:
                self._patients[id] = (id, version_id)

    # --- what clients ask ----------------------------------------------------------------------------------------------

    def _requests(self) -> Iterator[Request]:
        for _ in range(self._random.randrange(1, 6)):
            if self._sent and self._random.random() < 0.25:
                yield self._random.choice(self._sent)
            else:
                yield from self._new_requests()

    def _new_requests(self) -> Iterator[Request]:
        random = self._random
        kinds = ("register", "register", "twice", "visit", "update", "stale", "delete", "invalid")
        kind = random.choice(kinds if self._patients else ("register", "twice"))
        known = random.choice(sorted(self._patients.values())) if self._patients else ("", "")
        if kind == "register":
            yield self._request(self._register())
        elif kind == "twice":
            number = random.randrange(PEOPLE)
            yield self._request(self._register(number))
            yield self._request(self._register(number))
        elif kind == "visit":
            yield self._request(
                create({"resourceType": "Encounter", "status": "planned", "class": {"code": "AMB"},
                        "subject": {"reference": f"Patient/{known[0]}"}}, full_url="urn:uuid:00000000-0000-4000-8000-000000000001"),
                create({"resourceType": "Observation", "status": "final", "code": {"text": "weight"},
                        "subject": {"reference": f"Patient/{known[0]}"},
                        "encounter": {"reference": "urn:uuid:00000000-0000-4000-8000-000000000001"},
                        "valueString": random.randbytes(random.choice((8, 3000))).hex()}),
            )
        elif kind == "update":
            yield self._request(self._rename(known[0], if_match=random.choice((known[1], None))))
        elif kind == "stale":
            yield self._request(self._register(), self._rename(known[0], if_match="opd-1.999999"))
        elif kind == "delete":
            yield self._request(delete("Patient", known[0]))
        else:
            yield self._request(create({"resourceType": "Patient", "birthDate": "1999-02-30"}))

    def _request(self, *operations: Operation) -> Request:
        durability = "vault" if self._random.random() < 0.1 else "node"
        return Request(f"request-{len(self._sent)}-{self._random.randrange(1 << 30)}", operations, durability)

    def _register(self, number: int | None = None) -> Operation:
        number = self._random.randrange(PEOPLE) if number is None else number
        return create(_person(number), if_none_exist=f"identifier={SYSTEM}|{number}")

    def _rename(self, id: str, *, if_match: str | None) -> Operation:
        # Nobody keeps his number through this, so that it never makes two people of one number.
        name = [{"family": self._random.randbytes(20).hex()}]
        return update({"resourceType": "Patient", "id": id, "name": name}, if_match=if_match)

    # --- what must hold ------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        """Open the node as after any crash, verify it with its own verification, and look for every promise."""
        host = self._host
        Node(host, NODE).close()
        with closing(JournalReader(host, NODE / JOURNAL_FILE)) as reader:
            origin = next(iter(reader.origins()))
            entries = [_read(data, origin, index) for index, data, _ in reader.entries(origin, 0, reader.size(origin))]
            self._check_journal(reader, origin, entries)
        report = verify_node(host, NODE, heal=self.view_lies)
        self.damaged_views += bool(report.findings)
        assert report.ok, f"verification: {report.findings}"
        assert not report.findings or self.view_lies, f"an honest disk damaged the view: {report.findings}"
        node = Node(host, NODE)
        assert node.status().read_only is None, node.status().read_only
        self._check_view(node)
        node.close()
        self.trace.append(f"{len(entries)} entries, digest {report.view_digest}")

    def _check_journal(self, reader: JournalReader, origin: str, entries: list[Entry]) -> None:
        for key, told in self.acknowledged.items():
            if told.entry_index is None:
                continue
            assert told.entry_index < len(entries), f"{key} was acknowledged as entry {told.entry_index} and is lost"
            made = {(each.type, each.id, each.version_id): each.resource_bytes for each in entries[told.entry_index].changes}
            for type, id, version_id, resource in told.versions:
                if version_id.endswith(f".{told.entry_index}"):
                    assert made.get((type, id, version_id)) == resource, f"{key}: {type}/{id} is not what was acknowledged"
        size, leaf = self._seen
        assert reader.leaf_hashes(origin, size - 1, size) == ([leaf] if size else []), (
            f"a reader saw entry {size - 1}, the journal has {len(entries)} entries and not that one"
        )
        clocks = [Hlc.parse(entry.hlc) for entry in entries]
        assert all(first < second for first, second in pairwise(clocks)), "the clock went back"
        keys = [entry.idempotency_key for entry in entries]
        assert len(keys) == len(set(keys)), "an idempotency key made two entries"
        vaulted = covered(open_vault(self._host, VAULT), self._verifier)
        for request in self._sent:
            told = self.acknowledged.get(request.key, Acknowledged(None, ()))
            if request.durability == "vault" and told.entry_index is not None:
                assert told.entry_index < vaulted, f"{request.key} was acknowledged as in the vault and is not"

    def _check_view(self, node: Node) -> None:
        with node.view.reader() as state:
            for key, told in self.acknowledged.items():
                for type, id, version_id, resource in told.versions:
                    version = state.read_version(type, id, version_id)
                    assert version is not None, f"{key}: {type}/{id} of version {version_id} is not in the view"
                    assert version.resource == resource, f"{key}: {type}/{id} shows other bytes"
        for number in range(PEOPLE):
            operation = self._register(number)
            assert operation.condition is not None
            with node.view.reader() as state:
                found = state.search(operation.condition).versions
            assert len(found) <= 1, f"two conditional creates both passed for number {number}"

    def _recover(self) -> None:
        """Lose the node; what its vault holds is proven and complete, byte for byte."""
        vault = open_vault(self._host, VAULT)
        size = covered(vault, self._verifier)
        report = recover(self._host, [vault], [VAULT], self._identity, Path("/recovered"))
        assert report.ok, f"recovery: {report.findings}"
        assert [log.entries for log in report.logs] == [size]
        readers = [JournalReader(self._host, path / JOURNAL_FILE) for path in (NODE, Path("/recovered"))]
        origin = report.logs[0].origin
        before, after = ([data for _, data, _ in each.entries(origin, 0, size)] for each in readers)
        assert before == after, "the recovered entries differ"
        for each in readers:
            each.close()


def _person(number: int) -> dict[str, Any]:
    return {"resourceType": "Patient", "active": True, "identifier": [{"system": SYSTEM, "value": str(number)}]}


def _read(data: bytes, origin: str, entry_index: int) -> Entry:
    entry = decode(data, origin, entry_index)
    assert entry is not None
    return entry
