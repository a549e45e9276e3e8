"""The recovery identity's file: the two secrets that no node holds, in one text file that `age -i` reads as it is.

    # the hospital, and what to do with this file
    # authority: PRIVATE+KEY+...      signs rosters: which nodes exist and what they may write
    AGE-SECRET-KEY-1...               opens the vault

`age` ignores lines that begin with '#', so the file serves both programs and both custodians.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nirantar.errors import IdentityWrong, InvalidInput
from nirantar.tlog.note import Signer
from nirantar.vault.encryption import recipient_of

_AUTHORITY: Final = "# authority: "
_AGE: Final = "AGE-SECRET-KEY-1"


@dataclass(frozen=True, slots=True)
class RecoveryIdentity:
    """`age_identity` opens segments; `authority` signs rosters."""

    age_identity: str
    authority: Signer

    def __repr__(self) -> str:
        return "RecoveryIdentity(...)"

    def encode(self, hospital: str) -> bytes:
        """The file's text."""
        return (
            f"# Nirantar recovery identity of {hospital}\n"
            "# Print it, keep it off every networked machine, and try it: nirantar verify --vault ... --identity ...\n"
            "# Whoever holds it can read every record of the hospital and can name new nodes.\n"
            f"{_AUTHORITY}{self.authority.skey}\n"
            f"{self.age_identity}\n"
        ).encode()

    @classmethod
    def parse(cls, data: bytes) -> RecoveryIdentity:
        """Read the file. Raises IdentityWrong with what is missing; never quotes its content."""
        lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines()]
        age = [line for line in lines if line.startswith(_AGE)]
        authority = [line.removeprefix(_AUTHORITY) for line in lines if line.startswith(_AUTHORITY)]
        if len(age) != 1:
            raise IdentityWrong("The identity file needs exactly one line that begins with AGE-SECRET-KEY-1.")
        if len(authority) != 1:
            raise IdentityWrong("The identity file lacks its line '# authority: ...', so it cannot name the new node.")
        recipient_of(age[0])
        try:
            return cls(age[0], Signer.parse(authority[0]))
        except InvalidInput:
            raise IdentityWrong("The line '# authority: ...' of the identity file was changed or mistyped.") from None
