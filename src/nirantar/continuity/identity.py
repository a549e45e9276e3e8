"""The files of the two identities, each a text that `age -i` reads as it is, because age ignores lines with '#'.

    # the hospital, and what to do with this file
    # authority: PRIVATE+KEY+...      signs rosters and custody notes
    AGE-SECRET-KEY-1...               opens the vault

is the recovery identity: two secrets that no node holds. The rehearsal identity opens what was sealed since it was
named, and has `# authority key:` with the public key alone, so it can name no node.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nirantar.continuity import sheet_rows
from nirantar.errors import IdentityWrong, InvalidInput
from nirantar.fold.founding import authority_name
from nirantar.tlog.note import Signer, Verifier
from nirantar.vault.encryption import recipient_of

_AUTHORITY: Final = "# authority: "
_AUTHORITY_KEY: Final = "# authority key: "
_AGE: Final = "AGE-SECRET-KEY-1"
SHEET_TITLE: Final = "# Nirantar recovery sheet of "
"""How the text in a sheet's QR code begins, so that what was read back can be told from the file it was made from."""


@dataclass(frozen=True, slots=True)
class RecoveryIdentity:
    """`age_identity` opens segments; `authority` signs rosters and custody notes."""

    age_identity: str
    authority: Signer

    def __repr__(self) -> str:
        return "RecoveryIdentity(...)"

    @property
    def recipient(self) -> str:
        """What is sealed to it."""
        return recipient_of(self.age_identity)

    @property
    def verifier(self) -> Verifier:
        """The authority whose papers it trusts: its own."""
        return self.authority.verifier

    def encode(self, hospital: str) -> bytes:
        """The file's text."""
        return (
            f"# Nirantar recovery identity of {hospital}\n"
            "# Print it, keep it off every networked machine, and try it: nirantar verify --vault ... --identity ...\n"
            "# Whoever holds it can read every record of the hospital and can name new nodes.\n"
            f"{_AUTHORITY}{self.authority.skey}\n"
            f"{self.age_identity}\n"
        ).encode()

    def sheet_text(self, hospital: str) -> bytes:
        """What the QR code of the printed sheet holds: a shorter file of the same kind."""
        return f"{SHEET_TITLE}{hospital}\n{_AUTHORITY}{self.authority.skey}\n{self.age_identity}\n".encode()

    @classmethod
    def parse(cls, data: bytes) -> RecoveryIdentity:
        """Read the file, or the rows of a sheet as somebody typed them. Raises IdentityWrong with what is missing;
        never quotes its content."""
        lines = _lines(data)
        if sheet_rows.are_rows(lines):
            rows = sheet_rows.parse(lines)
            return cls(rows.age_identity, Signer(authority_name(rows.slug), rows.seed))
        if any(line.startswith(_AUTHORITY_KEY) for line in lines):
            raise IdentityWrong(
                "This is the rehearsal identity: it opens the vault, but only the recovery identity can name a node."
            )
        age = _age_identity(lines)
        authority = [line.removeprefix(_AUTHORITY) for line in lines if line.startswith(_AUTHORITY)]
        if len(authority) != 1:
            raise IdentityWrong("The identity file lacks its line '# authority: ...', so it cannot name the new node.")
        try:
            return cls(age, Signer.parse(authority[0]))
        except InvalidInput:
            raise IdentityWrong("The line '# authority: ...' of the identity file was changed or mistyped.") from None


@dataclass(frozen=True, slots=True)
class RehearsalIdentity:
    """`age_identity` opens what was sealed since it was named; `verifier` is the authority whose papers it trusts."""

    age_identity: str
    verifier: Verifier

    def __repr__(self) -> str:
        return "RehearsalIdentity(...)"

    @property
    def recipient(self) -> str:
        """What is sealed to it."""
        return recipient_of(self.age_identity)

    def encode(self, hospital: str) -> bytes:
        """The file's text."""
        return (
            f"# Nirantar rehearsal identity of {hospital}\n"
            "# It belongs on the isolated machine that rehearses, and on no node. It cannot name nodes.\n"
            "# Whoever holds it can read every record that was sealed since it was made.\n"
            f"{_AUTHORITY_KEY}{self.verifier.vkey}\n"
            f"{self.age_identity}\n"
        ).encode()

    @classmethod
    def parse(cls, data: bytes) -> RehearsalIdentity:
        """Read the file. Raises IdentityWrong; never quotes its secret."""
        lines = _lines(data)
        age = _age_identity(lines)
        keys = [line.removeprefix(_AUTHORITY_KEY) for line in lines if line.startswith(_AUTHORITY_KEY)]
        try:
            (key,) = keys
            return cls(age, Verifier.parse(key))
        except (ValueError, InvalidInput):
            raise IdentityWrong("The file's line '# authority key: ...' is missing or was changed.") from None


Identity = RecoveryIdentity | RehearsalIdentity
"""What opens a vault."""


def parse_identity(data: bytes) -> Identity:
    """Read the file of either identity. Raises IdentityWrong."""
    if any(line.startswith(_AUTHORITY_KEY) for line in _lines(data)):
        return RehearsalIdentity.parse(data)
    return RecoveryIdentity.parse(data)


def hospital_in(data: bytes) -> str:
    """The hospital's name as an identity's file or a sheet's text gives it; empty where it does not."""
    lines = _lines(data)
    title = lines[0] if lines else ""
    return title.partition(" of ")[2] if title.startswith("# Nirantar ") else ""


def _lines(data: bytes) -> list[str]:
    return [line.strip().removeprefix("\ufeff") for line in data.decode("utf-8", "replace").splitlines()]


def _age_identity(lines: list[str]) -> str:
    age = [line for line in lines if line.startswith(_AGE)]
    if len(age) != 1:
        raise IdentityWrong("The identity file needs exactly one line that begins with AGE-SECRET-KEY-1.")
    recipient_of(age[0])
    return age[0]
