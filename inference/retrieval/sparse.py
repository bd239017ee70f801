"""A sparse index: documents by their words, scored by BM25, changed one document at a time.

BM25: Robertson & Zaragoza 2009, doi:10.1561/1500000019, with the idf ln(1 + (N − n + ½) / (n + ½)). It is positive also
for words that most documents have, so there is no list of stop words. The frequencies of a document include the weights
of its fields: the simple BM25F of Robertson, Zaragoza & Taylor 2004, doi:10.1145/1031171.1031181.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log
from typing import NamedTuple

import numpy as np

from inference.kernels.words import BITS, MOST, STEP, Numbers, Search, Sums, score_documents, scratch
from inference.retrieval.postings import NOTHING, Postings, Values
from inference.retrieval.tokens import Word

K1 = 1.2
"""Saturation of the frequency of a word: the smaller, the less repetitions count."""
B = 0.75
"""Length normalisation: the greater, the less a word counts in a long document."""


class Document(NamedTuple):
    """Tokens with their weighted frequencies, and the weighted number of words."""

    frequencies: Mapping[str, float]
    length: float


class Matches(NamedTuple):
    """Documents (n,) and their scores as shares of the greatest possible score, (n,), in [0, 1)."""

    documents: Numbers
    shares: Sums


class SparseIndex:
    """Documents by number, from 0 on. Not thread-safe."""

    def __init__(self, *, k1: float = K1, b: float = B) -> None:
        self._k1, self._b = k1, b
        # Most tokens have one document: a number takes a tenth of the memory of a list.
        self._postings: dict[str, int | Postings] = {}
        self._lengths = np.zeros(256)
        self._norms: Sums | None = None
        self._documents = 0
        self._total_length = 0.0
        self._scratch = scratch(256)

    def __len__(self) -> int:
        return self._documents

    def add(self, number: int, document: Document) -> None:
        """Add a document under a free number."""
        while number >= len(self._lengths):
            self._lengths = np.concatenate([self._lengths, np.zeros_like(self._lengths)])
            self._scratch = scratch(len(self._lengths))
        self._lengths[number], self._norms = document.length, None
        self._documents += 1
        self._total_length += document.length
        for token, code in _codes(number, document):
            held = self._postings.get(token)
            if held is None:
                self._postings[token] = code
                continue
            if isinstance(held, int):
                first, held = held, Postings()
                held.add(first)
                self._postings[token] = held
            held.add(code)

    def remove(self, number: int, document: Document) -> None:
        """Remove a document; `document` must be the one that was added."""
        self._norms = None
        self._documents -= 1
        self._total_length -= document.length
        for token, code in _codes(number, document):
            held = self._postings[token]
            if isinstance(held, Postings):
                held.remove(code)
            if isinstance(held, int) or not len(held):
                del self._postings[token]

    def search(self, words: Iterable[Word]) -> Matches:
        """Return every document that has any of the `words`, and its score as a share of the greatest possible one.

        The share is Σ score(word) / Σ greatest score(word). A word that no document has lowers it as the rarest word
        would. A document's score for a word is that of its best reading.
        """
        search = self._search({word: self._weight(word) for word in words})
        most = min(len(search.postings), self._documents)
        documents, shares = np.empty(most, dtype=np.int64), np.empty(most)
        found = score_documents(search, self._document_norms(), self._scratch, documents, shares)
        return Matches(documents[:found], shares[:found])

    def idf(self, token: str) -> float:
        """Return the inverse document frequency of a token."""
        held = self._postings.get(token)
        having = 0 if held is None else 1 if isinstance(held, int) else len(held)
        return log(1 + (self._documents - having + 0.5) / (having + 0.5))

    def _weight(self, word: Word) -> float:
        """Return the weight of a word: the greatest idf among the tokens of its first reading that is known in full.

        Without such a reading it is the idf of a token that no document has.
        """
        for reading in word:
            if all(token in self._postings for token in reading):
                return max(map(self.idf, reading))
        return log(1 + (self._documents + 0.5) / 0.5)

    def _search(self, weights: Mapping[Word, float]) -> Search:
        """Return words with their weights as arrays."""
        words, readings, tokens, token_shares = [0], [0], [0], list[float]()
        postings: list[Values] = []
        for word in weights:
            for reading in word:
                idf = {token: self.idf(token) for token in reading}
                reach = sum(idf.values())
                for token, own in idf.items():
                    postings.append(self._postings_of(token))
                    tokens.append(tokens[-1] + len(postings[-1]))
                    token_shares.append(own / reach if len(idf) > 1 else 1.0)
                readings.append(len(token_shares))
            words.append(len(readings) - 1)
        return Search(
            np.array(words, dtype=np.int64),
            np.array(list(weights.values())) / sum(weights.values()) if weights else np.empty(0),
            np.array(readings, dtype=np.int64),
            np.array(tokens, dtype=np.int64),
            np.array(token_shares, dtype=np.float64),
            np.concatenate([NOTHING, *postings]),
        )

    def _document_norms(self) -> Sums:
        if self._norms is None:
            mean = self._total_length / max(self._documents, 1) or 1.0
            self._norms = self._k1 * (1 - self._b + self._b * self._lengths / mean)
        return self._norms

    def _postings_of(self, token: str) -> Values:
        held = self._postings.get(token)
        if held is None:
            return NOTHING
        return np.array([held], dtype=np.int64) if isinstance(held, int) else held.values


def document(fields: Sequence[tuple[float, Sequence[Word]]]) -> Document:
    """Return a document of fields, each with its weight, a multiple of `STEP`. Every reading of a word is indexed."""
    frequencies: dict[str, float] = {}
    length = 0.0
    for weight, words in fields:
        length += weight * len(words)
        for word in words:
            for token in {token for reading in word for token in reading}:
                frequencies[token] = frequencies.get(token, 0.0) + weight
    return Document(frequencies, length)


def _codes(number: int, document: Document) -> Iterable[tuple[str, int]]:
    """Yield each token with its posting: the document's number and the frequency in one integer."""
    for token, frequency in document.frequencies.items():
        yield token, number << BITS | min(round(frequency / STEP), MOST)
