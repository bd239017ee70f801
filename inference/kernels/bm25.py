"""BM25 scores of all documents for one search.

A word has one or more readings, each a sequence of tokens (`inference.retrieval.tokens`). The scores of the tokens of a
reading are added. The score of a word is that of its best reading.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from inference.kernels.compiler import helper, kernel
from inference.kernels.selection import select
from inference.kernels.votes import RESULTS, Results

STEP = 0.5
"""Unit of frequencies: each is a whole multiple of it, up to 127."""
BITS = 8
MOST = (1 << BITS) - 1
"""A posting holds a document's number and, in its last BITS bits, the frequency of a token in STEPs, at most MOST."""

Numbers = npt.NDArray[np.int64]
Sums = npt.NDArray[np.float64]


class Search(NamedTuple):
    """The words of a search as nested ranges: each word has readings, each reading tokens, each token postings.

    Attributes:
        words: the start of each word's readings, and the end of the last word's, (w + 1,).
        word_shares: the share of each word in the score, (w,).
        readings: the start of each reading's tokens, and the end of the last reading's, (r + 1,).
        tokens: the start of each token's postings, and the end of the last token's, (t + 1,).
        token_shares: the share of each token in its reading, (t,).
        postings: the postings of all tokens, (p,).
    """

    words: Numbers
    word_shares: Sums
    readings: Numbers
    tokens: Numbers
    token_shares: Sums
    postings: Numbers


class Scores(NamedTuple):
    """Scores by document in `sums`, 0 without one. `documents` begins with the documents that have a score."""

    sums: Sums
    documents: Numbers


class Scratch(NamedTuple):
    """Scratch memory of an index: the scores of a reading, a word and a search. Sums are 0 between two searches."""

    reading: Scores
    word: Scores
    search: Scores


_SCORES = types.NamedTuple((types.float64[::1], types.int64[::1]), Scores)
_SCRATCH = types.NamedUniTuple(_SCORES, 3, Scratch)
_SEARCH = types.NamedTuple(
    (
        types.int64[::1], types.float64[::1], types.int64[::1], types.int64[::1], types.float64[::1], types.int64[::1],
    ),
    Search,
)  # fmt: skip


def scratch(capacity: int) -> Scratch:
    """Return scratch memory for documents below `capacity`."""
    return Scratch(*(Scores(np.zeros(capacity), np.zeros(capacity, dtype=np.int64)) for _ in Scratch._fields))


@helper
def add(scores: Scores, count: int, document: int, score: float) -> int:
    """Add a score above 0 to that of a document, and return how many documents have a score."""
    if scores.sums[document] == 0:
        scores.documents[count] = document
        count += 1
    scores.sums[document] += score
    return count


@kernel(types.int64(_SEARCH, types.float64[::1], _SCRATCH, types.int64[::1], types.float64[::1]), allocates=False)
def score_documents(search: Search, norms: Sums, scratch: Scratch, documents: Numbers, shares: Sums) -> int:
    """Write each document that has any of the words, and its score. Return how many there are.

    `norms` are k1 (1 − b + b · length / mean length) of each document. `documents` and `shares` have room for all.
    """
    reading, word, whole = scratch.reading, scratch.word, scratch.search
    found = 0
    for number in range(len(search.word_shares)):
        in_word = 0
        for current in range(search.words[number], search.words[number + 1]):
            in_reading = 0
            # The BM25 scores of the tokens of one reading are added, each weighted by its share.
            for token in range(search.readings[current], search.readings[current + 1]):
                for place in range(search.tokens[token], search.tokens[token + 1]):
                    posting = search.postings[place]
                    # The shares contain the inverse document frequency, so only BM25's saturated frequency is
                    # computed here.
                    document, frequency = posting >> BITS, (posting & MOST) * STEP
                    score = frequency / (frequency + norms[document]) * search.token_shares[token]
                    in_reading = add(reading, in_reading, document, score)
            # The best reading counts. Only documents with a score are visited, so the cost does not grow with the
            # number of documents; the same pass sets the scratch sums back to 0.
            for place in range(in_reading):
                document = reading.documents[place]
                if word.sums[document] == 0:
                    word.documents[in_word] = document
                    in_word += 1
                word.sums[document] = max(word.sums[document], reading.sums[document])
                reading.sums[document] = 0
        # `documents` cannot run out of room: a document enters when its sum is 0, thus once.
        for place in range(in_word):
            document = word.documents[place]
            found = add(whole, found, document, word.sums[document] * search.word_shares[number])
            word.sums[document] = 0
    for place in range(found):
        document = whole.documents[place]
        documents[place], shares[place] = document, whole.sums[document]
        whole.sums[document] = 0
    return found


@kernel(types.void(types.int64[::1], types.float64[::1], RESULTS, types.int64))
def write_matches(documents: Numbers, shares: Sums, results: Results, query: int) -> None:
    """Write the best available of the `documents` (m,), which are rows of the catalogue, as the hits of one query."""
    available, rows = results.available, np.empty(len(documents), dtype=np.int32)
    scores = np.empty(len(documents), dtype=np.float32)
    size = 0
    for number in range(len(documents)):
        if available[documents[number]]:
            rows[size], scores[size] = documents[number], shares[number]
            size += 1
    to_rows, to_scores = results.rows[query, results.place], results.scores[query, results.place]
    results.counts[query, results.place] = select(results.keys, rows, scores, size, to_rows, to_scores)
