"""Which logs a keeper knows: those of the newest roster that the hospital's authority signed, and nobody else's word.

The rosters lie in the keeper's own vault, so that nothing has to be configured when a node is added or replaced: the
node or recovery that made the newer roster brings it.
"""

from __future__ import annotations

from collections.abc import Iterable

from nirantar.errors import ConfigInvalid, ProofInvalid
from nirantar.fold.founding import FoundingDocument
from nirantar.fold.grants import Grant
from nirantar.fold.roster import Roster
from nirantar.tlog.note import Verifier
from nirantar.vault.keys import RosterKey

_PREFIX = "nirantar."
_SUFFIX = "/authority"


class Register:
    """The hospital's authority, and the roster in force. Replaced as a whole, so readers need no lock."""

    def __init__(self, authority: Verifier, notes: Iterable[bytes]) -> None:
        """Begin with the newest of `notes` that verifies."""
        self.authority = authority
        self.slug = slug_of_authority(authority.name)
        self.roster = Roster(self.slug, 0, ())
        for note in notes:
            try:
                self.take(self._open(note))
            except ProofInvalid:
                continue

    def check_document(self, data: bytes) -> None:
        """Raise Damaged or ProofInvalid unless this is a founding document that names this authority."""
        if FoundingDocument.parse(data).authority != self.authority.vkey:
            raise ProofInvalid("The founding document names another authority than this keeper was set up with.")

    def check_roster(self, key: RosterKey, data: bytes) -> Roster:
        """The roster in a note that is to be kept under `key`. Raises ProofInvalid."""
        roster = self._open(data)
        if roster.serial != key.serial:
            raise ProofInvalid(f"The roster has the serial {roster.serial}, and not that of {key}.")
        known = self.roster.by_origin()
        if roster.serial > self.roster.serial:
            for origin, grant in known.items():
                after = roster.by_origin().get(origin)
                if after is None or after.vkey != grant.vkey:
                    raise ProofInvalid(f"Roster {roster.serial} drops the log {origin} or gives it another key.")
        return roster

    def take(self, roster: Roster) -> None:
        """Let a checked roster be in force, if it is newer."""
        if roster.serial > self.roster.serial:
            self.roster = roster

    def grant(self, origin: str) -> Grant | None:
        """What the roster says of a log."""
        return self.roster.by_origin().get(origin)

    def grant_of_node(self, node: str) -> Grant | None:
        """What the roster says of a node by its name."""
        return next((grant for grant in self.roster.grants if grant.node == node), None)

    def _open(self, note: bytes) -> Roster:
        roster = Roster.open(note, self.authority)
        if roster.slug != self.slug:
            raise ProofInvalid(f"The roster is of {roster.slug}, this keeper keeps {self.slug}.")
        for grant in roster.grants:
            if grant.origin != f"{_PREFIX}{self.slug}/{grant.node}":
                raise ProofInvalid(f"The roster gives the node {grant.node} a log of another name: {grant.origin}.")
        return roster


def slug_of_authority(name: str) -> str:
    """The hospital's slug in the name of its authority's key. Raises ConfigInvalid."""
    slug = name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    if not slug or name != f"{_PREFIX}{slug}{_SUFFIX}":
        raise ConfigInvalid(f"{name} is not the name of a hospital's authority, which is nirantar.<slug>/authority.")
    return slug
