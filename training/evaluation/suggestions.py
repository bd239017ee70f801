"""Evaluates query suggestions on real queries, which are typed letter by letter. No I/O.

The figure is the mean reciprocal rank of the query among the first k completions, for each number of letters typed
(Bar-Yossef & Kraus 2011, doi:10.1145/1963405.1963424). It is 0 for a query that is not among them. Spellings in
singular and plural are one query.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from time import perf_counter_ns, thread_time_ns
from typing import NamedTuple

import msgspec
import numpy as np

from inference.retrieval.search_records import SearchLinks
from inference.retrieval.vectors import Int8Vector, dequantise
from inference.suggestions.build import Snapshot, SuggestionBuilder
from inference.suggestions.keys import match_key, same_key
from inference.suggestions.suggestions import Suggestions
from inference.types import Item, Keys, Vector, stable_key

LENGTHS = tuple(range(1, 13))
"""Letters typed."""
FIRST_ERROR = 4
"""Letters typed from which on an error is made."""
KNOWN, NEW = "known", "new"
POPULAR, OURS, PERSONAL = "most popular", "suggestions", "suggestions, with intent"
POPULAR_ERROR, OURS_ERROR = "most popular, one error", "suggestions, one error"

Completer = Callable[[str], Sequence[str]]


class Row(msgspec.Struct, frozen=True):
    """MRR of a completer by the number of letters typed, for known or for new queries."""

    queries: str
    completer: str
    mrr: dict[int, float]


class SuggestionsReport(msgspec.Struct, frozen=True):
    """All figures.

    Attributes:
        items, queries: number of items, and of queries with an answer.
        k: number of completions that count.
        typed: number of queries by the letters typed.
        rows: the MRR.
        suggested: number of queries and phrases that are suggested.
        found: share of the new queries that are suggested once they are typed in full.
        build_s, rebuild_s: seconds of the first build, and of the next one.
        latency_us: median and 99th percentile of the processor time of one completion.
    """

    items: int
    queries: int
    k: int
    typed: dict[int, int]
    rows: list[Row]
    suggested: int
    found: float
    build_s: float
    rebuild_s: float
    latency_us: dict[str, float]
    schema: str = "intentstream-suggestions"
    version: int = 1


class Case(NamedTuple):
    """A query, what its spellings share, and the unit vector of one item that answers it."""

    query: str
    same: str
    intent: Vector


@dataclass(frozen=True, slots=True, eq=False)
class Graded:
    """Items with vectors, and queries with the weights of the items that answer them."""

    items: list[Item]
    keys: Keys
    vectors: Int8Vector
    answers: dict[str, dict[int, float]]

    @classmethod
    def of(cls, items: Sequence[Item], vectors: Int8Vector, rows: Sequence[tuple[str, str, float]]) -> Graded:
        """Return the queries that some item answers: those with a weight above 0."""
        places = {item.item_id: place for place, item in enumerate(items)}
        answers: defaultdict[str, dict[int, float]] = defaultdict(dict)
        for query, item_id, weight in rows:
            if item_id in places and weight > 0 and match_key(query):
                answers[query][places[item_id]] = weight
        keys = np.array([stable_key(item.item_id) for item in items], np.uint64)
        return cls(list(items), keys, vectors, dict(sorted(answers.items())))

    def snapshot(self, queries: Sequence[str]) -> Snapshot:
        """Return the state of the shop after searches for some of the queries."""
        links = [(at, item, weight) for at, query in enumerate(queries) for item, weight in self.answers[query].items()]
        searches, items, weights = (np.array(column) for column in zip(*links, strict=True)) if links else 3 * ([],)
        at = np.asarray(items, np.int64)
        found = SearchLinks(list(queries), np.asarray(searches, np.int64), self.keys[at], np.asarray(weights, float))
        return Snapshot(self.items, self.keys, self.vectors, found)

    def case(self, query: str) -> Case:
        """Return a query with the item that answers it best, ties by place."""
        item = min(self.answers[query], key=lambda place: (-self.answers[query][place], place))
        return Case(query, same_key(match_key(query)), dequantise(self.vectors[item]))


def evaluate(graded: Graded, k: int, folds: int, seed: int) -> SuggestionsReport:
    """Type all queries into suggestions that know them, and into suggestions that know those of the other folds."""
    queries, random = list(graded.answers), Random(seed)  # noqa: S311 - no cryptography
    cases = [graded.case(query) for query in queries]
    builder = SuggestionBuilder()
    known, build_s = _timed(builder, graded.snapshot(queries))
    _, rebuild_s = _timed(builder, graded.snapshot(queries))
    ranks = _Ranks(k, random)
    ranks.add(KNOWN, known, cases)
    order = random.sample(range(len(queries)), len(queries))
    found = 0
    for fold in range(folds):
        held_out = set(order[fold::folds])
        learned = builder.build(graded.snapshot([query for at, query in enumerate(queries) if at not in held_out]))
        tested = [cases[at] for at in sorted(held_out)]
        ranks.add(NEW, learned, tested)
        # The suggestions were built without these queries. One of them is found only if it was made from the items'
        # texts, or if another spelling of it was searched.
        found += sum(case.same in {same_key(match_key(each.text)) for each in learned.complete(case.query, k)}
                     for case in tested)  # fmt: skip
    return SuggestionsReport(
        items=len(graded.items),
        queries=len(queries),
        k=k,
        typed={length: sum(len(query) >= length for query in queries) for length in LENGTHS},
        rows=ranks.rows(),
        suggested=len(known),
        found=found / len(queries),
        build_s=build_s,
        rebuild_s=rebuild_s,
        latency_us=ranks.latency_us(),
    )


class _Ranks:
    """Reciprocal ranks by kind of query, completer and letters typed, and the times of the completions."""

    def __init__(self, k: int, random: Random) -> None:
        self._k, self._random = k, random
        self._ranks: defaultdict[tuple[str, str], defaultdict[int, list[float]]] = defaultdict(
            lambda: defaultdict(list)
        )
        self._times_ns: defaultdict[str, list[int]] = defaultdict(list)

    def add(self, kind: str, suggestions: Suggestions, cases: Sequence[Case]) -> None:
        """Type the cases' queries."""
        popular = _most_popular(suggestions, self._k)
        for case in cases:
            for length in (each for each in LENGTHS if each <= len(case.query)):
                typed = case.query[:length]
                wrong = _with_error(typed, self._random) if length >= FIRST_ERROR else None
                self._add((kind, POPULAR), length, case, popular(typed))
                self._add((kind, OURS), length, case, self._complete(OURS, suggestions, typed))
                self._add((kind, PERSONAL), length, case, self._complete(PERSONAL, suggestions, typed, case.intent))
                if wrong is not None:
                    self._add((kind, POPULAR_ERROR), length, case, popular(wrong))
                    self._add((kind, OURS_ERROR), length, case, self._complete(OURS_ERROR, suggestions, wrong))

    def rows(self) -> list[Row]:
        """Return the means."""
        return [
            Row(kind, completer, {length: float(np.mean(ranks)) for length, ranks in sorted(by_length.items())})
            for (kind, completer), by_length in self._ranks.items()
        ]

    def latency_us(self) -> dict[str, float]:
        """Return the median and the 99th percentile of the times of each completer."""
        return {
            f"{name}, p{percentile}": float(np.percentile(times, percentile)) / 1e3
            for name, times in self._times_ns.items()
            for percentile in (50, 99)
        }

    def _complete(self, name: str, suggestions: Suggestions, typed: str, intent: Vector | None = None) -> list[str]:
        started = thread_time_ns()
        found = suggestions.complete(typed, self._k, intent)
        self._times_ns[name].append(thread_time_ns() - started)
        return [each.text for each in found]

    def _add(self, row: tuple[str, str], length: int, case: Case, found: Sequence[str]) -> None:
        rank = next((rank for rank, text in enumerate(found, 1) if same_key(match_key(text)) == case.same), 0)
        self._ranks[row][length].append(1 / rank if rank else 0.0)


