"""What custodians do with the recovery identity in hand, away from every node: try it, change it, name a rehearsal
identity. Each ends in the next custody note, which vaults hold and nodes take by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from nirantar.app.founding import Published, free_serial, publish, read_published
from nirantar.continuity.custody import first_custody, read_back_at, rotated, with_rehearsal
from nirantar.continuity.identity import RecoveryIdentity, RehearsalIdentity
from nirantar.errors import Damaged, IdentityWrong, NotFound, SetupError, Unavailable
from nirantar.fold.custody import Custody
from nirantar.fold.roster import Roster
from nirantar.host.port import Host
from nirantar.host.times import instant
from nirantar.tlog.note import Signer
from nirantar.vault.encryption import decrypt, new_identity
from nirantar.vault.keys import CUSTODY_PREFIX, ROSTER_PREFIX, CustodyKey, SegmentKey, parse, segments_prefix
from nirantar.vault.port import Vault
from nirantar.vault.segments import open_segment

SEGMENTS_TRIED_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What the recovery identity proved. `opened` are the objects of the vault that it decrypted; `read_back` is when
    the sheet was first read back, `first_time` whether that is now."""

    hospital: str
    authority: str
    recipient: str
    opened: tuple[str, ...]
    read_back: str
    first_time: bool


@dataclass(frozen=True, slots=True)
class RotationReport:
    """`identity` is the new file, `serial` the custody note that put it in force, `earlier` how many older age
    identities it opens the records of."""

    hospital: str
    identity: str
    serial: int
    recipient: str
    earlier: int
    rehearsal_kept: bool


def check_identity(host: Host, vaults: Sequence[Vault], identity: RecoveryIdentity) -> CheckReport:
    """Prove that `identity` is the hospital's and opens its vault, and record in every vault that it was read back.

    Raises IdentityWrong, and what reading a vault raises; nothing is recorded then.
    """
    published = read_published(vaults, identity)
    opened = tuple(_opened(vaults, published, identity))
    custody, now = published.custody, instant(host.now_us())
    first_time = custody is None or not custody.terms.read_back
    if custody is None:
        custody = first_custody(published.document, identity, serial=_free_serial(vaults, published), read_back=now)
    elif first_time:
        custody = read_back_at(custody, identity, now, serial=_free_serial(vaults, published))
    if first_time:
        _publish(vaults, published, custody)
    return CheckReport(
        published.document.name, identity.authority.key_id.hex(), identity.recipient, opened, custody.terms.read_back,
        first_time,
    )


def rotate(host: Host, vaults: Sequence[Vault], old: RecoveryIdentity, path: Path) -> RotationReport:
    """Put a new recovery identity in the place of `old` in every vault, and write it to the new file `path`.

    Both its keys are new. What `old` opens stays open to `old`, and the new one opens it, too. Raises SetupError when
    `path` is taken or a vault lacks the newest papers; what one vault took the nodes carry to the others.
    """
    published = read_published(vaults, old)
    _require_all(vaults, published, old)
    before = published.custody or first_custody(published.document, old)
    age_identity, _ = new_identity()
    new = RecoveryIdentity(age_identity, Signer(old.authority.name, host.random_bytes(32)))
    serial = free_serial(vaults, ROSTER_PREFIX, published.roster.serial)
    roster = Roster(published.roster.slug, serial, published.roster.grants)
    after = rotated(before, old, new, serial=_free_serial(vaults, published), roster_serial=roster.serial)
    # The new identity first: from the first note on, it alone counts.
    write_identity(host, path, new.encode(published.document.name))
    signed = replace(published, roster=roster, roster_note=roster.sign(old.authority, new.authority))
    _publish(vaults, signed, after)
    return RotationReport(
        published.document.name, str(path), after.serial, new.recipient, len(published.identities),
        bool(after.terms.rehearsal),
    )


