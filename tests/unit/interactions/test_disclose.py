"""A proven chart is journalled before it is given out, and only those get it who may release copies."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

import msgspec
import pytest

from nirantar import limits
from nirantar.errors import Forbidden, InvalidInput, NotFound, ReadOnly
from nirantar.host.simulated import SimulatedHost
from nirantar.interactions.authorize import ROLES, Caller
from nirantar.interactions.disclose import DISCLOSURE_TYPE
from nirantar.interactions.operations import update
from nirantar.interactions.verify_proof import verify_chart_proof
from nirantar.journal.entry import decode
from nirantar.tlog.cosignature import Cosigner
from nirantar.tlog.note import add_signatures
from proof_files import NEIGHBOUR, OFFICER, PERSON, disclose
from simulated_site import NODE, ORIGIN, Site, found_site, opened, write


@pytest.fixture
def site() -> Iterator[Site]:
    """A hospital with two patients."""
    with SimulatedHost(5) as host:
        made = found_site(host)
        with opened(made) as node:
            write(node, update(PERSON))
            write(node, update(NEIGHBOUR))
        yield made


def access_lines(site: Site) -> list[dict[str, str]]:
    """What stands in the access log on disk."""
    files = site.host.files
    return [msgspec.json.decode(line) for path in files.walk(NODE / "access") for line in files.read(path).splitlines()]


def test_it_is_in_the_log_and_in_the_access_log_with_who_why_and_of_whom(site: Site) -> None:
    """The newest entry names the officer, the reason and the patient, and states the digest over all charts at the
    positions before it; the access log's line is on disk."""
    with opened(site) as node:
        with node.view.reader() as state:
            digest = state.view_digest()
        made = disclose(node)
        assert made.file_name == "Patient-p.nirantar-proof.zip"
        entry = decode(node.reader.entry(ORIGIN, 2), ORIGIN, 2)
        assert entry is not None
        assert (entry.actor, entry.role, entry.action, entry.reason) == (
            "staff:mira", "mrd-officer", "disclose", "For the court",
        )
        record = msgspec.json.decode(entry.changes[0].resource_bytes or b"")
        del record["id"], record["meta"]
        assert record == {
            "resourceType": DISCLOSURE_TYPE, "subject": "Patient/p", "positions": {ORIGIN: 2}, "root": digest.hex(),
        }
        assert [(line["what"], line["id"]) for line in access_lines(site)] == [("disclose", "p")]


@pytest.mark.parametrize("role", sorted(set(ROLES) - {"mrd-officer"}))
def test_nobody_but_medical_records_gives_a_chart_out(site: Site, role: str) -> None:
    """Every other role is refused, IT, auditors and other systems among them, and nothing is journalled."""
    with opened(site) as node:
        with pytest.raises(Forbidden, match="Medical records officer"):
            node.doors.disclose.chart(Caller("x", "X", role, "pc"), "p", "because")
        assert node.sequencer.size == 2


def test_a_wrong_question_leaves_nothing_behind(site: Site) -> None:
    """A patient who is not here, and a reason that says nothing or too much, are refused before anything is written."""
    with opened(site) as node:
        with pytest.raises(NotFound, match="no Patient/nobody"):
            node.doors.disclose.chart(OFFICER, "nobody", "because")
        for reason in ("", "   ", "x" * (limits.DISCLOSURE_REASON_CHARS_MAX + 1)):
            with pytest.raises(InvalidInput, match="for whom and why"):
                node.doors.disclose.chart(OFFICER, "p", reason)
        assert node.sequencer.size == 2


def test_what_cannot_be_journalled_is_not_given_out(site: Site) -> None:
    """A node that only reads makes no proof file, and the access log tells of none."""
    with opened(site) as node:
        node.sequencer.refuse_writes("It only reads.")
        with pytest.raises(ReadOnly):
            node.doors.disclose.chart(OFFICER, "p", "because")
        assert access_lines(site) == []


def test_any_zip_program_opens_it(site: Site) -> None:
    """Python's own reader finds every member whole, with names that say what they are."""
    with opened(site) as node:
        data = disclose(node).data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            "README.txt", "hospital.json", "roster.note", "chart.txt", "chart-path.json", "entries/opd.0.json",
            "entries/opd.0.tlog-proof", "entries/opd.2.json", "entries/opd.2.tlog-proof", "manifest.note",
        ]


def test_a_cosigned_checkpoint_is_taken_where_there_is_one(site: Site) -> None:
    """The proofs lead to the note that the witness cosigned, asked for by the newest entry that it must cover."""
    witness = Cosigner("witness.test/w", bytes(range(32)))
    asked: list[tuple[str, int]] = []
    with opened(site) as node:

        def cosigned(origin: str, entry_index: int) -> bytes:
            asked.append((origin, entry_index))
            signed = node.reader.checkpoint(origin)
            assert signed is not None
            return add_signatures(signed[1], [witness.cosign(signed[0], 1_763_900_000)])

        node.doors.disclose._cosigned = cosigned
        data = disclose(node).data
    assert asked == [(ORIGIN, 2)]
    (log,) = verify_chart_proof(data, site.identity.authority.verifier, [witness.verifier]).logs
    assert (log.tree_size, log.witnesses) == (3, (("witness.test/w", 1_763_900_000),))
