"""The file that proves one chart to an outsider, as its members: docs/format.md, Chart proof.

Nothing is verified here but the manifest, by which the node that made the file signed every byte of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec

from nirantar.errors import ProofInvalid
from nirantar.interactions.plain_zip import read_zip, write_zip
from nirantar.store.digest import DigestProof
from nirantar.tlog.note import Note, Signer, Verifier, sign_note
from nirantar.tlog.proof import PROOF_SUFFIX

README: Final = "README.txt"
FOUNDING: Final = "hospital.json"
ROSTER: Final = "roster.note"
CHART: Final = "chart.txt"
PATH: Final = "chart-path.json"
MANIFEST: Final = "manifest.note"
ENTRIES: Final = "entries/"
HANDOVERS: Final = "custody/"
ENTRY_SUFFIX: Final = ".json"

TITLE: Final = "nirantar-proof/v1"
_DIGEST_LINE: Final = re.compile(r"([0-9a-f]{64})  (\S+)")
_HEADINGS: Final = 4

ABOUT: Final = b"""\
This archive proves one patient's chart. Treat it like the chart: it holds what was written.

  hospital.json    the hospital, with the verification key of its authority
  custody/         each note by which the authority's key was replaced since, signed by the old key and by the new
  roster.note      the hospital's nodes and their keys, signed by the authority
  chart.txt        every current version in the chart, with the SHA-256 of its bytes
  chart-path.json  the path from chart.txt to the digest over all charts, and the entry that states that digest
  entries/         each entry as it was logged, and a C2SP tlog-proof that the log holds it
  manifest.note    the SHA-256 of all the above, signed by the node that made this file

Check it with nothing else:  nirantar verify-proof FILE --authority KEY
KEY is the authority's verification key, asked for at the hospital and not taken from this file.
By hand, or with a short script that is printed there: docs/format.md, Chart proof.
Scans and documents named under "attachments" are not in this file: it proves their hashes.
"""


class PathToDigest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`chart-path.json`: a DigestProof with its hashes in hex, and the version id of the entry that states the
    digest."""

    v: int
    stated_in: str
    place: int
    subjects_in_bucket: int
    in_bucket: tuple[str, ...]
    bucket: str
    to_root: tuple[str, ...]

    @classmethod
    def of(cls, proof: DigestProof, stated_in: str) -> PathToDigest:
        """The path as the file has it."""
        return cls(
            1, stated_in, proof.place, proof.subjects_in_bucket, tuple(each.hex() for each in proof.in_bucket),
            proof.bucket.hex(), tuple(each.hex() for each in proof.to_root),
        )

    def proof(self) -> DigestProof:
        """The reverse of `of`. Raises ValueError where a hash is not written as `of` writes it."""
        proof = DigestProof(
            self.place, self.subjects_in_bucket, tuple(bytes.fromhex(each) for each in self.in_bucket),
            bytes.fromhex(self.bucket), tuple(bytes.fromhex(each) for each in self.to_root),
        )
        if PathToDigest.of(proof, self.stated_in) != self:
            raise ValueError("a hash has another spelling, or the format is another")
        return proof


@dataclass(frozen=True, slots=True)
class ProofFile:
    """A file as read: who made it and when, of which chart, and its members. `note` is the manifest, not verified yet;
    the members are those that it lists, unaltered."""

    made_by: str
    subject: str
    made_at: str
    members: Mapping[str, bytes]
    note: bytes

    def verify(self, maker: Verifier) -> None:
        """Return when the node that made the file signed its manifest, and nobody else did. Raises ProofInvalid."""
        note = Note.parse(self.note)
        if maker.name != self.made_by or len(note.signatures) != 1:
            raise ProofInvalid("The manifest is not signed by the node that it names, and by that node alone.")
        note.verified_by((maker,))


def write_proof_file(subject: str, made_at: str, members: Mapping[str, bytes], maker: Signer) -> bytes:
    """The whole file. Raises LimitExceeded when a reader would not take it."""
    lines = [TITLE, maker.name, subject, made_at]
    lines += [f"{sha256(content).hexdigest()}  {name}" for name, content in members.items()]
    return write_zip({**members, MANIFEST: sign_note("".join(f"{line}\n" for line in lines), maker)})


def read_proof_file(data: bytes) -> ProofFile:
    """Read a file and compare its members with its manifest. Raises ProofInvalid."""
    members = read_zip(data)
    manifest = members.pop(MANIFEST, None)
    if manifest is None:
        raise ProofInvalid(f"The archive is no proof of a chart: it has no {MANIFEST}.")
    lines = Note.parse(manifest).text.splitlines()
    if len(lines) < _HEADINGS or lines[0] != TITLE:
        raise ProofInvalid(f"The manifest does not begin with {TITLE} and what follows it.")
    listed = [_DIGEST_LINE.fullmatch(line) for line in lines[_HEADINGS:]]
    found = [(sha256(content).hexdigest(), name) for name, content in members.items()]
    if [each and each.groups() for each in listed] != found:
        raise ProofInvalid("The members of the archive are not those that its manifest lists: one was changed.")
    return ProofFile(lines[1], lines[2], lines[3], members, manifest)


def entry_names(version_id: str) -> tuple[str, str]:
    """The members of the entry that made a version: its bytes, and its tlog-proof."""
    return f"{ENTRIES}{version_id}{ENTRY_SUFFIX}", f"{ENTRIES}{version_id}{PROOF_SUFFIX}"


def handover_name(serial: int) -> str:
    """The member that is the custody note of this serial, by which the authority was replaced."""
    return f"{HANDOVERS}{serial:08d}.note"
