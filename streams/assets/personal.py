"""Detection of personal data in free text, by rules. No I/O."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice

import phonenumbers

EMAIL, CARD, PHONE, ADDRESS = CLASSES = ("email", "card", "phone", "address")
"""Classes of personal data."""
LONGEST = 300
"""Characters of a text that are searched."""
FEWEST_DIGITS = 8
"""Digits of the shortest phone number that is recognised."""
MOST_PHONES = 3
"""Sequences of digits behind a plus sign that are compared with the formats of phone numbers."""
FEWEST_DIGITS_OF_ADDRESS = 3
"""One of the street, and two of a British postcode."""

_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}")
# A street and a number, in the order of the language. Street names alone are in titles: "Wall Street poster".
_STREETS = re.compile(
    r"(?<![\d.])[1-9]\d{0,4}[A-Za-z]?,? (?:[A-Z][a-z'.-]+ ){1,3}"
    r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive,|Court|Boulevard|Blvd|Way|Close)(?![\w-])"
    r"|\b[A-ZÄÖÜ][\wäöüß-]*(?: ?[Ss]tra(?:ß|ss)e|str\.|weg|platz|allee|gasse|ring|damm|straat|laan|gracht)"
    r" \d{1,4} ?[a-z]?\b"
    r"|\b\d{1,4}(?: ?(?:bis|ter))?,? (?:rue|avenue|boulevard|place|chemin|impasse|allée|quai) [\w'’ -]{3,40}?"
    r"|\b(?:Calle|Avenida|Av\.|Plaza|Rua|Via|Viale|Piazza) [\w'.ºª -]{3,30},? (?:n\.?º? ?)?\d{1,4}\b"
)
_POSTCODES = re.compile(
    r"\b[A-Z]{2},? \d{5}(?:-\d{4})?\b"  # a US state and ZIP code
    r"|\b[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}\b"  # United Kingdom
    r"|\b[A-Z]\d[A-Z] ?\d[A-Z]\d\b"  # Canada
    r"|\b(?:NSW|VIC|QLD|WA|SA|TAS|ACT|NT),? \d{4}\b"  # Australia
    r"|(?:^|[\s,;-])\d{4,5}(?: [A-Z]{2})? [A-ZÄÖÜÉ][a-zäöüßéèç]{2,}"  # continental Europe: a code and a town
)
_CHINESE = re.compile(r"[省市区區县縣镇鎮].{0,12}[路街道巷弄村].{0,6}?\d{1,5} ?[号號弄]")
_INTERNATIONAL = re.compile(r"\+ ?(?:\d[ ()./-]{0,3}){8,15}")
_CARD = re.compile(r"(?<!\d)[2-6](?:[ -]?\d){13,18}(?!\d)")


def personal_classes(text: str) -> tuple[str, ...]:
    """Return the classes of personal data that a text contains, each once.

    A card number has 14 to 19 digits, begins with 2 to 6 and has a right check digit (Luhn). A phone number is in the
    international format, with a plus sign and a valid country code: other digits are more often item numbers. An
    address has a street with a number and a postcode, or in Chinese a district, a road and a number.
    """
    return _classes(text[:LONGEST])


@lru_cache(maxsize=2**12)
def _classes(text: str) -> tuple[str, ...]:
    found = []
    digits = sum(map(str.isdecimal, text))
    if digits and _has_address(text, digits):
        found.append(ADDRESS)
    if "@" in text and _EMAIL.search(text):
        found.append(EMAIL)
    if digits < FEWEST_DIGITS:
        return tuple(found)
    if any(_has_check_digit(re.sub("[ -]", "", match)) for match in _CARD.findall(text)):
        found.append(CARD)
    # The matcher takes milliseconds for a long text of plus signs and digits, and events wait.
    candidates = islice(_INTERNATIONAL.findall(text), MOST_PHONES)
    if any(any(phonenumbers.PhoneNumberMatcher(each, None)) for each in candidates):
        found.append(PHONE)
    return tuple(found)


def _has_address(text: str, digits: int) -> bool:
    if any(sign in text for sign in "号號弄") and _CHINESE.search(text):
        return True
    if digits < FEWEST_DIGITS_OF_ADDRESS or (street := _STREETS.search(text)) is None:
        return False
    # The postcode is beside the street: a number of five digits in the street is no postcode.
    start, end = street.span()
    return any(code.end() <= start or code.start() >= end for code in _POSTCODES.finditer(text))


def _has_check_digit(digits: str) -> bool:
    """Return whether the last digit is right: the sum is a multiple of 10 if every second digit is doubled (Luhn)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0
