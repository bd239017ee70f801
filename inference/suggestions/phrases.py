"""Phrases of the catalogue that make useful queries: categories, brands, attributes, and phrases of titles. No I/O.

A phrase of titles is a run of 1 to 4 words that several items share. It is dropped if a longer phrase has nearly all of
its items, as `ethernet` beside `ethernet cable`. It must not end with a word that seldom ends a part of a title, nor
begin with a word that never ends one and that anything may follow. So `cable with` and `for samsung` are left out, in
any language and without a list of stop words.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.encoding.text import written_query
from inference.records import PhraseKind
from inference.retrieval.tokens import singular
from inference.suggestions.keys import is_unspaced
from inference.types import Item

Numbers = npt.NDArray[np.int64]

LONGEST = 4
"""Most words of a phrase."""
FEWEST_ITEMS = 2
CLOSED = 0.9
"""Share of a phrase's items with a longer phrase from which on only the longer one is kept."""
ENDS = 0.02
"""Least share of a word's occurrences at the end of a part of a title, for a word that may end a phrase."""
EVER_ENDS, LEADS = 0.005, 0.2
"""A word may begin a phrase if it ends a part with the first share, or if it begins one or precedes one word with the
second share."""
CATEGORY, BRAND, BRANDED, ATTRIBUTE, TITLE = 1.0, 1.0, 0.7, 0.5, 0.4
"""Weights of phrases: a category's name is searched for more often than a phrase of a title. BRANDED is for a category
of a brand."""
_PARTS = re.compile(r"[,;|()\[\]{}/\"“”]+|\s[-–—:+&]+\s|:\s")
_OUTER = ".,;:!?*'’-–—_&"
_BREAK = -1
"""The number that stands between two parts."""


class Phrase(NamedTuple):
    """A phrase of the catalogue, its kind and weight, and the places of its items in the catalogue."""

    text: str
    kind: PhraseKind
    weight: float
    items: Numbers


class TitleWords:
    """Numbers of the words of titles. They are kept from one build to the next, because most titles stay."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._numbers: dict[str, int] = {}
        self._titles: dict[str, tuple[int, ...]] = {}

    def read(self, titles: Iterable[str]) -> list[tuple[int, ...]]:
        """Return the numbers of each title's words, with _BREAK after each part. Other titles are forgotten."""
        known, self._titles = self._titles, {}
        found = []
        for title in titles:
            # `or` splits no title twice: each has at least one _BREAK.
            numbers = self._titles[title] = known.get(title) or self._split(title)
            found.append(numbers)
        return found

    def _split(self, title: str) -> tuple[int, ...]:
        numbers = []
        for part in _PARTS.split(written_query(title)):
            words = [word for word in (each.strip(_OUTER) for each in part.split()) if word]
            for word in words:
                if word not in self._numbers:
                    self._numbers[word] = len(self.words)
                    self.words.append(word)
                numbers.append(self._numbers[word])
            numbers.append(_BREAK)
        return tuple(numbers)


def label_phrases(items: Sequence[Item]) -> list[Phrase]:
    """Return categories, brands, brands of categories, and attributes of categories."""
    places: dict[tuple[str, PhraseKind, float], dict[int, None]] = defaultdict(dict)
    for place, item in enumerate(items):
        label, brand = item.label, item.brand
        texts: list[tuple[str, PhraseKind, float]] = [(category, "category", CATEGORY) for category in item.category]
        if brand:
            texts.append((brand, "brand", BRAND))
            if label:
                texts.append((f"{brand} {label}", "brand", BRANDED))
        if label:
            texts += [(f"{value} {label}", "attribute", ATTRIBUTE) for value in item.attributes.values()]
        for text in texts:
            places[text][place] = None
    return [
        Phrase(text, kind, weight, np.fromiter(held, np.int64, len(held)))
        for (text, kind, weight), held in places.items()
        if weight >= BRAND or len(held) >= FEWEST_ITEMS
    ]


def title_phrases(titles: Sequence[str], words: TitleWords, most: int) -> list[Phrase]:
    """Return the phrases of titles that the most items have, at most `most`, ties by text."""
    each = words.read(titles)
    lengths = np.array([len(numbers) for numbers in each], np.int64)
    tokens = np.fromiter((number for numbers in each for number in numbers), np.int64, int(lengths.sum()))
    levels = _levels(tokens, np.repeat(np.arange(len(titles)), lengths), len(words.words))
    found = []
    for level in levels:
        for number in level.kept.nonzero()[0].tolist():
            phrase = [words.words[each] for each in level.words_of(number, tokens)]
            if _is_query(phrase):
                found.append((-int(level.counts[number]), " ".join(phrase), level, number))
    found.sort(key=itemgetter(0, 1))
    return [Phrase(text, "title", TITLE, level.items_of(number)) for _, text, level, number in found[:most]]


