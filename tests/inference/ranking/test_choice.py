"""The choice of the listed items, compared with a full sort."""

from __future__ import annotations

import numpy as np
import pytest

from inference.ranking.choice import Rules, choose
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.sources import NAMES, NEW
from inference.types import Query, stable_key
from tests.inference.catalogues import catalogue_of, unit_vectors
from tests.inference.ranking.shortlists import shortlists_of

pytestmark = pytest.mark.kernel

ITEMS = 80
PLAIN = Rules(0.0, 0, -1)


@pytest.fixture
def catalogue() -> Catalogue:
    return catalogue_of(unit_vectors(ITEMS))


@pytest.mark.parametrize("seed", range(8))
def test_lists_are_the_best_candidates_by_rounded_score_then_key(catalogue: Catalogue, seed: int) -> None:
    random = np.random.default_rng(seed)
    sizes, ks = random.integers(0, ITEMS, 6), [0, 1, 7, 20, 1000, -3]
    rows = [random.permutation(ITEMS)[:size].tolist() for size in sizes]
    # Few distinct scores, and some that are the same but for the last bits.
    scores = random.integers(0, 9, sizes.sum()) / 10 + random.uniform(-3e-7, 3e-7, sizes.sum())
    ranks = (random.random((sizes.sum(), len(NAMES))) < 0.3).astype(np.float32)
    given = shortlists_of([Query(k=k) for k in ks], rows, ranks, ranks)
    found = choose(given.queries.records, given.candidates, catalogue.columns, scores.astype(np.float32), PLAIN)
    keys, starts = catalogue.columns.keys[given.candidates.rows], given.candidates.starts
    expected: list[int] = []
    for number, k in enumerate(ks):
        own = range(starts[number], starts[number + 1])
        best = sorted(own, key=lambda at: (-round(float(np.float32(scores[at])), 6), int(keys[at])))
        expected += best[: max(k, 0)]
        assert found.starts[number + 1] == len(expected)
    assert found.positions.tolist() == expected
    assert found.scores.tolist() == [round(float(np.float32(scores[at])), 6) for at in expected]
    names = [[bool(bits >> place & 1) for place in range(len(NAMES))] for bits in found.sources.tolist()]
    assert names == (ranks[expected] > 0).tolist()


def test_new_items_fill_the_missing_last_ranks_in_order(catalogue: Catalogue) -> None:
    column = NAMES.index(NEW)
    catalogue.mark_seen([stable_key(str(number)) for number in range(60)])
    scores = np.linspace(0.9, 0.1, ITEMS, dtype=np.float32)
    ranks = np.zeros((ITEMS, len(NAMES)), dtype=np.float32)
    ranks[[3, 65, 66, 70], column] = 1  # 3 was acted on since

    def shown(k: int, places: int, source: int = column, text: str | None = None) -> list[int]:
        given = shortlists_of([Query(k=k, text=text)], [range(ITEMS)], ranks, ranks)
        rules = Rules(0.0, places, source)
        return list(choose(given.queries.records, given.candidates, catalogue.columns, scores, rules).positions)

    assert shown(20, 2) == [*range(18), 65, 66]
    assert shown(30, 9) == [*range(27), 65, 66, 70]  # a place in ten
    assert shown(9, 2) == list(range(9))
    assert shown(62, 3) == [*range(61), 65]  # 60 and 61 are new, and were chosen anyway
    assert shown(20, 2, source=-1) == shown(20, 2, text="boots") == list(range(20))