def _most_popular(suggestions: Suggestions, k: int) -> Completer:
    """Return most-popular completion over the same queries: the most popular of those that begin with the text."""
    entries = suggestions.entries

    def complete(typed: str) -> list[str]:
        # Entries are in order of popularity.
        start = match_key(typed)
        found = (text for text, key in zip(entries.texts, entries.keys, strict=True) if key.startswith(start))
        return list(islice(found, k))

    return complete


def _with_error(typed: str, random: Random) -> str:
    """Return a text with one error: two letters exchanged, one left out, one doubled, or a wrong one. Not the first."""
    # Neither the first letter nor the last one, so that a letter follows.
    at = random.randrange(1, len(typed) - 1)
    wrong = random.choice("abcdefghijklmnopqrstuvwxyz")
    return random.choice(
        (
            typed[:at] + typed[at + 1] + typed[at] + typed[at + 2 :],
            typed[:at] + typed[at + 1 :],
            typed[:at] + 2 * typed[at] + typed[at + 1 :],
            typed[:at] + wrong + typed[at + 1 :],
        )
    )


def _timed(builder: SuggestionBuilder, snapshot: Snapshot) -> tuple[Suggestions, float]:
    started = perf_counter_ns()
    built = builder.build(snapshot)
    return built, (perf_counter_ns() - started) / 1e9
