"""What a proof file proves, told in sentences: needs nothing but the file, and the authority's key if it is at hand.

Every check of docs/format.md, Chart proof; the first that fails raises ProofInvalid, and nothing counts as proven.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from nirantar.errors import Damaged, InvalidInput, ProofInvalid
from nirantar.fold.custody import Custody
from nirantar.fold.founding import FoundingDocument
from nirantar.fold.grants import Grant, violation
from nirantar.fold.roster import Roster
from nirantar.fold.version_graph import parse_version_id
from nirantar.interactions.disclose import DISCLOSURE_TYPE
from nirantar.interactions.proof_file import (
    ABOUT,
    CHART,
    FOUNDING,
    HANDOVERS,
    PATH,
    README,
    ROSTER,
    PathToDigest,
    ProofFile,
    entry_names,
    handover_name,
    read_proof_file,
)
from nirantar.journal.entry import Change, Entry, decode
from nirantar.store.digest import LEAF_HEADER, head_line, leaf_data, verify_digest_proof
from nirantar.tlog.checkpoint import Checkpoint
from nirantar.tlog.cosignature import Cosignature, CosignatureVerifier, open_cosigned_checkpoint
from nirantar.tlog.merkle import leaf_hash
from nirantar.tlog.note import Verifier
from nirantar.tlog.proof import LogProof

_WRONG_CONTENT: Final = (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError)


@dataclass(frozen=True, slots=True)
class ProvenResource:
    """A current version in the chart: which, who recorded it and when, and the entry that holds it."""

    resource: str
    version_id: str
    origin: str
    entry_index: int
    recorded_at: str
    actor: str


@dataclass(frozen=True, slots=True)
class SignedLog:
    """A log as its node signed it, and the witnesses who stated that they saw it so: name and POSIX seconds."""

    origin: str
    tree_size: int
    root: str
    witnesses: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class ChartVerdict:
    """What a chart's proof proves. `authority` is the key that was trusted, `authority_in_force` the one that signed
    the roster, to which custody notes lead from it. `complete_as_of` is when the node `complete_by` stated the digest
    in entry `stated_in`; `confirmed_by` are other nodes that stated the same digest, of which there are none yet."""

    hospital: str
    subject: str
    made_by: str
    made_at: str
    authority: str
    authority_in_force: str
    authority_was_given: bool
    resources: tuple[ProvenResource, ...]
    logs: tuple[SignedLog, ...]
    complete_as_of: str
    complete_by: str
    stated_in: str
    view_digest: str
    positions: dict[str, int]
    disclosed_by: str
    reason: str
    confirmed_by: tuple[str, ...] = ()


class _Stated(msgspec.Struct, frozen=True):
    """What a record that states the view digest has to say."""

    subject: str
    positions: dict[str, int]
    root: str


@dataclass(frozen=True, slots=True)
class _Proven:
    """An entry that its log's signed checkpoint covers."""

    origin: str
    entry_index: int
    entry: Entry


def verify_chart_proof(
    data: bytes, authority: Verifier | None, witnesses: Sequence[CosignatureVerifier] = ()
) -> ChartVerdict:
    """The verdict. Without `authority` the key in the file is used, which whoever forged the whole file chose.

    Raises ProofInvalid with the first thing that does not hold.
    """
    file = read_proof_file(data)
    try:
        return _verdict(file, authority, witnesses)
    except ProofInvalid:
        raise
    except Damaged as damage:
        raise ProofInvalid(str(damage)) from None
    except _WRONG_CONTENT as reason:
        raise ProofInvalid(f"A member of the archive cannot be read ({type(reason).__name__}).") from None


