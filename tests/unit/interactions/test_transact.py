"""The one door for writes: who may, what is refused, what a repeat answers, and when it is durable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from nirantar import limits
from nirantar.errors import (
    BusinessRule,
    Conflict,
    Forbidden,
    InvalidInput,
    LimitExceeded,
    MultipleMatches,
    NirantarError,
    NotFound,
    ReadOnly,
    ResourceInvalid,
    UnknownSearchParameter,
    VaultUnavailable,
    VersionConflict,
)
from nirantar.fhir import json
from nirantar.fhir.transaction_bundle import Operation
from nirantar.interactions.authorize import Caller
from nirantar.interactions.operations import create, delete, update
from nirantar.interactions.transaction import Outcome, Purpose
from nirantar.journal.entry import decode
from nirantar.journal.sequencer import Sequencer
from nirantar.store.port import StoredVersion
from simulated_node import CLERK, INTEGRATION, Confirmed, SimulatedNode, a_patient, an_observation

URN = "urn:uuid:0b0e3a3c-6f0e-4a53-9a8e-5a3f2f4c1d11"
IDENTIFIER = {"system": "urn:x", "value": "1"}


@pytest.fixture
def node() -> Iterator[SimulatedNode]:
    """A node on a simulated machine."""
    with SimulatedNode() as made:
        yield made


def write(
    node: SimulatedNode, *operations: Operation, key: str | None = None, caller: Caller = INTEGRATION
) -> Outcome:
    """One transaction."""
    return node.transact(caller, operations, Purpose("test", idempotency_key=key))


def made(outcome: Outcome, place: int = 0) -> StoredVersion:
    """The version that one operation gave."""
    version = outcome.results[place].version
    assert version is not None
    return version


def shape(outcome: Outcome) -> list[tuple[str, str, str, str | None]]:
    """What a caller can tell of an outcome."""
    return [
        (each.status, each.type, each.id, each.version and each.version.version_id) for each in outcome.results
    ]


def test_a_version_names_its_node_and_entry_and_keeps_its_digits(node: SimulatedNode) -> None:
    """The version id is node and entry index; what is stored is what is served, decimals digit by digit."""
    weight = an_observation("p", valueQuantity={"value": json.decode(b"72.50"), "unit": "kg"})
    first, second = write(node, create(a_patient())), write(node, create(weight))
    assert [made(first).version_id, made(second).version_id] == ["opd-1.0", "opd-1.1"]
    assert b'"value":72.50' in (made(second).resource or b"")
    entry = decode(node.reader.entry(made(second).origin, 1), made(second).origin, 1)
    assert entry is not None
    assert entry.changes[0].resource_bytes == made(second).resource


def test_meta_is_ours_where_it_must_be(node: SimulatedNode) -> None:
    """A sender cannot choose version id and time; his tags stay."""
    sent = a_patient(meta={"versionId": "99", "lastUpdated": "1999-01-01T00:00:00Z", "tag": [{"code": "x"}]})
    stored = json.decode(made(write(node, create(sent))).resource or b"")
    assert stored["meta"]["versionId"] == "opd-1.0"
    assert not stored["meta"]["lastUpdated"].startswith("1999")
    assert stored["meta"]["tag"] == [{"code": "x"}]


def test_a_role_writes_what_it_may_and_searches_what_it_reads(node: SimulatedNode) -> None:
    """Neither a forbidden type nor a condition on a type that the role may not read passes."""
    assert write(node, create(a_patient()), caller=CLERK).results[0].status == "created"
    with pytest.raises(Forbidden, match="may not write Observation"):
        write(node, create(an_observation("p")), caller=CLERK)
    pharmacist = Caller("staff:x", "X", "pharmacist", "pc")
    with pytest.raises(Forbidden, match="may not read Provenance"):
        write(node, delete("Provenance", condition="_id=x"), caller=pharmacist)
    referring = a_patient(generalPractitioner=[{"reference": "Observation?_id=x"}])
    with pytest.raises(Forbidden, match="may not read Observation"):
        write(node, create(referring), caller=CLERK)


@pytest.mark.parametrize(
    "operation",
    [
        update({"resourceType": "NirantarAccount", "id": "asha", "role": "it-security"}),
        create({"resourceType": "NirantarAccessDigest"}),
        delete("NirantarAccount", "asha"),
        create(a_patient(generalPractitioner=[{"reference": "NirantarAccount?_id=asha"}])),
    ],
)
def test_system_records_are_out_of_reach(node: SimulatedNode, operation: Operation) -> None:
    """No caller writes them, deletes them, or asks by a reference whether one is there."""
    with pytest.raises((InvalidInput, Forbidden)):
        write(node, operation)
    assert node.sequencer.size == 0


@pytest.mark.parametrize(
    ("operations", "error"),
    [
        ([create({"resourceType": "Patient", "gender": "x"})], ResourceInvalid),
        ([create(a_patient(id="p")), create(a_patient(name=3))], ResourceInvalid),
        ([update(a_patient(id="p"), if_match="opd-1.7")], VersionConflict),
        ([update(a_patient(id="a")), update(a_patient(id="b"))], BusinessRule),
        ([update(a_patient(id="a")), create(an_observation("b"))], BusinessRule),
        ([create(a_patient(generalPractitioner=[{"reference": "Practitioner?identifier=x"}]))], NotFound),
        ([create({"resourceType": "Patient", "text": {"status": "generated", "div": "<div>" + "x" * limits.RESOURCE_BYTES_MAX + "</div>"}})], NirantarError),
    ],
)
def test_a_refused_transaction_leaves_nothing(
    node: SimulatedNode, operations: list[Operation], error: type[NirantarError]
) -> None:
    """Whatever is wrong with any operation, none of them happens and the log does not grow."""
    with pytest.raises(error):
        write(node, *operations)
    assert node.sequencer.size == 0
    with node.view.reader() as state:
        assert state.counts() == {}


def test_an_unknown_condition_is_refused_before_the_writer() -> None:
    """A condition that is not understood in full must not match everything."""
    with pytest.raises(UnknownSearchParameter):
        create(a_patient(), if_none_exist="colour=red")


def test_a_transaction_needs_an_action(node: SimulatedNode) -> None:
    """The audit has no entry that does not say what it is for."""
    with pytest.raises(InvalidInput, match="action"):
        node.transact(INTEGRATION, [create(a_patient())], Purpose(""))


def test_versions_follow_each_other(node: SimulatedNode) -> None:
    """Create, update with If-Match, a stale If-Match refused, delete, and making it anew."""
    id = made(write(node, create(a_patient()))).id
    second = made(write(node, update(a_patient("Rao", id=id), if_match="opd-1.0")))
    with pytest.raises(VersionConflict):
        write(node, update(a_patient("Old", id=id), if_match="opd-1.0"))
    with pytest.raises(VersionConflict):
        write(node, update(a_patient("Old", id=id), if_none_match="*"))
    assert write(node, delete("Patient", id, if_match=second.version_id)).results[0].status == "deleted"
    assert write(node, delete("Patient", id)).appended is None
    assert write(node, update(a_patient("Again", id=id))).results[0].status == "created"


def test_a_condition_finds_one_or_refuses(node: SimulatedNode) -> None:
    """Conditional create and update: none, one, several."""
    condition = "identifier=urn:x|1"
    first = write(node, create(a_patient(identifier=[IDENTIFIER]), if_none_exist=condition))
    again = write(node, create(a_patient(identifier=[IDENTIFIER]), if_none_exist=condition))
    assert (first.results[0].status, again.results[0].status) == ("created", "unchanged")
    assert again.results[0].id == first.results[0].id
    assert again.appended is None
    changed = write(node, update(a_patient("Rao", identifier=[IDENTIFIER]), condition=condition))
    assert (changed.results[0].status, changed.results[0].id) == ("updated", first.results[0].id)
    with pytest.raises(InvalidInput, match="another Patient"):
        write(node, update(a_patient(id="other", identifier=[IDENTIFIER]), condition=condition))
    write(node, create(a_patient(identifier=[IDENTIFIER])))
    with pytest.raises(MultipleMatches):
        write(node, delete("Patient", condition=condition))


def test_references_of_one_transaction_find_each_other(node: SimulatedNode) -> None:
    """A urn and a search in a reference become the id, also when a condition decides which."""
    outcome = write(
        node,
        create(a_patient(identifier=[IDENTIFIER]), full_url=URN, if_none_exist="identifier=urn:x|1"),
        create({**an_observation("x"), "subject": {"reference": URN}}),
    )
    subject = json.decode(made(outcome, 1).resource or b"")["subject"]["reference"]
    assert subject == f"Patient/{outcome.results[0].id}"
    found = write(node, create({**an_observation("x"), "subject": {"reference": "Patient?identifier=urn:x|1"}}))
    assert json.decode(made(found).resource or b"")["subject"]["reference"] == subject


REQUESTS: dict[str, list[Operation]] = {
    "create": [create(a_patient())],
    "two of one patient": [
        create(a_patient(), full_url=URN), create({**an_observation("x"), "subject": {"reference": URN}}),
    ],
    "update": [update(a_patient("Rao", id="there"))],
    "delete": [delete("Patient", "there")],
    "delete of nothing beside a write": [delete("Observation", "never"), update(a_patient("Rao", id="there"))],
    "conditional create that makes": [create(a_patient(), if_none_exist="identifier=urn:x|new")],
    "conditional create that finds": [
        create(a_patient(identifier=[IDENTIFIER]), if_none_exist="identifier=urn:x|1"),
        create(an_observation("there")),
    ],
    "conditional update that moves away": [update(a_patient("Rao"), condition="identifier=urn:x|1")],
    "conditional delete": [delete("Patient", condition="identifier=urn:x|1")],
}


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("when", ["later", "in the same batch", "after others changed it", "after a restart"])
def test_a_repeat_answers_as_the_first_call_did(request_name: str, when: str) -> None:
    """Same statuses, ids and version ids, and no entry more, whenever the repeat comes."""
    operations = REQUESTS[request_name]
    with ExitStack() as stack:
        node = stack.enter_context(SimulatedNode())
        write(node, update(a_patient(id="there", identifier=[IDENTIFIER])))
        if when == "in the same batch":
            first, repeat = both_in_one_batch(node, operations)
        else:
            first = write(node, *operations, key="k")
            size = node.sequencer.size
            if when == "after others changed it":
                for result in first.results:
                    if result.version is not None and result.type == "Patient" and result.status != "unchanged":
                        write(node, update(a_patient("Other", id=result.id)))
                        size += 1
            if when == "after a restart":
                node = stack.enter_context(restarted(node))
            repeat = write(node, *operations, key="k")
            assert node.sequencer.size == size
        assert repeat.replayed
        assert not first.replayed
        assert shape(repeat) == shape(first)
        assert repeat.appended is not None
        assert first.appended is not None
        assert repeat.appended.entry_index == first.appended.entry_index


def both_in_one_batch(node: SimulatedNode, operations: list[Operation]) -> list[Outcome]:
    """The same call twice, as members of one commit batch."""
    node.sequencer.stop()
    node.transact._sequencer = node.sequencer = Sequencer(node.host, node.journal, node.view)
    twice = [node.transact.submit(INTEGRATION, operations, Purpose("test", idempotency_key="k")) for _ in range(2)]
    assert node.sequencer.step() == 2
    return [future.result(0) for future in twice]


def restarted(node: SimulatedNode) -> SimulatedNode:
    """The node after its machine was switched off and on, its view folded again."""
    node.sequencer.stop()
    again = SimulatedNode(node.host.reboot())
    again.view.begin()
    for index, data, leaf in again.reader.entries(again.journal.origin, 0, again.journal.size()):
        entry = decode(data, again.journal.origin, index)
        assert entry is not None
        again.view.project(index, leaf, entry)
    again.view.commit()
    return again


@pytest.mark.parametrize(
    "other",
    [
        [create(an_observation("there"))],
        [create(a_patient()), create(an_observation("there"))],
        [update(a_patient(id="elsewhere"))],
        [delete("Patient", "there"), delete("Observation", "x")],
    ],
)
def test_a_key_belongs_to_one_request(node: SimulatedNode, other: list[Operation]) -> None:
    """The key of another request is refused with what to do, and never answered with somebody else's result."""
    write(node, create(a_patient()), key="k")
    size = node.sequencer.size
    with pytest.raises(Conflict, match="use a new key"):
        write(node, *other, key="k")
    assert node.sequencer.size == size


