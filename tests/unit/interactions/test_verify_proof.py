"""What a proof file proves: all of a chart, from every log, or nothing; also against a thief of the node's key."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from nirantar.errors import ProofInvalid
from nirantar.interactions.plain_zip import read_zip, write_zip
from nirantar.interactions.proof_file import write_proof_file
from nirantar.interactions.verify_proof import sentences, verify_chart_proof
from nirantar.tlog.checkpoint import open_checkpoint
from nirantar.tlog.cosignature import Cosigner
from nirantar.tlog.note import Signer, Verifier, add_signatures
from nirantar.tlog.proof import LogProof
from proof_files import Proven, proven_chart

Change = Callable[[dict[str, bytes]], object]
OLD, NEW = "nirantar.test-hospital/opd", "nirantar.test-hospital/opd-r1"


@pytest.fixture(scope="module")
def proven() -> Proven:
    """One file for the module."""
    return proven_chart()


def test_a_chart_from_two_logs_is_proven_whole(proven: Proven) -> None:
    """Each current version is named with its log and place, and both logs with what their nodes signed."""
    verdict = verify_chart_proof(proven.data, proven.authority)
    assert [(each.resource, each.origin, each.entry_index) for each in verdict.resources] == [
        ("Observation/w", NEW, 0), ("Patient/p", OLD, 0),
    ]
    assert {log.origin: log.tree_size for log in verdict.logs} == {OLD: 2, NEW: 2}
    assert (verdict.subject, verdict.made_by, verdict.complete_by) == ("Patient/p", NEW, NEW)
    assert verdict.positions == {OLD: 2, NEW: 1}
    assert (verdict.disclosed_by, verdict.reason, verdict.authority_was_given) == ("staff:mira", "For the court", True)


def test_the_sentences_claim_no_more_than_is_proven(proven: Proven) -> None:
    """They say that no second node confirmed the digest, and, without a key of one's own, whose key was believed."""
    text = " ".join(sentences(verify_chart_proof(proven.data, proven.authority)))
    assert "No second node has confirmed that digest" in text
    assert "taken from the file" not in text
    text = " ".join(sentences(verify_chart_proof(proven.data, None)))
    assert f"The authority's key was taken from the file itself: compare it with the one that the hospital publishes: {proven.authority.vkey}" in text


def test_another_authority_proves_nothing(proven: Proven) -> None:
    """A file of another hospital, or one forged from roster to manifest, fails against the key that was asked for."""
    with pytest.raises(ProofInvalid, match="another authority"):
        verify_chart_proof(proven.data, Signer("nirantar.test-hospital/authority", bytes(32)).verifier)


def cut_line(members: dict[str, bytes]) -> None:
    """Leave out the observation, as if it had never been."""
    lines = members["chart.txt"].split(b"\n")
    members["chart.txt"] = b"\n".join(line for line in lines if not line.startswith(b"Observation/"))
    del members["entries/opd-r1.0.json"], members["entries/opd-r1.0.tlog-proof"]


def alter(name: str, old: bytes, new: bytes) -> Change:
    """Replace bytes of a member, which must be there."""

    def change(members: dict[str, bytes]) -> None:
        assert old in members[name]
        members[name] = members[name].replace(old, new)

    return change


def swap(members: dict[str, bytes]) -> None:
    """Exchange two entries' bytes."""
    one, other = "entries/opd.0.json", "entries/opd-r1.0.json"
    members[one], members[other] = members[other], members[one]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (cut_line, "does not lead to the view digest|inclusion"),
        (swap, "does not lead|inclusion|root"),
        (alter("entries/opd-r1.0.json", b"72", b"27"), "does not lead|inclusion|root"),
        (alter("chart.txt", b"Observation/w", b"Observation/v"), "root|lead|inclusion"),
        (alter("chart-path.json", b'"stated_in":"opd-r1.1"', b'"stated_in":"opd-r1.0"'), "does not belong|digest"),
        (alter("roster.note", b'"last_size":2', b'"last_size":9'), "signature"),
        (alter("README.txt", b"one patient", b"all patients"), "words about the file"),
        (alter("hospital.json", b"/authority+", b"/authorita+"), "another authority|mangled|read"),
        (lambda members: members.pop("entries/opd.0.tlog-proof"), "lacks an entry"),
        (lambda members: members.update({"entries/opd.1.json": b"{}"}), "does not belong"),
    ],
)
def test_a_thief_of_the_nodes_key_cannot_change_a_chart(proven: Proven, change: Change, why: str) -> None:
    """With the manifest signed anew, what was logged still cannot be cut, exchanged, altered or added."""
    with pytest.raises(ProofInvalid, match=why):
        verify_chart_proof(proven.forged(change), proven.authority)


