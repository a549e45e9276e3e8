"""The one door for writes (invariant 4): every edge and workflow hands its operations to `Transact`.

Before the writer's batch begins: authorise, validate, give ids, encode. Inside it each transaction is a member
(`transaction.py`). What a caller gets back is durable at the level that was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Protocol

from nirantar import limits
from nirantar.errors import InvalidInput, Overloaded, VaultUnavailable
from nirantar.fhir.transaction_bundle import Operation
from nirantar.host.port import Host
from nirantar.interactions.authorize import SYSTEM_TYPE_PREFIX, Caller, authorize
from nirantar.interactions.operations import update
from nirantar.interactions.repeats import key_hash
from nirantar.interactions.transaction import (
    Durability,
    Outcome,
    Purpose,
    Transaction,
    searched_references,
)
from nirantar.journal.sequencer import Sequencer
from nirantar.store.port import View


class Confirmations(Protocol):
    """Tells when a vault holds an entry."""

    def confirmed(self, entry_index: int) -> Future[None]:
        """Done once a vault holds the node's own entries up to and including this index; asking makes the sealer
        begin at once."""


class Transact:
    """Binds the writer to the rules. One instance a node; any thread may call it."""

    def __init__(
        self, host: Host, node: str, sequencer: Sequencer, view: View, *, confirmations: Confirmations | None,
        durability: Durability,
    ) -> None:
        self._host = host
        self._node = node
        self._sequencer = sequencer
        self._view = view
        self._confirmations = confirmations
        self._durability = durability

    def __call__(self, caller: Caller, operations: Sequence[Operation], purpose: Purpose) -> Outcome:
        """Do all operations or none, and return when durable. Blocks; `submit` does not.

        Raises Forbidden, ResourceInvalid and every other InvalidInput, Conflict, Overloaded, DiskFull, ReadOnly;
        VaultUnavailable when `durability` is "vault" and it is written here but no vault confirmed in time.
        """
        return _await(self.submit(caller, operations, purpose))

    def submit(self, caller: Caller, operations: Sequence[Operation], purpose: Purpose) -> Future[Outcome]:
        """Check and queue; the future is done when the result is durable at the level asked for, or has the error.

        What is wrong with the resources may come either way: raised here, or by the future.
        """
        for operation in operations:
            if operation.type.startswith(SYSTEM_TYPE_PREFIX):
                raise InvalidInput(f"{operation.type} is not a FHIR resource type.")
            if operation.method not in ("POST", "PUT", "DELETE"):
                raise InvalidInput(f"A {operation.method} is not something that is written here.")
        authorize(caller, "write", (each.type for each in operations))
        searched = _searched_by_references(operations)
        # The types that the writer will search: whoever may not read a type may not learn by conditions what is there.
        conditional = (each.type for each in operations if each.condition is not None)
        authorize(caller, "read", sorted({*searched, *conditional}))
        if purpose.action == "":
            raise InvalidInput("A transaction needs an action that says what it is for.")
        return self._queue(caller, operations, purpose, searches=bool(searched), check=True)

    def system_record(self, caller: Caller, record: dict[str, Any], purpose: Purpose) -> Outcome:
        """Write a record of our own type (staff account, access-log digest), already checked by its maker, and return
        when durable. Raises what a call does."""
        return _await(self._queue(caller, (update(record),), purpose, searches=False, check=False))

    def _queue(
        self, caller: Caller, operations: Sequence[Operation], purpose: Purpose, *, searches: bool, check: bool
    ) -> Future[Outcome]:
        key = purpose.idempotency_key
        hashed = None if key is None else key_hash(caller.actor, key)
        member = Transaction(
            self._host, self._node, self._view, operations, caller=caller, purpose=purpose, key_hash=hashed,
            searches=searches, check=check,
        )
        if len(operations) >= limits.PREPARED_BY_CALLER_OPERATIONS_MIN:
            # Long work belongs to who asked for it; short work is done by the writer, since handing Python's lock to
            # and fro between threads costs more than it (docs/performance.md).
            member.prepare()
        durable = self._sequencer.submit(member)
        if (purpose.durability or self._durability) == "node" or self._confirmations is None:
            return durable
        return _when_in_vault(durable, self._confirmations, self._node)


def _await(future: Future[Outcome]) -> Outcome:
    try:
        return future.result(limits.WRITE_WAIT_SECONDS_MAX)
    except FutureTimeoutError:
        raise Overloaded(
            f"The write is not durable after {limits.WRITE_WAIT_SECONDS_MAX:.0f} s (WRITE_WAIT_SECONDS_MAX). "
            "It may still happen: repeat it with the same idempotency key."
        ) from None


def _searched_by_references(operations: Sequence[Operation]) -> frozenset[str]:
    """The types that references of the resources search (`Practitioner?identifier=...`)."""
    return frozenset(
        query.type
        for operation in operations if operation.resource is not None
        for query in searched_references(operation.resource).values()
    )


def _when_in_vault(durable: Future[Outcome], confirmations: Confirmations, node: str) -> Future[Outcome]:
    """The same outcome, but only once a vault confirmed its entry; VaultUnavailable if none does in time.

    A retry of what another node wrote finds an entry that came out of a vault: there is nothing to wait for.
    """
    promised: Future[Outcome] = Future()

    def confirmed(outcome: Outcome, confirmation: Future[None]) -> None:
        failure = confirmation.exception()
        if failure is None:
            promised.set_result(outcome)
        else:
            promised.set_exception(VaultUnavailable(
                f"Saved on this node, but no vault confirmed it: {failure} "
                "Repeat it with the same idempotency key to wait again."
            ))

    def written(future: Future[Outcome]) -> None:
        failure = future.exception()
        if failure is not None:
            promised.set_exception(failure)
            return
        outcome = future.result()
        if outcome.appended is None or outcome.appended.origin.rpartition("/")[2] != node:
            promised.set_result(outcome)
            return
        confirmation = confirmations.confirmed(outcome.appended.entry_index)
        confirmation.add_done_callback(lambda done: confirmed(outcome, done))

    durable.add_done_callback(written)
    return promised
