"""What a clerk types about a person, read and checked field by field: nothing is guessed, nothing is dropped.

A value is cleaned of what no eye sees (double spaces, decomposed letters) and digits of any script become ASCII.
What is wrong is collected, one plain sentence a field, so that the form comes back once and not field after field.
Source of the rules: hospital practice in India (age without a birth date is common; six-digit PIN; ten-digit
mobile numbers shared by families).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, fields
from datetime import date
from typing import Final

from nirantar.errors import FieldsInvalid

AGE_YEARS_MAX: Final = 130
NAME_CHARS_MAX: Final = 120
TEXT_CHARS_MAX: Final = 200

GENDERS: Final = {"female": "Female", "male": "Male", "other": "Other", "unknown": "Not known"}
RELATIONS: Final = {"S/o": "son of", "D/o": "daughter of", "W/o": "wife of", "C/o": "care of"}
AGE_UNITS: Final = {"years": ("a", AGE_YEARS_MAX), "months": ("mo", 36), "days": ("d", 90)}
"""Unit to its UCUM code and the largest number that is sensible in it."""
CATEGORIES: Final = {
    "general": "General", "bpl": "BPL (below poverty line)", "pm-jay": "PM-JAY (Ayushman Bharat)", "cghs": "CGHS",
    "echs": "ECHS", "staff": "Hospital staff",
}
LANGUAGES: Final = {
    "hi": "हिन्दी Hindi", "en": "English", "as": "অসমীয়া Assamese", "bn": "বাংলা Bengali", "gu": "ગુજરાતી Gujarati",
    "kn": "ಕನ್ನಡ Kannada", "ks": "کٲشُر Kashmiri", "mai": "मैथिली Maithili", "ml": "മലയാളം Malayalam",
    "mr": "मराठी Marathi", "ne": "नेपाली Nepali", "or": "ଓଡ଼ିଆ Odia", "pa": "ਪੰਜਾਬੀ Punjabi", "ta": "தமிழ் Tamil",
    "te": "తెలుగు Telugu", "ur": "اُردُو Urdu",
}

# Joiners that Indic scripts spell with; every other invisible character in a name is a mistake or a trick.
_JOINERS: Final = "\u200c\u200d"
_NAME_MARKS: Final = " .'’-/()~," + _JOINERS
_PHONE_PREFIX: Final = re.compile(r"(?:\+?91|0)(?=[0-9]{10}$)")
_DAY_FIRST: Final = re.compile(r"([0-9]{1,2})[-/. ]([0-9]{1,2})[-/. ]([0-9]{4})")
_YEAR_FIRST: Final = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")
_LETTER_MISSING: Final = "Write the name with letters, in any script."


@dataclass(frozen=True, slots=True)
class PersonFields:
    """A person as typed: every field is text, empty when it was left empty. `unidentified` is "yes" or empty."""

    name: str = ""
    unidentified: str = ""
    relation: str = ""
    relative_name: str = ""
    gender: str = ""
    birth_date: str = ""
    age: str = ""
    age_unit: str = "years"
    phone: str = ""
    address: str = ""
    district: str = ""
    state: str = ""
    pin: str = ""
    language: str = ""


PERSON_FIELDS: Final = tuple(each.name for each in fields(PersonFields))


def cleaned(text: str) -> str:
    """Composed letters, single spaces, no spaces at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).split(" ")).strip()


def ascii_digits(text: str) -> str:
    """Digits of any script as 0-9; all else as it is."""
    return "".join(
        str(unicodedata.decimal(character)) if unicodedata.category(character) == "Nd" else character
        for character in text
    )


def phone_digits(text: str) -> str:
    """A phone number as typed, without spaces, hyphens and the country's prefix."""
    digits = re.sub(r"[\s().-]", "", ascii_digits(text))
    return _PHONE_PREFIX.sub("", digits)


def check_person(typed: PersonFields, today: date) -> PersonFields:
    """The same fields cleaned: birth date as YYYY-MM-DD (or YYYY), phone as ten digits, digits in ASCII.

    Raises FieldsInvalid with a sentence for each field that cannot stay as it is.
    """
    wrong: dict[str, str] = {}
    kept = {name: _spaces(getattr(typed, name)) for name in PERSON_FIELDS}
    for name, text in kept.items():
        if (sentence := _unprintable(text)) is not None:
            wrong[name] = sentence
    _check_names(kept, wrong)
    _check_chosen(kept, wrong)
    _check_birth(kept, wrong, today)
    _check_contact(kept, wrong)
    if wrong:
        raise FieldsInvalid({name: wrong[name] for name in PERSON_FIELDS if name in wrong})
    return PersonFields(**kept)


def check_text(text: str, what: str, chars_max: int = TEXT_CHARS_MAX) -> str | None:
    """Why `text` cannot be `what` ("department"), as a sentence; None when it can."""
    if (sentence := _unprintable(text)) is not None:
        return sentence
    if len(text) > chars_max:
        return f"Shorten the {what} to {chars_max} characters; it has {len(text)}."
    return None


def _spaces(text: str) -> str:
    return cleaned(text.replace("\t", " ").replace("\u00a0", " "))


def _unprintable(text: str) -> str | None:
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn") and character not in _JOINERS:
            return "Remove the invisible control character; type the text instead of pasting it."
    return None