def _verdict(
    file: ProofFile, authority: Verifier | None, witnesses: Sequence[CosignatureVerifier]
) -> ChartVerdict:
    document = FoundingDocument.parse(_member(file, FOUNDING))
    if document.encode() != file.members[FOUNDING]:
        raise ProofInvalid(f"{FOUNDING} is not written in the one way that it may be.")
    authorities, handed_over = _authorities(file, document)
    key = authority or authorities[-1]
    if key.vkey not in (each.vkey for each in authorities):
        raise ProofInvalid(f"The file is of a hospital with another authority: {document.authority}.")
    roster = Roster.open(_member(file, ROSTER), authorities[-1])
    if roster.slug != document.slug or _member(file, README) != ABOUT:
        raise ProofInvalid("The roster is another hospital's, or the words about the file are not ours.")
    grants = {grant.node: grant for grant in roster.grants}
    maker = roster.by_origin().get(file.made_by)
    if maker is None:
        raise ProofInvalid(f"The file was made by {file.made_by}, which the roster does not name.")
    file.verify(Verifier.parse(maker.vkey))

    path = msgspec.json.decode(_member(file, PATH), type=PathToDigest)
    if msgspec.json.encode(path) != file.members[PATH]:
        raise ProofInvalid(f"{PATH} is not written in the one way that it may be.")
    lines = _lines(file)
    wanted = dict.fromkeys([*(line.split(" ")[1] for line in lines), path.stated_in])
    names = {name for each in wanted for name in entry_names(each)}
    if set(file.members) != names | handed_over | {README, FOUNDING, ROSTER, CHART, PATH}:
        raise ProofInvalid("The archive lacks an entry of the chart, or holds what does not belong to it.")
    logs: dict[str, SignedLog] = {}
    proven = {each: _proven(file, each, grants, witnesses, logs) for each in wanted}

    stated_by = proven[path.stated_in]
    stated = _stated(stated_by.entry)
    if stated.subject != file.subject:
        raise ProofInvalid("The entry that states the digest is about another chart.")
    verify_digest_proof(bytes.fromhex(stated.root), file.subject, lines, path.proof())
    _check_positions(stated, proven, logs, stated_by)
    return ChartVerdict(
        hospital=document.name, subject=file.subject, made_by=file.made_by, made_at=file.made_at, authority=key.vkey,
        authority_in_force=authorities[-1].vkey, authority_was_given=authority is not None,
        resources=tuple(_resource(line, proven) for line in lines), logs=tuple(logs.values()),
        complete_as_of=stated_by.entry.recorded_at, complete_by=stated_by.origin, stated_in=path.stated_in,
        view_digest=stated.root, positions=stated.positions, disclosed_by=stated_by.entry.actor,
        reason=stated_by.entry.reason or "",
    )


def _authorities(file: ProofFile, document: FoundingDocument) -> tuple[list[Verifier], set[str]]:
    """Every key that spoke for the hospital, from the founding document's on, and the members that say so. Each note is
    signed by the key before it and by the one that it puts in force; so whoever trusts any of the keys can follow to
    the last one, and knows that it signed for the founding document, too."""
    try:
        authorities, serial = [Verifier.parse(document.authority)], 0
    except InvalidInput as reason:
        raise ProofInvalid(f"{FOUNDING}: {reason}") from None
    names = sorted(name for name in file.members if name.startswith(HANDOVERS))
    for name in names:
        note = Custody.open(_member(file, name), authorities[-1])
        known = note.terms.authority in (each.vkey for each in authorities)
        if name != handover_name(note.serial) or note.serial <= serial or known or not note.is_of(document):
            raise ProofInvalid(f"{name} is not a note by which this hospital's authority was replaced.")
        authorities.append(note.authority)
        serial = note.serial
    return authorities, set(names)


def _versions(count: int) -> str:
    return "1 current version" if count == 1 else f"{count} current versions"


def _member(file: ProofFile, name: str) -> bytes:
    if name not in file.members:
        raise ProofInvalid(f"The archive has no {name}.")
    return file.members[name]


def _lines(file: ProofFile) -> list[str]:
    """The lines of the chart's leaf, which must be spelled as the leaf is."""
    written = _member(file, CHART)
    lines = written.decode().split("\n")[2:-1]
    if leaf_data(file.subject, lines) != written or not lines or any(line.count(" ") != 2 for line in lines):
        raise ProofInvalid(f"{CHART} is not a leaf of the view digest ({LEAF_HEADER}) about {file.subject}.")
    return lines


def _proven(
    file: ProofFile, version_id: str, grants: dict[str, Grant], witnesses: Sequence[CosignatureVerifier],
    logs: dict[str, SignedLog],
) -> _Proven:
    """The entry that made a version, as far as its log's checkpoint proves it; the log is added to `logs`."""
    named = parse_version_id(version_id)
    grant = grants.get(named[0]) if named else None
    if named is None or grant is None:
        raise ProofInvalid(f"No node of the roster made the version {version_id}.")
    entry_name, proof_name = entry_names(version_id)
    data, written = _member(file, entry_name), _member(file, proof_name)
    proof = LogProof.parse(written)
    if proof.extra or proof.entry_index != named[1] or proof.write() != written:
        raise ProofInvalid(f"{proof_name} is of another entry, or not written as it may be.")
    verifier = Verifier.parse(grant.vkey)
    checkpoint = proof.verify(leaf_hash(data), verifier)
    _add_log(logs, checkpoint, open_cosigned_checkpoint(proof.note, verifier, witnesses)[1])
    entry = decode(data, grant.origin, named[1])
    if entry is None or entry.origin != grant.origin or any(each.version_id != version_id for each in entry.changes):
        raise ProofInvalid(f"{entry_name} is not an entry of {grant.origin} that this program reads.")
    refused = violation(grant, named[1], entry.role, (each.type for each in entry.changes))
    if refused is not None:
        raise ProofInvalid(f"Entry {named[1]} of {grant.origin} does not count: {refused}.")
    return _Proven(grant.origin, named[1], entry)