def test_without_the_nodes_key_nothing_at_all_can_be_changed(proven: Proven) -> None:
    """A manifest of another maker, and one signed twice, are refused."""
    thief = Signer(NEW, bytes(32))
    made = write_proof_file("Patient/p", "2026-01-01T00:00:00.000Z", proven.members, thief)
    with pytest.raises(ProofInvalid):
        verify_chart_proof(made, proven.authority)
    members = read_zip(proven.data)
    text = members["manifest.note"].rpartition(b"\n\n")[0] + b"\n"
    members["manifest.note"] = add_signatures(members["manifest.note"], [thief.sign(text)])
    with pytest.raises(ProofInvalid, match="by that node alone"):
        verify_chart_proof(write_zip(members), proven.authority)


def test_a_proof_of_another_patient_does_not_pass_for_this_one(proven: Proven) -> None:
    """The subject of the manifest, of the leaf and of the journalled statement must be one."""
    made = write_proof_file("Patient/q", "2026-01-01T00:00:00.000Z", proven.members, proven.maker)
    with pytest.raises(ProofInvalid, match="about Patient/q"):
        verify_chart_proof(made, proven.authority)


def test_witnesses_are_told_where_they_cosigned(proven: Proven) -> None:
    """A cosignature on the checkpoints of a log is verified against the key that was named, and told with its time."""
    witness = Cosigner("witness.test/w", bytes(range(32)))

    def cosigned(members: dict[str, bytes]) -> None:
        for name, written in members.items():
            if name.startswith("entries/opd-r1.") and name.endswith(".tlog-proof"):
                proof = LogProof.parse(written)
                checkpoint = open_checkpoint(proof.note, proven.maker.verifier)
                note = add_signatures(proof.note, [witness.cosign(checkpoint, 1_763_900_000)])
                members[name] = LogProof(proof.entry_index, proof.hashes, note).write()

    data = proven.forged(cosigned)
    verdict = verify_chart_proof(data, proven.authority, [witness.verifier])
    assert {log.origin: log.witnesses for log in verdict.logs} == {OLD: (), NEW: (("witness.test/w", 1_763_900_000),)}
    assert "witness.test/w at POSIX time 1763900000" in " ".join(sentences(verdict))
    assert all(not log.witnesses for log in verify_chart_proof(data, proven.authority).logs)


def test_a_digest_of_later_or_fewer_entries_is_refused(proven: Proven) -> None:
    """The path must be stated by an entry of this program's kind: an ordinary entry of the chart cannot state it."""
    path = msgspec.json.decode(proven.members["chart-path.json"])
    path["stated_in"] = "opd-r1.0"

    def change(members: dict[str, bytes]) -> None:
        members["chart-path.json"] = msgspec.json.encode(path)
        del members["entries/opd-r1.1.json"], members["entries/opd-r1.1.tlog-proof"]

    with pytest.raises(ProofInvalid, match="not a NirantarDisclosure"):
        verify_chart_proof(proven.forged(change), proven.authority)


def test_keys_of_a_verdict_are_the_authoritys(proven: Proven) -> None:
    """Without a key of one's own the verdict names the file's, word for word, to be compared."""
    verdict = verify_chart_proof(proven.data, None)
    assert Verifier.parse(verdict.authority).vkey == proven.authority.vkey
    assert not verdict.authority_was_given
