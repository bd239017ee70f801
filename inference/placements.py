"""Options of lists: those of a recommender, and the placements of a shop, each with sources and a size of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from inference.retrieval.filters import Filter

DEFAULT = "default"
"""Name of the placement whose lists are made as the settings say."""

PlacementName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Placement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A place that shows lists. A field that is not given is as in the recommender's options.

    Attributes:
        sources: names of the candidate sources.
        k: items in a list.
        filter: the filter that its items pass; without one, a list may have fewer than k items.
        diversity: in [0, 1], how much the items of a list must differ.
        places_for_new: least number of places for items without any action.
        weights: factors of the scores of items that a source proposed, 1 for a source that is not named. The greatest
            of an item's sources counts.
    """

    sources: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] | None = None
    k: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    filter: Filter | None = None
    diversity: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    places_for_new: Annotated[int, msgspec.Meta(ge=0, le=1000)] | None = None
    weights: Mapping[str, Annotated[float, msgspec.Meta(ge=0, le=100)]] = {}


EVERYWHERE = Placement()
"""The placement that changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingOptions:
    """Options of a recommender.

    Attributes:
        candidates_per_source: greatest number of candidates from each source.
        candidates_ranked: greatest number of candidates that the ranker scores, the first in retrieval order; None for
            all. The others have almost no chance of a place in the list.
        diversity: in [0, 1], how much the items of a list must differ; lists for searches go by relevance alone.
        places_for_new: least number of places for items without any action, in lists that answer no search.
        fairness: least share of protected items in such lists, in [0, 1]; see `choice.py` and `groups.py`.
    """

    candidates_per_source: int = 100
    candidates_ranked: int | None = None
    diversity: float = 0.0
    places_for_new: int = 0
    fairness: float = 0.0


DEFAULT_OPTIONS = RankingOptions()
