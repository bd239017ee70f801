"""Training examples for the ranker, sampled during a replay: test, then learn.

At each interaction, the features of the shortlist are taken as of that moment. The labels come from the shopper's next
actions. So the ranker is trained on the same candidates and values as in service, and on nothing from the future
(progressive validation: Blum, Kalai & Langford 1999, doi:10.1145/307400.307439).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from inference.errors import BundleError
from inference.manifest import FittedPeriod
from inference.pipeline import Recommender
from inference.queries import QueryBatch
from inference.ranking.features import FEATURES
from inference.retrieval.shortlists import Candidates, Shortlists
from inference.types import Vector, stable_key
from streams.contracts.messages import Interaction, ItemAction, Search, occurred_ms
from streams.event_log import ends_of_ties
from streams.profiles.events import session_key
from streams.replay import Replay
from training.ranker.examples import Examples
from training.ranker.provenance import event_hashes, period

SEARCH_HORIZON = 1
"""Items that can answer a search: only the next one that the shopper acts on. Later items may have another purpose."""
SessionName = tuple[str, int, int]
BASKET = 20
"""Items of a session that count for a list at the shopper's arrival."""
WARM_UP = 1000
"""Interactions before the first list that are processed in full, so that updates have their own intervals again."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """The rules that select examples.

    Attributes:
        seed: seed of the samples.
        after: share of the interactions, from the beginning, that are only learned from: too little is known there.
        share: share of the later interactions that become a list of examples, in (0, 1].
        arrivals: share of the arrivals of known shoppers, before any action, that become one, in [0, 1].
        negatives: candidates of a list that are kept beside those acted on; None for all.
        horizon: number of items, of those that the shopper acts on next in the same session, that count as positive.
        session_gap_ms: a longer pause ends a session without an id.
    """

    seed: int = 0
    after: float = 0.0
    share: float = 1.0
    arrivals: float = 0.0
    negatives: int | None = 50
    horizon: int = 5
    session_gap_ms: int = 30 * 60_000


class ExampleList(NamedTuple):
    """The examples of one list: n of its candidates, in retrieval order.

    Attributes:
        features: float32 (n, F).
        labels: above 0 if the shopper acted on the item next: 1 for the first item, 1/2 for the second …; at an arrival
            1 for each, as a basket has no order; float32 (n,).
        weights: number of candidates that each example represents: above 1 if negatives were left out, float32 (n,).
        relevant: number of items that the shopper acted on next, including those that retrieval did not find.
        graded: whether the labels are grades given by people.
        shopper: number of the shopper.
    """

    features: Vector
    labels: Vector
    weights: Vector
    relevant: int
    graded: bool = False
    shopper: int = 0


def first_ranked(interactions: Sequence[Interaction], sampling: Sampling) -> int:
    """Return how many interactions `Replay.learn` may fold in before `example_lists`, which is faster."""
    return max(_start(interactions, sampling) - WARM_UP, 0)


def example_lists(
    replay: Replay,
    interactions: Sequence[Interaction],
    sampling: Sampling,
    progress: Callable[[int], None],
    *,
    learned: int = 0,
) -> Iterator[ExampleList]:
    """Yield a list of examples for each sampled interaction and arrival, in order.

    If nothing follows an interaction, all labels are 0. Without such lists, every probability would assume that the
    shopper stays. Of a shopper's interactions at one time, only the last is sampled.

    Args:
        replay: the system. It has already learned the first `learned` of the interactions.
        interactions: the log.
        sampling: the rules that select lists.
        progress: receives the number of interactions of each step.
        learned: at most `first_ranked`.
    """
    following = next_items(interactions, sampling)
    sessions = arrivals(interactions, sampling.session_gap_ms)
    start = _start(interactions, sampling)
    ends = ends_of_ties(interactions)
    shoppers: dict[str, int] = {}
    position = learned
    arriving = {
        number
        for number in sessions
        if number >= start and _draw(sampling.seed, number, 1).random() < sampling.arrivals
    }
    arrived: dict[int, QueryBatch] = {}

    def arrive() -> None:
        # The query of an arrival is taken before its interaction is folded in.
        if position in arriving:
            interaction = interactions[position]
            arrived[position] = replay.arrive(interaction.user_id, occurred_ms(interaction))

    arrive()
    for folded in replay.fold(interactions[learned:], {number - learned for number in arriving}):
        queries: list[QueryBatch] = []
        wanted: list[Wanted] = []
        for place in range(len(folded.queries)):
            number = position + place
            if number < start:
                continue
            shopper = shoppers.setdefault(interactions[number].user_id, len(shoppers))
            # Drawn for each interaction alone, so that no draw depends on what happens later.
            draw = _draw(sampling.seed, number, 0)
            # Both lists of an interaction use one draw, so their order is part of the sample.
            if number in arrived:
                queries.append(arrived.pop(number))
                wanted.append(Wanted(dict.fromkeys(sessions[number], 1.0), draw, shopper))
            if ends[number] == number and draw.random() < sampling.share:
                queries.append(folded.queries.take([place]))
                wanted.append(Wanted(_fading(following[number]), draw, shopper))
        if wanted:
            shortlists = replay.recommender.retrieve(QueryBatch.joined(queries), every=True)
            yield from labelled(replay.recommender, shortlists, wanted, sampling.negatives)
        position += len(folded.queries)
        progress(len(folded.queries))
        arrive()


class Wanted(NamedTuple):
    """A list to be labelled.

    Attributes:
        acted_on: the label of each item that the shopper acted on, by stable key.
        draw: draws the other candidates.
        shopper: number of the shopper.
    """

    acted_on: Mapping[int, float]
    draw: np.random.Generator
    shopper: int


def labelled(
    recommender: Recommender, shortlists: Shortlists, wanted: Sequence[Wanted], negatives: int | None
) -> Iterator[ExampleList]:
    """Label the candidates of each list, and keep those acted on and a sample of the others."""
    found = shortlists.candidates
    keys = recommender.catalogue.columns.keys[found.rows]
    kept, parts = [], []
    for number, (acted_on, draw, _) in enumerate(wanted):
        own = shortlists.own(number)
        labels = np.zeros(own.stop - own.start, dtype=np.float32)
        for key, label in acted_on.items():
            # A key that retrieval did not find labels nothing. It still counts in `relevant`, so a miss of retrieval
            # lowers the figures.
            labels[keys[own] == np.uint64(key)] = label
        others = np.flatnonzero(labels == 0)
        sampled = others
        if negatives is not None and negatives < len(others):
            sampled = draw.choice(others, negatives, replace=False)
        # Sorted, so that the examples stay in retrieval order, which is the order that rankers are compared with.
        places = np.sort(np.concatenate([np.flatnonzero(labels), sampled]))
        kept.append(own.start + places)
        parts.append((labels[places], len(others) / max(len(sampled), 1)))
    rows = np.concatenate(kept)
    starts = np.cumsum([0, *map(len, kept)], dtype=np.int64)
    columns = (column[rows] for column in (found.rows, found.fused, found.scores, found.ranks))
    # Features of all kept candidates at once, and of no others: they are most of the work after retrieval.
    features = recommender.features(replace(shortlists, candidates=Candidates(starts, *columns)))
    for (acted_on, _, shopper), (labels, stands_for), start, end in zip(
        wanted, parts, starts[:-1].tolist(), starts[1:].tolist(), strict=True
    ):
        weights = np.where(labels > 0, 1.0, stands_for).astype(np.float32)
        yield ExampleList(features[start:end], labels, weights, len(acted_on), shopper=shopper)


def _start(interactions: Sequence[Interaction], sampling: Sampling) -> int:
    return round(sampling.after * len(interactions))


def _fading(following: Sequence[int]) -> dict[int, float]:
    return {key: 1 / place for place, key in enumerate(following, start=1)}


def _draw(seed: int, number: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng([seed, number, purpose])


def arrivals(interactions: Sequence[Interaction], gap_ms: int) -> dict[int, tuple[int, ...]]:
    """Return the first BASKET items of a known shopper's sessions: stable keys, by the session's first position."""
    begins: dict[SessionName, int] = {}
    items: defaultdict[SessionName, dict[int, None]] = defaultdict(dict)
    known: set[str] = set()
    for number, (session, interaction) in enumerate(
        zip(session_names(interactions, gap_ms), interactions, strict=True)
    ):
        if session not in items and interaction.user_id in known:
            begins[session] = number
        known.add(interaction.user_id)
        came_to = items[session]
        if isinstance(interaction, ItemAction):
            came_to.setdefault(stable_key(interaction.item_id))
    return {number: tuple(items[session])[:BASKET] for session, number in begins.items() if items[session]}


def next_items(interactions: Sequence[Interaction], sampling: Sampling) -> list[tuple[int, ...]]:
    """Return for each interaction the stable keys of the items that the shopper acts on later in the same session.

    An item counts at the session's first action on it. The purchase of an item that was viewed before is no discovery,
    and such an item is not recommended any more.
    """
    sessions = session_names(interactions, sampling.session_gap_ms)
    first: defaultdict[SessionName, dict[int, int]] = defaultdict(dict)
    for session, interaction in zip(sessions, interactions, strict=True):
        if isinstance(interaction, ItemAction):
            first[session].setdefault(stable_key(interaction.item_id), occurred_ms(interaction))
    orders = {session: (list(items.values()), tuple(items)) for session, items in first.items()}
    following = []
    for session, interaction in zip(sessions, interactions, strict=True):
        times, keys = orders.get(session, ([], ()))
        # A session's items are in the order of their first actions. Those of the same time as the interaction do not
        # follow it.
        start = bisect_right(times, occurred_ms(interaction))
        horizon = SEARCH_HORIZON if isinstance(interaction, Search) else sampling.horizon
        following.append(keys[start : start + horizon])
    return following


def session_names(interactions: Sequence[Interaction], gap_ms: int) -> list[SessionName]:
    """Return the session of each interaction; see `session_name`."""
    last: dict[str, tuple[int, int]] = {}
    return [session_name(interaction, last, gap_ms) for interaction in interactions]


def session_name(interaction: Interaction, last: dict[str, tuple[int, int]], gap_ms: int) -> SessionName:
    """Return the next interaction's session, as in profiles: shopper, id if there is one, number of earlier pauses.

    `last` is updated: by shopper, the time of the newest interaction so far, and the number of pauses before it.
    """
    at_ms = occurred_ms(interaction)
    before, number = last.get(interaction.user_id, (at_ms, 0))
    number += at_ms - before > gap_ms
    last[interaction.user_id] = (max(at_ms, before), number)
    return interaction.user_id, session_key(interaction.session_id), number


def ranked_period(interactions: Sequence[Interaction], sampling: Sampling) -> tuple[FittedPeriod, ...]:
    """Return the record of the interactions that the lists and their labels are from."""
    ranked = interactions[_start(interactions, sampling) :]
    return (period(event_hashes(ranked), ranked),) if ranked else ()


def as_examples(lists: Sequence[ExampleList], fitted_to: tuple[FittedPeriod, ...] = ()) -> Examples:
    """Return the lists in the form that the ranker's fit takes. Raises BundleError if shoppers acted on nothing."""
    if not any(each.labels.any() for each in lists):
        raise BundleError(
            f"examples: required a list with a candidate that was acted on, got {len(lists)} lists without"
        )
    sizes = [len(each.labels) for each in lists]
    return Examples(
        features=np.concatenate([each.features for each in lists]),
        names=FEATURES,
        labels=np.concatenate([each.labels for each in lists]),
        weights=np.concatenate([each.weights for each in lists]),
        groups=np.repeat(np.arange(len(lists)), sizes),
        relevant=np.array([each.relevant for each in lists], dtype=np.int64),
        graded=np.array([each.graded for each in lists], dtype=np.bool_),
        shoppers=np.array([each.shopper for each in lists], dtype=np.int64),
        fitted_to=fitted_to,
    )
