"""Search of the suggestions that complete a typed text: by prefix, by any word's prefix, and despite typing errors.

A suggestion matches if each typed word is one of its words, in any order. The last typed word is a prefix, unless a
space follows it. Suggestions are found through a sorted vocabulary: the words with a common prefix are neighbours in
it, so their suggestions are one slice of an array, however many they are.

With errors, a typed word may differ from a word by a few edits: the optimal string alignment distance, computed by
RapidFuzz. A comparison with each word would take milliseconds. So the sets of letters are compared first, 64 bits each:
an edit changes at most two of the bits, which discards nearly all words.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import OSA
from rapidfuzz.process import cdist

from inference.suggestions.keys import indexed_words, is_unspaced, match_key, words_of

Edits = npt.NDArray[np.int16]

MOST_TYPED = 64
"""Characters of a typed text that count: no suggestion is longer."""
MOST_WORDS = 8
LETTERS = 20
"""First letters of a word that are compared in a search with errors."""
ONE_EDIT, TWO_EDITS = 4, 8
"""Letters from which on a typed word may have one error, or two if its first letter is right. Shorter words with an
error match nearly anything."""
NO_MATCH = 1000
"""Edits of a suggestion that lacks a typed word."""
AFTER_ALL = "\U0010ffff"
"""A character that sorts after those of all words."""


class Matches(NamedTuple):
    """Suggestions that match a typed text.

    Attributes:
        numbers: of the suggestions, ascending, int64 (n,).
        edits: the errors in each match, (n,).
        begins: whether the suggestion begins with what was typed, bool (n,).
    """

    numbers: npt.NDArray[np.int64]
    edits: Edits
    begins: npt.NDArray[np.bool_]


class Alternative(NamedTuple):
    """Words that a typed word may stand for: a range of the vocabulary, and how many errors that assumes."""

    first: int
    end: int
    edits: int


class CompletionIndex:
    """Index of suggestions by match key; a suggestion's number is its place in `keys`. Immutable."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._count = len(keys)
        self._order = np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)
        self._sorted_keys = [keys[number] for number in self._order.tolist()]
        postings: dict[str, list[int]] = {}
        for number, key in enumerate(keys):
            for word in indexed_words(key):
                postings.setdefault(word, []).append(number)
        self._words = sorted(postings)
        # All lists in one array, in the order of the words: the lists of neighbouring words are one slice of it.
        lists = [postings[word] for word in self._words]
        self._starts = np.cumsum([0, *map(len, lists)], dtype=np.int64)
        self._postings = np.array([number for numbers in lists for number in numbers], dtype=np.int64)
        self._letters = _letters(self._words)
        self._lengths = np.array([len(word) for word in self._words], dtype=np.int64)
        places = {word: place for place, word in enumerate(self._words)}
        self._first_words = np.array([places[words_of(key)[0]] for key in keys], dtype=np.int64)

    def search(self, typed: str, enough: int) -> Matches:
        """Return the suggestions that match a typed text, and those with errors if the others are not `enough`.

        Only words that are unknown are taken for wrong, unless nothing has all words.
        """
        shown = typed[: 4 * MOST_TYPED]
        key = match_key(shown)[:MOST_TYPED].rstrip()
        words = words_of(key)[:MOST_WORDS]
        if not words:
            # Nothing is typed yet, or only signs, which nothing matches.
            numbers = np.arange(0 if shown.strip() else self._count)
            return Matches(numbers, np.zeros(len(numbers), np.int16), np.ones(len(numbers), np.bool_))
        is_open = not shown[-1].isspace()
        begins = np.zeros(self._count, np.bool_)
        begins[self._order[self._beginning(key, is_open=is_open)]] = True
        exact = self._exact(words, is_open=is_open)
        edits = self._edits(exact)
        if np.count_nonzero(edits < NO_MATCH) < enough:
            for joined in _joined(words):
                np.minimum(edits, self._edits(self._exact(joined, is_open=is_open)) + 1, out=edits)
            wrong = [not alternatives for alternatives in exact]
            if any(wrong) or edits.min(initial=NO_MATCH) >= NO_MATCH:
                corrected = self._corrected(words, exact, wrong if any(wrong) else [True] * len(words), is_open=is_open)
                np.minimum(edits, self._edits(corrected), out=edits)
                is_first = np.zeros(len(self._words), np.bool_)
                for alternative in corrected[0]:
                    is_first[alternative.first : alternative.end] = True
                begins |= is_first[self._first_words]
        (numbers,) = (edits < NO_MATCH).nonzero()
        return Matches(numbers, edits[numbers], begins[numbers])

    def _beginning(self, key: str, *, is_open: bool) -> slice:
        """Return the range of sorted keys that begin with a typed key."""
        first = bisect_left(self._sorted_keys, key)
        # `usb` followed by a space is the beginning of `usb` and of `usb cable`, but not of `usbc`.
        return slice(first, bisect_left(self._sorted_keys, key + (AFTER_ALL if is_open else f" {AFTER_ALL}"), lo=first))

    def _edits(self, words: Sequence[Sequence[Alternative]]) -> Edits:
        """Return the number of errors with which each suggestion has all words, NO_MATCH or more if it lacks one."""
        # MOST_WORDS · NO_MATCH fits into 16 bits.
        total = np.zeros(self._count, np.int16)
        for alternatives in words:
            own = np.full(self._count, NO_MATCH, np.int16)
            # The fewest edits are written last, so they hold for a suggestion with several of the words.
            for first, end, edits in sorted(alternatives, key=lambda each: -each.edits):
                own[self._postings[self._starts[first] : self._starts[end]]] = edits
            total += own
        return total

    def _exact(self, words: Sequence[str], *, is_open: bool) -> list[list[Alternative]]:
        """Return the words that each typed word is, or begins if it is the last one or has no borders."""
        found = []
        for place, word in enumerate(words):
            begun = self._begun(word)
            if not is_unspaced(word) and not (is_open and place == len(words) - 1):
                is_known = self._words[begun.first : begun.first + 1] == [word]
                begun = Alternative(begun.first, begun.first + is_known, 0)
            found.append([begun] if begun.first < begun.end else [])
        return found

    def _corrected(
        self, words: Sequence[str], exact: Sequence[list[Alternative]], wrong: Sequence[bool], *, is_open: bool
    ) -> list[list[Alternative]]:
        """Return the words that each typed word may stand for if some of them are wrong: misspelt or cut short."""
        found = []
        for place, (word, alternatives, is_wrong) in enumerate(zip(words, exact, wrong, strict=True)):
            if not is_wrong:
                found.append(alternatives)
                continue
            is_begun = is_open and place == len(words) - 1
            cut = [] if is_begun else [self._begun(word)._replace(edits=1)]
            found.append([*alternatives, *cut, *self._corrections(word, is_open=is_begun)])
        return found

    def _begun(self, word: str) -> Alternative:
        """Return the words that begin with a word."""
        first = bisect_left(self._words, word)
        return Alternative(first, bisect_left(self._words, word + AFTER_ALL, lo=first), 0)

    def _corrections(self, word: str, *, is_open: bool) -> Iterator[Alternative]:
        """Yield the words that a typed word with errors may stand for, or may begin.

        Numbers are not corrected: a similar model number is another model.
        """
        allowed = (len(word) >= ONE_EDIT) + (len(word) >= TWO_EDITS)
        if not allowed or len(word) + allowed > LETTERS or is_unspaced(word) or any(map(str.isdigit, word)):
            return
        typed = _letters([word])[-1, 0]
        # The edits that each word of the vocabulary may have: two only with the right first letter.
        most = np.ones(len(self._words), np.uint8)
        same_letter = self._begun(word[0])
        most[same_letter.first : same_letter.end] = allowed
        edits = np.full(len(self._words), allowed + 1, np.uint8)
        lengths = range(len(word) - allowed, len(word) + allowed + 1)
        # A word that is still typed is compared with the beginnings of similar length, a complete one with whole words.
        for length in lengths if is_open else (LETTERS,):
            # A lower bound of the distance: an edit changes at most two bits, so no word within reach is lost.
            similar = np.bitwise_count(self._letters[length - 1] ^ typed) <= 2 * most
            similar &= self._lengths >= lengths[0]
            if not is_open:
                similar &= self._lengths <= lengths[-1]
            (places,) = similar.nonzero()
            starts = [self._words[place][:length] for place in places.tolist()]
            if starts:
                found = cdist([word], starts, scorer=OSA.distance, score_cutoff=allowed, dtype=np.uint8)[0]
                edits[places] = np.minimum(edits[places], found)
        edits[edits > most] = allowed + 1
        # Neighbours in the vocabulary are one range, so that a common prefix is one slice of the postings.
        (ends,) = np.diff(edits, append=np.uint8(allowed + 2)).nonzero()
        first = 0
        for end in (ends + 1).tolist():
            # Words without an error are among the exact alternatives already.
            if 0 < edits[first] <= allowed:
                yield Alternative(first, end, int(edits[first]))
            first = end


def _joined(words: Sequence[str]) -> Iterator[list[str]]:
    """Yield the words with two neighbours written together: shoppers type `blue tooth`."""
    for place in range(len(words) - 1):
        yield [*words[:place], words[place] + words[place + 1], *words[place + 2 :]]


def _letters(words: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Return the set of the first 1, 2, …, LETTERS letters of each word, uint64 (LETTERS, n): a bit for each letter."""
    # NumPy stores a text of fixed width as 32-bit code points, padded with zeros. Letters 64 apart share a bit, which
    # only weakens the bound.
    codes = np.array(words, dtype=f"<U{LETTERS}").view(np.uint32).reshape(len(words), LETTERS)
    bits = np.where(codes > 0, np.uint64(1) << (codes % 64).astype(np.uint64), np.uint64(0))
    return np.ascontiguousarray(np.bitwise_or.accumulate(bits, axis=1).T)
