"""BM25 of all documents for one search: the tokens of a reading add up, a word counts by its best reading."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from inference.kernels.compiler import helper, kernel

STEP = 0.5
"""Frequencies are whole multiples of this, up to 127."""
BITS = 8
MOST = (1 << BITS) - 1
"""A posting is a document's number, and in its last BITS the frequency of a token in STEPs, at most MOST."""

Numbers = npt.NDArray[np.int64]
Sums = npt.NDArray[np.float64]


class Search(NamedTuple):
    """The words of a search, their readings, and the tokens of these, as ranges of one another.

    Attributes:
        words: where the readings of each word begin, and those of the last one end, (w + 1,).
        word_shares: the share that each word has in the score, (w,).
        readings: where the tokens of each reading begin, (r + 1,).
        tokens: where the postings of each token begin, (t + 1,).
        token_shares: the share that each token has in its reading, (t,).
        postings: of all tokens, (p,).
    """

    words: Numbers
    word_shares: Sums
    readings: Numbers
    tokens: Numbers
    token_shares: Sums
    postings: Numbers


class Scores(NamedTuple):
    """Scores by document, 0 for those that have none; below the number of documents, `documents` lists the others."""

    sums: Sums
    documents: Numbers


class Scratch(NamedTuple):
    """Memory of an index, all zero between two searches: the scores of a reading, of a word, and of the search."""

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
    """Return memory for documents below `capacity`."""
    return Scratch(*(Scores(np.zeros(capacity), np.zeros(capacity, dtype=np.int64)) for _ in Scratch._fields))


@helper
def add(scores: Scores, count: int, document: int, score: float) -> int:
    """Add a score above 0 to a document's; return how many documents have one."""
    if scores.sums[document] == 0:
        scores.documents[count] = document
        count += 1
    scores.sums[document] += score
    return count


@kernel(types.int64(_SEARCH, types.float64[::1], _SCRATCH, types.int64[::1], types.float64[::1]), allocates=False)
def score_documents(search: Search, norms: Sums, scratch: Scratch, documents: Numbers, shares: Sums) -> int:
    """Write the documents that have some of the words, and their scores; return how many.

    `norms` are k1 (1 − b + b · length / mean length) of each document. `documents` and `shares` have room for all.
    """
    reading, word, whole = scratch.reading, scratch.word, scratch.search
    found = 0
    for own in range(len(search.word_shares)):
        in_word = 0
        for each in range(search.words[own], search.words[own + 1]):
            in_reading = 0
            for token in range(search.readings[each], search.readings[each + 1]):
                for place in range(search.tokens[token], search.tokens[token + 1]):
                    posting = search.postings[place]
                    document, frequency = posting >> BITS, (posting & MOST) * STEP
                    score = frequency / (frequency + norms[document]) * search.token_shares[token]
                    in_reading = add(reading, in_reading, document, score)
            for place in range(in_reading):
                document = reading.documents[place]
                if word.sums[document] == 0:
                    word.documents[in_word] = document
                    in_word += 1
                word.sums[document] = max(word.sums[document], reading.sums[document])
                reading.sums[document] = 0
        for place in range(in_word):
            document = word.documents[place]
            found = add(whole, found, document, word.sums[document] * search.word_shares[own])
            word.sums[document] = 0
    for place in range(found):
        document = whole.documents[place]
        documents[place], shares[place] = document, whole.sums[document]
        whole.sums[document] = 0
    return found
