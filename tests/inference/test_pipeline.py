"""A ranking is a sorted subset of the candidates: deterministic, within the length limit, without exceptions."""

from __future__ import annotations

from dataclasses import replace
from itertools import compress

import numpy as np
import pytest

from inference.bundle import Bundle
from inference.errors import ScoringError
from inference.pipeline import NOBODY_REPEATS, SCORING_FAILED, Recommender, ScoresFeatures
from inference.placements import EVERYWHERE, Placement, RankingOptions
from inference.queries import QueryBatch
from inference.ranking.features import FEATURES
from inference.ranking.lists import in_retrieval_order
from inference.retrieval.behaviour import Behaviour, make_sources
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.filters import Filter
from inference.retrieval.sources import NAMES
from inference.types import NO_CLAIM, Habits, Query, RankedList, Remembered, Vector, stable_key
from tests.inference.catalogues import DIM, NUMBERS, catalogue_of, queries_of, unit_vectors


class Linear:
    """A ranker with random weights, or with the same score for all candidates."""

    def __init__(self, scale: float = 1.0) -> None:
        self._weights = np.random.default_rng(3).normal(size=len(FEATURES)).astype(np.float32) * np.float32(scale)

    def score(self, features: Vector) -> Vector:
        # Row by row, as ONNX Runtime does: a matrix product may sum a row otherwise in another batch.
        products = np.array([row @ self._weights for row in np.ascontiguousarray(features)], dtype=np.float32)
        return np.asarray(1 / (1 + np.exp(-products)), dtype=np.float32)


class Broken:
    def score(self, features: Vector) -> Vector:
        raise ScoringError("broken")


@pytest.fixture
def catalogue() -> Catalogue:
    catalogue = catalogue_of(unit_vectors(300))
    catalogue.set_popularity({stable_key(str(number)): 1 / (1 + number) for number in range(30)})
    return catalogue


def recommender(catalogue: Catalogue, scorer: ScoresFeatures | None = None) -> Recommender:
    return Recommender(
        catalogue,
        scorer or Linear(),
        make_sources(NAMES, Behaviour(numbers=NUMBERS)),
        options=RankingOptions(candidates_per_source=20),
    )


def batch_of(queries: list[Query]) -> QueryBatch:
    return QueryBatch.of(queries, DIM)


def ids(ranked: RankedList) -> list[str]:
    return [scored.item.item_id for scored in ranked.items]


@pytest.mark.parametrize("scorer", [Linear(), Linear(scale=0.0), Broken()])
@pytest.mark.parametrize("k", [0, 1, 7, 1000])
def test_a_ranking_is_a_sorted_subset_of_the_candidates(catalogue: Catalogue, scorer: ScoresFeatures, k: int) -> None:
    queries = [replace(query, k=k) for query in queries_of(12)]
    ranks = recommender(catalogue, scorer)
    found, starts = (shortlists := ranks.retrieve(batch_of(queries))).candidates, shortlists.candidates.starts
    for number, (query, ranked) in enumerate(zip(queries, ranks.recommend(queries), strict=True)):
        candidates = {
            catalogue.item(row).item_id: tuple(compress(shortlists.sources, own > 0))
            for row, own in zip(found.rows[slice(*starts[number:][:2])], found.ranks[starts[number] :], strict=False)
        }
        assert len(ids(ranked)) == len(set(ids(ranked))) == min(k, len(candidates))
        assert all(scored.sources == candidates[scored.item.item_id] for scored in ranked.items)
        assert not {stable_key(item_id) for item_id in ids(ranked)} & set(query.exclude.tolist())
        order_of = [-scored.score for scored in ranked.items]
        assert order_of == sorted(order_of)
        assert all(
            scored.reason and scored.item == catalogue.get(stable_key(scored.item.item_id)) for scored in ranked.items
        )


def test_a_batch_gives_each_shopper_the_same_list_as_alone(catalogue: Catalogue) -> None:
    queries, ranks = queries_of(25), recommender(catalogue)
    assert ranks.recommend(queries) == [ranks.recommend([query])[0] for query in queries]


