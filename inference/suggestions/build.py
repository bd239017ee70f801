"""Builds suggestions from the catalogue and the searches that led to its items.

A build takes a copy of both, which the thread that owns them makes part by part (`ItemPart.of`). It runs in any other
thread or process. A builder does not clean or split again texts that it knows from its last build.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import log1p
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from inference.records import PhraseKind
from inference.retrieval.search_records import SearchLinks, SearchRecords
from inference.retrieval.vectors import Int8Vector, dequantise, quantise
from inference.suggestions.cleaning import BlockList, publishable
from inference.suggestions.keys import match_key, same_key
from inference.suggestions.phrases import TitleWords, label_phrases, title_phrases
from inference.suggestions.related import Clicks, CoClicks, Embeddings, Numbers, Scores
from inference.suggestions.suggestions import Entries, Suggestions
from inference.types import Item, Keys

if TYPE_CHECKING:
    from inference.retrieval.catalogue import Catalogue

QUERIES, PHRASES = 20_000, 20_000
"""Most searches and most phrases of the catalogue that are suggested."""
PHRASE_WEIGHT = 0.5
"""Popularity of a phrase that all items have: less than that of one action after a search."""
VECTOR_ITEMS = 16
"""Most items whose vectors are averaged as the vector of a phrase."""
CHUNK = 256


class ItemPart(NamedTuple):
    """The available items of some rows of the catalogue, as they were when their thread copied them.

    Attributes:
        items: the items.
        keys: their stable keys, uint64 (n,).
        vectors: their vectors, int8 (n, dim).
    """

    items: list[Item]
    keys: Keys
    vectors: Int8Vector

    @classmethod
    def of(cls, catalogue: Catalogue, rows: range) -> ItemPart:
        """Copy the items of consecutive rows. Call this in the thread that owns the catalogue."""
        columns = catalogue.columns
        kept = rows.start + columns.available[rows.start : rows.stop].nonzero()[0]
        return cls([catalogue.item(row) for row in kept.tolist()], columns.keys[kept], columns.vectors[kept])


class Snapshot(NamedTuple):
    """Items that may be recommended, and the searches that led to items.

    Attributes:
        items: the items.
        keys: their stable keys, uint64 (n,).
        vectors: their vectors, int8 (n, dim).
        searches: the searches, also those that led to other items.
    """

    items: list[Item]
    keys: Keys
    vectors: Int8Vector
    searches: SearchLinks

    @classmethod
    def of(cls, parts: Sequence[ItemPart], records: SearchRecords) -> Snapshot:
        """Join the parts of a catalogue, at least one, and read the searches."""
        return cls(
            [item for part in parts for item in part.items],
            np.concatenate([part.keys for part in parts]),
            np.concatenate([part.vectors for part in parts]),
            records.links(),
        )


class Spelling(NamedTuple):
    """A text as it is shown, its match key, and the key that it shares with other spellings of the query."""

    text: str
    key: str
    same: str


@dataclass(slots=True)
class _Group:
    """Spellings of one query: the shown one, the weights, the places of its searches, and a phrase's kind and items."""

    text: str
    key: str
    same: str
    text_weight: float = 0.0
    searched: float = 0.0
    phrase: float = 0.0
    searches: list[int] = field(default_factory=list)
    kind: PhraseKind = "title"
    items: Numbers | None = None

    @property
    def popularity(self) -> float:
        return self.searched + self.phrase

    def show(self, spelling: Spelling, weight: float) -> None:
        """Show this spelling if it has the greatest weight so far, ties by text."""
        if (-weight, spelling.text) < (-self.text_weight, self.text):
            self.text, self.key, self.text_weight = spelling.text, spelling.key, weight


