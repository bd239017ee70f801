"""Detection of personal data in free text, by rules. No I/O."""

from __future__ import annotations

import re

import phonenumbers

EMAIL, CARD, PHONE = CLASSES = ("email", "card", "phone")
"""Classes of personal data."""
LONGEST = 300
"""Characters of a text that are searched."""
FEWEST_DIGITS = 8
"""Digits of the shortest phone number that is recognised."""

_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}")
_CARD = re.compile(r"(?<!\d)[2-6](?:[ -]?\d){13,18}(?!\d)")


def personal_classes(text: str) -> list[str]:
    """Return the classes of personal data that a text contains, each once.

    A card number has 14 to 19 digits, begins with 2 to 6 and has a right check digit (Luhn). A phone number is in the
    international format, with a plus sign and a valid country code: other digits are more often item numbers.
    """
    text = text[:LONGEST]
    found = []
    if "@" in text and _EMAIL.search(text):
        found.append(EMAIL)
    if sum(map(str.isdecimal, text)) < FEWEST_DIGITS:
        return found
    if any(_has_check_digit(re.sub("[ -]", "", match)) for match in _CARD.findall(text)):
        found.append(CARD)
    if "+" in text and any(phonenumbers.PhoneNumberMatcher(text, None)):
        found.append(PHONE)
    return found


def _has_check_digit(digits: str) -> bool:
    """Return whether the last digit is right: the sum is a multiple of 10 if every second digit is doubled (Luhn)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0
