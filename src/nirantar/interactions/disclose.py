"""Giving a proven chart out of the hospital: journalled first, then made.

The entry that records the disclosure also states the view digest and the positions at which it was computed, so that
every proof is complete as of its own moment, and the statement stands in the log for whoever folds it (RFD 0016).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec

from nirantar import limits
from nirantar.errors import InvalidInput, LimitExceeded, NotFound
from nirantar.fold.version_graph import parse_version_id, version_id
from nirantar.host.identifiers import uuid7
from nirantar.host.port import Host
from nirantar.host.times import instant
from nirantar.interactions.access_log import AccessLog
from nirantar.interactions.authorize import Caller, authorize_disclosure
from nirantar.interactions.proof_file import (
    ABOUT,
    CHART,
    FOUNDING,
    PATH,
    README,
    ROSTER,
    PathToDigest,
    entry_names,
    handover_name,
    write_proof_file,
)
from nirantar.interactions.transact import Transact
from nirantar.interactions.transaction import Purpose
from nirantar.journal.reader import JournalReader
from nirantar.store.digest import DigestProof, digest_proven_by, leaf_data
from nirantar.store.port import View
from nirantar.tlog.checkpoint import open_checkpoint
from nirantar.tlog.merkle import inclusion_proof, leaf_hash
from nirantar.tlog.note import Signer, Verifier
from nirantar.tlog.proof import LogProof
from nirantar.tlog.tiles import TileHashReader

CosignedNote = Callable[[str, int], bytes | None]
"""The newest checkpoint note of a log that covers this entry index and carries witnesses' cosignatures; None where
there is none. It may wait a little for one."""

DISCLOSURE_TYPE: Final = "NirantarDisclosure"
DISCLOSURE_ACTION: Final = "disclose"


@dataclass(frozen=True, slots=True)
class KnownBy:
    """By what the keys in a file are known: the founding document and the roster in force, byte for byte, the key of
    the node that makes the file, and the custody notes, by serial, by which the authority of the founding document was
    replaced."""

    founding_document: bytes
    roster_note: bytes
    signer: Signer
    handovers: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Disclosure:
    """A proof file and what to call it."""

    data: bytes
    file_name: str


@dataclass(frozen=True, slots=True)
class _Chart:
    """A chart's leaf at one moment, under the digest of that moment."""

    subject: str
    lines: tuple[str, ...]
    proof: DigestProof
    digest: bytes
    positions: dict[str, int]


