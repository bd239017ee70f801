"""One contract for every candidate source, and the merge of what they find against a naive one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.retrieval.catalogue import Catalogue, Found
from inference.retrieval.shortlist import RRF_OFFSET, merge
from inference.retrieval.sources import SOURCES, TRENDING, CandidateSource
from inference.retrieval.vectors import quantise
from inference.types import Query, stable_key
from tests.inference.catalogues import DIM, catalogue_of, item, queries_of, unit_vectors

UNAVAILABLE = {"4", "5", "6"}


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest) -> CandidateSource:
    return SOURCES[request.param]


@pytest.fixture(params=[10**6, 4], ids=["exact", "approximate"])
def catalogue(request: pytest.FixtureRequest) -> Catalogue:
    """200 items, 20 of them popular; some of those sold out, one removed."""
    vectors = unit_vectors(200)
    catalogue = catalogue_of(vectors, exact_limit=request.param)
    catalogue.set_popularity({stable_key(str(number)): 1 / (1 + number) for number in range(20)})
    for item_id in ("4", "5"):
        catalogue.upsert(item(item_id, in_stock=False), quantise(vectors[int(item_id)]))
    catalogue.remove("6")
    return catalogue


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_what_a_source_finds_is_available_distinct_bounded_and_sorted(
    source: CandidateSource, catalogue: Catalogue, limit: int
) -> None:
    queries = queries_of(12)
    answers = source.retrieve(queries, catalogue, limit)
    assert len(answers) == len(queries)
    found = [hits for hits in answers if hits is not None]
    assert found
    for rows, scores in found:
        assert 0 < len(rows) == len(scores) <= limit
        assert len(set(rows.tolist())) == len(rows)
        assert catalogue.columns.available[rows].all()
        assert not {catalogue.item(row).item_id for row in rows} & UNAVAILABLE
        order = np.lexsort((catalogue.columns.keys[rows], -scores))
        assert order.tolist() == list(range(len(rows)))


def test_a_source_answers_a_batch_as_it_answers_one(source: CandidateSource, catalogue: Catalogue) -> None:
    queries = queries_of(12)
    for query, together in zip(queries, source.retrieve(queries, catalogue, 9), strict=True):
        (alone,) = source.retrieve([query], catalogue, 9)
        assert (alone is None) == (together is None)
        if alone is not None and together is not None:
            assert alone.rows.tolist() == together.rows.tolist()
            assert alone.scores.tolist() == together.scores.tolist()


def test_a_source_has_its_name_and_bears_an_empty_batch_and_an_empty_catalogue(source: CandidateSource) -> None:
    assert SOURCES[source.name] is source
    assert source.retrieve([], Catalogue(DIM), 5) == []
    for hits in source.retrieve(queries_of(4), Catalogue(DIM), 5):
        assert hits is None or len(hits.rows) == 0


def test_a_source_with_nothing_to_go_by_says_none(source: CandidateSource, catalogue: Catalogue) -> None:
    catalogue.set_popularity({})
    assert source.retrieve([Query()], catalogue, 5) == [None]


def test_trending_is_the_same_for_everyone(catalogue: Catalogue) -> None:
    (found,) = SOURCES[TRENDING].retrieve([Query()], catalogue, 5)
    assert found is not None
    assert [catalogue.item(row).item_id for row in found.rows] == ["0", "1", "2", "3", "7"]


rankings = st.lists(st.none() | st.lists(st.integers(0, 39), unique=True, max_size=25), max_size=4)


@given(rankings, st.lists(st.integers(0, 39), max_size=6), st.integers(0, 12))
def test_the_merge_is_reciprocal_rank_fusion_with_its_origins(
    found: list[list[int] | None], excluded: list[int], k: int
) -> None:
    catalogue = catalogue_of(unit_vectors(40))
    exclude = np.array([stable_key(str(number)) for number in excluded], dtype=np.uint64)
    query = Query(exclude=exclude, k=k)
    names = [f"source {column}" for column in range(len(found))]
    fused: dict[int, np.float32] = {}
    origins: dict[int, tuple[str, ...]] = {}
    for name, rows in zip(names, found, strict=True):
        for rank, row in enumerate(rows or (), start=1):
            if row not in excluded:
                fused[row] = np.float32(fused.get(row, np.float32(0)) + np.float32(1) / np.float32(RRF_OFFSET + rank))
                origins[row] = (*origins.get(row, ()), name)
    expected = sorted(fused, key=lambda row: (-fused[row], stable_key(str(row))))
    hits = [
        None if rows is None else Found(np.array(rows, dtype=np.intp), np.linspace(1, 0.1, len(rows), dtype=np.float32))
        for rows in found
    ]
    shortlist = merge(query, list(zip(names, hits, strict=True)), catalogue)
    assert shortlist.rows.tolist() == expected
    assert shortlist.fused.tolist() == [fused[row] for row in expected]
    assert [shortlist.origins(position) for position in range(len(expected))] == [origins[row] for row in expected]
    assert [each.item_id for each in shortlist.leading] == [str(row) for row in expected[:k]]


def test_each_sources_score_stays_with_its_item() -> None:
    catalogue = catalogue_of(unit_vectors(10))
    queries = [replace(query, exclude=np.empty(0, dtype=np.uint64)) for query in queries_of(8)]
    for query in queries:
        found = [(name, source.retrieve([query], catalogue, 5)[0]) for name, source in SOURCES.items()]
        shortlist = merge(query, found, catalogue)
        for column, (_, hits) in enumerate(found):
            given_scores = {} if hits is None else dict(zip(hits.rows.tolist(), hits.scores.tolist(), strict=True))
            kept = dict(zip(shortlist.rows.tolist(), shortlist.scores[:, column].tolist(), strict=True))
            assert {row: score for row, score in kept.items() if row in given_scores} == given_scores
            assert all(score == 0 for row, score in kept.items() if row not in given_scores)
