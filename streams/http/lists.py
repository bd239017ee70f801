"""Lists for requests: retrieved, ranked and composed together. For the scorer's thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import time

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from inference.placements import Placement
from inference.queries import QueryBatch
from inference.ranking.lists import Lists
from inference.ranking.search_matches import matching_rows
from inference.ranking.sentences import Language, sentences
from inference.records import Explanation, Facets
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.columns import Rows
from inference.retrieval.shortlists import Shortlists
from inference.types import Because, ScoredCandidate
from streams.contracts.messages import ModelRef
from streams.http.candidates import CatalogueRequest, among, filled_up, in_catalogue_order, only
from streams.http.messages import ListedItem
from streams.http.queries import Known, ListRequest, queries_of
from streams.serving.servable import Servable


@dataclass(frozen=True, slots=True)
class Matches:
    """The items that match a search: their number and their facets."""

    total: int
    facets: Facets


@dataclass(frozen=True, slots=True)
class MadeList:
    """A list, the model that ranked it, the reason why it is a fallback, when it was made, and the search's matches."""

    items: tuple[ListedItem, ...]
    model: ModelRef
    fallback: str | None
    produced_at: datetime
    matches: Matches | None = None


def make_lists(
    servable: Servable, requests: Sequence[ListRequest | CatalogueRequest], known: Sequence[Known]
) -> list[MadeList]:
    """Return the list of each request. Those of one placement are ranked in one batch."""
    now_s = time()
    made: list[MadeList | None] = [None] * len(requests)
    parts: dict[tuple[str, bool, int | None], list[int]] = {}
    for place, request in enumerate(requests):
        if isinstance(request, CatalogueRequest):
            made[place] = _in_catalogue_order(servable, request, now_s)
        else:
            # A batch has one placement, one time, and either all candidates or given ones: retrieval differs by these.
            parts.setdefault((request.placement, request.candidates is not None, request.at_ms), []).append(place)
    for places in parts.values():
        own = [request for place in places if isinstance(request := requests[place], ListRequest)]
        for place, each in zip(places, _ranked(servable, own, [known[at] for at in places], now_s), strict=True):
            made[place] = each
    return [each for each in made if each is not None]


def _in_catalogue_order(servable: Servable, request: CatalogueRequest, now_s: float) -> MadeList:
    sentence = _sentence(servable, request.language)
    found = in_catalogue_order(servable.scoring.recommender.catalogue, request, now_s, sentence)
    items = tuple(_listed(rank, each) for rank, each in enumerate(found, start=1))
    return MadeList(items, _model(servable), None, datetime.fromtimestamp(now_s, UTC))


def _ranked(
    servable: Servable, requests: Sequence[ListRequest], known: Sequence[Known], now_s: float
) -> list[MadeList]:
    """Return the lists of requests at one placement and time, all with candidates of their own or all without."""
    recommender = servable.scoring.recommender
    queries, fallbacks = queries_of(servable, requests, known, requests[0].at_ms or int(now_s * 1e3))
    placement = servable.engine.placements.named[requests[0].placement]
    shortlists = _shortlists(servable, requests, queries, placement)
    rows = _matching_rows(shortlists, requests, recommender.catalogue)
    shortlists = among(shortlists, {number: own for number, own in rows.items() if requests[number].only_matches})
    lists = recommender.rank_or_fall_back(shortlists)
    servable.scoring.exposure.add(lists)
    model, at = _model(servable), datetime.fromtimestamp(now_s, UTC)
    made = []
    for number, (request, fallback) in enumerate(zip(requests, fallbacks, strict=True)):
        explained = recommender.explain(shortlists, lists, number) if request.explains else None
        items = _items(lists, number, request, _sentence(servable, request.language), explained)
        matches = None
        if (own := rows.get(number)) is not None:
            matches = Matches(len(own), recommender.catalogue.facets(own))
            listed = np.isin(lists.own_rows(number), own).tolist()
            items = tuple(map(_with_match, items, listed))
        made.append(MadeList(items, model, lists.fallback or fallback, at, matches))
    return made


def _matching_rows(shortlists: Shortlists, requests: Sequence[ListRequest], catalogue: Catalogue) -> dict[int, Rows]:
    """Return the rows that match, for each request that counts them."""
    numbers = [number for number, request in enumerate(requests) if request.counts_matches]
    if not numbers:
        return {}
    return dict(zip(numbers, matching_rows(shortlists, numbers, catalogue), strict=True))


def _with_match(item: ListedItem, matches: bool) -> ListedItem:
    return msgspec.structs.replace(item, matches=matches)


def _shortlists(
    servable: Servable, requests: Sequence[ListRequest], queries: QueryBatch, placement: Placement
) -> Shortlists:
    recommender = servable.scoring.recommender
    if placement.k is not None:  # each request has its length already, which may be that of the placement
        placement = msgspec.structs.replace(placement, k=None)
    if placement.filter is not None or any(each.filters for each in requests):
        queries = queries.at(placement, [each.filters for each in requests])
    # `make_lists` has parted the requests, so either all of them name their candidates or none does.
    are_given = requests[0].candidates is not None
    shortlists = recommender.retrieve(queries, every=are_given, placement=placement)
    if are_given:
        return only(shortlists, requests, recommender.catalogue)
    return filled_up(shortlists, requests, recommender.catalogue)


def _items(
    lists: Lists,
    number: int,
    request: ListRequest,
    sentence: Callable[[Because], str],
    explained: Sequence[Explanation] | None,
) -> tuple[ListedItem, ...]:
    part = slice(*lists.starts[number : number + 2].tolist())
    because = lists.because[part]
    if request.seeds and request.action is None:  # nobody acted on the seeds
        because = [each if each.action is None else msgspec.structs.replace(each, action=None) for each in because]
    candidates = map(
        ScoredCandidate,
        lists.items[part],
        lists.scores[part].tolist(),
        lists.sources[part],
        map(sentence, because),
        because,
    )
    if explained is None:
        return tuple([_listed(rank, each) for rank, each in enumerate(candidates, start=1)])
    return tuple([_listed(rank, *each) for rank, each in enumerate(zip(candidates, explained, strict=True), start=1)])


def _listed(rank: int, candidate: ScoredCandidate, explanation: Explanation | UnsetType = UNSET) -> ListedItem:
    item = candidate.item
    return ListedItem(
        rank=rank,
        item_id=item.item_id,
        score=candidate.score,
        sources=candidate.sources,
        reason=candidate.reason,
        because=candidate.because,
        title=item.title,
        url=UNSET if item.url is None else item.url,
        image_url=UNSET if item.image_url is None else item.image_url,
        price=UNSET if item.price is None else item.price,
        list_price=UNSET if item.list_price is None else item.list_price,
        currency=UNSET if item.currency is None else item.currency,
        explanation=explanation,
    )


def _sentence(servable: Servable, language: Language | None) -> Callable[[Because], str]:
    return servable.engine.sentence if language is None else sentences(language)


def _model(servable: Servable) -> ModelRef:
    return ModelRef(name=servable.bundle.name, version=servable.bundle.version)
