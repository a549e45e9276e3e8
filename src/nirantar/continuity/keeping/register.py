"""Which logs a keeper knows: those of the newest roster that the hospital's authority signed, and nobody else's word.

Rosters and custody notes lie in the keeper's own vault, so that nothing has to be configured when a node is added or
replaced or the recovery identity rotated: the node or recovery that made the newer paper brings it. The authority is
the one that the keeper was set up with, and from there whoever the custody notes name.
"""

from __future__ import annotations

from collections.abc import Iterable

from nirantar.errors import ConfigInvalid, Conflict, ProofInvalid
from nirantar.fold.custody import Custody, follow
from nirantar.fold.founding import FoundingDocument
from nirantar.fold.grants import Grant
from nirantar.fold.roster import Roster
from nirantar.tlog.note import Verifier
from nirantar.vault.keys import CustodyKey, RosterKey

_PREFIX = "nirantar."
_SUFFIX = "/authority"


class Register:
    """The custody note and the roster in force. Each is replaced as a whole, so readers need no lock."""

    def __init__(self, authority: Verifier, custody_notes: Iterable[bytes], rosters: Iterable[bytes]) -> None:
        """Begin with the newest papers that `authority` leads to; `custody_notes` are in the order of their serials."""
        self.slug = slug_of_authority(authority.name)
        self._first = authority
        self.custody = follow(custody_notes, authority, self.slug)
        self.roster = Roster(self.slug, 0, ())
        for note in rosters:
            try:
                self.take(self._open(note))
            except ProofInvalid:
                continue

    def check_document(self, data: bytes) -> None:
        """Raise Damaged or ProofInvalid unless the custody note in force is of this founding document, or, where there
        is none yet, the document names the authority that this keeper was set up with."""
        document = FoundingDocument.parse(data)
        if self.custody is None and document.authority != self._first.vkey:
            raise ProofInvalid("The founding document names another authority than this keeper was set up with.")
        if self.custody is not None and not self.custody.is_of(document):
            raise ProofInvalid("The founding document is not the one that the authority signed for.")

    def check_custody(self, key: CustodyKey, data: bytes) -> Custody:
        """The custody note that is to be kept under `key`, and follows the one in force. Raises ProofInvalid, and
        Conflict for one that is older than that."""
        if self.custody is not None and key.serial <= self.custody.serial:
            raise Conflict(f"This keeper follows custody note {self.custody.serial} already, so it takes no {key}.")
        custody = Custody.open(data, self.authority)
        if (custody.slug, custody.serial) != (self.slug, key.serial):
            raise ProofInvalid(f"The custody note is {custody.serial} of {custody.slug}, and not {key} of {self.slug}.")
        return custody

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

    def take_custody(self, custody: Custody) -> None:
        """Let a checked custody note be in force, if it is newer."""
        if self.custody is None or custody.serial > self.custody.serial:
            self.custody = custody

    @property
    def authority(self) -> Verifier:
        """The key that signs rosters and the next custody note."""
        return self._first if self.custody is None else self.custody.authority

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
