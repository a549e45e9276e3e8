"""Shares: what is wrong is named by share and word, and no word is ever quoted."""

from __future__ import annotations

from itertools import pairwise

import pytest
from shamir_mnemonic import generate_mnemonics

from nirantar.continuity import shares, sheet_rows
from nirantar.continuity.identity import RecoveryIdentity
from nirantar.continuity.sheet_rows import Rows
from nirantar.errors import IdentityWrong, InvalidInput
from nirantar.tlog.note import Signer
from nirantar.vault.encryption import new_identity

IDENTITY = RecoveryIdentity(new_identity()[0], Signer("nirantar.city-hospital/authority", b"s" * 32))
MADE = shares.split(IDENTITY, "City Hospital", shares=5, threshold=3)
TEXTS = [share.text.decode() for share in MADE]


def same(found: RecoveryIdentity) -> bool:
    """Whether both secrets came back, under the same name."""
    return (found.age_identity, found.authority.skey) == (IDENTITY.age_identity, IDENTITY.authority.skey)


def refused(*texts: str, slug: str = "") -> str:
    """The sentence with which shares are refused; it quotes nothing of what was given."""
    with pytest.raises(IdentityWrong) as error:
        shares.combine(texts, slug=slug)
    sentence = str(error.value)
    given = [word for text in texts for line in text.splitlines() if not line.startswith("#") for word in line.split()]
    assert not [pair for pair in pairwise(given) if " ".join(pair) in sentence]
    assert "zzzz" not in sentence
    return sentence


def words(place: int) -> list[str]:
    """A share's words."""
    return list(MADE[place].words)


def test_enough_shares_give_the_identity_back() -> None:
    """Three of five, four, or all; in one text or in several; with a share twice."""
    assert same(shares.combine([TEXTS[4], TEXTS[0], TEXTS[2]]))
    assert same(shares.combine(["".join(TEXTS)]))
    assert same(shares.combine(["\n\n".join(TEXTS[1:]), TEXTS[1]]))


def test_shares_are_typed_as_printed() -> None:
    """Numbers before words, capitals, line breaks anywhere, and four letters of each word."""
    numbered = ["\n".join(f"{n}. {word.upper()}" for n, word in enumerate(words(place), 1)) for place in (0, 1)]
    short = " ".join(word[:4] for word in words(3))
    assert same(shares.combine(["\n\n".join([*numbered, short])], slug="city-hospital"))
    assert same(shares.combine([TEXTS[0], *numbered[1:], short]))


def test_the_numbers_have_bounds() -> None:
    """From two of two to sixteen of sixteen; the sentence gives the bounds."""
    assert len(shares.split(IDENTITY, "H", shares=16, threshold=16)) == 16
    assert len(shares.split(IDENTITY, "H", shares=2, threshold=2)) == 2
    for count, threshold in ((1, 1), (5, 1), (3, 4), (17, 3), (0, 0), (5, -1)):
        with pytest.raises(InvalidInput, match="at most 16 shares"):
            shares.split(IDENTITY, "H", shares=count, threshold=threshold)


def test_one_share_too_few_is_counted() -> None:
    """Also when one of them is there twice."""
    assert "2 different shares are here, 3 are needed: one more." in refused(*TEXTS[:2])
    assert "1 share is here, 3 are needed: 2 more." in refused(TEXTS[0], TEXTS[0])
    assert "There is no share here" in refused("", "# nothing\n")


def test_a_word_that_is_none_is_named_by_its_place() -> None:
    """Not on the list, or cut to three letters."""
    for wrong in ("zzzz", words(1)[17][:3], words(1)[17][:4] + "zzz"):
        changed = [*words(1)[:17], wrong, *words(1)[18:]]
        assert refused(TEXTS[0], " ".join(changed)).startswith("Word 18 of share 2 is not one of the list")


@pytest.mark.parametrize("place", [0, 4, 30, 58])
def test_a_word_taken_for_another_of_the_list_is_found(place: int) -> None:
    """The checksum tells which single word is wrong, wherever it stands."""
    changed = words(2)
    changed[place] = "yoga" if changed[place] != "yoga" else "zero"
    assert refused(TEXTS[0], " ".join(changed)).startswith(f"Word {place + 1} of share 2 is another word of the list")


def test_several_wrong_words_are_told_as_such() -> None:
    """Two exchanged words: no single one is to blame."""
    changed = words(2)
    changed[10], changed[40] = ("yoga", "zero") if changed[10] != "yoga" else ("zero", "yoga")
    assert refused(" ".join(changed)).startswith("More than one word of share 1")


def test_a_word_too_few_or_too_many_is_counted() -> None:
    """The count is told, not a checksum."""
    assert "Share 1 has 58 words instead of 59." in refused(" ".join(words(0)[:-1]))
    assert "Share 1 has 60 words instead of 59." in refused(" ".join([*words(0), "yoga"]))


def test_shares_of_different_sets_never_join() -> None:
    """Another splitting of the same identity, or another secret altogether, is named."""
    again = shares.split(IDENTITY, "City Hospital", shares=5, threshold=3)
    assert "Share 3 is of another splitting than share 1" in refused(*TEXTS[:2], again[2].text.decode())
    ((other, _),) = generate_mnemonics(1, [(2, 2)], b"x" * 64)
    assert "another splitting" in refused(TEXTS[0], other)


def test_the_result_is_compared_with_what_the_sheets_name() -> None:
    """Another hospital's name gives another key, which is refused; without a name there is a sentence."""
    assert "is the hospital's name right?" in refused(*TEXTS[:3], slug="another-hospital")
    bare = [" ".join(words(place)) for place in (0, 1, 2)]
    assert "--hospital NAME" in refused(*bare)
    assert same(shares.combine(bare, slug="city-hospital"))
    assert "different things as their hospital" in refused(
        TEXTS[0], TEXTS[1], TEXTS[2].replace("city-hospital", "other")
    )


def test_a_share_does_not_show_itself() -> None:
    """A traceback prints no word."""
    assert not any(word in repr(MADE[0]) for word in MADE[0].words)


def test_shares_are_told_from_sheets() -> None:
    """A text of shares is one; an identity's file and a sheet's text are not."""
    assert shares.are_shares(TEXTS[0])
    assert not shares.are_shares(IDENTITY.encode("City Hospital").decode())
    rows = sheet_rows.write(Rows("city-hospital", IDENTITY.age_identity, IDENTITY.authority.seed))
    assert not shares.are_shares("\n".join(row.text for row in rows).lower())
    assert not shares.are_shares("")
