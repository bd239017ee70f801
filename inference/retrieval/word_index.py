"""Word search: items by the words of their text, and searches by theirs, scored by BM25.

Vectors capture the topic of a text but blur its exact words. Model numbers, sizes and brand names that the encoder was
not trained on are found here. The index changes one document at a time.

BM25: Robertson & Zaragoza 2009, doi:10.1561/1500000019, with the idf ln(1 + (N − n + ½) / (n + ½)). It is positive also
for words that most documents have, so there is no list of stop words. The frequencies of a document include the weights
of its fields: the simple BM25F of Robertson, Zaragoza & Taylor 2004, doi:10.1145/1031171.1031181.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inference.kernels.bm25 import BITS, MOST, STEP, Numbers, Search, Sums, score_documents, scratch
from inference.retrieval.tokens import Word, words
from inference.types import Item

K1 = 1.2
"""Saturation of the frequency of a word: the smaller, the less repetitions count."""
B = 0.75
"""Length normalisation: the greater, the less a word counts in a long document."""
FIELD_WEIGHTS = {"title": 3.0, "brand": 2.0, "category": 1.0, "attributes": 1.0, "description": 0.5}
"""Weights of the fields: a word in the title describes an item better than one in its description."""
MAX_CHARS = 2000
"""Characters of each field that are indexed: a description may be very long."""

Values = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
NOTHING: Values = np.empty(0, dtype=np.int64)


class Document(NamedTuple):
    """Tokens with their weighted frequencies, and the weighted number of words."""

    frequencies: Mapping[str, float]
    length: float


class Matches(NamedTuple):
    """Documents (n,) and their scores as shares of the greatest possible score, (n,), in [0, 1)."""

    documents: Numbers
    shares: Sums


class Postings:
    """The documents of one token: distinct integers in no particular order, read as an array."""

    __slots__ = ("_length", "_values")

    def __init__(self) -> None:
        self._values = np.empty(2, dtype=np.int64)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def values(self) -> Values:
        """The numbers, (n,), int64, valid until the next change."""
        return self._values[: self._length]

    def add(self, value: int) -> None:
        """Add a number that is not in the list yet."""
        if self._length == len(self._values):
            self._values = np.concatenate([self._values, np.empty_like(self._values)])
        self._values[self._length] = value
        self._length += 1

    def remove(self, value: int) -> None:
        """Remove a number, if it is in the list."""
        places = np.flatnonzero(self.values == value)
        if len(places):
            self._length -= 1
            # The last entry fills the gap. The order does not matter: scores are sums by document.
            self._values[places[0]] = self._values[self._length]


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
        # Each change alters the mean length, so the norms of all documents are computed again at the next search.
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

    def search(self, searched: Iterable[Word]) -> Matches:
        """Return every document that has any of the words, and its score as a share of the greatest possible one.

        The share is Σ score(word) / Σ greatest score(word). A word that no document has lowers it as the rarest word
        would. A document's score for a word is that of its best reading.
        """
        # A mapping: a word that is typed twice counts once.
        search = self._as_arrays({word: self._weight(word) for word in searched})
        most = min(len(search.postings), self._documents)
        documents, shares = np.empty(most, dtype=np.int64), np.empty(most)
        found = score_documents(search, self._document_norms(), self._scratch, documents, shares)
        return Matches(documents[:found], shares[:found])

    def having(self, word: Word) -> Mask:
        """Return whether each document has a word: all tokens of one of its readings, (capacity,)."""
        found = np.zeros(len(self._lengths), dtype=np.bool_)
        for reading in word:
            # From the rarest token on, so that few documents are looked up among those of frequent ones.
            rarest, *others = sorted(reading, key=self.documents_with)
            documents = self._postings_of(rarest) >> BITS
            for token in others:
                if len(documents):
                    has_token = np.zeros(len(found), dtype=np.bool_)
                    has_token[self._postings_of(token) >> BITS] = True
                    documents = documents[has_token[documents]]
            found[documents] = True
        return found

    def idf(self, token: str) -> float:
        """Return the inverse document frequency of a token."""
        having = self.documents_with(token)
        return log(1 + (self._documents - having + 0.5) / (having + 0.5))

    def documents_with(self, token: str) -> int:
        """Return how many documents have a token."""
        held = self._postings.get(token)
        return 0 if held is None else 1 if isinstance(held, int) else len(held)

    def _weight(self, word: Word) -> float:
        """Return the weight of a word: the greatest idf among the tokens of its first reading that is known in full.

        Without such a reading it is the idf of a token that no document has.
        """
        for reading in word:
            if all(token in self._postings for token in reading):
                return max(map(self.idf, reading))
        return log(1 + (self._documents + 0.5) / 0.5)

    def _as_arrays(self, weights: Mapping[Word, float]) -> Search:
        """Return words with their weights as arrays."""
        word_starts, reading_starts, token_starts, token_shares = [0], [0], [0], list[float]()
        postings: list[Values] = []
        for word in weights:
            for reading in word:
                idf = {token: self.idf(token) for token in reading}
                reading_idf = sum(idf.values())
                for token, token_idf in idf.items():
                    postings.append(self._postings_of(token))
                    token_starts.append(token_starts[-1] + len(postings[-1]))
                    token_shares.append(token_idf / reading_idf if len(idf) > 1 else 1.0)
                reading_starts.append(len(token_shares))
            word_starts.append(len(reading_starts) - 1)
        return Search(
            np.array(word_starts, dtype=np.int64),
            np.array(list(weights.values())) / sum(weights.values()) if weights else np.empty(0),
            np.array(reading_starts, dtype=np.int64),
            np.array(token_starts, dtype=np.int64),
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
    for weight, field in fields:
        length += weight * len(field)
        for word in field:
            for token in {token for reading in word for token in reading}:
                frequencies[token] = frequencies.get(token, 0.0) + weight
    return Document(frequencies, length)


def _codes(number: int, document: Document) -> Iterable[tuple[str, int]]:
    """Yield each token with its posting: the document's number and the frequency in one integer."""
    for token, frequency in document.frequencies.items():
        yield token, number << BITS | min(round(frequency / STEP), MOST)


class WordIndex:
    """The catalogue's items by their words. The caller keeps the item of each row."""

    def __init__(self) -> None:
        self._index = SparseIndex()

    def __len__(self) -> int:
        return len(self._index)

    def replace(self, row: int, old: Item | None, new: Item | None) -> None:
        """Replace `old`, the item that was indexed under `row`, by `new`; None stands for no item."""
        if old is not None and new is not None and _texts(old) == _texts(new):
            return
        if old is not None:
            self._index.remove(row, _document(old))
        if new is not None:
            self._index.add(row, _document(new))

    def search(self, text: str) -> Matches:
        """Return the rows with any of the query's words, and BM25 as a share of the greatest possible score."""
        return self._index.search(words(text))

    def having(self, word: Word) -> Mask:
        """Return whether the item of each row has a word, (capacity,)."""
        return self._index.having(word)


def _texts(item: Item) -> dict[str, str]:
    return {
        "title": item.title,
        "brand": item.brand or "",
        "category": " ".join(item.category),
        "attributes": " ".join(item.attributes.values()),
        "description": item.description or "",
    }


def _document(item: Item) -> Document:
    texts = _texts(item)
    return document([(weight, words(texts[field][:MAX_CHARS])) for field, weight in FIELD_WEIGHTS.items()])
