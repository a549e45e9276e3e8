"""Custody notes as a vault holds them, and what only the recovery identity can do with them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from nirantar.continuity.identity import RecoveryIdentity
from nirantar.errors import Damaged, NotFound
from nirantar.fold.custody import Custody, Terms, founding_hash
from nirantar.fold.founding import FoundingDocument
from nirantar.vault.encryption import decrypt, encrypt
from nirantar.vault.keys import CUSTODY_PREFIX, CustodyKey
from nirantar.vault.port import Vault

NEVER_READ_BACK = "The recovery sheet has never been read back."


def custody_notes(vault: Vault, *, after: int = 0) -> Iterator[bytes]:
    """A vault's custody notes of a higher serial than `after`, in order; none of them is checked."""
    for key in vault.list(CUSTODY_PREFIX, after=str(CustodyKey(after)) if after else ""):
        try:
            yield vault.get(key)
        except NotFound:  # listed, and gone: for a reader it was never there
            continue


def first_custody(
    document: FoundingDocument, identity: RecoveryIdentity, *, serial: int = 1, read_back: str = ""
) -> Custody:
    """The first note of a hospital, new or founded before there were any."""
    terms = Terms(
        founding=founding_hash(document), authority=identity.authority.vkey, recovery=identity.recipient, roster_from=1,
        earlier=_sealed((), identity), read_back=read_back,
    )
    return Custody.sign(document.slug, serial, terms, identity.authority)


def read_back_at(custody: Custody, identity: RecoveryIdentity, instant: str, *, serial: int) -> Custody:
    """The next note: the sheet was read back at this FHIR instant. The first time counts."""
    terms = msgspec.structs.replace(custody.terms, read_back=custody.terms.read_back or instant)
    return Custody.sign(custody.slug, serial, terms, identity.authority)


def with_rehearsal(custody: Custody, identity: RecoveryIdentity, recipient: str, *, serial: int) -> Custody:
    """The next note: everything is sealed to this rehearsal recipient too, in the place of an earlier one."""
    terms = msgspec.structs.replace(custody.terms, rehearsal=recipient)
    return Custody.sign(custody.slug, serial, terms, identity.authority)


def rotated(
    custody: Custody, old: RecoveryIdentity, new: RecoveryIdentity, *, serial: int, roster_serial: int
) -> Custody:
    """The next note: `new` takes the place of `old` in everything, and can open what `old` could. `roster_serial` is
    the first roster that `new` signed, too. Nobody has read the new sheet yet."""
    earlier = (old.age_identity, *earlier_identities(custody, old))
    terms = msgspec.structs.replace(
        custody.terms, authority=new.authority.vkey, recovery=new.recipient, roster_from=roster_serial,
        earlier=_sealed(earlier, new), read_back="",
    )
    return Custody.sign(custody.slug, serial, terms, old.authority, new.authority)


def earlier_identities(custody: Custody, identity: RecoveryIdentity) -> tuple[str, ...]:
    """The age identities that were in force before, newest first. Raises IdentityWrong unless the identity is the one
    in force, Damaged for a note whose sealed part is not whole."""
    try:
        return tuple(decrypt(custody.terms.earlier, (identity.age_identity,)).decode("ascii").splitlines())
    except UnicodeDecodeError:
        raise Damaged("What a custody note seals is not a list of age identities.") from None


def _sealed(identities: tuple[str, ...], identity: RecoveryIdentity) -> bytes:
    return encrypt("".join(f"{each}\n" for each in identities).encode(), (identity.recipient,))
