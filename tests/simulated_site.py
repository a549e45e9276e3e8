"""A whole hospital on a simulated machine: one node, one vault, everything in this thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nirantar.app.founding import Founded, found_hospital, publish, write_directory
from nirantar.app.node import Node
from nirantar.app.recovering import RecoveryReport, recover
from nirantar.app.vaults import open_vault
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.fhir.transaction_bundle import Operation
from nirantar.host.simulated import SimulatedHost
from nirantar.interactions.authorize import Caller
from nirantar.interactions.transaction import Outcome, Purpose
from nirantar.vault.directory import DirectoryVault
from nirantar.vault.port import Vault

NODE = Path("/node")
NEW = Path("/new")
VAULT = "file:///vault"
ORIGIN = "nirantar.test-hospital/opd"
CALLER = Caller("token:test", "Test", "integration", "api")


@dataclass(frozen=True)
class Site:
    """The hospital's machine and what its founding made."""

    host: SimulatedHost
    founded: Founded
    identity: RecoveryIdentity

    @property
    def vault(self) -> Vault:
        """Its vault."""
        return DirectoryVault(self.host, Path("/vault"))

    def recovered(self, directory: Path = NEW, *, node: str | None = None, at: str | None = None) -> RecoveryReport:
        """Recover from the vault alone."""
        return recover(self.host, [self.vault], [VAULT], self.identity, directory, node=node, at=at)


def found_site(host: SimulatedHost, *, durability: str = "node") -> Site:
    """A hospital that has written nothing yet."""
    founded, identity = found_hospital(host, "Test Hospital", "opd", vaults=[VAULT], durability=durability)
    publish(open_vault(host, VAULT, create=True), founded.document, founded.roster, founded.roster_note)
    write_directory(host, NODE, founded)
    return Site(host, founded, identity)


@contextmanager
def opened(site: Site, directory: Path = NODE) -> Iterator[Node]:
    """The node in a directory, sealed when it is closed."""
    node = Node(site.host, directory)
    try:
        yield node
        node.sealer.step()
    finally:
        node.close()


def write(node: Node, *operations: Operation, key: str | None = None) -> Outcome:
    """One durable transaction."""
    future = node.doors.transact.submit(CALLER, operations, Purpose("test", idempotency_key=key))
    node.sequencer.step()
    return future.result(0)