def test_the_shipped_ranker_gives_the_same_lists_in_a_batch(catalogue: Catalogue, bundle: Bundle) -> None:
    assert bundle.scorer.features == FEATURES
    queries, ranks = queries_of(25), recommender(catalogue, bundle.scorer)
    together = ranks.recommend(queries)
    assert together == [ranks.recommend([query])[0] for query in queries]
    assert {ranked.fallback for ranked in together} == {None}


class Tiny:
    """Scores by the place in the batch, with differences far below the decimals that are published."""

    def __init__(self, step: float) -> None:
        self._step = step

    def score(self, features: Vector) -> Vector:
        return (1e-7 + self._step * np.arange(len(features))).astype(np.float32)


def test_scores_are_sorted_unrounded_and_ties_keep_the_order_of_retrieval(catalogue: Catalogue) -> None:
    query = replace(queries_of(2)[1], k=50)
    found = recommender(catalogue, Tiny(0.0)).retrieve(batch_of([query])).candidates.rows
    retrieved = [catalogue.item(row).item_id for row in found]
    (tied,) = recommender(catalogue, Tiny(0.0)).recommend([query])
    assert ids(tied) == retrieved[:50]
    (rising,) = recommender(catalogue, Tiny(1e-9)).recommend([query])
    assert ids(rising) == retrieved[::-1][:50]
    assert {scored.score for scored in rising.items} == {0.0}


def test_diversity_changes_lists_of_browsing_but_not_of_searches(catalogue: Catalogue) -> None:
    browse, search = replace(queries_of(3)[2], k=10), replace(queries_of(2)[1], k=10)
    sources = make_sources(NAMES, Behaviour(numbers=NUMBERS))
    plain, varied = (
        Recommender(catalogue, Linear(), sources, options=RankingOptions(diversity=diversity))
        for diversity in (0.0, 0.5)
    )
    assert varied.recommend([search]) == plain.recommend([search])
    one, other = ids(plain.recommend([browse])[0]), ids(varied.recommend([browse])[0])
    assert one[0] == other[0]
    assert one != other


def test_a_failed_model_gives_retrieval_order_with_a_fallback(catalogue: Catalogue) -> None:
    queries, ranks = queries_of(6), recommender(catalogue, Broken())
    shortlists = ranks.retrieve(batch_of(queries))
    rows, starts = shortlists.candidates.rows, shortlists.candidates.starts.tolist()
    for number, (query, ranked) in enumerate(zip(queries, ranks.recommend(queries), strict=True)):
        assert ranked.fallback == SCORING_FAILED
        shown = rows[starts[number] : min(starts[number + 1], starts[number] + query.k)]
        assert ids(ranked) == [catalogue.item(row).item_id for row in shown]
        assert {(scored.because, scored.reason) for scored in ranked.items} <= {(NO_CLAIM, "may suit you")}
    with pytest.raises(ScoringError):
        ranks.rank(shortlists)


