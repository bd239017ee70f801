"""The form in which typed text and suggestions are compared, in any script. No I/O."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from inference.encoding.text import normalise_query
from inference.retrieval.tokens import singular, without_accents

_APOSTROPHES = "'’ʼ`´"
_KEPT = "+#"
"""Signs that distinguish words, such as `c++` from `c#`."""
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Scripts without spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""
_WORDS = re.compile(rf"[{_UNSPACED}]+|[^\s{_UNSPACED}]+")
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]")
LONGEST_RUN = 16
"""Characters of an unspaced run whose places are indexed as the starts of words."""


class _Signs(dict[int, str | None]):
    """Table for `str.translate`: letters, digits and marks stay, apostrophes vanish, other signs become spaces."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        if char in _APOSTROPHES:
            self[code] = None
        elif char in _KEPT or unicodedata.category(char)[0] in "LNM":
            self[code] = char
        else:
            self[code] = " "
        return self[code]


_signs = _Signs()


def match_key(text: str) -> str:
    """Return a text in NFKC and simplified characters, case-folded, without Latin accents and punctuation.

    >>> match_key("  Café-Crème, 250 g")
    'cafe creme 250 g'
    """
    return " ".join(without_accents(normalise_query(text)).translate(_signs).split())


def words_of(key: str) -> list[str]:
    """Return the words of a match key, in order. A run of an unspaced script is one word.

    >>> words_of("sony蓝牙耳机 black")
    ['sony', '蓝牙耳机', 'black']
    """
    return _WORDS.findall(key)


def is_unspaced(word: str) -> bool:
    """Return whether a word is a run of a script without spaces."""
    return _IS_UNSPACED.match(word) is not None


def indexed_words(key: str) -> set[str]:
    """Return the words under which a suggestion is found: its words, and two neighbours written together.

    In an unspaced run, every character may begin a word.

    >>> sorted(indexed_words("usb c cable"))
    ['c', 'cable', 'ccable', 'usb', 'usbc']
    """
    words = words_of(key)
    found = set(words)
    for word in words:
        if is_unspaced(word):
            found.update(word[at:] for at in range(1, min(len(word), LONGEST_RUN)))
    # A shopper who leaves a space out ("usbcable") finds the words that are written apart.
    found.update(map("".join, pairwise(words)))
    return found


def same_key(key: str) -> str:
    """Return what two spellings of one query share: the words of the match key, in singular.

    >>> same_key("usb cables") == same_key("usb cable")
    True
    """
    return " ".join(map(singular, words_of(key)))