class SuggestionBuilder:
    """Builds `Suggestions` again and again, in one thread at a time.

    Args:
        blocked: words that no suggestion may contain.
        queries, phrases: most searches, and most phrases of the catalogue, the most popular ones.
    """

    def __init__(self, blocked: BlockList | None = None, *, queries: int = QUERIES, phrases: int = PHRASES) -> None:
        self._blocked = BlockList() if blocked is None else blocked
        self._queries, self._phrases = queries, phrases
        self._titles = TitleWords()
        self._spellings: dict[str, Spelling | None] = {}
        self._known: dict[str, Spelling | None] = {}

    def build(self, snapshot: Snapshot) -> Suggestions:
        """Return the suggestions for a state of the shop."""
        # Only spellings that this build needs are kept for the next one, so the memory does not grow.
        self._known, self._spellings = self._spellings, {}
        links = _among(snapshot)
        # Searches come first. A phrase of the catalogue that is also searched for joins the group of the search.
        groups = {group.same: group for group in _heaviest(self._searched(links), self._queries)}
        searched = list(groups.values())
        self._add_phrases(snapshot.items, groups)
        phrases = _heaviest((group for group in groups.values() if not group.searches), self._phrases)
        kept = _heaviest([*searched, *phrases], self._queries + self._phrases)
        # Links name searches by their places. Those of searches that are not kept stay at -1 and are left out.
        entry_of = np.full(len(links.texts), -1, np.int64)
        for entry, group in enumerate(kept):
            entry_of[group.searches] = entry
        (of_entry,) = (entry_of[links.searches] >= 0).nonzero()
        clicks = Clicks(entry_of[links.searches[of_entry]], links.places[of_entry], links.weights[of_entry])
        entries = Entries(
            [group.text for group in kept],
            [group.key for group in kept],
            np.array([group.popularity for group in kept], np.float64),
            ["query" if group.searches else group.kind for group in kept],
        )
        co_clicks = CoClicks(clicks, len(kept), len(snapshot.items))
        return Suggestions(entries, Embeddings(_vectors(kept, clicks, snapshot.vectors)), co_clicks)

    def _searched(self, links: _Links) -> Iterable[_Group]:
        """Return the searches that may be suggested and led to an item of the catalogue."""
        groups: dict[str, _Group] = {}
        weights = np.bincount(links.searches, weights=links.weights, minlength=len(links.texts)).tolist()
        for place, (text, weight) in enumerate(zip(links.texts, weights, strict=True)):
            spelling = self._spelling(text) if weight > 0 else None
            if spelling is not None:
                group = groups.setdefault(spelling.same, _Group(*spelling))
                group.searched += weight
                group.searches.append(place)
                group.show(spelling, weight)
        return groups.values()

    def _add_phrases(self, items: Sequence[Item], groups: dict[str, _Group]) -> None:
        """Add the catalogue's phrases to the groups of searches."""
        # Cleaning and merging drop some of them, hence a few more than are kept.
        phrases = title_phrases([item.title for item in items], self._titles, 2 * self._phrases)
        for text, kind, weight, held in chain(label_phrases(items), phrases):
            spelling = self._spelling(text)
            if spelling is None:
                continue
            # Between 0 and PHRASE_WEIGHT · weight, so phrases only fill up behind what shoppers search for.
            popularity = PHRASE_WEIGHT * weight * log1p(len(held)) / log1p(len(items))
            group = groups.setdefault(spelling.same, _Group(*spelling))
            # A search keeps the spelling that shoppers use. Among phrases alone, the more popular spelling is shown.
            if not group.searches:
                group.show(spelling, popularity)
            if popularity > group.phrase:
                group.phrase, group.kind, group.items = popularity, kind, held

    def _spelling(self, text: str) -> Spelling | None:
        """Return a text as a suggestion, None if it may not be suggested."""
        if text not in self._spellings:
            self._spellings[text] = self._known[text] if text in self._known else _spelling(text, self._blocked)
        return self._spellings[text]


class _Links(NamedTuple):
    texts: list[str]
    searches: Numbers
    places: Numbers
    weights: Scores


def _spelling(text: str, blocked: BlockList) -> Spelling | None:
    shown = publishable(text, blocked)
    if shown is None:
        return None
    key = match_key(shown)
    return Spelling(shown, key, same_key(key))


def _among(snapshot: Snapshot) -> _Links:
    """Return the links of searches to the snapshot's items, by the items' places."""
    links, order = snapshot.searches, np.argsort(snapshot.keys)
    if not len(order):
        return _Links([], *2 * (np.empty(0, np.int64),), np.empty(0))
    # The place of each key, or of another key if the snapshot lacks it. The comparison drops the latter.
    found = order[np.minimum(np.searchsorted(snapshot.keys, links.items, sorter=order), len(order) - 1)]
    (known,) = (snapshot.keys[found] == links.items).nonzero()
    return _Links(links.texts, links.searches[known], found[known], links.weights[known])


def _heaviest(groups: Iterable[_Group], most: int) -> list[_Group]:
    """Return the most popular groups, ties by text."""
    return sorted(groups, key=lambda group: (-group.popularity, group.text))[:most]


def _vectors(groups: Sequence[_Group], clicks: Clicks, items: Int8Vector) -> Int8Vector:
    """Return the vector of each query: the mean of its items' unit vectors, weighted by the actions after the query.

    So queries need no run of the encoder, and they are in the vector space of the catalogue after a model change.
    """
    phrases = [
        (entry, group.items[:VECTOR_ITEMS])
        for entry, group in enumerate(groups)
        if not group.searches and group.items is not None
    ]
    entries = np.concatenate([clicks.queries, *(np.full(len(held), entry) for entry, held in phrases)])
    places = np.concatenate([clicks.items, *(held for _, held in phrases)])
    weights = np.concatenate([clicks.weights, np.ones(len(places) - len(clicks.weights))]).astype(np.float32)
    order = np.argsort(entries, kind="stable")
    starts = np.searchsorted(entries[order], np.arange(len(groups) + 1))
    vectors = np.zeros((len(groups), items.shape[1]), np.int8)
    for first in range(0, len(groups), CHUNK):
        chunk = starts[first : first + CHUNK + 1]
        held = order[chunk[0] : chunk[-1]]
        # `reduceat` sums wrongly for an empty range. There is none: every query has led to an item, or is a phrase of
        # one.
        units = dequantise(items[places[held]]) * weights[held, None]
        vectors[first : first + CHUNK] = quantise(np.add.reduceat(units, chunk[:-1] - chunk[0], axis=0))
    return vectors