@dataclass(slots=True, eq=False)
class _Level:
    """The phrases of one length that several items have, by number.

    Attributes:
        length: words of a phrase.
        at: the number of the phrase that begins at each token, -1 without one, (tokens + 1,).
        first: the token at which each phrase begins first, (n,).
        items: the items of each phrase, one phrase after the other.
        counts: the number of items of each phrase, (n,).
        ends: the end of each phrase's items in `items`, (n,).
        kept: whether each phrase is useful, (n,).
    """

    length: int
    at: Numbers
    first: Numbers
    items: Numbers
    counts: Numbers
    ends: Numbers
    kept: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, length: int, codes: Numbers, owners: Numbers) -> _Level:
        """Return the phrases with the same codes; `codes` has that of the phrase at each token, -1 for none."""
        (places,) = (codes >= 0).nonzero()
        _, first, numbers = np.unique(codes[places], return_index=True, return_inverse=True)
        # An item that repeats a phrase counts once.
        span = int(owners[-1]) + 1
        # One number for each pair of a phrase and an item, so that `unique` drops the repeats.
        pairs = np.unique(numbers * span + owners[places])
        counts = np.bincount(pairs // span, minlength=len(first))
        frequent = counts >= FEWEST_ITEMS
        # Phrases of one item alone lose their number. So a longer phrase can only grow from one that several items
        # have, and the numbers of all levels stay small enough for `codes`.
        renumbered = np.where(frequent, np.cumsum(frequent) - 1, -1)
        at = np.full(len(codes) + 1, -1, np.int64)
        at[places] = renumbered[numbers]
        items = (pairs % span)[frequent[pairs // span]]
        counts = counts[frequent]
        return cls(
            length, at, places[first][frequent], items, counts, np.cumsum(counts), np.ones(len(counts), np.bool_)
        )

    def drop_parts_of(self, longer: _Level) -> None:
        """Drop the phrases whose items nearly all have the same longer phrase."""
        (places,) = (longer.at >= 0).nonzero()
        most = np.zeros(len(self.counts), np.int64)
        # A longer phrase contains a shorter one at its own token and at the next. Both are frequent, because their
        # items include those of the longer one, so their numbers are not -1.
        for shift in (0, 1):
            np.maximum.at(most, self.at[places + shift], longer.counts[longer.at[places]])
        self.kept &= most < CLOSED * self.counts

    def words_of(self, number: int, tokens: Numbers) -> Numbers:
        """Return the words of a phrase."""
        return tokens[self.first[number] : self.first[number] + self.length]

    def items_of(self, number: int) -> Numbers:
        """Return the items of a phrase, ascending."""
        return self.items[self.ends[number] - self.counts[number] : self.ends[number]]


def _levels(tokens: Numbers, owners: Numbers, vocabulary: int) -> list[_Level]:
    """Return the phrases of 1 to LONGEST words, with those marked that are useful."""
    if not len(tokens):
        return []
    is_word = tokens != _BREAK
    can_begin, can_end = _borders(tokens, is_word, vocabulary)
    levels: list[_Level] = []
    codes = tokens
    for length in range(1, LONGEST + 1):
        level = _Level.of(length, codes, owners)
        if levels:
            levels[-1].drop_parts_of(level)
        level.kept &= can_begin[tokens[level.first]] & can_end[tokens[level.first + length - 1]]
        levels.append(level)
        # A phrase of one word more is a phrase that several items have and the word after it.
        # The roll wraps around without harm: the last token is a break, so no phrase reaches beyond it.
        following = np.roll(tokens, -length)
        codes = np.where((level.at[:-1] >= 0) & (following != _BREAK), level.at[:-1] * vocabulary + following, -1)
    return levels


def _borders(tokens: Numbers, is_word: npt.NDArray[np.bool_], vocabulary: int) -> tuple[npt.NDArray[np.bool_], ...]:
    """Return for each word whether it may begin a phrase, and whether it may end one."""

    def count(where: npt.NDArray[np.bool_]) -> Numbers:
        return np.bincount(tokens[where], minlength=vocabulary)

    # The last token is a break, so it is also the one before the first.
    following = np.roll(tokens, -1)
    # Shares of a word's own occurrences, so that frequent and rare words are judged alike.
    seen, ends = count(is_word), count(is_word & (following == _BREAK))
    inner = is_word & (following != _BREAK)
    pairs, counts = np.unique(tokens[inner] * vocabulary + following[inner], return_counts=True)
    commonest = np.zeros(vocabulary, np.int64)
    np.maximum.at(commonest, pairs // vocabulary, counts)
    leads = np.maximum(commonest, count(is_word & (np.roll(tokens, 1) == _BREAK))) >= LEADS * seen
    return (ends >= EVER_ENDS * seen) | leads, ends >= ENDS * seen


def _is_query(words: Sequence[str]) -> bool:
    """Return whether words read like a query: no word twice, and none of one letter or of digits at the beginning."""
    first = words[0]
    begins = is_unspaced(first) or (len(first) > 1 and any(map(str.isalpha, first)))
    return begins and len(set(map(singular, words))) == len(words)
