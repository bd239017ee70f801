"""One contract for every candidate source, and the merge of their hits, compared with a naive one."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.queries import QueryBatch
from inference.retrieval.behaviour import Behaviour
from inference.retrieval.catalogue import Catalogue, Found
from inference.retrieval.hits import Hits, no_hits
from inference.retrieval.shortlists import RRF_OFFSET, Shortlists, find, merge, retrieve
from inference.retrieval.sources import (
    CLICKED,
    NAMES,
    NEW,
    NEXT,
    SESSIONS,
    SOURCES,
    TOGETHER,
    TRENDING,
    TRENDING_CATEGORY,
    CandidateSource,
    EverySource,
    VectorSource,
    make_sources,
)
from inference.retrieval.vectors import quantise
from inference.types import Query, stable_key
from tests.inference.catalogues import DIM, NUMBERS, catalogue_of, item, unit_vectors
from tests.inference.retrieval.behaviours import (
    ITEMS,
    SEEN,
    UNAVAILABLE,
    found_by,
    key,
    keys,
    learned,
    proposed_ids,
    records,
    shop,
    shoppers,
)

pytestmark = pytest.mark.kernel


def source_of(name: str, behaviour: Behaviour | None = None) -> CandidateSource:
    (source,) = make_sources([name], behaviour or Behaviour(numbers=NUMBERS))
    return source


def answers(source: CandidateSource, catalogue: Catalogue, limit: int = 9) -> list[dict[str, float]]:
    """What the source proposes to every shopper: ids and scores, in order."""
    return [proposed_ids(found, catalogue) for found in found_by(source, shoppers(12), catalogue, limit)]


def same(one: Found, other: Found) -> bool:
    return bool(one.rows.tolist() == other.rows.tolist() and one.scores.tolist() == other.scores.tolist())


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
    answers = found_by(source, shoppers(12), catalogue, limit)
    assert any(len(found.rows) for found in answers)
    for rows, scores in answers:
        assert len(rows) == len(scores) <= limit
        assert len(set(rows.tolist())) == len(rows)
        assert catalogue.columns.available[rows].all()
        assert not {catalogue.item(row).item_id for row in rows} & UNAVAILABLE
        assert (scores >= (-1 if isinstance(source, VectorSource) else 0)).all()
        assert (scores <= 1 + 1e-6).all()
        order = np.lexsort((catalogue.columns.keys[rows], -scores))
        assert order.tolist() == list(range(len(rows)))


def test_a_source_answers_a_batch_as_it_answers_one(source: CandidateSource, catalogue: Catalogue) -> None:
    queries = shoppers(30)
    for query, together in zip(queries, found_by(source, queries, catalogue), strict=True):
        (alone,) = found_by(source, [query], catalogue)
        assert same(alone, together)


def test_a_source_has_its_name_and_bears_an_empty_batch_and_an_empty_catalogue(source: CandidateSource) -> None:
    assert source.name in NAMES
    empty = Catalogue(DIM, numbers=NUMBERS)
    assert found_by(source, [], empty) == []
    assert [len(found.rows) for found in found_by(source, shoppers(4), empty)] == [0] * 4


@pytest.mark.parametrize("name", [TOGETHER, NEXT, SESSIONS, CLICKED])
def test_a_source_of_votes_refuses_a_catalogue_that_goes_by_other_item_numbers(name: str) -> None:
    with pytest.raises(ValueError, match="item numbers of the behaviour"):
        found_by(source_of(name, learned()), shoppers(4), Catalogue(DIM))


def test_a_source_with_nothing_to_go_by_finds_nothing(source: CandidateSource, catalogue: Catalogue) -> None:
    catalogue.set_popularity({})
    (found,) = found_by(source, [Query()], catalogue)
    assert len(found.rows) == 0


def test_items_that_went_are_never_proposed(source: CandidateSource, catalogue: Catalogue) -> None:
    for number in range(0, ITEMS, 2):
        catalogue.remove(str(number))
    proposed = {item_id for found in answers(source, catalogue, ITEMS) for item_id in found}
    assert proposed
    assert all(int(item_id) % 2 for item_id in proposed)


@given(st.randoms(use_true_random=False))
def test_the_order_of_records_does_not_matter(random: Random) -> None:
    catalogue, shuffled = shop(), records()
    random.shuffle(shuffled)
    others = make_sources(NAMES, learned(shuffled))
    for source, other in zip(make_sources(NAMES, learned()), others, strict=True):
        assert answers(source, catalogue) == answers(other, catalogue)


def test_sources_asked_together_answer_as_they_do_alone(catalogue: Catalogue) -> None:
    sources, queries = make_sources(NAMES, learned()), shoppers(12)
    hits = find(sources, QueryBatch.of(queries, DIM), catalogue, 9)
    for place, source in enumerate(sources):
        for query, alone in enumerate(found_by(source, queries, catalogue)):
            assert same(hits.found(query, place), alone)


def test_the_table_of_sources_gives_each_its_own_name_reason_and_features() -> None:
    assert [source.build(Behaviour()).name for source in SOURCES] == list(NAMES)
    fed = [feature for source in SOURCES for feature in source.features]
    assert len(set(fed)) == len(fed)
    assert {source.reason for source in SOURCES} == {
        "search", "clicked", "together", "taste", "habit", "trend", "new",
    }  # fmt: skip
    for distinct in ([source.title for source in SOURCES], [source.letter for source in SOURCES]):
        assert len(set(distinct)) == len(SOURCES)
    assert all(source.letter.lower() in source.title.lower() for source in SOURCES)


def test_every_item_is_found_where_others_choose_the_candidates(catalogue: Catalogue) -> None:
    for limit in (ITEMS, 10):
        for found in found_by(EverySource(), [Query(), Query()], catalogue, limit):
            assert found.rows.tolist() == np.flatnonzero(catalogue.columns.available)[:limit].tolist()
            assert not found.scores.any()


def test_sources_are_made_once_each_in_the_order_of_reasons_and_unknown_ones_are_named() -> None:
    made = make_sources([TRENDING, NEW, TRENDING], Behaviour())
    assert [source.name for source in made] == [NEW, TRENDING]
    with pytest.raises(ValueError, match=r"required some of .* got 'magic'"):
        make_sources(["magic", NEW], Behaviour())


def test_new_items_are_those_nobody_acted_on(catalogue: Catalogue) -> None:
    unseen = {str(number) for number in range(ITEMS)} - set(map(str, SEEN)) - UNAVAILABLE
    vector = unit_vectors(1, seed=4)[0]
    query = Query(short_term=vector)

    def proposed() -> set[str]:
        (found,) = found_by(source_of(NEW), [query], catalogue, ITEMS)
        return {*proposed_ids(found, catalogue)}

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
    for found in found_by(source_of(NEW), queries, catalogue, 1):
        assert [*proposed_ids(found, catalogue)] == ["150"]


def test_trending_in_categories_is_affinity_by_popularity_beside_the_categorys_most_popular(
    catalogue: Catalogue,
) -> None:
    query = Query(categories={stable_key("c1"): 0.75, stable_key("c2"): 0.25, 0: 1.0, stable_key("c4"): 0.0})
    (found,) = found_by(source_of(TRENDING_CATEGORY), [query], catalogue, 5)
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
    (found,) = found_by(source_of(TRENDING), [Query()], catalogue, 5)
    assert [catalogue.item(row).item_id for row in found.rows] == ["0", "1", "2", "3", "7"]


def test_the_five_strongest_categories_count(catalogue: Catalogue) -> None:
    shares = {stable_key(f"other {number}"): 0.5 for number in range(5)}
    weak, strong = ({**shares, stable_key("c1"): share} for share in (0.25, 0.75))
    queries = [Query(categories=weak), Query(categories=strong), Query(categories={stable_key("c1"): 3.0})]
    nothing, found, capped = found_by(source_of(TRENDING_CATEGORY), queries, catalogue)
    assert len(nothing.rows) == 0
    assert found.scores[0] == 0.75
    assert capped.scores[0] == 1.0


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
    st.integers(0, 12),
    st.none() | st.integers(0, 20),
)
def test_the_merge_is_reciprocal_rank_fusion_with_its_origins(
    found: list[list[int]], excluded: list[int], k: int, most: int | None
) -> None:
    catalogue = catalogue_of(unit_vectors(40))
    exclude = np.array([stable_key(str(number)) for number in excluded], dtype=np.uint64)
    fused: dict[int, float] = {}
    for rows in found:
        for rank, row in enumerate(rows, start=1):
            if row not in excluded:
                fused[row] = fused.get(row, 0.0) + float(np.float32(1) / np.float32(RRF_OFFSET + rank))
    expected = sorted(fused, key=lambda row: (-np.float32(fused[row]), stable_key(str(row))))
    expected = expected[: None if most is None else max(most, k)]
    names = tuple(f"source {place}" for place in range(len(found)))
    shortlists = merge(names, QueryBatch.of([Query(exclude=exclude, k=k)], DIM), catalogue, hits_of([found]), most)
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
def test_shortlists_merged_together_are_those_merged_alone(found: list[list[list[int]]], random: Random) -> None:
    catalogue, sources = catalogue_of(unit_vectors(40)), max(map(len, found))
    queries = [Query(exclude=keys(*random.sample(range(45), 5)), k=random.randrange(9)) for _ in found]
    names = tuple(map(str, range(sources)))
    together = merge(names, QueryBatch.of(queries, DIM), catalogue, hits_of(found), 8)
    for place, query in enumerate(queries):
        padded = [*found[place], *([[]] * (sources - len(found[place])))]
        alone = merge(names, QueryBatch.of([query], DIM), catalogue, hits_of([padded]), 8)
        assert candidates(together, place) == candidates(alone, 0)


def test_retrieval_fuses_what_all_sources_found_and_each_score_stays_with_its_item(catalogue: Catalogue) -> None:
    queries = [replace(query, exclude=np.empty(0, dtype=np.uint64)) for query in shoppers(8)]
    sources, batch = make_sources(NAMES, learned()), QueryBatch.of(queries, DIM)
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
    sources, queries = make_sources(NAMES, learned()), shoppers(30)
    together = retrieve(sources, QueryBatch.of(queries, DIM), catalogue, 9, 20)
    for place, query in enumerate(queries):
        alone = retrieve(sources, QueryBatch.of([query], DIM), catalogue, 9, 20)
        assert candidates(together, place) == candidates(alone, 0)


def test_no_queries_and_no_sources_have_no_candidates(catalogue: Catalogue) -> None:
    nothing = retrieve(make_sources(NAMES, learned()), QueryBatch.of([], DIM), catalogue, 9)
    assert nothing.candidates.starts.tolist() == [0]
    assert nothing.candidates.scores.shape == (0, len(NAMES))
    nothing = retrieve([], QueryBatch.of(shoppers(2), DIM), catalogue, 9)
    assert nothing.candidates.starts.tolist() == [0, 0, 0]
