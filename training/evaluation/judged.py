"""Graded search results: how well each recommender orders the graded items of a query."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from inference.bundle import Bundle
from inference.encoding.text import item_text
from inference.types import Item, Query
from training.evaluation.baseline_pass import Ranking
from training.evaluation.baselines.words import Bm25
from training.evaluation.judgements import Judgements
from training.evaluation.metrics import NOTHING, Lists, Targets
from training.evaluation.system_pass import OURS


def graded_targets(judgements: Judgements) -> Targets:
    """Return the items with a grade above 0 as the targets."""
    wanted = [
        [(item, grade) for item, grade in zip(items, grades, strict=True) if grade > 0]
        for items, grades in zip(judgements.items, judgements.grades, strict=True)
    ]
    return Targets(
        starts=np.concatenate([[0], np.cumsum([len(each) for each in wanted])]).astype(np.int64),
        items=np.array([item for each in wanted for item, _ in each], dtype=np.int32),
        grades=np.array([grade for each in wanted for _, grade in each], dtype=np.float32),
    )


def rank_graded(
    bundle: Bundle, catalogue: Sequence[Item], judgements: Judgements, k: int, progress: Callable[[int], None]
) -> list[Ranking]:
    """Order each query's graded items by the bundle, by the encoder alone and by BM25. Ties go by item number.

    Raises:
        ScoringError: a graph of the bundle failed.
    """
    words = Bm25([item_text(item) for item in catalogue])
    numbers = {item.item_id: number for number, item in enumerate(catalogue)}
    names = (OURS, "encoder alone", words.name)
    lists = {name: np.full((len(judgements.queries), k), NOTHING, dtype=np.int32) for name in names}
    for place, (query, items) in enumerate(zip(judgements.queries, judgements.items, strict=True)):
        candidates = [catalogue[item] for item in items]
        ranked = bundle.rank(Query(text=query, k=k), candidates)
        _put(lists[OURS], place, [numbers[each.item.item_id] for each in ranked.items])
        cosines = bundle.encode([*map(item_text, candidates)]) @ bundle.encode_query(query)
        _put(lists["encoder alone"], place, _by(cosines.tolist(), items))
        scores = words.scores(query)
        _put(lists[words.name], place, _by(scores[list(items)].tolist(), items))
        progress(1)
    return [Ranking(name, found, np.zeros(0)) for name, found in lists.items()]


def _by(scores: Sequence[float], items: Sequence[int]) -> list[int]:
    ordered = sorted(zip(scores, items, strict=True), key=lambda each: (-each[0], each[1]))
    return [item for _, item in ordered]


def _put(lists: Lists, place: int, ranked: Sequence[int]) -> None:
    best = ranked[: lists.shape[1]]
    lists[place, : len(best)] = best