class Disclose:
    """Makes proof files for those who may release copies of records."""

    def __init__(
        self, host: Host, view: View, journal: JournalReader, transact: Transact, access_log: AccessLog,
        *, known_by: Callable[[], KnownBy], cosigned: CosignedNote = lambda origin, entry_index: None,
    ) -> None:
        """Without `cosigned`, or where it gives nothing, proofs lead to the newest checkpoint that the log's node
        signed."""
        self._host = host
        self._view = view
        self._journal = journal
        self._transact = transact
        self._access_log = access_log
        self._known_by = known_by
        self._cosigned = cosigned

    def chart(self, caller: Caller, patient_id: str, reason: str) -> Disclosure:
        """The proof of a patient's whole chart as of now. When it returns, the disclosure is durable in the log and in
        the access log.

        Raises Forbidden, InvalidInput for a reason that says nothing or too much, NotFound for a patient of whom
        nothing is held, LimitExceeded, and what `Transact` raises: a node that may not write discloses nothing.
        """
        authorize_disclosure(caller)
        reason = reason.strip()
        if not reason or len(reason) > limits.DISCLOSURE_REASON_CHARS_MAX:
            raise InvalidInput(
                f"Say for whom and why, in 1 to {limits.DISCLOSURE_REASON_CHARS_MAX} characters: it is journalled."
            )
        chart = self._present(patient_id)
        made_by = _entries_of(chart.lines)
        if len(made_by) > limits.CHART_PROOF_ENTRIES_MAX:
            raise LimitExceeded(
                f"The chart was made by {len(made_by)} entries; CHART_PROOF_ENTRIES_MAX is "
                f"{limits.CHART_PROOF_ENTRIES_MAX}."
            )
        known_by = self._known_by()
        stated_in = self._journal_disclosure(caller, chart, reason)
        self._access_log.note(caller, "disclose", "Patient", patient_id)
        self._access_log.flush()
        members = {
            README: ABOUT, FOUNDING: known_by.founding_document,
            **{handover_name(serial): note for serial, note in known_by.handovers},
            ROSTER: known_by.roster_note,
            CHART: leaf_data(chart.subject, chart.lines),
            PATH: msgspec.json.encode(PathToDigest.of(chart.proof, stated_in)),
            **self._proven_entries(dict.fromkeys((*made_by, stated_in))),
        }
        made_at = instant(self._host.now_us())
        data = write_proof_file(chart.subject, made_at, members, known_by.signer)
        return Disclosure(data, f"Patient-{patient_id}.nirantar-proof.zip")

    def _present(self, patient_id: str) -> _Chart:
        """The chart in one consistent state of the view."""
        subject = f"Patient/{patient_id}"
        with self._view.reader() as state:
            proof = state.digest_proof(patient_id)
            if proof is None:
                raise NotFound(f"There is no {subject} here.")
            positions = {origin: position.entries for origin, position in state.positions().items()}
            return _Chart(subject, state.digest_lines(patient_id), proof, digest_proven_by(subject, proof), positions)

    def _journal_disclosure(self, caller: Caller, chart: _Chart, reason: str) -> str:
        """Record the disclosure and the digest; the version id of what was written."""
        record = {
            "resourceType": DISCLOSURE_TYPE, "id": uuid7(self._host.now_us(), self._host), "subject": chart.subject,
            "positions": chart.positions, "root": chart.digest.hex(),
        }
        outcome = self._transact.system_record(caller, record, Purpose(DISCLOSURE_ACTION, reason, durability="node"))
        assert outcome.appended is not None, "a record with an id of its own is always written"
        return version_id(outcome.appended.origin, outcome.appended.entry_index)

    def _proven_entries(self, version_ids: Iterable[str]) -> dict[str, bytes]:
        """Each entry's bytes and tlog-proof. Raises NotFound where no signed checkpoint covers one."""
        members: dict[str, bytes] = {}
        vkeys = self._journal.origins()
        origins = {origin.rpartition("/")[2]: origin for origin in vkeys}
        named = [(each, *(parse_version_id(each) or ("", 0))) for each in version_ids]
        newest: dict[str, int] = {}
        for _, node, entry_index in named:
            newest[node] = max(newest.get(node, 0), entry_index)
        notes = {node: self._note(origins[node], entry_index) for node, entry_index in newest.items()}
        for each, node, entry_index in named:
            origin, note = origins[node], notes[node]
            verifier = Verifier.parse(vkeys[origin])
            tree_size = open_checkpoint(note, verifier).tree_size
            data = self._journal.entry(origin, entry_index)
            tiles = TileHashReader(tree_size, partial(self._journal.tile, origin))
            proof = LogProof(entry_index, inclusion_proof(entry_index, tree_size, tiles), note)
            proof.verify(leaf_hash(data), verifier)
            entry_name, proof_name = entry_names(each)
            members[entry_name], members[proof_name] = data, proof.write()
        return members

    def _note(self, origin: str, entry_index: int) -> bytes:
        """The checkpoint to which the proofs of a log lead: a cosigned one if there is one that covers the entry."""
        cosigned = self._cosigned(origin, entry_index)
        if cosigned is not None:
            return cosigned
        signed = self._journal.checkpoint(origin)
        if signed is None or signed[0].tree_size <= entry_index:
            raise NotFound(f"No signed checkpoint of {origin} covers entry {entry_index}: verify the journal.")
        return signed[1]


def _entries_of(lines: Iterable[str]) -> list[str]:
    """The version ids that a leaf's lines name, each once, in the order of log and index."""
    named = {line.split(" ")[1] for line in lines}
    return sorted(named, key=lambda each: parse_version_id(each) or ("", 0))
