"""Training examples from searches with results graded by people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from inference.bundle import Bundle
from inference.queries import QueryBatch
from inference.types import Item, Query, stable_key
from training.ranker.gather import ExampleList, Wanted, labelled


def graded_lists(
    bundle: Bundle,
    catalogue: Sequence[Item],
    queries: Sequence[tuple[str, Mapping[int, float]]],
    progress: Callable[[int], None],
) -> Iterator[ExampleList]:
    """Yield a list for each search with results graded by people: only the graded items, as `bundle.rank` sees them.

    Args:
        bundle: the model.
        catalogue: the items.
        queries: the text of each search, and the grades, 0 or more, by the item's position in the catalogue.
        progress: receives 1 for each search.
    """
    best = max((grade for _, grades in queries for grade in grades.values()), default=1.0)
    for number, (text, grades) in enumerate(queries):
        recommender = bundle.over([catalogue[place] for place in grades])
        query = bundle.with_vector(Query(text=text, k=len(grades)))
        shortlist = recommender.retrieve(QueryBatch.of([query], bundle.dim), every=True)
        labels = {stable_key(catalogue[place].item_id): grade / best for place, grade in grades.items() if grade > 0}
        wanted = Wanted(labels, np.random.default_rng(0), number)
        for each in labelled(recommender, shortlist, [wanted], None):
            yield each._replace(graded=True)
        progress(1)
