"""What a node is sealed to and who speaks for its hospital, as long as it runs: it takes newer custody notes from its
vaults by itself, and carries them from one vault to another. It never sees an identity."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import Final

from nirantar import limits
from nirantar.app.founding import (
    CUSTODY_FILE,
    ROSTER_FILE,
    keep_handovers,
    newest_roster,
    publish,
    read_handovers,
)
from nirantar.continuity.custody import NEVER_READ_BACK, custody_notes
from nirantar.errors import NotFound, ProofInvalid, Unavailable
from nirantar.fold.custody import Custody, follow, handovers
from nirantar.fold.founding import FoundingDocument
from nirantar.fold.roster import Roster
from nirantar.host.port import Host
from nirantar.tlog.note import Verifier
from nirantar.vault.keys import CustodyKey
from nirantar.vault.port import Vault

ADVICE: Final = "Until somebody has, nobody knows that it opens the vault: nirantar custody check."


class CustodyWatch:
    """The custody note and the roster in force at one node. Any sealer's thread may ask."""

    def __init__(
        self, host: Host, directory: Path, document: FoundingDocument, custody: Custody | None, roster: Roster,
        roster_note: bytes,
    ) -> None:
        self._host = host
        self._directory = directory
        self._document = document
        self._custody = custody
        self._roster = roster
        self._roster_note = roster_note
        self._looked_us: dict[str, int] = {}
        self._differing: dict[str, str] = {}
        self._met: set[str] = set()
        self._turn = Lock()
        self._handovers = self._leading(read_handovers(host, directory))

    @property
    def roster(self) -> Roster:
        """The roster that the node publishes."""
        return self._roster

    @property
    def authority(self) -> Verifier:
        """The key that signs rosters and the next custody note."""
        return authority_in_force(self._document, self._custody)

    @property
    def roster_note(self) -> bytes:
        """The same as its authority signed it."""
        return self._roster_note

    def handovers(self) -> tuple[Custody, ...]:
        """The notes that lead from the founding document's authority to the one in force. Raises Unavailable where some
        are not here yet."""
        if self._handovers is None:
            raise Unavailable(
                "The custody notes by which the hospital's authority was replaced are not all here: nobody outside "
                "could follow them. Let the node reach a vault for a minute, then try again."
            )
        return self._handovers

    @property
    def custody(self) -> Custody | None:
        """The note in force; None at a hospital that was founded before there were any."""
        return self._custody

    def recipients(self) -> tuple[str, ...]:
        """What everything is sealed to from now on."""
        custody = self._custody
        return self._document.recipients if custody is None else custody.recipients

    def red(self) -> tuple[str, ...]:
        """What makes the status page red, as sentences."""
        return (*red_of(self._custody), *self._differing.values())

    def publish(self, vault: Vault) -> None:
        """Put the papers in force into a vault. Raises as `founding.publish` does."""
        with self._turn:
            self._leave(vault)
            self._met.add(vault.location)

    def look(self, vault: Vault) -> None:
        """Take a newer note from a vault, or leave ours there if papers were published to it before; asks each vault at
        most every CUSTODY_LOOK_SECONDS. Raises VaultUnavailable."""
        with self._turn:
            now_us = self._host.monotonic_us()
            looked_us = self._looked_us.get(vault.location)
            if looked_us is not None and now_us - looked_us < limits.CUSTODY_LOOK_SECONDS * 1e6:
                return
            if not self._take(vault):
                try:
                    self._compare(vault)
                except NotFound:
                    if vault.location in self._met:
                        self._leave(vault)
            if self._handovers is None:
                self._learn_handovers(vault)
            self._looked_us[vault.location] = now_us

    def _take(self, vault: Vault) -> bool:
        """Whether the vault had a newer note of ours, which is now in force here, too."""
        serial = 0 if self._custody is None else self._custody.serial
        newer = follow(custody_notes(vault, after=serial), self.authority, self._document.slug, after=serial)
        if newer is None or not newer.is_of(self._document):
            return False
        if newer.authority.key_id != self.authority.key_id:
            try:
                roster, note, _ = newest_roster(vault, self._document.slug, newer.authority, newer.terms.roster_from)
            except NotFound:
                return False  # a rotation stores its roster first: this vault is not whole yet
            if roster.serial > self._roster.serial:
                # The roster first: its old signature still opens it, should this be the last that the node does.
                self._host.files.replace(self._directory / ROSTER_FILE, note, mode=0o640)
                self._roster, self._roster_note = roster, note
        self._host.files.replace(self._directory / CUSTODY_FILE, newer.note, mode=0o640)
        if newer.authority.key_id != self.authority.key_id:
            self._handovers = None
        self._custody = newer
        return True

    def _leading(self, notes: Iterable[bytes]) -> tuple[Custody, ...] | None:
        """The handovers among these notes; None where they do not lead to the authority in force."""
        try:
            return handovers(notes, Verifier.parse(self._document.authority), self.authority, self._document.slug)
        except ProofInvalid:
            return None

    def _learn_handovers(self, vault: Vault) -> None:
        """Keep the handovers, if this vault has them all."""
        found = self._leading(custody_notes(vault))
        if found is not None:
            keep_handovers(self._host, self._directory, found)
            self._handovers = found

    def _leave(self, vault: Vault) -> None:
        """Carry the papers in force to a vault that lacks them."""
        publish(vault, self._document, self._roster, self._roster_note, self._custody)
        self._compare(vault)

    def _compare(self, vault: Vault) -> None:
        """Note where a vault has another custody note of this serial. Raises NotFound where it has none."""
        self._differing.pop(vault.location, None)
        custody = self._custody
        if custody is not None and vault.get(str(CustodyKey(custody.serial))) != custody.note:
            self._differing[vault.location] = (
                f"{vault.location} holds another custody note {custody.serial} than this node: two changes were made "
                "at two vaults. Make the next one with every vault named: nirantar custody rotate."
            )


def authority_in_force(document: FoundingDocument, custody: Custody | None) -> Verifier:
    """Who speaks for the hospital by these papers."""
    return Verifier.parse(document.authority) if custody is None else custody.authority


def red_of(custody: Custody | None) -> tuple[str, ...]:
    """What is red about a hospital's custody, as sentences."""
    if custody is not None and custody.terms.read_back:
        return ()
    return (f"{NEVER_READ_BACK} {ADVICE}",)
