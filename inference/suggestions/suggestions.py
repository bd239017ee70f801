"""Suggestions: completes what a shopper types, and finds related queries. Immutable, so any thread may use it.

Completions are ranked as in a noisy-channel model: with w, the popularity of a query,

    score = ln w − 5 [the query does not begin with what was typed] − 4 · errors + 3 · cos(query, intent)

The first term is most-popular completion (Bar-Yossef & Kraus 2011, doi:10.1145/1963405.1963424), which also introduces
the last one: the context of the shopper. Ties are broken by popularity and then by text.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from inference.records import SuggestionKind
from inference.suggestions.completion import CompletionIndex
from inference.suggestions.keys import is_unspaced, match_key, same_key, words_of
from inference.suggestions.related import KINDS, CoClicks, Embeddings, Kind, Numbers, RelatedQuery, Scores
from inference.types import Vector

INFIX, ERROR, INTENT = 5.0, 4.0, 3.0
"""Weights of the score, in units of the logarithm of popularity."""
CANDIDATES = 128
"""Best completions without the intent that are ranked with it."""
COMPARED = 10_000
"""Most popular queries whose meaning is compared with that of a query."""
SIMILAR_ENOUGH = 0.6
"""Least cosine of a query of similar meaning."""
CO_CLICKED_ENOUGH = 0.05
RELATIONS = 3
FUSION = 10
"""Constant of reciprocal rank fusion: small, because the lists are short."""
LISTED = 50
"""Most queries of each relation that are fused."""


class Suggestion(msgspec.Struct, frozen=True, gc=False):
    """A completion: its text, its kind, and the errors that were corrected.

    `kind` is query if shoppers searched for it. Otherwise it says which field of the catalogue has the text.
    """

    text: str
    kind: SuggestionKind
    errors: int


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """Queries that may be suggested, most popular first, ties by text.

    Attributes:
        texts: the texts.
        keys: their match keys, each with another `same_key`.
        popularity: decayed weights, above 0, (n,).
        kinds: their kinds.
    """

    texts: Sequence[str]
    keys: Sequence[str]
    popularity: Scores
    kinds: Sequence[SuggestionKind]


class RelatedNumber(NamedTuple):
    """The number of a related query, its strongest relation, and the score of the fusion, in (0, 1]."""

    number: int
    kind: Kind
    score: float


class Suggestions:
    """Queries that have results, by what is typed and by other queries.

    Args:
        entries: the queries.
        embeddings: their vectors.
        co_clicks: their relations by items.

    Attributes:
        entries: the queries.
    """

    def __init__(self, entries: Entries, embeddings: Embeddings, co_clicks: CoClicks) -> None:
        self.entries, self._embeddings, self._co_clicks = entries, embeddings, co_clicks
        self._log_popularity = np.log(entries.popularity)
        self._index = CompletionIndex(entries.keys)
        self._numbers = {same_key(key): number for number, key in enumerate(entries.keys)}

    def __len__(self) -> int:
        return len(self.entries.texts)

    def complete(self, typed: str, k: int = 10, intent: Vector | None = None) -> list[Suggestion]:
        """Return the k best completions of a typed text, those of an empty text for a shopper who has typed nothing.

        `intent` is the shopper's short-term intent, float32 (dim,), in the vector space of the catalogue.
        """
        found = self._index.search(typed, k)
        scores = self._log_popularity[found.numbers] - INFIX * ~found.begins - ERROR * found.edits
        # The intent can only reorder the best by the other terms: a cosine for every match would take too long.
        best = _best(scores, max(k, CANDIDATES if intent is not None else 0))
        numbers, scores, edits = found.numbers[best], scores[best], found.edits[best]
        if intent is not None:
            best = _best(scores + INTENT * self._embeddings.cosines(intent, numbers), k)
            numbers, edits = numbers[best], edits[best]
        return [
            Suggestion(self.entries.texts[number], self.entries.kinds[number], each)
            for number, each in zip(numbers.tolist(), edits.tolist(), strict=True)
        ]

    def related(
        self, query: str, k: int = 10, vector: Vector | None = None, kinds: Collection[Kind] = KINDS
    ) -> list[RelatedQuery]:
        """Return the k queries most related to a query, by reciprocal rank fusion of the relations `kinds`.

        `vector` is the query's own, float32 (dim,), for one that is not among the suggestions. Without one, such a
        query has only refining queries. `similar` takes twenty times as long as the others together.
        """
        key = match_key(query)
        own = self._numbers.get(same_key(key))
        relations: dict[Kind, Numbers] = {}
        if own is not None and "co_clicked" in kinds:
            others, cosines = self._co_clicks.similar(own)
            near = cosines >= CO_CLICKED_ENOUGH
            relations["co_clicked"] = others[near][_best(cosines[near], LISTED)]
        if key and "refining" in kinds:
            relations["refining"] = self._refining(same_key(key), own)
        if vector is None and own is not None:
            vector = self._embeddings.of(own)
        if vector is not None and "similar" in kinds:
            compared = np.arange(min(len(self), COMPARED))
            cosines = np.asarray(self._embeddings.cosines(vector, compared), np.float64)
            near = (cosines >= SIMILAR_ENOUGH) & (compared != (-1 if own is None else own))
            relations["similar"] = compared[near][_best(cosines[near], LISTED)]
        best = _fused(relations)[:k]
        return [RelatedQuery(self.entries.texts[number], kind, score) for number, kind, score in best]

    def _refining(self, same: str, own: int | None) -> Numbers:
        """Return the most popular queries with all words of a query, in singular or plural, and more."""
        words = words_of(same)
        # With 0 as `enough` the index corrects no errors. Numbers ascend, so the first are the most popular.
        found = self._index.search(same, 0).numbers[: 4 * LISTED]
        kept = [
            number
            for number in found.tolist()
            if number != own
            and set(words_of(same_key(self.entries.keys[number]))).issuperset(
                word for word in words if not is_unspaced(word)
            )
        ]
        return np.array(kept[:LISTED], np.int64)


def _best(scores: npt.NDArray[np.floating], k: int) -> Numbers:
    """Return the places of the k greatest scores, greatest first, ties by place."""
    if len(scores) > k:
        # All scores that reach the k-th greatest are sorted, so places decide ties and not the order of the partition.
        threshold = np.partition(scores, -k)[-k]
        (kept,) = (scores >= threshold).nonzero()
    else:
        kept = np.arange(len(scores))
    return np.asarray(kept[np.argsort(-scores[kept], kind="stable")][:k], np.int64)


def _fused(relations: dict[Kind, Numbers]) -> list[RelatedNumber]:
    """Return queries with their strongest relation, best first, ties by number."""
    scores: dict[int, float] = {}
    strongest: dict[int, tuple[int, Kind]] = {}
    for kind, numbers in relations.items():
        for rank, number in enumerate(numbers.tolist()):
            scores[number] = scores.get(number, 0.0) + (FUSION + 1) / (FUSION + 1 + rank) / RELATIONS
            if number not in strongest or rank < strongest[number][0]:
                strongest[number] = (rank, kind)
    fused = [RelatedNumber(number, kind, scores[number]) for number, (_, kind) in strongest.items()]
    return sorted(fused, key=lambda each: (-each.score, each.number))