def name_rehearsal(host: Host, vaults: Sequence[Vault], identity: RecoveryIdentity, path: Path) -> Custody:
    """Make a rehearsal identity in the new file `path`, in an earlier one's place: all is sealed to it, too, from now
    on. Raises as `rotate` does."""
    published = read_published(vaults, identity)
    _require_all(vaults, published, identity)
    before = published.custody or first_custody(published.document, identity)
    age_identity, recipient = new_identity()
    after = with_rehearsal(before, identity, recipient, serial=_free_serial(vaults, published))
    rehearsal = RehearsalIdentity(age_identity, identity.verifier)
    write_identity(host, path, rehearsal.encode(published.document.name))
    _publish(vaults, published, after)
    return after


def write_identity(host: Host, path: Path, data: bytes) -> None:
    """Write a secret to a new file, readable by its user only. Raises SetupError when there is one already."""
    host.files.make_directory(path.parent)
    try:
        host.files.put_new(path, data, mode=0o600)
    except FileExistsError:
        raise SetupError(f"{path} exists already; an identity, share or sheet is never overwritten.") from None


def _opened(vaults: Sequence[Vault], published: Published, identity: RecoveryIdentity) -> list[str]:
    """What this identity decrypts of what the hospital sealed: the part of its custody note that is for it alone, and
    the newest segment of each log. Raises IdentityWrong where a log has segments and none of the newest opens."""
    opened = []
    if published.custody is not None:
        decrypt(published.custody.terms.earlier, (identity.age_identity,))
        opened.append(f"custody note {published.custody.serial}")
    for grant in published.roster.grants:
        held = [
            (segment, vault) for vault in vaults for key in vault.list(segments_prefix(grant.node))
            if isinstance(segment := parse(key), SegmentKey)
        ]
        newest = sorted(held, key=lambda each: each[0], reverse=True)[:SEGMENTS_TRIED_MAX]
        found = next((segment for segment, vault in newest if _opens(vault, segment, published.identities)), None)
        if found is not None:
            opened.append(str(found))
        elif newest:
            raise IdentityWrong(
                f"The identity is the hospital's, but opens none of the newest {len(newest)} segments of {grant.node}. "
                "Look at the vault: nirantar verify --vault URI --identity FILE."
            )
    return opened


def _opens(vault: Vault, segment: SegmentKey, identities: Sequence[str]) -> bool:
    """Whether a segment is whole and sealed to one of the identities. Anybody who can add to a vault can add one that
    is not."""
    try:
        open_segment(vault.get(str(segment)), identities, key=str(segment))
    except (Damaged, IdentityWrong, NotFound):
        return False
    return True


def _require_all(vaults: Sequence[Vault], published: Published, identity: RecoveryIdentity) -> None:
    """Raise unless every vault can serve and has the newest papers: a change that one of them missed would leave two
    truths."""
    for vault in vaults:
        try:
            one = read_published([vault], identity)
            current = (one.roster.serial, _serial(one)) == (published.roster.serial, _serial(published))
        except (Damaged, NotFound, SetupError):
            current = False
        if not current:
            raise SetupError(
                f"{vault.location} lacks the newest roster or custody note. Let a node serve for a minute, so that it "
                "carries them there, then try again."
            )


def _serial(published: Published) -> int:
    return 0 if published.custody is None else published.custody.serial


def _free_serial(vaults: Sequence[Vault], published: Published) -> int:
    """The next custody note's serial."""
    return free_serial(vaults, CUSTODY_PREFIX, _serial(published))


def _publish(vaults: Sequence[Vault], published: Published, custody: Custody) -> None:
    """Put the papers into every vault that takes them now; nodes carry them to the others. Raises what the last one
    that could not be reached raised when none took them, Conflict when one holds another note of this serial."""
    taken = 0
    failure: Unavailable | None = None
    for vault in vaults:
        try:
            publish(vault, published.document, published.roster, published.roster_note)
            vault.put_new(str(CustodyKey(custody.serial)), custody.note)
            taken += 1
        except Unavailable as reason:
            failure = reason
    if failure is not None and not taken:
        raise failure
