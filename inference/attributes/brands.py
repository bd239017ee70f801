"""The brands of a catalogue, and which of them a title names. No I/O.

A brand is known once FEWEST_ITEMS items have it in their own field. Titles name it within the first LEADING words:
`Fjell GTX trail shoe`, `New: Fjell trail shoe`. Further back, a brand is mostly another product's, as in `toner for
Brother printers`.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final, NamedTuple

from inference.plain_text import has_words, readable

FEWEST_ITEMS: Final = 2
LEADING: Final = 4
MOST_WORDS: Final = 4
"""Most words of a brand that is looked for."""
_WORD: Final = re.compile(r"[\w&'’.+-]{1,64}")
_OUTER: Final = "&'’.+-"
_FOR: Final = frozenset({"for", "für", "compatible", "fits", "passend", "kompatibel", "suitable", "适用"})
"""Words before another maker's brand."""


def brand_words(text: str) -> tuple[str, ...]:
    """Return the words of a brand or title, in lower case, without punctuation around them.

    >>> brand_words("Black & Decker"), brand_words("be quiet!")
    (('black', 'decker'), ('be', 'quiet'))
    """
    return tuple(word for word in (each.strip(_OUTER) for each in _WORD.findall(text.casefold())) if word)


class Brand(NamedTuple):
    """A known brand: its words, and its most frequent spelling, ties by text."""

    words: tuple[str, ...]
    spelling: str


class Brands:
    """Counts the brands of items, and finds them in titles. The result depends on the current items only."""

    def __init__(self) -> None:
        self._spellings: dict[tuple[str, ...], Counter[str]] = {}

    def add(self, brand: str | None) -> tuple[str, ...] | None:
        """Count an item's brand. Return its words if it is known from now on."""
        words = _words_of(brand)
        if words is None or brand is None:
            return None
        spellings = self._spellings.setdefault(words, Counter())
        spellings[readable(brand)] += 1
        return words if spellings.total() == FEWEST_ITEMS else None

    def remove(self, brand: str | None) -> tuple[str, ...] | None:
        """Count an item's brand no longer. Return its words if it is unknown from now on."""
        words = _words_of(brand)
        if words is None or brand is None or words not in self._spellings:
            return None
        spellings = self._spellings[words]
        spellings[readable(brand)] -= 1
        left = spellings.total()
        if left <= 0:
            del self._spellings[words]
        return words if left == FEWEST_ITEMS - 1 else None

    def spelling(self, words: tuple[str, ...]) -> str | None:
        """Return the most frequent spelling of a known brand, None for an unknown one."""
        spellings = self._spellings.get(words)
        if spellings is None or spellings.total() < FEWEST_ITEMS:
            return None
        return max(spellings, key=lambda each: (spellings[each], each))

    def find(self, title: str) -> Brand | None:
        """Return the first known brand that begins within the first LEADING words of a title, the longest there."""
        return self.find_in(leading_words(title))

    def find_in(self, words: tuple[str, ...]) -> Brand | None:
        """Return the known brand in a title's `leading_words`."""
        for at in range(min(LEADING, len(words))):
            if words[at] in _FOR:
                return None
            # The longest first: `Black & Decker` must not be found as a brand `Black`.
            for length in range(min(MOST_WORDS, len(words) - at), 0, -1):
                spelling = self.spelling(words[at : at + length])
                if spelling is not None:
                    return Brand(words[at : at + length], spelling)
        return None


def leading_words(title: str) -> tuple[str, ...]:
    """Return as many words of a title as `Brands.find` reads."""
    found = []
    for each in _WORD.finditer(title.casefold()):
        word = each[0].strip(_OUTER)
        if word:
            found.append(word)
            if len(found) == LEADING + MOST_WORDS - 1:
                break
    return tuple(found)


def _words_of(brand: str | None) -> tuple[str, ...] | None:
    """Return the words of a brand that can be looked for, None otherwise. A number alone is no brand."""
    if brand is None or not has_words(brand) or len(brand) > 100:
        return None
    words = brand_words(readable(brand))
    return words if words and len(words) <= MOST_WORDS and not all(map(str.isdigit, words)) else None
