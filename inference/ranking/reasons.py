"""Why an item is in the list, in words for the shopper: by what carried its score.

What a group of features carried is how much the logit falls when the ranker is shown the candidate without them
(occlusion: Zeiler & Fergus 2014, doi:10.1007/978-3-319-10590-1_53). The group that carried most gives the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from inference.ranking.features import FEATURES
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.columns import Rows
from inference.types import Item, Keys, Query, Vector

SEARCH, CLICKED, TOGETHER, TASTE, HABIT, TREND, NEW = (
    "search", "clicked", "together", "taste", "habit", "trend", "new",
)  # fmt: skip
GROUPS: Mapping[str, tuple[str, ...]] = {
    SEARCH: ("query", "query_place", "words", "words_place"),
    CLICKED: ("clicked",),
    TOGETHER: ("together", "together_place", "next", "next_place", "sessions", "sessions_place"),
    TASTE: (
        "short_term", "short_term_place", "long_term", "long_term_place", "last_item", "last_items",
        "category", "brand", "same_category", "same_brand",
    ),
    HABIT: ("repeat", "repeat_place", "bought", "seen_before"),
    TREND: ("popularity", "lasting"),
    NEW: ("new",),
}  # fmt: skip
"""What can be said to a shopper, and the features that say it. Ties go to the first."""

SUITS = "may suit you"
_SHOWN = np.ones((1 + len(GROUPS), len(FEATURES)), dtype=np.float32)
for _group, _names in enumerate(GROUPS.values(), start=1):
    _SHOWN[_group, [FEATURES.index(_name) for _name in _names]] = 0.0

Partners = Callable[[Keys, Keys], Sequence[int | None]]
"""Given stable keys of items, (n,), and others': for each of the n the one of those that it goes with most often."""


def occluded(features: Vector) -> Vector:
    """Return each of `features` (n, F) whole and without each group: ((1 + groups) · n, F), candidate by candidate."""
    return np.asarray((features[:, None, :] * _SHOWN).reshape(-1, features.shape[1]))


def carried_by(scores: Vector) -> list[str | None]:
    """Return the group that carried each of n candidates, None where no group did, from the scores of `occluded`."""
    likely = np.clip(scores.astype(np.float64).reshape(-1, 1 + len(GROUPS)), 1e-9, 1 - 1e-9)
    logits = np.log(likely) - np.log1p(-likely)
    fall = logits[:, :1] - logits[:, 1:]
    names = tuple(GROUPS)
    return [names[best] if carried > 0 else None for best, carried in zip(fall.argmax(1), fall.max(1), strict=True)]


class Explainer:
    """Puts reasons into words for the list of one query."""

    def __init__(self, query: Query, catalogue: Catalogue, partners: Partners) -> None:
        self._query = query
        self._catalogue = catalogue
        self._partners_of = partners
        # The newest action on an item counts.
        self._actions = {memory.key: memory.action for memory in reversed(query.recent)}

    def explain(self, rows: Rows, groups: Sequence[str | None]) -> list[str]:
        """Return one sentence for each of `rows`, carried by the group beside it."""
        keys = self._catalogue.columns.keys[rows].tolist()
        partners = self._partners([key for key, group in zip(keys, groups, strict=True) if group == TOGETHER])
        intervals = dict(zip(self._query.habits.keys.tolist(), self._query.habits.interval_days.tolist(), strict=True))
        items = map(self._catalogue.item, rows.tolist())
        said = [self._sentence(*each, partners, intervals) for each in zip(keys, items, groups, strict=True)]
        unsaid = [place for place, sentence in enumerate(said) if sentence is None]
        taste = iter(self._by_taste(rows[unsaid]) if unsaid else ())
        return [sentence or next(taste) for sentence in said]

    def _sentence(
        self, key: int, item: Item, group: str | None, partners: Mapping[int, str], intervals: Mapping[int, float]
    ) -> str | None:
        """Return what the group has to say; None where that is which remembered item is nearest."""
        match group:
            case "search" if self._query.text:
                return f"matches your search “{self._query.text}”"
            case "clicked" if self._query.text:
                return f"often chosen after a search for “{self._query.text}”"
            case "together":
                return partners.get(key)
            case "habit":
                interval = intervals.get(key, 0.0)
                if interval > 0:
                    return f"you buy this about every {_interval(interval)}"
                return f"you {self._actions.get(key, 'bought')} it before"
            case "trend":
                return f"trending in {item.label}" if item.label else "popular right now"
            case "new":
                return f"new in {item.label}" if item.label else "new in the shop"
        return None

    def _partners(self, keys: Sequence[int]) -> dict[int, str]:
        """Return for those of the items that go with one at hand which one that is."""
        if not keys:
            return {}
        session = self._query.session
        others = session if len(session) else np.array([*self._actions], dtype=np.uint64)
        said = {}
        for key, partner in zip(keys, self._partners_of(np.array(keys, dtype=np.uint64), others), strict=True):
            item = None if partner is None else self._catalogue.get(partner)
            if partner is not None and item is not None:
                action = self._actions.get(partner, "chose")
                said[key] = f"often {_PARTICIPLE.get(action, action)} with {item.title}"
        return said

    def _by_taste(self, rows: Rows) -> list[str]:
        """Name for each of `rows` the remembered item that is nearest to it, and what was done with it."""
        catalogue, remembered = self._catalogue, self._query.recent
        past = [(memory.action, row) for memory in remembered if (row := catalogue.row(memory.key)) is not None]
        if not past:
            return [SUITS] * len(rows)
        places = np.array([row for _, row in past], dtype=np.intp)
        vectors, norms = catalogue.columns.vectors, catalogue.columns.inverse_norms
        nearest = (vectors[rows] @ vectors[places].T * norms[places]).argmax(axis=1).tolist()
        return [self._because(row, *past[best]) for row, best in zip(rows.tolist(), nearest, strict=True)]

    def _because(self, row: int, action: str, past: int) -> str:
        return f"you {action} it before" if past == row else f"because you {action} {self._catalogue.item(past).title}"


_PARTICIPLE = {"chose": "chosen"}


def _interval(days: float) -> str:
    """Say how long `days` are, as people would.

    >>> [_interval(days) for days in (0.6, 1.2, 6.7, 21, 58, 400)]
    ['day', 'day', 'week', '3 weeks', '2 months', '13 months']
    """
    unit, number = ("day", days) if days < 5.5 else ("week", days / 7) if days < 49 else ("month", days / 30.4)
    whole = max(round(number), 1)
    return unit if whole == 1 else f"{whole} {unit}s"
