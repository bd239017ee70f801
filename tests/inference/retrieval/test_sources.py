"""One contract for every candidate source, and the merge of what they find against a naive one."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.retrieval import offers
from inference.retrieval.behaviour import Behaviour
from inference.retrieval.catalogue import Catalogue, Found
from inference.retrieval.found import Offers, falling
from inference.retrieval.shortlist import RRF_OFFSET, merge
from inference.retrieval.sources import NAMES, NEW, TRENDING, TRENDING_CATEGORY, CandidateSource, ask, make_sources
from inference.retrieval.vectors import quantise
from inference.types import Query, stable_key
from tests.inference.catalogues import DIM, catalogue_of, item, unit_vectors
from tests.inference.retrieval.behaviours import ITEMS, SEEN, UNAVAILABLE, key, keys, learned, records, shop, shoppers


def source_of(name: str, behaviour: Behaviour | None = None) -> CandidateSource:
    (source,) = make_sources([name], behaviour or Behaviour())
    return source


def answers(source: CandidateSource, catalogue: Catalogue, limit: int = 9) -> list[dict[str, float] | None]:
    """What the source proposes to every shopper: ids and scores, in order."""

    def item_id(row: int) -> str:
        return catalogue.item(row).item_id

    return [
        hits
        and {catalogue.item(row).item_id: score for row, score in zip(hits.rows, hits.scores.tolist(), strict=True)}
        for hits in source.retrieve(shoppers(12), catalogue, limit)
    ]


@pytest.fixture(params=NAMES)
def source(request: pytest.FixtureRequest) -> CandidateSource:
    (source,) = make_sources([request.param], learned())
    return source


@pytest.fixture(params=[10**6, 4], ids=["exact", "approximate"])
def catalogue(request: pytest.FixtureRequest) -> Catalogue:
    return shop(request.param)


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_what_a_source_finds_is_available_distinct_bounded_and_sorted(
    source: CandidateSource, catalogue: Catalogue, limit: int
) -> None:
    queries = shoppers(12)
    answers = source.retrieve(queries, catalogue, limit)
    assert len(answers) == len(queries)
    found = [hits for hits in answers if hits is not None]
    assert found
    for rows, scores in found:
        assert 0 < len(rows) == len(scores) <= limit
        assert len(set(rows.tolist())) == len(rows)
        assert catalogue.columns.available[rows].all()
        assert not {catalogue.item(row).item_id for row in rows} & UNAVAILABLE
        assert (scores >= (-1 if source.nearest else 0)).all()
        assert (scores <= 1 + 1e-6).all()
        order = np.lexsort((catalogue.columns.keys[rows], -scores))
        assert order.tolist() == list(range(len(rows)))


def test_a_source_answers_a_batch_as_it_answers_one(source: CandidateSource, catalogue: Catalogue) -> None:
    queries = shoppers(12)
    for query, together in zip(queries, source.retrieve(queries, catalogue, 9), strict=True):
        (alone,) = source.retrieve([query], catalogue, 9)
        assert (alone is None) == (together is None)
        if alone is not None and together is not None:
            assert alone.rows.tolist() == together.rows.tolist()
            assert alone.scores.tolist() == together.scores.tolist()


def test_a_source_has_its_name_and_bears_an_empty_batch_and_an_empty_catalogue(source: CandidateSource) -> None:
    assert source.name in NAMES
    assert source.retrieve([], Catalogue(DIM), 5) == []
    for hits in source.retrieve(shoppers(4), Catalogue(DIM), 5):
        assert hits is None or len(hits.rows) == 0


def test_a_source_with_nothing_to_go_by_says_none(source: CandidateSource, catalogue: Catalogue) -> None:
    catalogue.set_popularity({})
    assert source.retrieve([Query()], catalogue, 5) == [None]


def test_items_that_went_are_never_proposed(source: CandidateSource, catalogue: Catalogue) -> None:
    for number in range(0, ITEMS, 2):
        catalogue.remove(str(number))
    proposed = {item_id for found in answers(source, catalogue, ITEMS) for item_id in found or {}}
    assert proposed
    assert all(int(item_id) % 2 for item_id in proposed)


@given(st.randoms(use_true_random=False))
def test_the_order_of_records_does_not_matter(random: Random) -> None:
    catalogue, shuffled = shop(), records()
    random.shuffle(shuffled)
    others = make_sources(NAMES, learned(shuffled))
    for source, other in zip(make_sources(NAMES, learned()), others, strict=True):
        assert answers(source, catalogue) == answers(other, catalogue)


def test_sources_asked_together_answer_as_they_do_alone(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offers, "RUN", 5)
    sources, queries = make_sources(NAMES, learned()), shoppers(12)
    for source, found in zip(sources, ask(sources, queries, catalogue, 9), strict=True):
        for together, alone in zip(found, source.retrieve(queries, catalogue, 9), strict=True):
            assert (together is None) == (alone is None)
            if together is not None and alone is not None:
                assert together.rows.tolist() == alone.rows.tolist()
                assert together.scores.tolist() == alone.scores.tolist()


offered = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.sampled_from([0.0, 0.25, 0.5])), max_size=40)


@given(offered, st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=5), st.integers(1, 5))
def test_offers_are_the_sums_of_what_speaks_for_each_item(
    given_offers: list[tuple[int, int, float]], withheld: list[tuple[int, int]], limit: int
) -> None:
    catalogue, sums = shop(), dict[tuple[int, int], float]()
    for number, each, weight in given_offers:
        sums[number, each] = sums.get((number, each), 0.0) + weight
    entries = [*given_offers, *((number, each, -np.inf) for number, each in withheld)]
    made = Offers(
        np.array([number for number, _, _ in entries], dtype=np.intp),
        keys(*(each for _, each, _ in entries)),
        np.array([weight for _, _, weight in entries]),
    )
    found = catalogue.offer(made, 4, limit)
    for number, hits in enumerate(found):
        own = {str(each): min(total, 1.0) for (query, each), total in sums.items() if query == number}
        gone = {str(each) for query, each in withheld if query == number} | UNAVAILABLE
        offered_items = [(item_id, score) for item_id, score in own.items() if item_id not in gone]
        expected = sorted(offered_items, key=lambda entry: (-entry[1], stable_key(entry[0])))[:limit]
        rows, scores = hits or ([], np.empty(0))
        assert [catalogue.item(row).item_id for row in rows] == [item_id for item_id, _ in expected]
        assert scores.tolist() == [score for _, score in expected]


def test_sources_are_made_once_each_in_the_order_of_reasons_and_unknown_ones_are_named() -> None:
    made = make_sources([TRENDING, NEW, TRENDING], Behaviour())
    assert [source.name for source in made] == [NEW, TRENDING]
    with pytest.raises(ValueError, match="required, 'magic' came"):
        make_sources(["magic", NEW], Behaviour())


def test_new_items_are_those_nobody_acted_on(catalogue: Catalogue) -> None:
    unseen = {str(number) for number in range(ITEMS)} - set(map(str, SEEN)) - UNAVAILABLE
    vector = unit_vectors(1, seed=4)[0]
    query = Query(short_term=vector)

    def proposed() -> set[str]:
        (found,) = source_of(NEW).retrieve([query], catalogue, ITEMS)
        return {catalogue.item(row).item_id for row in (found.rows if found else ())}

    assert proposed() == unseen
    catalogue.mark_seen([key(150), key("comes later")])
    catalogue.set_popularity({key(151): 0.5, key(152): 0.0}, lasting={key(153): 0.1})
    assert proposed() == unseen - {"150", "151", "153"}
    for item_id in ("comes later", "brand-new"):
        catalogue.upsert(item(item_id), quantise(vector))
    assert proposed() == unseen - {"150", "151", "153"} | {"brand-new"}
    catalogue.remove("150")
    catalogue.upsert(item("150"), quantise(unit_vectors(1)[0]))
    assert "150" not in proposed()


def test_new_items_are_near_to_the_search_else_to_what_the_shopper_was_after_last(catalogue: Catalogue) -> None:
    one, other = unit_vectors(ITEMS)[150], unit_vectors(ITEMS)[160]
    queries = [Query(text_vector=one, short_term=other), Query(short_term=one, long_term=other), Query(long_term=one)]
    for found in source_of(NEW).retrieve(queries, catalogue, 1):
        assert found is not None
        assert [catalogue.item(row).item_id for row in found.rows] == ["150"]


def test_trending_in_categories_is_affinity_by_popularity_beside_the_categorys_most_popular(
    catalogue: Catalogue,
) -> None:
    query = Query(categories={stable_key("c1"): 0.75, stable_key("c2"): 0.25, 0: 1.0, stable_key("c4"): 0.0})
    (found,) = source_of(TRENDING_CATEGORY).retrieve([query], catalogue, 5)
    assert found is not None
    # Of the popular 1, 6, 11, 16 in c1 the 6 went; 2, 7, 12, 17 are in c2.
    assert [catalogue.item(row).item_id for row in found.rows] == ["1", "2", "11", "7", "16"]
    assert found.scores.tolist() == pytest.approx([0.75, 0.25, 0.75 * 2 / 12, 0.25 * 3 / 8, 0.75 * 2 / 17])


def test_lasting_popularity_is_a_column_of_its_own(catalogue: Catalogue) -> None:
    before = catalogue.columns.popularity.copy()
    catalogue.set_popularity({key(number): 1 / (1 + number) for number in range(20)}, lasting={key(9): 1.0})
    assert np.array_equal(catalogue.columns.popularity, before)
    row = catalogue.row(key(9))
    assert np.flatnonzero(catalogue.columns.lasting).tolist() == [row]
    catalogue.set_popularity({})
    assert np.flatnonzero(catalogue.columns.lasting).tolist() == [row]
    catalogue.remove("9")
    assert not catalogue.columns.lasting.any()


def test_trending_is_the_same_for_everyone(catalogue: Catalogue) -> None:
    (found,) = source_of(TRENDING).retrieve([Query()], catalogue, 5)
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
    fused: dict[int, float] = {}
    origins: dict[int, tuple[str, ...]] = {}
    for name, rows in zip(names, found, strict=True):
        for rank, row in enumerate(rows or (), start=1):
            if row not in excluded:
                fused[row] = fused.get(row, 0.0) + float(np.float32(1) / np.float32(RRF_OFFSET + rank))
                origins[row] = (*origins.get(row, ()), name)
    expected = sorted(fused, key=lambda row: (-np.float32(fused[row]), stable_key(str(row))))
    hits = [
        None if rows is None else Found(np.array(rows, dtype=np.intp), np.linspace(1, 0.1, len(rows), dtype=np.float32))
        for rows in found
    ]
    (shortlist,) = merge([query], {name: [each] for name, each in zip(names, hits, strict=True)}, catalogue)
    assert shortlist.rows.tolist() == expected
    assert shortlist.fused.tolist() == [np.float32(fused[row]) for row in expected]
    for column, ranked in enumerate(found):
        ranks = {row: np.float32(1 / rank) for rank, row in enumerate(ranked or (), start=1)}
        assert shortlist.ranks[:, column].tolist() == [ranks.get(row, 0.0) for row in expected]
    assert shortlist.origins(np.arange(len(expected))) == [origins[row] for row in expected]
    assert [each.item_id for each in shortlist.leading] == [str(row) for row in expected[:k]]


def test_each_sources_score_stays_with_its_item() -> None:
    catalogue = shop()
    queries = [replace(query, exclude=np.empty(0, dtype=np.uint64)) for query in shoppers(8)]
    sources = {source.name: source for source in make_sources(NAMES, learned())}
    found = {name: source.retrieve(queries, catalogue, 5) for name, source in sources.items()}
    for place, shortlist in enumerate(merge(queries, found, catalogue)):
        for column, answers in enumerate(found.values()):
            hits = answers[place]
            given_scores = {} if hits is None else dict(zip(hits.rows.tolist(), hits.scores.tolist(), strict=True))
            kept = dict(zip(shortlist.rows.tolist(), shortlist.scores[:, column].tolist(), strict=True))
            assert {row: score for row, score in kept.items() if row in given_scores} == given_scores
            assert all(score == 0 for row, score in kept.items() if row not in given_scores)


def test_shortlists_merged_together_are_those_merged_alone() -> None:
    catalogue, queries = shop(), shoppers(12)
    found = {source.name: source.retrieve(queries, catalogue, 9) for source in make_sources(NAMES, learned())}
    for place, together in enumerate(merge(queries, found, catalogue)):
        (alone,) = merge([queries[place]], {name: [each[place]] for name, each in found.items()}, catalogue)
        assert together.rows.tolist() == alone.rows.tolist()
        assert together.fused.tolist() == alone.fused.tolist()
        assert together.scores.tolist() == alone.scores.tolist()
        assert together.ranks.tolist() == alone.ranks.tolist()
        assert together.leading == alone.leading
    assert merge([], {}, catalogue) == []


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.sampled_from([-1.5, -1e-9, -0.0, 0.0, 1e-9, 0.25, 1.0]), st.integers(0, 2**64 - 1)
        )
    )
)
def test_candidates_fall_by_list_score_and_key(candidates: list[tuple[int, float, int]]) -> None:
    columns = list(zip(*candidates, strict=True)) or [(), (), ()]
    numbers, scores, keys = (
        np.array(column, dtype=dtype) for column, dtype in zip(columns, (np.intp, np.float32, np.uint64), strict=True)
    )
    order = falling(numbers, scores, keys)
    expected = np.lexsort((keys, -scores, numbers))
    assert sorted(order.tolist()) == sorted(expected.tolist())
    assert [candidates[place] for place in order] == [candidates[place] for place in expected]
