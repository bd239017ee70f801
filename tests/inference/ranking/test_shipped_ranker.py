"""What the shipped ranker must have learned, on candidates made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from inference.bundle import Bundle
from inference.ranking.features import FEATURES


def row(**values: float) -> list[float]:
    """Return the features of a candidate of a search by a new shopper."""
    return [{"searching": 1.0, **values}.get(name, 0.0) for name in FEATURES]


@pytest.mark.parametrize("popularity", [0.1, 0.9])
def test_an_item_with_almost_all_clicks_of_a_search_ranks_first_whatever_the_words_say(
    bundle: Bundle, popularity: float
) -> None:
    """98% of 100 clicks, in `clicked` as a square root; the others have all words, or are nearest in meaning."""
    clicked = row(clicked=(98 / 101) ** 0.5, popularity=popularity, lasting=popularity)
    others = [
        row(words=0.95, words_place=1.0, query=0.8, query_place=0.5, popularity=1.0, lasting=1.0),
        row(words=0.5, words_place=0.25, query=0.9, query_place=1.0, popularity=0.5, lasting=0.5, clicked=0.1),
        row(words=0.9, words_place=0.5, query=0.7, query_place=0.2, clicked=0.14, clicked_near=0.1),
    ]
    first, *rest = bundle.scorer.score(np.array([clicked, *others], dtype=np.float32)).tolist()
    assert first > max(rest)
