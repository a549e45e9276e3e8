"""Making a node's directory: its keys, roster, configuration. What `init` and recovery both end in."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

import msgspec

from nirantar.app import configuration
from nirantar.app.configuration import Configuration
from nirantar.continuity import guard
from nirantar.continuity.custody import custody_notes, earlier_identities, first_custody
from nirantar.continuity.identity import Identity, RecoveryIdentity
from nirantar.errors import (
    Conflict,
    Finding,
    IdentityWrong,
    NirantarError,
    NotFound,
    ProofInvalid,
    SetupError,
    Unavailable,
    VaultUnavailable,
)
from nirantar.fold.custody import Custody, follow
from nirantar.fold.founding import FOUNDING_VERSION, FoundingDocument, authority_name, slug_of
from nirantar.fold.grants import Grant
from nirantar.fold.roster import Roster, next_block
from nirantar.host.port import Host
from nirantar.journal.log import JOURNAL_FILE, JournalWriter
from nirantar.tlog.note import Signer, Verifier
from nirantar.vault.encryption import new_identity
from nirantar.vault.keys import HOSPITAL_KEY, ROSTER_PREFIX, CustodyKey, RosterKey, parse
from nirantar.vault.port import Vault

FOUNDING_FILE: Final = "hospital.json"
ROSTER_FILE: Final = "roster.note"
CUSTODY_FILE: Final = "custody.note"
NODE_KEY_FILE: Final = "keys/node.key"
GENERATION_FILE: Final = "generation.json"
UHID: Final = "uhid"


@dataclass(frozen=True, slots=True)
class Founded:
    """What a directory is made of before it is written. `custody` is None for a hospital that was founded before there
    were custody notes and whose sheet was not read back since."""

    document: FoundingDocument
    roster: Roster
    roster_note: bytes
    signer: Signer
    configuration: Configuration
    custody: Custody | None = None


def found_hospital(
    host: Host, name: str, node: str, *, vaults: list[str], durability: str
) -> tuple[Founded, RecoveryIdentity]:
    """A new hospital with its first node. The identity is returned to be written away from the node, once.

    Raises ConfigInvalid for names and settings that cannot be used.
    """
    slug = slug_of(name)
    age_identity, recipient = new_identity()
    authority = Signer(authority_name(slug), host.random_bytes(32))
    document = FoundingDocument(FOUNDING_VERSION, name.strip(), slug, (recipient,), authority.vkey)
    settings = msgspec.convert(
        {"node": node, "vaults": vaults, "durability": durability, "uhid_system": f"urn:nirantar:{slug}:uhid"},
        Configuration,
    )
    configuration.check(settings)
    nobody = Roster(slug, 0, ())
    identity = RecoveryIdentity(age_identity, authority)
    signer = new_signer(host, document, nobody, node)
    return name_node(document, nobody, authority, settings, signer, first_custody(document, identity)), identity


def new_signer(host: Host, document: FoundingDocument, before: Roster, node: str) -> Signer:
    """A fresh key for a node that the roster does not name yet. Raises SetupError when it does."""
    origin = document.origin(node)
    if origin in before.by_origin():
        raise SetupError(f"The roster already has a node {node}: a log's name is never used again.")
    return Signer(origin, host.random_bytes(32))


def name_node(
    document: FoundingDocument, before: Roster, authority: Signer, settings: Configuration, signer: Signer,
    custody: Custody | None = None,
) -> Founded:
    """A new node of a hospital: its grant with a number block of its own, in the roster that follows `before`."""
    grant = Grant(settings.node, signer.name, signer.vkey, numbers=(next_block(before.grants, UHID),))
    roster = Roster(document.slug, before.serial + 1, (*before.grants, grant))
    return Founded(document, roster, roster.sign(authority), signer, settings, custody)


def write_directory(host: Host, directory: Path, founded: Founded) -> None:
    """Write the node's files, and bind the directory to this machine. FileExistsError when there is a node already.

    The journal is made here, so that one that is missing later was lost, and is never begun again.
    """
    files = host.files
    files.make_directory(directory / "keys")
    files.put_new(directory / NODE_KEY_FILE, founded.signer.skey.encode() + b"\n", mode=0o400)
    files.put_new(directory / FOUNDING_FILE, founded.document.encode(), mode=0o640)
    files.put_new(directory / ROSTER_FILE, founded.roster_note, mode=0o640)
    if founded.custody is not None:
        files.put_new(directory / CUSTODY_FILE, founded.custody.note, mode=0o640)
    configuration.write(host, directory, founded.configuration)
    guard.bind(host, directory / GENERATION_FILE)
    JournalWriter(host, directory / JOURNAL_FILE, founded.signer.name, founded.signer).close()


def require_empty(host: Host, directory: Path) -> None:
    """Raise SetupError unless `directory` is free for a new node."""
    first = next(host.files.walk(directory), None)
    if first is not None:
        raise SetupError(f"{directory} is not empty (it holds {first.name}). Choose a new directory for the node.")


def publish(
    vault: Vault, founded_document: FoundingDocument, roster: Roster, roster_note: bytes, custody: Custody | None = None
) -> None:
    """Put what recovery starts from into a vault; nothing happens when it is there. Raises SetupError when the vault
    belongs to another hospital, Conflict when another roster has this serial. Another custody note of this serial is
    left alone: it stops nobody's work, and the node's watch shows it.

    The custody note first: a keeper that was set up after a rotation knows the older document by it."""
    data = founded_document.encode()
    try:
        with suppress(NotFound):
            if vault.get(HOSPITAL_KEY) != data:
                raise Conflict(HOSPITAL_KEY)
        if custody is not None:
            with suppress(Conflict):
                vault.put_new(str(CustodyKey(custody.serial)), custody.note)
        vault.put_new(HOSPITAL_KEY, data)
    except Conflict:
        raise SetupError(f"{vault.location} belongs to another hospital. Choose an empty vault.") from None
    vault.put_new(str(RosterKey(roster.serial)), roster_note)


def require_no_hospital(vault: Vault) -> None:
    """Raise SetupError unless `vault` is free for a new hospital, or not there yet."""
    with suppress(NotFound, VaultUnavailable):
        vault.get(HOSPITAL_KEY)
        raise SetupError(f"{vault.location} belongs to a hospital already. Choose an empty vault.")


def free_serial(vaults: Sequence[Vault], prefix: str, after: int) -> int:
    """The next serial above `after` under which no vault has a roster or custody note (`prefix` says which): anybody
    who can add to a vault can take a place with noise."""
    taken = set()
    for vault in vaults:
        with suppress(Unavailable):
            found = [parse(key) for key in vault.list(prefix)]
            taken |= {key.serial for key in found if isinstance(key, RosterKey | CustodyKey)}
    return next(serial for serial in count(after + 1) if serial not in taken)


@dataclass(frozen=True, slots=True)
class Published:
    """What recovery starts from. `identities` open what is sealed now and what was sealed before a rotation. `findings`
    are rosters that the authority did not sign: noise if an attacker added them, a loss if one was the newest, so they
    are always told."""

    document: FoundingDocument
    custody: Custody | None
    roster: Roster
    roster_note: bytes
    identities: tuple[str, ...] = field(repr=False)
    findings: tuple[Finding, ...]


def read_published(vaults: Sequence[Vault], identity: Identity) -> Published:
    """The founding document, custody note and roster in force by any of `vaults`, trusted only as far as `identity`
    vouches for them: its authority signed for all three, and what is sealed is sealed to it.

    A hospital that was founded before there were custody notes has an unsigned document, which then must name this
    identity's authority and recipient and no other: else whoever can replace it could have a recovered node seal to a
    key of theirs. A vault that cannot serve is passed over while another can; the last failure is raised when none can:
    NotFound for an empty vault, SetupError for another hospital's, IdentityWrong, ProofInvalid, VaultUnavailable.
    """
    failure: NirantarError = SetupError("Recovery needs at least one vault.")
    served: list[tuple[Vault, FoundingDocument, Custody | None]] = []
    for vault in vaults:
        try:
            document, custody = _papers(vault, identity)
        except NirantarError as reason:
            failure = reason
            continue
        served.append((vault, document, custody))
    if not served:
        raise failure
    _, document, custody = max(served, key=lambda each: 0 if each[2] is None else each[2].serial)
    authority = identity.verifier if custody is None else custody.authority
    _require_in_force(document, custody, identity)
    first = 1 if custody is None else custody.terms.roster_from
    newest: tuple[Roster, bytes, list[Finding]] | None = None
    for vault, _, _ in served:
        try:
            found = newest_roster(vault, document.slug, authority, first)
        except NirantarError as reason:
            failure = reason
            continue
        if newest is None or found[0].serial > newest[0].serial:
            newest = found
    if newest is None:
        raise failure
    identities: tuple[str, ...] = (identity.age_identity,)
    if custody is not None and isinstance(identity, RecoveryIdentity):
        identities += earlier_identities(custody, identity)
    roster, note, findings = newest
    return Published(document, custody, roster, note, identities, tuple(findings))


def _papers(vault: Vault, identity: Identity) -> tuple[FoundingDocument, Custody | None]:
    """A vault's founding document, and the custody note in force for who trusts this identity's authority."""
    try:
        document = FoundingDocument.parse(vault.get(HOSPITAL_KEY))
    except NotFound:
        raise NotFound(f"{vault.location} holds no hospital: there is no {HOSPITAL_KEY} in it.") from None
    custody = follow(custody_notes(vault), identity.verifier, document.slug)
    if custody is not None:
        if not custody.is_of(document):
            raise SetupError(f"The {HOSPITAL_KEY} in {vault.location} is not the one that the authority signed for.")
        return document, custody
    if Verifier.parse(document.authority).key_id != identity.verifier.key_id:
        raise SetupError(f"{vault.location} belongs to another hospital than this identity: its authority differs.")
    if identity.recipient not in document.recipients:
        raise IdentityWrong(f"The age identity in the file is not one that {document.name} seals its vault to.")
    if document.recipients != (identity.recipient,):
        raise SetupError(f"{vault.location} names other recipients than this identity: its {HOSPITAL_KEY} was changed.")
    return document, None


def _require_in_force(document: FoundingDocument, custody: Custody | None, identity: Identity) -> None:
    """Raise IdentityWrong for an identity that a later one replaced, or that was never this hospital's."""
    if custody is None:
        return
    if isinstance(identity, RecoveryIdentity) and custody.authority.key_id != identity.verifier.key_id:
        raise IdentityWrong(
            f"This recovery identity of {document.name} was replaced by a newer one: use that. This one only opens "
            "what was sealed before, and the newer one opens that, too."
        )
    if identity.recipient not in custody.recipients:
        raise IdentityWrong(f"The age identity in the file is not one that {document.name} seals its vault to.")


def newest_roster(
    vault: Vault, slug: str, authority: Verifier, first: int
) -> tuple[Roster, bytes, list[Finding]]:
    """The roster with the highest serial, from `first` on, that the authority signed, its note, and what it did not
    sign. Raises NotFound when there is none of this hospital."""
    newest: tuple[Roster, bytes] | None = None
    findings: list[Finding] = []
    for key in vault.list(ROSTER_PREFIX, after=str(RosterKey(first - 1))):
        try:
            note = vault.get(key)
            roster = Roster.open(note, authority)
        except ProofInvalid as reason:
            findings.append(Finding(f"{vault.location} {key}", f"{reason} If a node is missing, it was named here."))
            continue
        if newest is None or roster.serial > newest[0].serial:
            newest = roster, note
    if newest is None or newest[0].slug != slug:
        raise NotFound(f"{vault.location} holds no roster of {slug}.")
    return *newest, findings
