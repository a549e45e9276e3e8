"""Who else might this be? Likely duplicates, scored by what clerks compare: name, phone, relative, age, district.

Lost cards make duplicates, so a registration is held against what is already there. Nothing is merged here: a person
decides. A name must be alike before anything else counts, since a family shares its phone and its village.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from nirantar.workflows.patient_fields import PersonFields
from nirantar.workflows.patient_resource import age_in_years, fields_of, phone_of

LIKELY: Final = 5
"""A score from which a person is asked to decide."""
AGE_TOLERANCE_YEARS: Final = 2
SHOWN_MAX: Final = 8

# Devanagari consonants as the Latin letters that a clerk would type for them.
_CONSONANTS: Final = dict(zip(
    "कखगघङचछजझञटठडढणतथदधनपफबभमयरलवशषसहळ",
    ["k", "kh", "g", "gh", "n", "ch", "chh", "j", "jh", "n", "t", "th", "d", "dh", "n", "t", "th", "d", "dh", "n",
     "p", "ph", "b", "bh", "m", "y", "r", "l", "v", "sh", "sh", "s", "h", "l"],
    strict=True,
))
_VOWELS: Final = dict(zip(
    "अआइईउऊऋएऐओऔािीुूृेैोौंँ",
    ["a", "a", "i", "i", "u", "u", "ri", "e", "ai", "o", "au", "a", "i", "i", "u", "u", "ri", "e", "ai", "o", "au",
     "n", "n"],
    strict=True,
))
_VIRAMA: Final = "\u094d"
_NUKTA: Final = "\u093c"
_ALIKE: Final = (("chh", "c"), ("ch", "c"), ("sh", "s"), ("ph", "f"), ("w", "v"), ("z", "j"), ("q", "k"), ("x", "ks"))
_ASPIRATE: Final = re.compile(r"(?<=[kgjtdbr])h")
_VOWEL_LETTERS: Final = re.compile("[aeiouy]+")
_DOUBLED: Final = re.compile(r"(.)\1+")


@dataclass(frozen=True, slots=True)
class Likeness:
    """A person who may be the same: `score` grows with likeness, `why` names what agrees, in words."""

    patient: dict[str, Any]
    score: int
    why: tuple[str, ...]


def latin(text: str) -> str:
    """A name in lower-case Latin letters without accents; Devanagari as it is commonly written in Latin."""
    letters: list[str] = []
    for character in unicodedata.normalize("NFD", text):
        if character in _CONSONANTS:
            letters.append(_CONSONANTS[character] + "a")
        elif character in _VOWELS or character == _VIRAMA:
            if letters and letters[-1].endswith("a") and unicodedata.category(character) != "Lo" and \
                    character not in "ंँ":
                letters[-1] = letters[-1][:-1]
            letters.append(_VOWELS.get(character, ""))
        elif character != _NUKTA and unicodedata.category(character) != "Mn":
            letters.append(character.casefold())
    words = "".join(letters).split()
    # The last consonant's inherent vowel is not spoken: राम is Ram.
    return " ".join(word[:-1] if len(word) > 2 and _ends_bare(text, place) else word
                    for place, word in enumerate(words))


def skeleton(text: str) -> tuple[str, ...]:
    """A name's words as bare consonants, so that spellings and scripts of one name come out alike."""
    words = []
    for spelt in re.findall(r"[^\W\d_]+", latin(text)):
        word = spelt
        for long, short in _ALIKE:
            word = word.replace(long, short)
        first, rest = word[:1], _VOWEL_LETTERS.sub("", _ASPIRATE.sub("", word)[1:])
        initial = "a" if _VOWEL_LETTERS.fullmatch(first) else first
        words.append(_DOUBLED.sub(r"\1", initial + rest))
    return tuple(words)


def name_likeness(one: str, other: str) -> int:
    """4: the same words; 3: the words of one are among the other's; 2: the first words agree; 0: nothing does."""
    left, right = skeleton(one), skeleton(other)
    if not left or not right:
        return 0
    if sorted(left) == sorted(right):
        return 4
    shorter, longer = sorted((left, right), key=len)
    if set(shorter) <= set(longer):
        return 3
    return 2 if left[0] == right[0] else 0


def likely_duplicates(
    typed: PersonFields, candidates: Iterable[dict[str, Any]], today: date
) -> tuple[Likeness, ...]:
    """Candidates (Patient resources) that may be the person typed, likeliest first, at most SHOWN_MAX."""
    found = [_likeness(typed, candidate, today) for candidate in candidates if candidate.get("active", True)]
    likely = [each for each in found if each.score >= LIKELY]
    return tuple(sorted(likely, key=lambda each: -each.score)[:SHOWN_MAX])


def _likeness(typed: PersonFields, candidate: dict[str, Any], today: date) -> Likeness:
    known = fields_of(candidate)
    name = name_likeness(typed.name, known.name)
    if name == 0:
        return Likeness(candidate, 0, ())
    score, why = name, ["same name" if name == 4 else "similar name"]
    if typed.phone and typed.phone == phone_of(candidate):
        score, why = score + 3, [*why, "same phone"]
    if typed.relative_name and name_likeness(typed.relative_name, known.relative_name) >= 3:
        score, why = score + 2, [*why, "same relative"]
    difference = _age_difference(typed, candidate, today)
    if difference is not None and difference <= AGE_TOLERANCE_YEARS:
        score, why = score + 1, [*why, "about the same age"]
    elif difference is not None and difference > 10:
        score -= 2
    if typed.district and skeleton(typed.district) == skeleton(known.district):
        score, why = score + 1, [*why, "same district"]
    if {typed.gender, known.gender} == {"male", "female"}:
        score -= 2
    return Likeness(candidate, score, tuple(why))


def _age_difference(typed: PersonFields, candidate: dict[str, Any], today: date) -> int | None:
    known = age_in_years(candidate, today)
    if known is None:
        return None
    if typed.birth_date:
        return abs(today.year - int(typed.birth_date[:4]) - known)
    if typed.age.isdigit():
        return abs((int(typed.age) if typed.age_unit == "years" else 0) - known)
    return None


def _ends_bare(text: str, place: int) -> bool:
    words = unicodedata.normalize("NFD", text).split()
    return place < len(words) and words[place][-1] in _CONSONANTS
