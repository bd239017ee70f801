"""Training examples for the ranker, gathered as a replay goes: test, then learn.

At each interaction the shortlist's features are taken as they are at that moment, and labelled afterwards by what the
shopper did next. So the ranker is trained on the very candidates and numbers that it will meet, and on nothing that
lay in the future then (progressive validation: Blum, Kalai & Langford 1999, doi:10.1145/307400.307439).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from inference.ranking.features import FEATURES
from inference.retrieval.shortlist import Shortlist
from inference.types import Vector, stable_key
from streams.contracts.messages import Interaction, ItemAction, Search
from streams.replay import Replay, milliseconds

SEARCH_HORIZON = 1
"""A search is answered by the first item that the shopper turns to; what comes later may be about something else."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which examples are kept.

    Attributes:
        seed: of the samples.
        share: of the interactions, how many become a list of examples, in (0, 1].
        negatives: candidates of a list, beside those acted on, that are kept; None for all.
        horizon: how many of the items that the shopper turns to next, in the same session, count as acted on.
        session_gap_ms: a pause this long ends a session that has no id.
    """

    seed: int = 0
    share: float = 1.0
    negatives: int | None = 50
    horizon: int = 5
    session_gap_ms: int = 30 * 60_000


class List(NamedTuple):
    """The examples of one interaction, n of its candidates in retrieval order.

    Attributes:
        features: float32 (n, F).
        labels: 1 where the shopper acted on the item next, else 0, uint8 (n,).
        weights: how many candidates each example stands for: more than 1 where negatives were left out, float32 (n,).
        relevant: how many items the shopper acted on next, whether retrieval found them or not.
    """

    features: Vector
    labels: npt.NDArray[np.uint8]
    weights: Vector
    relevant: int


def examples(
    replay: Replay, interactions: Sequence[Interaction], sampling: Sampling, progress: Callable[[int], None]
) -> Iterator[List]:
    """Yield a list of examples for each sampled interaction that something followed, in order.

    `progress` is told how many interactions each step took.
    """
    following = next_items(interactions, sampling)
    position = 0
    for batch in replay.observe(interactions):
        # Drawn for each interaction alone, so that no draw depends on what happens later.
        draws = [np.random.default_rng([sampling.seed, n]) for n in range(position, position + len(batch))]
        chosen = [n for n, draw in enumerate(draws) if draw.random() < sampling.share and following[position + n]]
        shortlists = replay.recommender.retrieve([batch[n].query for n in chosen])
        for n, shortlist in zip(chosen, shortlists, strict=True):
            yield _examples(replay, shortlist, following[position + n], sampling.negatives, draws[n])
        position += len(batch)
        progress(len(batch))


def _examples(
    replay: Replay, shortlist: Shortlist, acted_on: Sequence[int], negatives: int | None, draw: np.random.Generator
) -> List:
    """Label the candidates and keep those acted on and a sample of the others."""
    catalogue = replay.recommender.catalogue
    labels = np.isin(catalogue.columns.keys[shortlist.rows], np.array(acted_on, dtype=np.uint64))
    others = np.flatnonzero(~labels)
    sampled = others if negatives is None or negatives >= len(others) else draw.choice(others, negatives, replace=False)
    kept = np.sort(np.concatenate([np.flatnonzero(labels), sampled]))
    stands_for = len(others) / max(len(sampled), 1)
    return List(
        features=replay.recommender.features(shortlist)[kept],
        labels=labels[kept].astype(np.uint8),
        weights=np.where(labels[kept], 1.0, stands_for).astype(np.float32),
        relevant=len(acted_on),
    )


def next_items(interactions: Sequence[Interaction], sampling: Sampling) -> list[tuple[int, ...]]:
    """Return for each interaction the stable keys of the items that the shopper turns to next in the same session.

    An item counts where the session first comes to it: what was viewed before and is bought later is no discovery, and
    it is not recommended any more.
    """
    sessions = _sessions(interactions, sampling.session_gap_ms)
    first: defaultdict[tuple[str, str | int], dict[int, int]] = defaultdict(dict)
    for position, (session, interaction) in enumerate(zip(sessions, interactions, strict=True)):
        if isinstance(interaction, ItemAction):
            first[session].setdefault(stable_key(interaction.item_id), position)
    orders = {session: (list(items.values()), tuple(items)) for session, items in first.items()}
    following = []
    for position, (session, interaction) in enumerate(zip(sessions, interactions, strict=True)):
        positions, keys = orders.get(session, ([], ()))
        start = bisect_right(positions, position)
        horizon = SEARCH_HORIZON if isinstance(interaction, Search) else sampling.horizon
        following.append(keys[start : start + horizon])
    return following


def _sessions(interactions: Sequence[Interaction], gap_ms: int) -> list[tuple[str, str | int]]:
    """Name the session of each interaction: by its id, else by the pauses of the shopper, as the profile does."""
    last: dict[str, tuple[int, int]] = {}
    sessions: list[tuple[str, str | int]] = []
    for interaction in interactions:
        at_ms = milliseconds(interaction)
        before, number = last.get(interaction.user_id, (at_ms, 0))
        number += at_ms - before > gap_ms
        last[interaction.user_id] = (max(at_ms, before), number)
        sessions.append((interaction.user_id, interaction.session_id or number))
    return sessions


def as_arrays(lists: Sequence[List]) -> dict[str, Any]:
    """Return the arrays of the file of examples: see `intentstream examples --help`."""
    sizes = [len(each.labels) for each in lists]
    return {
        "features": np.concatenate([each.features for each in lists] or [np.empty((0, len(FEATURES)), np.float32)]),
        "labels": np.concatenate([each.labels for each in lists] or [np.empty(0, np.uint8)]),
        "weights": np.concatenate([each.weights for each in lists] or [np.empty(0, np.float32)]),
        "groups": np.repeat(np.arange(len(lists)), sizes),
        "relevant": np.array([each.relevant for each in lists], dtype=np.int64),
        "names": np.array(FEATURES, dtype=np.str_),
    }
