"""The recovery identity in k-of-n: SLIP-39 shares of its 64 secret bytes, made and joined by `shamir-mnemonic`.

The secret is the age identity's 32 bytes and then the authority's seed, so a share is 59 words. There is no passphrase:
SLIP-39 cannot tell a wrong one from a right one, and it would be one more thing to lose. Beside the words a share's
text names the hospital's slug and the key id of the authority, by which joining proves its result.

    # Nirantar custody share 2 of 5 of City Hospital. Any 3 together make the recovery identity.
    # hospital: city-hospital
    # authority: c6dea9c8
    academic acid ...
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from shamir_mnemonic import MnemonicError, Share, combine_mnemonics, generate_mnemonics  # type: ignore[import-untyped]
from shamir_mnemonic.constants import CUSTOMIZATION_STRING_EXTENDABLE  # type: ignore[import-untyped]
from shamir_mnemonic.rs1024 import verify_checksum  # type: ignore[import-untyped]
from shamir_mnemonic.wordlist import WORDLIST  # type: ignore[import-untyped]

from nirantar.continuity.identity import RecoveryIdentity
from nirantar.errors import IdentityWrong, InvalidInput
from nirantar.fold.founding import authority_name
from nirantar.limits import CUSTODY_SHARES_MAX
from nirantar.tlog.note import Signer
from nirantar.vault.encryption import IDENTITY_BYTES, identity_bytes, identity_of

SHARE_WORDS: Final = 59
SHARE_TITLE: Final = "# Nirantar custody share "
THRESHOLD_MIN: Final = 2
PREFIX_CHARS: Final = 4
"""Words of the list differ in their first four letters, so these are enough."""

_HOSPITAL: Final = "# hospital: "
_AUTHORITY: Final = "# authority: "
_NUMBERING: Final = re.compile(r"[0-9]+[.)]?")
_PLACES: Final = {word: place for place, word in enumerate(WORDLIST)}
_BY_PREFIX: Final = {word[:PREFIX_CHARS]: word for word in WORDLIST}


@dataclass(frozen=True, slots=True)
class CustodyShare:
    """One custodian's part. `number` counts from 1; `words` are secret."""

    hospital: str
    slug: str
    authority_id: str
    number: int
    shares: int
    threshold: int
    words: tuple[str, ...]

    def __repr__(self) -> str:
        return f"CustodyShare({self.number} of {self.shares}, ...)"

    @property
    def text(self) -> bytes:
        """The share as a file, and as its QR code."""
        return (
            f"{SHARE_TITLE}{self.number} of {self.shares} of {self.hospital}. "
            f"Any {self.threshold} together make the recovery identity.\n"
            f"{_HOSPITAL}{self.slug}\n{_AUTHORITY}{self.authority_id}\n{' '.join(self.words)}\n"
        ).encode()


def split(identity: RecoveryIdentity, hospital: str, *, shares: int, threshold: int) -> list[CustodyShare]:
    """`shares` parts of which any `threshold` give the identity and fewer give nothing. Raises InvalidInput for numbers
    out of their bounds."""
    if not THRESHOLD_MIN <= threshold <= shares <= CUSTODY_SHARES_MAX:
        raise InvalidInput(
            f"{threshold} of {shares} cannot be: at least {THRESHOLD_MIN} must come together, at most all of them, and "
            f"there are at most {CUSTODY_SHARES_MAX} shares."
        )
    secret = identity_bytes(identity.age_identity) + identity.authority.seed
    (mnemonics,) = generate_mnemonics(1, [(threshold, shares)], secret)
    slug = identity.authority.name.removeprefix("nirantar.").removesuffix("/authority")
    return [
        CustodyShare(
            hospital, slug, identity.authority.key_id.hex(), number, shares, threshold, tuple(mnemonic.split())
        )
        for number, mnemonic in enumerate(mnemonics, 1)
    ]


def are_shares(text: str) -> bool:
    """Whether this looks like shares rather than an identity's file or the rows of a sheet."""
    words = [word for block in _blocks(text.splitlines()) for word in block.words]
    return bool(words) and 2 * sum(word[:PREFIX_CHARS] in _BY_PREFIX for word in words) > len(words)