def test_what_a_condition_found_may_have_moved(node: SimulatedNode) -> None:
    """The entry does not say what a conditional create found; when it cannot be found again, that is said."""
    there = write(node, update(a_patient(id="there", identifier=[IDENTIFIER])))
    request = [
        create(a_patient(identifier=[IDENTIFIER]), if_none_exist="identifier=urn:x|1"), create(an_observation("there")),
    ]
    write(node, *request, key="k")
    write(node, update(a_patient(id=there.results[0].id)))
    with pytest.raises(Conflict, match="done already"):
        write(node, *request, key="k")


def test_keys_of_two_callers_are_two_keys(node: SimulatedNode) -> None:
    """One caller's key never answers another with his result."""
    first = write(node, create(a_patient()), key="k")
    second = write(node, create(a_patient()), key="k", caller=CLERK)
    assert not second.replayed
    assert first.results[0].id != second.results[0].id


def test_a_repeat_that_was_never_done_is_done_once(node: SimulatedNode) -> None:
    """A refused write leaves no key behind."""
    with pytest.raises(Conflict):
        write(node, update(a_patient(id="p"), if_match="opd-1.9"), key="k")
    assert write(node, update(a_patient(id="p")), key="k").results[0].status == "created"


def test_vault_durability_waits_for_the_entry_and_says_what_holds_if_it_fails() -> None:
    """The vault is asked for the very entry; a failure says that the write is safe here and how to wait again."""
    vault = Confirmed()
    with SimulatedNode(confirmations=vault) as node:
        write(node, create(a_patient()), key="k")
        assert write(node, create(a_patient()), key="k").replayed
        assert vault.asked == [0, 0]
    with SimulatedNode(confirmations=Confirmed(VaultUnavailable("It is slow."))) as node:
        with pytest.raises(VaultUnavailable, match=r"Saved on this node.*It is slow.*same idempotency key"):
            write(node, create(a_patient()))
        assert node.sequencer.size == 1


def test_a_repeat_found_in_a_recovered_log_does_not_wait_for_the_vault() -> None:
    """Its index is of another log: the own one may not reach it for years, and the entry came from a vault."""
    vault = Confirmed()
    with SimulatedNode(confirmations=vault) as node:
        first = write(node, create(a_patient()), key="k")
        assert first.appended is not None
        node.transact._node = "opd-1-r1"
        assert write(node, create(a_patient()), key="k").replayed
        assert vault.asked == [0]


def test_a_node_that_must_not_write_says_why(node: SimulatedNode) -> None:
    """ReadOnly with the given sentence; after stop, that it stops."""
    node.sequencer.refuse_writes("It was cloned.")
    with pytest.raises(ReadOnly, match=r"It was cloned\."):
        write(node, create(a_patient()))


def test_an_entry_is_never_larger_than_a_vault_takes(node: SimulatedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be sealed is refused when it is written, not found out when it is too late."""
    monkeypatch.setattr(limits, "ENTRY_BYTES_MAX", 500)
    with pytest.raises(LimitExceeded, match="ENTRY_BYTES_MAX is 500"):
        write(node, create(a_patient("x" * 500)))
    assert node.sequencer.size == 0