def test_retrieval_order_omits_items_removed_after_retrieval(catalogue: Catalogue) -> None:
    shortlists = recommender(catalogue).retrieve(batch_of(queries_of(6)))
    whole = in_retrieval_order(shortlists, catalogue, "late")
    gone = whole.items[:: len(whole.items) // 5]
    for item in gone:
        catalogue.remove(item.item_id)
    left = in_retrieval_order(shortlists, catalogue, "late")
    assert len(left) == len(whole) == 6
    for number in range(len(whole)):
        expected = [each for each in whole.ranked(number).items if each.item not in gone]
        assert list(left.ranked(number).items) == expected
        assert left.ranked(number).fallback == "late"


def test_without_candidates_the_list_is_empty(catalogue: Catalogue) -> None:
    behaviour = Behaviour()
    empty = Recommender(Catalogue(DIM, numbers=behaviour.numbers), Linear(), make_sources(NAMES, behaviour))
    blind = Recommender(catalogue, Linear(), [])
    everything = np.array([stable_key(str(number)) for number in range(300)], dtype=np.uint64)
    assert empty.recommend(queries_of(3)) == [RankedList(())] * 3
    assert blind.recommend(queries_of(3)) == [RankedList(())] * 3
    assert recommender(catalogue).recommend([Query(exclude=everything)]) == [RankedList(())]
    assert recommender(catalogue).recommend([]) == []


def test_a_shopper_without_candidates_does_not_affect_the_batch(catalogue: Catalogue) -> None:
    catalogue.set_popularity({})
    (known,), ranks = queries_of(2)[1:], recommender(catalogue)
    alone = ranks.recommend([known])[0]
    assert ranks.recommend([Query(), known, Query()]) == [RankedList(()), alone, RankedList(())]


def test_every_stage_is_observed(catalogue: Catalogue) -> None:
    seen: list[tuple[str, float]] = []
    observed = Recommender(
        catalogue, Linear(), make_sources(NAMES, Behaviour(numbers=NUMBERS)), observe=lambda *stage: seen.append(stage)
    )
    observed.recommend(queries_of(2))
    assert [name for name, _ in seen] == ["retrieve", "score", "rank", "explain"]
    assert all(seconds >= 0 for _, seconds in seen)


def test_the_last_ranks_of_browsing_are_items_without_actions(catalogue: Catalogue) -> None:
    catalogue.mark_seen([stable_key(str(number)) for number in range(290)])
    browse, search = replace(queries_of(3)[2], k=20), replace(queries_of(2)[1], k=20)
    sources = make_sources(NAMES, Behaviour(numbers=NUMBERS))
    plain, open_ = (
        Recommender(catalogue, Known(), sources, options=RankingOptions(places_for_new=places)) for places in (0, 2)
    )
    assert open_.recommend([search]) == plain.recommend([search])
    one, other = ids(plain.recommend([browse])[0]), ids(open_.recommend([browse])[0])
    assert other[:18] == one[:18]
    assert not {int(item_id) for item_id in one} & set(range(290, 300))
    assert {int(item_id) for item_id in other[18:]} < set(range(290, 300))


def test_a_placement_has_its_own_sources_size_and_filter(catalogue: Catalogue) -> None:
    ranks, batch = recommender(catalogue), batch_of(queries_of(6))
    placement = Placement(sources=("trending", "long_term"), k=4, filter=Filter(brands=("b1",)))
    own = batch.at(placement, [(Filter(categories=("c2",)),), *[()] * 5])
    lists = ranks.rank_or_fall_back(ranks.retrieve(own, placement=placement))
    for number in range(6):
        ranked = lists.ranked(number)
        assert len(ranked.items) == 4
        assert {each.item.brand for each in ranked.items} == {"b1"}
        assert {name for each in ranked.items for name in each.sources} <= set(placement.sources or ())
    assert {each.item.label for each in lists.ranked(0).items} == {"c2"}
    assert batch.records["k"].tolist() == [10] * 6
    assert batch.at(placement, k=2).records["k"].tolist() == [2] * 6


def test_a_placement_that_changes_nothing_has_the_same_lists(catalogue: Catalogue) -> None:
    ranks, batch = recommender(catalogue), batch_of(queries_of(6))
    plain = ranks.rank(ranks.retrieve(batch))
    same = ranks.rank(ranks.retrieve(batch.at(EVERYWHERE), placement=Placement(weights={"trending": 1.0})))
    assert [plain.ranked(number) for number in range(6)] == [same.ranked(number) for number in range(6)]


def test_weights_of_sources_move_their_items(catalogue: Catalogue) -> None:
    ranks, batch = recommender(catalogue), batch_of(queries_of(6))
    placement = Placement(weights=dict.fromkeys(NAMES, 0.0) | {"trending": 1.0})
    lists = ranks.rank(ranks.retrieve(batch, placement=placement))
    plain = ranks.rank(ranks.retrieve(batch))
    assert not all("trending" in each.sources for number in range(6) for each in plain.ranked(number).items)
    for number in range(6):
        assert all("trending" in each.sources for each in lists.ranked(number).items)
        # The scores of weight 1 stay as they are.
        scores = {each.item.item_id: each.score for each in plain.ranked(number).items}
        assert all(each.score == scores.get(each.item.item_id, each.score) for each in lists.ranked(number).items)


def test_a_placement_has_its_own_diversity_and_places_for_new(catalogue: Catalogue) -> None:
    catalogue.mark_seen([stable_key(str(number)) for number in range(290)])
    sources = make_sources(NAMES, Behaviour(numbers=NUMBERS))
    options = RankingOptions(diversity=0.5, places_for_new=2)
    batch = batch_of([replace(queries_of(3)[2], k=20)])
    plain, open_ = (Recommender(catalogue, Known(), sources, options=each) for each in (RankingOptions(), options))
    placed = plain.rank(plain.retrieve(batch, placement=Placement(diversity=0.5, places_for_new=2)))
    assert ids(placed.ranked(0)) == ids(open_.rank(open_.retrieve(batch)).ranked(0))
    assert ids(placed.ranked(0)) != ids(plain.rank(plain.retrieve(batch)).ranked(0))


class Known:
    """Prefers items that shoppers acted on."""

    def score(self, features: Vector) -> Vector:
        return (0.5 - 0.4 * features[:, FEATURES.index("new")]).astype(np.float32)


def test_a_shop_where_nobody_buys_twice_lists_no_bought_items(catalogue: Catalogue) -> None:
    habits = Habits(np.array([stable_key("3"), stable_key("4")], dtype=np.uint64), *np.ones((3, 2), dtype=np.float32))
    browse = replace(queries_of(3)[2], k=300, habits=habits, recent=(Remembered(stable_key("5"), "bought"),))
    search = replace(browse, text="the 3")
    ranks = recommender(catalogue)
    for rate, bought in ((None, 3), (0.0, 0), (NOBODY_REPEATS / 2, 0), (NOBODY_REPEATS, 3)):
        catalogue.repeat_rate = rate
        browsed, searched = (set(ids(ranked)) & {"3", "4", "5"} for ranked in ranks.recommend([browse, search]))
        assert len(browsed) == bought
        assert len(searched) == 3
    catalogue.repeat_rate = 0.0
    batch = batch_of([browse, search, browse])
    more = np.diff(batch.without_bought().exclude_starts) - np.diff(batch.exclude_starts)
    assert more.tolist() == [3, 0, 3]


def test_lists_of_searches_say_which_items_match(catalogue: Catalogue) -> None:
    browse, search = replace(queries_of(3)[2], text=None), replace(queries_of(2)[1], text="the 17", k=50)
    ranks = recommender(catalogue)
    shortlists = ranks.retrieve(batch_of([browse, search]))
    lists = ranks.rank(shortlists)
    assert set(lists.own_matches(0)) == {None}
    own = dict(zip(lists.own_rows(1).tolist(), lists.own_matches(1), strict=True))
    candidates, rows = ranks.features(shortlists), shortlists.candidates.rows.tolist()
    query, words = FEATURES.index("query"), FEATURES.index("words")
    for at in range(int(shortlists.candidates.starts[1]), len(rows)):
        if rows[at] in own:
            near = candidates[at, query] >= 0.55 or candidates[at, words] ** 2 >= 0.5
            assert own[rows[at]] is bool(near)
    assert set(own.values()) == {True, False}
    assert ranks.rank(ranks.retrieve(batch_of([browse]))).matches == []


def test_rows_without_reasons_equal_those_of_the_lists(catalogue: Catalogue) -> None:
    ours = recommender(catalogue)
    found = ours.retrieve(batch_of([Query(k=5), Query(k=9, text="4")]))
    lists = ours.rank(found)
    ranked = ours.rank_rows(found)
    np.testing.assert_array_equal(ranked.starts, lists.starts)
    np.testing.assert_array_equal(ranked.rows, lists.rows)
    np.testing.assert_array_equal(ranked.scores, lists.scores)
    assert len(ranked.rows) > 0