def combine(texts: Iterable[str], *, slug: str = "") -> RecoveryIdentity:
    """The identity from the texts of enough shares, in any order, one or several in each text.

    `slug` is the hospital's where no text names it. Raises IdentityWrong naming the share, and the word in it, that is
    wrong, or how many are missing; no word is ever quoted.
    """
    blocks = [block for text in texts for block in _blocks(text.splitlines())]
    if not blocks:
        raise IdentityWrong("There is no share here: each is 59 words.")
    shares = [_share(block, place) for place, block in enumerate(blocks, 1)]
    secret = _joined(shares)
    if len(secret) != 2 * IDENTITY_BYTES:
        raise IdentityWrong("These are shares of something else than a recovery identity.")
    slug = slug or _agreed((block.slug for block in blocks), "hospital")
    if not slug:
        raise IdentityWrong("No share names the hospital. Say it with --hospital NAME, as the sheets print it.")
    identity = RecoveryIdentity(
        identity_of(secret[:IDENTITY_BYTES]), Signer(authority_name(slug), secret[IDENTITY_BYTES:])
    )
    named = _agreed((block.authority_id for block in blocks), "authority")
    if named and named != identity.authority.key_id.hex():
        raise IdentityWrong(
            "The shares fit each other, but give another key than their sheets name: is the hospital's name right?"
        )
    return identity


@dataclass(slots=True)
class _Block:
    """The words of one share as they were typed, and what its comments say."""

    words: list[str]
    slug: str = ""
    authority_id: str = ""


def _blocks(lines: Sequence[str]) -> list[_Block]:
    """Shares in a text: a blank line or a title ends one. Numbers before words are as printed, and passed over."""
    blocks = [_Block([])]
    for raw in lines:
        line = raw.strip().removeprefix("\ufeff")
        if (not line or line.startswith(SHARE_TITLE)) and blocks[-1].words:
            blocks.append(_Block([]))
        if line.startswith(_HOSPITAL):
            blocks[-1].slug = line.removeprefix(_HOSPITAL).strip()
        elif line.startswith(_AUTHORITY):
            blocks[-1].authority_id = line.removeprefix(_AUTHORITY).strip()
        elif not line.startswith("#"):
            blocks[-1].words += [word.lower() for word in line.split() if not _NUMBERING.fullmatch(word)]
    return [block for block in blocks if block.words]


def _share(block: _Block, place: int) -> Share:
    """The share in a block. Raises IdentityWrong naming what is wrong with which word."""
    words = [_BY_PREFIX.get(word[:PREFIX_CHARS], "") for word in block.words]
    for number, (typed, word) in enumerate(zip(block.words, words, strict=True), 1):
        if not word or not (word == typed or word[: len(typed)] == typed):
            raise IdentityWrong(f"Word {number} of share {place} is not one of the list: it was mistyped.")
    if len(words) != SHARE_WORDS:
        raise IdentityWrong(f"Share {place} has {len(words)} words instead of {SHARE_WORDS}.")
    try:
        return Share.from_mnemonic(" ".join(words))
    except MnemonicError:
        wrong = _wrong_word([_PLACES[word] for word in words])
        which = "More than one word" if wrong is None else f"Word {wrong}"
        raise IdentityWrong(f"{which} of share {place} is another word of the list than the sheet has.") from None


def _wrong_word(places: list[int]) -> int | None:
    """Which single word, counted from 1, would make the checksum fit if it were another; None where no one does."""
    for position in range(len(places)):
        tried = places.copy()
        for word in range(len(WORDLIST)):
            tried[position] = word
            if verify_checksum(tried, CUSTOMIZATION_STRING_EXTENDABLE):
                return position + 1
    return None


def _joined(shares: Sequence[Share]) -> bytes:
    """The secret. Raises IdentityWrong for shares that do not belong together or are too few."""
    distinct: dict[int, Share] = {}
    for place, share in enumerate(shares, 1):
        if share.group_parameters() != shares[0].group_parameters():
            raise IdentityWrong(
                f"Share {place} is of another splitting than share 1: shares of different sets never fit together."
            )
        if distinct.setdefault(share.index, share) != share:
            raise IdentityWrong(f"Share {place} has the number of another one, and other words.")
    threshold, held = shares[0].member_threshold, list(distinct.values())
    if len(held) < threshold:
        missing = threshold - len(held)
        have = "1 share is" if len(held) == 1 else f"{len(held)} different shares are"
        raise IdentityWrong(
            f"{have} here, {threshold} are needed: {'one' if missing == 1 else missing} more."
        )
    try:
        # More than enough are all used: each must give the same.
        secrets: set[bytes] = {
            combine_mnemonics([share.mnemonic() for share in some])
            for some in (held[:threshold], held[len(held) - threshold :])
        }
    except MnemonicError:
        raise IdentityWrong("These shares do not fit each other.") from None
    if len(secrets) != 1:
        raise IdentityWrong("These shares do not fit each other.")
    return secrets.pop()


def _agreed(named: Iterable[str], what: str) -> str:
    """The one thing that all texts name; empty where none does. Raises IdentityWrong where they differ."""
    different = {each for each in named if each}
    if len(different) > 1:
        raise IdentityWrong(f"The shares name different things as their {what}.")
    return different.pop() if different else ""
