"""The merge of all sources, compared with a naive one."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.kernels.fusion import RRF_OFFSET
from inference.pipeline import find, merge, retrieve
from inference.queries import EARLIER, QueryBatch
from inference.retrieval.behaviour import make_sources
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.shortlists import Found, Hits, Shortlists, no_hits
from inference.retrieval.sources import (
    NAMES,
)
from inference.types import Query, stable_key
from tests.inference.catalogues import DIM, catalogue_of, unit_vectors
from tests.inference.retrieval.behaviours import (
    found_by,
    keys,
    learned,
    sequence_model,
    shop,
    shoppers,
)

pytestmark = pytest.mark.kernel


@pytest.fixture(params=[10**6, 4], ids=["exact", "approximate"])
def catalogue(request: pytest.FixtureRequest) -> Catalogue:
    return shop(request.param)


def same(one: Found, other: Found) -> bool:
    return bool(one.rows.tolist() == other.rows.tolist() and one.scores.tolist() == other.scores.tolist())


rankings = st.lists(st.lists(st.integers(0, 39), unique=True, max_size=25), max_size=4)


def hits_of(found: list[list[list[int]]], limit: int = 25) -> Hits:
    """Return as hits what each source found for each query, the first with a score of 1 and the last with 0.1."""
    hits = no_hits(len(found), max(map(len, found), default=0), limit)
    for query, answers in enumerate(found):
        for place, rows in enumerate(answers):
            hits.rows[query, place, : len(rows)] = rows
            hits.scores[query, place, : len(rows)] = np.linspace(1, 0.1, len(rows), dtype=np.float32)
            hits.counts[query, place] = len(rows)
    return hits


def candidates(
    shortlists: Shortlists, query: int
) -> tuple[list[int], list[float], list[list[float]], list[list[float]]]:
    each = shortlists.candidates
    own = slice(each.starts[query], each.starts[query + 1])
    return each.rows[own].tolist(), each.fused[own].tolist(), each.scores[own].tolist(), each.ranks[own].tolist()


@given(
    rankings,
    st.lists(st.integers(0, 45), max_size=6),
    st.lists(st.integers(0, 45), max_size=EARLIER),
    st.integers(0, 12),
    st.none() | st.integers(0, 20),
)
def test_the_merge_is_reciprocal_rank_fusion_with_its_origins(
    found: list[list[int]], excluded: list[int], earlier: list[int], k: int, most: int | None
) -> None:
    catalogue = catalogue_of(unit_vectors(40))
    exclude = np.array([stable_key(str(number)) for number in excluded], dtype=np.uint64)
    fused: dict[int, float] = {}
    for rows in found:
        for rank, row in enumerate(rows, start=1):
            if row not in excluded and row not in earlier:
                fused[row] = fused.get(row, 0.0) + float(np.float32(1) / np.float32(RRF_OFFSET + rank))
    expected = sorted(fused, key=lambda row: (-np.float32(fused[row]), stable_key(str(row))))
    expected = expected[: None if most is None else max(most, k)]
    names = tuple(f"source {place}" for place in range(len(found)))
    batch = QueryBatch.of([Query(exclude=exclude, k=k), Query(k=k)], DIM)
    batch.records[0]["earlier_length"] = len(earlier)
    batch.records[0]["earlier"][: len(earlier)] = [stable_key(str(number)) % 2**32 for number in earlier]
    both = merge(names, batch, catalogue, hits_of([found, found]), most)
    # The earlier items of one query do not count for the next one.
    if most is None:
        assert {row for rows in found for row in rows} == {*candidates(both, 1)[0]}
    shortlists = both.take([0])
    rows, own_fused, scores, ranks = candidates(shortlists, 0)
    assert shortlists.sources == names
    assert shortlists.candidates.starts.tolist() == [0, len(expected)]
    assert rows == expected
    assert own_fused == [np.float32(fused[row]) for row in expected]
    for place, ranked in enumerate(found):
        given_ranks = {row: np.float32(1 / rank) for rank, row in enumerate(ranked, start=1)}
        given_scores = dict(zip(ranked, np.linspace(1, 0.1, len(ranked), dtype=np.float32).tolist(), strict=True))
        assert [each[place] for each in ranks] == [given_ranks.get(row, 0.0) for row in expected]
        assert [each[place] for each in scores] == [given_scores.get(row, 0.0) for row in expected]


@given(st.lists(rankings.filter(bool), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_merging_a_batch_equals_merging_single_shortlists(found: list[list[list[int]]], random: Random) -> None:
    catalogue, sources = catalogue_of(unit_vectors(40)), max(map(len, found))
    queries = [Query(exclude=keys(*random.sample(range(45), 5)), k=random.randrange(9)) for _ in found]
    names = tuple(map(str, range(sources)))
    together = merge(names, QueryBatch.of(queries, DIM), catalogue, hits_of(found), 8)
    for place, query in enumerate(queries):
        padded = [*found[place], *([[]] * (sources - len(found[place])))]
        alone = merge(names, QueryBatch.of([query], DIM), catalogue, hits_of([padded]), 8)
        assert candidates(together, place) == candidates(alone, 0)


def test_sources_give_the_same_hits_together_and_alone(catalogue: Catalogue) -> None:
    sources, queries = make_sources(NAMES, learned(), sequence_model()), shoppers(12)
    hits = find(sources, QueryBatch.of(queries, DIM), catalogue, 9)
    for place, source in enumerate(sources):
        for query, alone in enumerate(found_by(source, queries, catalogue)):
            assert same(hits.found(query, place), alone)


def test_retrieval_fuses_the_hits_of_all_sources_with_their_scores(catalogue: Catalogue) -> None:
    queries = [replace(query, exclude=np.empty(0, dtype=np.uint64)) for query in shoppers(8)]
    sources, batch = make_sources(NAMES, learned(), sequence_model()), QueryBatch.of(queries, DIM)
    shortlists = retrieve(sources, batch, catalogue, 5)
    assert shortlists.sources == NAMES
    assert shortlists.queries is batch
    for query in range(len(queries)):
        rows, _, scores, ranks = candidates(shortlists, query)
        for place, source in enumerate(sources):
            found = found_by(source, queries, catalogue, 5)[query]
            given_scores = dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True))
            assert {row: each[place] for row, each in zip(rows, scores, strict=True) if each[place]} == {
                row: score for row, score in given_scores.items() if score
            }
            proposed = [row for row, each in zip(rows, ranks, strict=True) if each[place]]
            assert set(proposed) == given_scores.keys()


def test_retrieval_does_not_depend_on_the_batch(catalogue: Catalogue) -> None:
    sources, queries = make_sources(NAMES, learned(), sequence_model()), shoppers(30)
    together = retrieve(sources, QueryBatch.of(queries, DIM), catalogue, 9, 20)
    for place, query in enumerate(queries):
        alone = retrieve(sources, QueryBatch.of([query], DIM), catalogue, 9, 20)
        assert candidates(together, place) == candidates(alone, 0)


def test_no_queries_and_no_sources_have_no_candidates(catalogue: Catalogue) -> None:
    nothing = retrieve(make_sources(NAMES, learned(), sequence_model()), QueryBatch.of([], DIM), catalogue, 9)
    assert nothing.candidates.starts.tolist() == [0]
    assert nothing.candidates.scores.shape == (0, len(NAMES))
    nothing = retrieve([], QueryBatch.of(shoppers(2), DIM), catalogue, 9)
    assert nothing.candidates.starts.tolist() == [0, 0, 0]