def _name_problem(text: str) -> str | None:
    if len(text) > NAME_CHARS_MAX:
        return f"Shorten the name to {NAME_CHARS_MAX} characters; it has {len(text)}."
    if not any(unicodedata.category(character).startswith("L") for character in text):
        return _LETTER_MISSING
    for character in text:
        if unicodedata.category(character)[0] not in "LMN" and character not in _NAME_MARKS:
            return "A name has letters, spaces, dots, hyphens and apostrophes; remove the other characters."
    return None


def _check_names(kept: dict[str, str], wrong: dict[str, str]) -> None:
    if not kept["name"] and kept["unidentified"] != "yes":
        wrong["name"] = "Write the patient’s name, or tick that the patient cannot be identified."
    for field in ("name", "relative_name"):
        if kept[field] and field not in wrong and (sentence := _name_problem(kept[field])) is not None:
            wrong[field] = sentence
    if kept["relation"] and kept["relation"] not in RELATIONS:
        wrong.setdefault("relation", f"Choose one of {', '.join(RELATIONS)}.")
    if kept["relation"] and not kept["relative_name"]:
        wrong.setdefault("relative_name", "Write the relative’s name, or leave the relation empty.")
    if kept["relative_name"] and not kept["relation"]:
        wrong.setdefault("relation", "Choose how the relative is related, or leave the relative’s name empty.")


def _check_chosen(kept: dict[str, str], wrong: dict[str, str]) -> None:
    if kept["gender"] not in GENDERS:
        wrong.setdefault("gender", "Choose the sex; “Not known” is a choice.")
    if kept["language"] and kept["language"] not in LANGUAGES:
        wrong.setdefault("language", "Choose a language from the list, or none.")
    if kept["unidentified"] not in ("", "yes"):
        wrong.setdefault("unidentified", "Tick the box or leave it empty.")


def _check_birth(kept: dict[str, str], wrong: dict[str, str], today: date) -> None:
    kept["birth_date"], kept["age"] = ascii_digits(kept["birth_date"]), ascii_digits(kept["age"])
    if kept["birth_date"] and kept["age"]:
        wrong.setdefault("age", "Give the birth date or the age, not both.")
    elif kept["birth_date"]:
        found = _birth_date(kept["birth_date"], today)
        if isinstance(found, date):
            kept["birth_date"] = found.isoformat()
        elif found:
            wrong.setdefault("birth_date", found)
    elif kept["age"]:
        _check_age(kept, wrong)
    elif kept["unidentified"] != "yes":
        wrong.setdefault("age", "Give the birth date, or the age if the date is not known.")


def _check_age(kept: dict[str, str], wrong: dict[str, str]) -> None:
    if kept["age_unit"] not in AGE_UNITS:
        wrong.setdefault("age_unit", "Choose years, months or days.")
        return
    _, largest = AGE_UNITS[kept["age_unit"]]
    if not (kept["age"].isascii() and kept["age"].isdigit()) or len(kept["age"]) > 4:
        wrong.setdefault("age", "Write the age as a whole number, for example 45.")
    elif int(kept["age"]) == 0:
        wrong.setdefault("age", "For a baby born today give the birth date, or the age in days.")
    elif int(kept["age"]) > largest:
        wrong.setdefault("age", f"An age in {kept['age_unit']} is at most {largest}; check the number and the unit.")
    else:
        kept["age"] = str(int(kept["age"]))


def _birth_date(text: str, today: date) -> date | str:
    """The date that was typed, "" for a bare year that may stand as it is, or the sentence that says what is wrong."""
    if re.fullmatch("[0-9]{4}", text):
        return _implausible_year(int(text), today.year)
    if (found := _DAY_FIRST.fullmatch(text)) is not None:
        day, month, year = (int(part) for part in found.groups())
    elif (found := _YEAR_FIRST.fullmatch(text)) is not None:
        year, month, day = (int(part) for part in found.groups())
    else:
        return "Write the birth date as day-month-year, for example 27-03-1974, or only the year."
    try:
        born = date(year, month, day)
    except ValueError:
        return "There is no such day in the calendar; check day and month."
    if born > today:
        return "The birth date is in the future; check the year."
    return _implausible_year(year, today.year) or born


def _implausible_year(year: int, this_year: int) -> str:
    if year > this_year:
        return "The birth date is in the future; check the year."
    if this_year - year > AGE_YEARS_MAX:
        return f"The birth date makes the patient older than {AGE_YEARS_MAX} years; check the year."
    return ""


def _check_contact(kept: dict[str, str], wrong: dict[str, str]) -> None:
    if kept["phone"]:
        kept["phone"] = phone_digits(kept["phone"])
        if not re.fullmatch("[0-9]{10}", kept["phone"]):
            wrong.setdefault("phone", "A phone number has 10 digits; leave it empty if there is none.")
    if kept["pin"]:
        kept["pin"] = ascii_digits(kept["pin"]).replace(" ", "")
        if not re.fullmatch("[1-9][0-9]{5}", kept["pin"]):
            wrong.setdefault("pin", "A PIN code has 6 digits and does not begin with 0.")
    for field in ("address", "district", "state"):
        if len(kept[field]) > TEXT_CHARS_MAX:
            wrong.setdefault(field, f"Shorten this to {TEXT_CHARS_MAX} characters; it has {len(kept[field])}.")
