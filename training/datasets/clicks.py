"""Simulated searches with clicks over graded search results, for a log in which many shoppers repeat the same searches.

No public log with repeated searches may be used here, so a click model reads the grades that people gave:

- **Searches** follow a Zipf law (Baeza-Yates et al. 2007, doi:10.1145/1277741.1277775). Some shoppers misspell a query,
  type a short form of it, or add a word of a title. The shop answers these like the query, as an engine with spelling
  correction does.
- **Pages** are in the order of BM25, except that each place shows a random graded item with probability EXPLORED.
- **Clicks** follow the dynamic Bayesian network of Chapelle & Zhang 2009, doi:10.1145/1526709.1526711. A shopper reads
  the page from its top, clicks an attractive item, ends when it satisfies, and otherwise reads on with probability
  PERSISTENCE. So clicks fall with the position, as in all click models (Chuklin, Markov & de Rijke 2015,
  doi:10.2200/S00654ED1V01Y201507ICR043).
- **Intent**: for each query a share of the shoppers want one item, a favourite, and are attracted by little else. The
  favourites of a query follow a Zipf law, steep for some queries. The other shoppers are attracted by the grade.

Limits: shoppers do not reformulate, compare prices or come back for an item, tastes do not change, and items without a
grade are never shown. The figures of such a log say whether lists learn from clicks, not how good they are in a shop.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.retrieval.tokens import words
from inference.retrieval.word_index import WordIndex
from inference.types import Item
from streams.contracts.messages import Cart, Click, Interaction, Purchase, Search
from streams.errors import ConfigurationError
from training.datasets.chorus import Judgement

START = datetime(2025, 1, 1, tzinfo=UTC)
PAGE = 20
EXPLORED = 0.15
PERSISTENCE = 0.9
ATTRACTION = {0: 0.02, 1: 0.1, 2: 0.3, 3: 0.5}
"""Probability of a click on a grade by a shopper without a favourite who reads the item."""
SATISFACTION = {0: 0.05, 1: 0.2, 2: 0.5, 3: 0.8}
WANTED, UNWANTED = 0.95, 0.02
"""Probability of a click on the favourite, and on any other item by a shopper who wants the favourite."""
STEEPNESS = (1.0, 4.0)
"""Range of the exponents of the favourites' Zipf laws: at 1, the first of ten favourites has 34%, at 4 it has 92%."""
MISSPELLED, SHORT_FORM, LONGER = 0.15, 0.1, 0.25
CARTED, BOUGHT = 0.4, 0.5
"""Probability that a satisfying item is put into the cart, and that such an item is bought."""
MORE_SEARCHES = 0.25
"""Probability that another search follows in the session."""
_SYNTHETIC = {"synthetic": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The size of a log: searches, shoppers, days, and the exponent of the Zipf law of the queries."""

    searches: int = 20_000
    shoppers: int = 3_000
    days: int = 60
    exponent: float = 1.0


@dataclass(frozen=True, slots=True)
class _Query:
    """A query: its spellings, the graded items in the order of BM25 with their grades, and its favourites.

    `focus` is the share of the shoppers who want one of the `favourites`, places in `items`; `odds` are their odds.
    `added` are the words that shoppers add to the query: those of each item's title.
    """

    spellings: tuple[str, ...]
    items: tuple[str, ...]
    added: tuple[tuple[str, ...], ...]
    grades: tuple[int, ...]
    focus: float
    favourites: tuple[int, ...]
    odds: tuple[float, ...]


def interactions(items: Sequence[Item], graded: Sequence[Judgement], size: Size, seed: int) -> list[Interaction]:
    """Return simulated searches and what follows them, in order of time.

    Raises:
        ConfigurationError: no graded item is in the catalogue.
    """
    draw = np.random.default_rng(seed)
    queries = _queries(items, graded, draw)
    # The most frequent query is any of them.
    order = draw.permutation(len(queries))
    odds = _zipf(len(queries), size.exponent)
    log: list[Interaction] = []
    searches = session = 0
    while searches < size.searches:
        at = START + timedelta(seconds=int(draw.integers(size.days * 86_400)))
        visit = _Visit(f"shopper-{draw.integers(size.shoppers)}", f"session-{session}", at, log)
        session += 1
        while True:
            _search(visit, queries[order[draw.choice(len(queries), p=odds)]], draw)
            searches += 1
            if draw.random() >= MORE_SEARCHES:
                break
    return sorted(log, key=lambda each: each.occurred_at)


def with_others(items: Sequence[Item], graded: Sequence[Judgement], most: int, seed: int) -> list[Item]:
    """Return the graded items and a sample of the others, `most` in all if more are not graded, in their order."""
    wanted = {each.item_id for each in graded}
    others = [item.item_id for item in items if item.item_id not in wanted]
    missing = max(most - (len(items) - len(others)), 0)
    if missing < len(others):
        others = np.random.default_rng(seed).choice(np.array(others), missing, replace=False).tolist()
    kept = wanted.union(others)
    return [item for item in items if item.item_id in kept]


class _Visit:
    """A session of a shopper, which writes its interactions to `log`. Each is some seconds after the one before."""

    def __init__(self, user_id: str, session_id: str, at: datetime, log: list[Interaction]) -> None:
        self._user_id, self._session_id, self._at, self._log = user_id, session_id, at, log
        self._number = 0

    def search(self, query: str, after_s: int) -> None:
        self._log.append(Search(query=query, **self._fields(after_s)))

    def act(self, action: type[Click | Cart | Purchase], item_id: str, after_s: int) -> None:
        self._log.append(action(item_id=item_id, **self._fields(after_s)))

    def _fields(self, after_s: int) -> dict[str, Any]:
        self._at += timedelta(seconds=after_s)
        self._number += 1
        return {
            "event_id": f"{self._session_id}-{self._number}",
            "user_id": self._user_id,
            "session_id": self._session_id,
            "occurred_at": self._at,
            "context": _SYNTHETIC,
        }


def _search(visit: _Visit, query: _Query, draw: np.random.Generator) -> None:
    """Let a shopper search, read the page and act on its items."""
    wanted = -1
    if query.favourites and draw.random() < query.focus:
        wanted = query.favourites[draw.choice(len(query.favourites), p=query.odds)]
    typed, wanted = _typed(query, wanted, draw)
    visit.search(typed, 20 + int(draw.integers(60)))
    for place in _page(len(query.items), draw):
        grade = query.grades[place]
        attraction = ATTRACTION[grade] if wanted < 0 else WANTED if place == wanted else UNWANTED
        if draw.random() < attraction:
            visit.act(Click, query.items[place], 2 + int(draw.integers(20)))
            if place == wanted or draw.random() < SATISFACTION[grade]:
                _take(visit, query.items[place], draw)
                return
        if draw.random() >= PERSISTENCE:
            return


def _take(visit: _Visit, item_id: str, draw: np.random.Generator) -> None:
    if draw.random() < CARTED:
        visit.act(Cart, item_id, 30)
        if draw.random() < BOUGHT:
            visit.act(Purchase, item_id, 90)


def _page(graded: int, draw: np.random.Generator) -> Iterator[int]:
    """Yield the places of the items on a page, each once."""
    shown: set[int] = set()
    for place in range(min(PAGE, graded)):
        # Without explored places, an item that BM25 ranks low would never be shown, and nothing could be learned about
        # it.
        other = int(draw.integers(graded)) if draw.random() < EXPLORED else place
        if other not in shown:
            shown.add(other)
            yield other


def _typed(query: _Query, wanted: int, draw: np.random.Generator) -> tuple[str, int]:
    """Return the query as a shopper types it, and the place of the item that the shopper wants, -1 for any.

    A shopper who adds a word of an item wants this item.
    """
    chance = draw.random()
    plain, other, short = query.spellings
    if chance < MISSPELLED:
        return other, wanted
    if chance < MISSPELLED + SHORT_FORM:
        return short, wanted
    if chance < MISSPELLED + SHORT_FORM + LONGER and query.favourites:
        place = wanted if wanted >= 0 else query.favourites[int(draw.integers(len(query.favourites)))]
        if added := query.added[place]:
            return f"{plain} {added[int(draw.integers(len(added)))]}", place
    return plain, wanted


def _queries(items: Sequence[Item], graded: Sequence[Judgement], draw: np.random.Generator) -> list[_Query]:
    numbers = {item.item_id: number for number, item in enumerate(items)}
    index = WordIndex()
    for number, item in enumerate(items):
        index.replace(number, None, item)
    grades: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for each in graded:
        if each.item_id in numbers:
            grades[each.query][each.item_id] = each.grade
    if not grades:
        raise ConfigurationError("clicks: required graded items that are in the catalogue, got none")
    titles = {item_id: items[number].title for item_id, number in numbers.items()}
    queries = []
    for text, found in grades.items():
        documents, shares = index.search(text)
        scores = dict(zip(documents.tolist(), shares.tolist(), strict=True))
        ordered = sorted(found, key=lambda item_id: (-scores.get(numbers[item_id], 0.0), item_id))
        queries.append(_query(text, found, ordered, titles, draw))
    return queries


def _query(
    text: str,
    found: Mapping[str, int],
    ordered: Sequence[str],
    titles: Mapping[str, str],
    draw: np.random.Generator,
) -> _Query:
    grades = tuple(min(found[item_id], max(ATTRACTION)) for item_id in ordered)
    good = [place for place, grade in enumerate(grades) if grade > 1]
    favourites = tuple(draw.permutation(good).tolist())
    odds = tuple(_zipf(len(good), draw.uniform(*STEEPNESS)).tolist())
    spellings = (text, misspelled(text, draw), short_form(text))
    typed = set(_tokens(text))
    added = tuple(tuple(word for word in _tokens(titles[item_id]) if word not in typed) for item_id in ordered)
    return _Query(spellings, tuple(ordered), added, grades, float(draw.random()), favourites, odds)


def _tokens(text: str) -> list[str]:
    """Return the words of a text in their first readings."""
    return [" ".join(word[0]) for word in words(text)]


def misspelled(text: str, draw: np.random.Generator) -> str:
    """Return a query with two letters of its longest word exchanged; one with a word of at most two letters stays."""
    word = max(text.split(), key=len)
    if len(word) < 3:
        return text
    at = int(draw.integers(1, len(word) - 1))
    return text.replace(word, word[:at] + word[at + 1] + word[at] + word[at + 2 :], 1)


def short_form(text: str) -> str:
    """Return the initials of a query of several words, or the first four letters of one word.

    >>> short_form("phone charger"), short_form("headphones")
    ('pc', 'head')
    """
    parts = text.split()
    return "".join(part[0] for part in parts) if len(parts) > 1 else text[:4]


def _zipf(number: int, exponent: float) -> npt.NDArray[np.float64]:
    """Return the probabilities of ranks 1 to `number`, (number,)."""
    weights = np.arange(1, number + 1, dtype=np.float64) ** -exponent
    return weights / max(weights.sum(), 1.0) if number else weights
