"""Tokenisation of texts for the word index, the same for items and for queries. No I/O.

A text is freed of markup, converted to NFKC and to simplified Chinese characters, and case-folded. Its words are runs
of Unicode letters and digits, with the punctuation inside them. A word has readings, each a sequence of tokens; the
first reading is the word itself.
`wh-1000xm4` is also `wh1000xm4`, `wh 1000xm4` and `wh 1000 xm 4`. So some reading of a model number matches one of the
item's, however a shopper types it.

Chinese and Japanese have no spaces. Each pair of neighbouring characters is a word, and each character is another
(Nie, Gao, Zhang & Zhou 2000, doi:10.1145/355214.355235). The pairs find the words without a dictionary, so new brands
and products are found as well; the characters find items by one character and by words that are not adjacent in them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

from inference.chinese import simplified
from inference.plain_text import readable, without_joiners

Reading = tuple[str, ...]
"""Tokens that together stand for a word."""

Word = tuple[Reading, ...]
"""The readings of one word, the word itself first."""

_UNSPACED = (
    r"[\u3005-\u3007\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0003ffff]"
)
"""A character of Chinese or Japanese: ideographs and kana, without the middle dot, which separates words."""
_IS_UNSPACED = re.compile(_UNSPACED)
_WORDS = re.compile(rf"{_UNSPACED}+|(?:(?!{_UNSPACED})[^\W_])+(?:[-./&+_'’:](?:(?!{_UNSPACED})[^\W_])+)*")
_PUNCTUATION = re.compile(r"[\W_]+")
_ATOMS = re.compile(r"\d+|[^\W\d_]+")
_POSSESSIVE = re.compile(r"['’]s?(?!\w)")
_ACCENTED_LATIN = re.compile(r"([a-z])[\u0300-\u036f]+")
_SIGNS = str.maketrans(dict.fromkeys("™®©℠", " "))
"""Signs that become spaces. NFKC would turn some of them into letters."""
_MAX_WORD = 64
"""Greatest length of a word between spaces. Longer ones are cut: shoppers do not type them, and tokens take memory."""


def words(text: str) -> list[Word]:
    """Return the words of a text, in order.

    >>> words("Sony WH-1000XM4 headphones")
    [(('sony',),), (('wh-1000xm4',), ('wh1000xm4',), ('wh', '1000xm4'), ('wh', '1000', 'xm', '4')), (('headphone',),)]
    >>> words("运动鞋")
    [(('运动',),), (('动鞋',),), (('运',),), (('动',),), (('鞋',),)]
    """
    folded = unicodedata.normalize("NFKC", without_joiners(readable(text)).translate(_SIGNS)).casefold()
    found = list[Word]()
    for run in _WORDS.findall(_POSSESSIVE.sub("", simplified(without_accents(folded)))):
        if _IS_UNSPACED.match(run):
            found += unspaced_words(run)
        else:
            found.append(readings(run[:_MAX_WORD]))
    return found


def without_accents(folded: str) -> str:
    """Return a case-folded text in NFKC without the accents of Latin letters. Other scripts keep their marks.

    >>> without_accents("crème brûlée")
    'creme brulee'
    """
    if folded.isascii():
        return folded
    return unicodedata.normalize("NFKC", _ACCENTED_LATIN.sub(r"\1", unicodedata.normalize("NFKD", folded)))


def unspaced_words(run: str) -> list[Word]:
    """Return the words of a folded run of Chinese or Japanese: the pairs of neighbouring characters, then each one."""
    return [((token,),) for token in (*map("".join, pairwise(run)), *run)]


@lru_cache(maxsize=65_536)
def readings(word: str) -> Word:
    """Return the readings of one folded word of a script with spaces."""
    parts = tuple(part for part in _PUNCTUATION.split(word) if part)
    several = ((word,), ("".join(parts),), parts, tuple(atom for part in parts for atom in _ATOMS.findall(part)))
    return tuple(dict.fromkeys(tuple(map(singular, reading)) for reading in several if reading))


def singular(token: str) -> str:
    """Fold an English plural: the S stemmer of Harman 1991 with `es` dropped after a sibilant. Other words stay.

    Nothing else is folded: a stronger stemmer confuses different words of a shop. Harman 1991,
    doi:10.1002/(SICI)1097-4571(199101)42:1<7::AID-ASI2>3.0.CO;2-P.

    >>> [singular(word) for word in ("batteries", "watches", "cables", "glass", "bus", "xs")]
    ['battery', 'watch', 'cable', 'glass', 'bus', 'xs']
    """
    if len(token) < 4 or not (token.isascii() and token.isalpha()) or not token.endswith("s"):
        return token
    if token.endswith("ies") and token[-4] not in "ae":
        return token[:-3] + "y"
    if token.endswith(("xes", "ches", "shes", "sses", "zzes")):
        return token[:-2]
    return token if token.endswith(("us", "ss", "is")) else token[:-1]