def _add_log(logs: dict[str, SignedLog], checkpoint: Checkpoint, cosigned: Sequence[Cosignature]) -> None:
    """All proofs of one log must lead to one head."""
    log = SignedLog(
        checkpoint.origin, checkpoint.tree_size, checkpoint.root_hash.hex(),
        tuple((each.name, each.time_seconds) for each in cosigned),
    )
    if logs.setdefault(checkpoint.origin, log) != log:
        raise ProofInvalid(f"The proofs of {checkpoint.origin} lead to different heads.")


def _stated(entry: Entry) -> _Stated:
    """The record of this entry that states the digest."""
    if len(entry.changes) != 1 or entry.changes[0].type != DISCLOSURE_TYPE:
        raise ProofInvalid(f"The entry that should state the digest is not a {DISCLOSURE_TYPE}.")
    return msgspec.json.decode(entry.changes[0].resource_bytes or b"{}", type=_Stated)


def _check_positions(
    stated: _Stated, proven: dict[str, _Proven], logs: dict[str, SignedLog], stated_by: _Proven
) -> None:
    """The digest was stated of logs that hold every entry of the chart, and before the entry that states it."""
    for each in proven.values():
        known = stated.positions.get(each.origin, 0)
        if each is not stated_by and each.entry_index >= known:
            raise ProofInvalid(f"Entry {each.entry_index} of {each.origin} is newer than the digest.")
    if stated.positions.get(stated_by.origin, 0) > stated_by.entry_index:
        raise ProofInvalid("The digest speaks of entries that came after the one that states it.")
    for origin, size in stated.positions.items():
        if origin in logs and size > logs[origin].tree_size:
            raise ProofInvalid(f"The digest speaks of {size} entries of {origin}; {logs[origin].tree_size} are signed.")


def _resource(line: str, proven: dict[str, _Proven]) -> ProvenResource:
    """One current version, whose bytes must be those of its entry."""
    name, version_id, _ = line.split(" ")
    by = proven[version_id]
    type, _, id = name.partition("/")
    changes = [each for each in by.entry.changes if (each.type, each.id) == (type, id)]
    if len(changes) != 1 or _line_of(changes[0]) != line:
        raise ProofInvalid(f"{CHART} says of {name} what entry {by.entry_index} of {by.origin} does not.")
    return ProvenResource(name, version_id, by.origin, by.entry_index, by.entry.recorded_at, by.entry.actor)


def _line_of(change: Change) -> str:
    return head_line(change.type, change.id, change.version_id, change.resource_bytes)


def sentences(verdict: ChartVerdict) -> list[str]:
    """The verdict in words for whoever was handed the file."""
    logs = {log.origin: log for log in verdict.logs}
    of_logs = {origin: sum(each.origin == origin for each in verdict.resources) for origin in logs}
    said = [
        f"The file is as {verdict.made_by} made it at {verdict.made_at} for {verdict.hospital}: no byte was changed.",
    ]
    said += [
        f"The log {origin}, whose node signed it at {logs[origin].tree_size} entries, holds {_versions(count)} of the "
        "chart, byte for byte." for origin, count in of_logs.items() if count
    ]
    for log in verdict.logs:
        seen = "; ".join(f"{name} at POSIX time {seconds}" for name, seconds in log.witnesses)
        said.append(
            f"Witnesses of the log {log.origin} at {log.tree_size} entries: {seen}."
            if seen else f"The log {log.origin} carries no cosignature of a witness that was named for this check."
        )
    said.append(
        f"{verdict.subject} is complete as of {verdict.complete_as_of}: {_versions(len(verdict.resources))} is all "
        f"that the view digest {verdict.view_digest} covers, which {verdict.complete_by} stated in its entry "
        f"{verdict.stated_in}."
    )
    said.append(
        "No second node has confirmed that digest yet. So that nothing is missing rests on the word of "
        f"{verdict.complete_by}; whoever holds the logs can compute the digest at the stated positions and catch a lie."
    )
    if verdict.authority != verdict.authority_in_force:
        said.append(
            f"The authority's key {verdict.authority} was replaced since, by notes that it signed; what is proven here "
            f"rests on the key that followed: {verdict.authority_in_force}. If the old key was replaced because others "
            "had seen it, compare the new one with what the hospital publishes: they could have signed such notes."
        )
    said.append(
        "Later changes are not in this file." if verdict.authority_was_given else
        "Later changes are not in this file. The authority's key was taken from the file itself: compare it with the "
        f"one that the hospital publishes: {verdict.authority}"
    )
    return said

