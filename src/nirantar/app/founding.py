"""Making a node's directory: its keys, roster, configuration. What `init` and recovery both end in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Final

import msgspec

from nirantar.app import configuration
from nirantar.app.configuration import Configuration
from nirantar.continuity import guard
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.errors import (
    Conflict,
    Finding,
    IdentityWrong,
    NirantarError,
    NotFound,
    ProofInvalid,
    SetupError,
    VaultUnavailable,
)
from nirantar.fold.founding import FOUNDING_VERSION, FoundingDocument, slug_of
from nirantar.fold.grants import Grant
from nirantar.fold.roster import Roster, next_block
from nirantar.host.port import Host
from nirantar.journal.log import JOURNAL_FILE, JournalWriter
from nirantar.tlog.note import Signer, Verifier
from nirantar.vault.encryption import new_identity, recipient_of
from nirantar.vault.keys import HOSPITAL_KEY, RosterKey, parse
from nirantar.vault.port import Vault

FOUNDING_FILE: Final = "hospital.json"
ROSTER_FILE: Final = "roster.note"
NODE_KEY_FILE: Final = "keys/node.key"
GENERATION_FILE: Final = "generation.json"
AUTHORITY_NAME: Final = "nirantar.{slug}/authority"
UHID: Final = "uhid"


@dataclass(frozen=True, slots=True)
class Founded:
    """What a directory is made of before it is written."""

    document: FoundingDocument
    roster: Roster
    roster_note: bytes
    signer: Signer
    configuration: Configuration


def found_hospital(
    host: Host, name: str, node: str, *, vaults: list[str], durability: str
) -> tuple[Founded, RecoveryIdentity]:
    """A new hospital with its first node. The identity is returned to be written away from the node, once.

    Raises ConfigInvalid for names and settings that cannot be used.
    """
    slug = slug_of(name)
    age_identity, recipient = new_identity()
    authority = Signer(AUTHORITY_NAME.format(slug=slug), host.random_bytes(32))
    document = FoundingDocument(FOUNDING_VERSION, name.strip(), slug, (recipient,), authority.vkey)
    settings = msgspec.convert(
        {"node": node, "vaults": vaults, "durability": durability, "uhid_system": f"urn:nirantar:{slug}:uhid"},
        Configuration,
    )
    configuration.check(settings)
    nobody = Roster(slug, 0, ())
    founded = name_node(document, nobody, authority, settings, new_signer(host, document, nobody, node))
    return founded, RecoveryIdentity(age_identity, authority)


def new_signer(host: Host, document: FoundingDocument, before: Roster, node: str) -> Signer:
    """A fresh key for a node that the roster does not name yet. Raises SetupError when it does."""
    origin = document.origin(node)
    if origin in before.by_origin():
        raise SetupError(f"The roster already has a node {node}: a log's name is never used again.")
    return Signer(origin, host.random_bytes(32))


def name_node(
    document: FoundingDocument, before: Roster, authority: Signer, settings: Configuration, signer: Signer,
    *, serials_taken: Collection[int] = (),
) -> Founded:
    """A new node of a hospital: its grant with a number block of its own, in the roster that follows `before`, with the
    next serial that nobody took in a vault."""
    grant = Grant(settings.node, signer.name, signer.vkey, numbers=(next_block(before.grants, UHID),))
    serial = next(each for each in count(before.serial + 1) if each not in serials_taken)
    roster = Roster(document.slug, serial, (*before.grants, grant))
    return Founded(document, roster, roster.sign(authority), signer, settings)


def write_directory(host: Host, directory: Path, founded: Founded) -> None:
    """Write the node's files, and bind the directory to this machine. FileExistsError when there is a node already.

    The journal is made here, so that one that is missing later was lost, and is never begun again.
    """
    files = host.files
    files.make_directory(directory / "keys")
    files.put_new(directory / NODE_KEY_FILE, founded.signer.skey.encode() + b"\n", mode=0o400)
    files.put_new(directory / FOUNDING_FILE, founded.document.encode(), mode=0o640)
    files.put_new(directory / ROSTER_FILE, founded.roster_note, mode=0o640)
    configuration.write(host, directory, founded.configuration)
    guard.bind(host, directory / GENERATION_FILE)
    JournalWriter(host, directory / JOURNAL_FILE, founded.signer.name, founded.signer).close()


def require_empty(host: Host, directory: Path) -> None:
    """Raise SetupError unless `directory` is free for a new node."""
    first = next(host.files.walk(directory), None)
    if first is not None:
        raise SetupError(f"{directory} is not empty (it holds {first.name}). Choose a new directory for the node.")


def publish(vault: Vault, founded_document: FoundingDocument, roster: Roster, roster_note: bytes) -> None:
    """Put what recovery starts from into a vault; nothing happens when it is there. Raises SetupError when the vault
    belongs to another hospital, Conflict when another roster has this serial."""
    try:
        vault.put_new(HOSPITAL_KEY, founded_document.encode())
    except Conflict:
        raise SetupError(f"{vault.location} belongs to another hospital. Choose an empty vault.") from None
    vault.put_new(str(RosterKey(roster.serial)), roster_note)


def require_no_hospital(vault: Vault) -> None:
    """Raise SetupError unless `vault` is free for a new hospital, or not there yet."""
    with suppress(NotFound, VaultUnavailable):
        vault.get(HOSPITAL_KEY)
        raise SetupError(f"{vault.location} belongs to a hospital already. Choose an empty vault.")


@dataclass(frozen=True, slots=True)
class Published:
    """What recovery starts from. `findings` are rosters that the authority did not sign: noise if an attacker added
    them, a loss if one was the newest, so they are always told. `serials` are those of all rosters that any vault
    lists, signed or not: what an attacker left under the next one must not keep a recovery from naming its node."""

    document: FoundingDocument
    roster: Roster
    findings: tuple[Finding, ...]
    serials: frozenset[int]


def read_published(vaults: Sequence[Vault], identity: RecoveryIdentity) -> Published:
    """The founding document and the newest roster that any of `vaults` holds, trusted only as far as `identity` vouches
    for them: its authority signed the roster, and the document names its recipient and no other.

    Without that, whoever can replace the unsigned document in a vault could have a recovered node seal to a key of
    theirs. A vault that cannot serve is passed over while another can; the last failure is raised when none can:
    NotFound for an empty vault, SetupError for another hospital's, ProofInvalid, VaultUnavailable.
    """
    failure: NirantarError = SetupError("Recovery needs at least one vault.")
    best: Published | None = None
    serials: frozenset[int] = frozenset()
    for vault in vaults:
        try:
            found = _published(vault, identity)
        except NirantarError as reason:
            failure = reason
            continue
        serials |= found.serials
        if best is None or found.roster.serial > best.roster.serial:
            best = found
    if best is None:
        raise failure
    return replace(best, serials=serials)


def _published(vault: Vault, identity: RecoveryIdentity) -> Published:
    authority = identity.authority.verifier
    try:
        document = FoundingDocument.parse(vault.get(HOSPITAL_KEY))
    except NotFound:
        raise NotFound(f"{vault.location} holds no hospital: there is no {HOSPITAL_KEY} in it.") from None
    if Verifier.parse(document.authority).key_id != authority.key_id:
        raise SetupError(f"{vault.location} belongs to another hospital than this identity: its authority differs.")
    own = recipient_of(identity.age_identity)
    if own not in document.recipients:
        raise IdentityWrong(f"The age identity in the file is not one that {document.name} seals its vault to.")
    if document.recipients != (own,):
        raise SetupError(f"{vault.location} names other recipients than this identity: its {HOSPITAL_KEY} was changed.")
    newest: Roster | None = None
    findings: list[Finding] = []
    serials = set()
    for key in vault.list("roster/"):
        named = parse(key)
        if not isinstance(named, RosterKey):
            continue
        serials.add(named.serial)
        try:
            roster = Roster.open(vault.get(key), authority)
        except ProofInvalid as reason:
            findings.append(Finding(f"{vault.location} {key}", f"{reason} If a node is missing, it was named here."))
            continue
        if newest is None or roster.serial > newest.serial:
            newest = roster
    if newest is None or newest.slug != document.slug:
        raise NotFound(f"{vault.location} holds no roster of {document.slug}.")
    return Published(document, newest, tuple(findings), frozenset(serials))
