"""Baselines on examples computed by hand, and properties of all baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.evaluation.acts import acts_of, moment, train
from training.evaluation.baseline_pass import Sessions
from training.evaluation.baselines import item_knn
from training.evaluation.baselines.base import Baseline, best
from training.evaluation.baselines.click_table import ClickTable
from training.evaluation.baselines.item_knn import ItemKnn, ItemKnnLast
from training.evaluation.baselines.popularity import DAY_MS, Popularity, RecentPopularity, Repeat, RepeatThenPopular
from training.evaluation.baselines.tifuknn import TifuKnn, TifuSettings
from training.evaluation.baselines.upcf import UpCf, UpCfSettings
from training.evaluation.baselines.vsknn import VSkNN, VSkNNByStep
from training.log import SEARCH, Act

ITEMS = 6


class ByStep(VSkNNByStep):
    """V-SkNN by step with sessions of its own."""

    def __init__(self, items: int) -> None:
        self._own = VSkNN(items)
        super().__init__(self._own)

    def learn(self, act: Act, session: Sequence[int]) -> None:
        """Keep the sessions."""
        self._own.learn(act, session)


BASELINES: dict[str, Callable[[], Baseline]] = {
    "popularity": lambda: Popularity(ITEMS),
    "recent": lambda: RecentPopularity(ITEMS),
    "item-knn": lambda: ItemKnn(ITEMS),
    "vsknn": lambda: VSkNN(ITEMS),
    "vsknn-by-step": lambda: ByStep(ITEMS),
    "repeat": lambda: Repeat(only_bought=False),
    "repeat-popular": lambda: RepeatThenPopular(ITEMS, only_bought=False),
    "tifu-knn": lambda: TifuKnn(ITEMS, only_bought=False),
    "up-cf": lambda: UpCf(ITEMS, only_bought=False),
}


def test_best_returns_positive_scores_without_hidden_items_and_ties_by_number() -> None:
    scores = np.array([1.0, 3, 0, 3, 2, -1])
    assert best(scores, 3, ()).tolist() == [1, 3, 4]
    assert best(scores, 9, [1]).tolist() == [3, 4, 0]
    assert best(np.zeros(4), 2, ()).tolist() == []
    assert best(np.ones(5), 2, ()).tolist() == [0, 1]
    assert best(np.ones(5), 0, ()).tolist() == []
    assert scores[1] == 3


def test_popularity_ranks_by_count() -> None:
    known = train(Popularity(ITEMS), acts_of((1, 1, 3), (1, 1, 3), (2, 2, 4), (3, 3, 3), (3, 3, 0)))
    assert known.rank(moment(), 3).tolist() == [3, 0, 4]
    assert known.rank(moment([3]), 3).tolist() == [0, 4]


def test_recent_popularity_decays() -> None:
    recent = RecentPopularity(ITEMS, half_life_days=1.0)
    for item, day in ((0, 0.0), (0, 0.0), (0, 0.0), (1, 2.0)):
        recent.learn(Act(item, 1, 1, int(day * DAY_MS), bought=True, first=True, end=0), ())
    # Three actions, halved twice, are 0.75 of one.
    assert recent.rank(moment(), 2).tolist() == [1, 0]


def test_recent_popularity_stays_finite_over_long_times() -> None:
    recent = RecentPopularity(ITEMS, half_life_days=1.0)
    for item, day in ((0, 0), (1, 5_000), (2, 5_001), (2, 10_500)):
        recent.learn(Act(item, 1, 1, int(day * DAY_MS), bought=True, first=True, end=0), ())
    assert recent.rank(moment(), 1).tolist() == [2]
    assert np.isfinite(recent._weight).all()


COOCCURRENCE = acts_of(
    (1, 1, 0), (1, 1, 1), (2, 2, 0), (2, 2, 1), (3, 3, 0), (3, 3, 2), (4, 4, 2), (5, 5, 1), (5, 5, 3)
)
"""s = 3, 3, 2, 1; c(0, 1) = 2, c(0, 2) = 1, c(1, 3) = 1."""


@pytest.mark.parametrize("dense", [True, False])
def test_item_knn_ranks_by_the_cosine_of_sessions(monkeypatch: pytest.MonkeyPatch, *, dense: bool) -> None:
    monkeypatch.setattr(item_knn, "DENSE_ITEMS", ITEMS if dense else 0)
    known = ItemKnn(ITEMS)
    train(known, COOCCURRENCE)
    # Cosines of 0: to 1 is 2/3, to 2 is 1/√6 = .41. Cosine of 1 to 3: 1/√3 = .58.
    assert known.rank(moment([0]), 5).tolist() == [1, 2]
    assert known.rank(moment([0, 1]), 5).tolist() == [3, 2]
    assert ItemKnnLast(known).rank(moment([1, 0]), 5).tolist() == [2]


def test_a_repeated_item_of_a_session_counts_once() -> None:
    again = train(ItemKnn(ITEMS), acts_of((1, 1, 0), (1, 1, 1), (1, 1, 0), (1, 1, 1), (2, 2, 0), (2, 2, 2)))
    known = train(ItemKnn(ITEMS), acts_of((1, 1, 0), (1, 1, 1), (2, 2, 0), (2, 2, 2)))
    assert again.rank(moment([0]), 5).tolist() == known.rank(moment([0]), 5).tolist()


def test_vsknn_on_an_example_computed_by_hand() -> None:
    known = train(
        VSkNN(ITEMS, neighbours=2),
        acts_of((1, 1, 0), (1, 1, 3), (2, 2, 1), (2, 2, 4), (3, 3, 0), (3, 3, 1), (3, 3, 5)),
    )
    # The session [0, 1] weighs ½ and 1: the sessions are similar to it by ½, 1 and 1½, and the least has no vote.
    assert known.rank(moment([0, 1]), 5).tolist() == [5, 4]
    assert known.rank(moment([0, 1], hidden=()), 5).tolist() == [1, 0, 5, 4]
    assert known.rank(moment([0]), 5).tolist() == [1, 3, 5]
    assert known.rank(moment([2]), 5).tolist() == []


def test_votes_by_step_are_divided_by_the_steps_to_the_newest_shared_item() -> None:
    acts = acts_of((1, 1, 0), (1, 1, 1), (1, 1, 3), (2, 2, 2), (2, 2, 4))
    # The session [0, 1, 2]: similar by ⅓ + ⅔ to the first, two steps away, and by 1 to the second, one step away.
    assert train(ByStep(ITEMS), acts).rank(moment([0, 1, 2]), 5).tolist() == [4, 3]
    assert train(VSkNN(ITEMS), acts).rank(moment([0, 1, 2]), 5).tolist() == [3, 4]


def test_vsknn_samples_the_most_recent_matching_sessions() -> None:
    acts = acts_of((1, 1, 0), (1, 1, 3), (2, 2, 0), (2, 2, 4), (3, 3, 2), (3, 3, 5))
    assert train(VSkNN(ITEMS, sample=1), acts).rank(moment([0]), 5).tolist() == [4]
    # The first session continues, and is then the most recent.
    longer = acts_of((1, 1, 0), (1, 1, 3), (2, 2, 0), (2, 2, 4), (3, 3, 2), (3, 3, 5), (1, 1, 1))
    assert train(VSkNN(ITEMS, sample=1), longer).rank(moment([0]), 5).tolist() == [1, 3]


def test_a_session_is_not_its_own_neighbour() -> None:
    known = train(VSkNN(ITEMS, sample=1), acts_of((1, 1, 0), (1, 1, 3), (2, 2, 0), (2, 2, 4)))
    assert known.rank(moment([0], user=2), 5).tolist() == [3]


ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, ITEMS - 1)), max_size=40)
"""Shopper, number of the shopper's session, and item of each act."""


@pytest.mark.kernel
@given(
    rows=ROWS,
    session=st.lists(st.integers(0, ITEMS - 1), unique=True, min_size=1, max_size=4),
    neighbours=st.integers(1, 6),
    sample=st.integers(1, 8),
)
def test_vsknn_equals_its_definition(
    rows: list[tuple[int, int, int]], session: list[int], neighbours: int, sample: int
) -> None:
    acts = acts_of(*((user, 10 * user + number, item) for user, number, item in rows))
    members: dict[int, list[int]] = {}
    latest: dict[int, int] = {}
    present = None
    for act in acts:
        members.setdefault(act.session, []).append(act.item)
        latest[act.session] = act.at_ms
        present = act.session if act.user == 1 else present
    matching = [each for each in members if each != present and set(members[each]) & set(session)]
    recent = sorted(matching, key=lambda each: -latest[each])[:sample]
    weight = {item: position / len(session) for position, item in enumerate(session, start=1)}
    similarity = {each: sum(weight[item] for item in session if item in members[each]) for each in recent}
    nearest = sorted(recent, key=lambda each: -similarity[each])[:neighbours]
    scores = np.zeros(ITEMS)
    for each in nearest:
        scores[list(set(members[each]))] += similarity[each]
    expected = sorted(np.flatnonzero(scores).tolist(), key=lambda item: (-scores[item], item))
    known = train(VSkNN(ITEMS, neighbours, sample), acts)
    assert known.rank(moment(session, user=1, hidden=()), ITEMS).tolist() == expected


def test_vsknn_grows_beyond_its_first_capacity() -> None:
    acts = acts_of(*((user, user, user % 2) for user in range(3000)), (3001, 3001, 1), (3001, 3001, 4))
    assert train(VSkNN(ITEMS), acts).rank(moment([1]), 5).tolist() == [4]


def test_repeat_ranks_a_shoppers_items_by_sessions_then_recency() -> None:
    acts = acts_of((1, 1, 0), (1, 1, 0), (1, 1, 0), (1, 1, 1), (1, 2, 1), (1, 2, 2), (2, 3, 5))
    assert train(Repeat(only_bought=False), acts).rank(moment(user=1), 5).tolist() == [1, 2, 0]
    assert train(Repeat(only_bought=False), acts).rank(moment(user=7), 5).tolist() == []
    assert train(RepeatThenPopular(ITEMS, only_bought=False), acts).rank(moment(user=2), 3).tolist() == [5, 0, 1]


def test_repeat_with_purchases_ignores_views() -> None:
    acts = [*acts_of((1, 1, 0), bought=False), *acts_of((1, 2, 3))]
    assert train(Repeat(only_bought=True), acts).rank(moment(user=1), 5).tolist() == [3]


def test_the_click_table_counts_items_by_search_then_popular_items() -> None:
    table = ClickTable(ITEMS)
    searching = {0: "USB  cable", 3: "usb cable", 6: "lamp"}
    rows = [(1, 1, SEARCH), (1, 1, 0), (1, 1, 3), (2, 2, SEARCH), (2, 2, 3), (2, 2, 3), (2, 2, SEARCH), (2, 2, 3),
            (2, 2, 5), (3, 3, 4), (3, 3, 4), (3, 3, 4), (4, 4, 4), (5, 5, 2), (6, 6, 2)]  # fmt: skip
    sessions = Sessions()
    for number, act in enumerate(acts_of(*rows)):
        if act.item == SEARCH:
            table.learn_search(act, searching[number])
        else:
            table.learn(act, sessions.of(act.session))
            sessions.add(act)
    # After "usb cable" two searches led to item 3 and one to item 0. Four actions on item 4, and two on item 2. The
    # session had item 3 before it searched for a lamp.
    assert table.rank(moment()._replace(text="usb Cable"), 4).tolist() == [3, 0, 4, 2]
    assert table.rank(moment()._replace(text="usb cable"), 1).tolist() == [3]
    assert table.rank(moment()._replace(text="lamp"), 2).tolist() == [5, 3]
    assert table.rank(moment([5])._replace(text="lamp"), 2).tolist() == [3, 4]
    assert table.rank(moment()._replace(text="chair"), 2).tolist() == [3, 4]
    assert table.rank(moment(), 1).tolist() == [3]


GROUPED = acts_of((1, 1, 0), (1, 2, 0), (1, 2, 1), (1, 3, 2), (2, 4, 2), (2, 4, 5), (3, 5, 4))
"""Shopper 1 has the baskets {0}, {0, 1} and {2}, shopper 2 has {2, 5}, and shopper 3 has {4}."""


def test_tifu_knn_on_an_example_computed_by_hand() -> None:
    # Two groups of shopper 1, {0} and {0, 1}, {2}. With r_b = ½ and r_g = ¼, the newer one is (¼, ¼, ½), the whole
    # (¼ · 1 + ¼, ¼, ½) / 2 = (.25, .125, .25). Squared distances: to (0, 0, 1, 0, 0, 1), shopper 2, 1.640625; to
    # shopper 3, who has only item 4, 1.140625. So shopper 3 is the nearest, although it shares no item.
    settings = TifuSettings(groups=2, within=0.5, between=0.25, share=0.5)

    def ranked(settings: TifuSettings, user: int = 1) -> list[int]:
        return list(train(TifuKnn(ITEMS, settings, only_bought=False), GROUPED).rank(moment(user=user), 5))

    assert ranked(settings._replace(neighbours=1)) == [4, 0, 2, 1]
    # Own vector alone, then half of it and the mean of both others: (.125, .0625, .375, 0, .25, .25).
    assert ranked(settings._replace(share=1.0)) == [0, 2, 1]
    assert ranked(settings) == [2, 4, 5, 0, 1]
    assert ranked(settings, user=7) == []


def test_tifu_knn_makes_the_newest_groups_the_longest_and_follows_a_growing_history() -> None:
    settings = TifuSettings(groups=3, within=1.0, between=0.5, share=1.0)
    tifu = TifuKnn(ITEMS, settings, only_bought=False)
    # Four baskets in three groups: {0}; {1}; {2}, {3}. Weights: 1/12; 1/6; 1/6 each. Ties go by number.
    train(tifu, acts_of((1, 1, 0), (1, 2, 1), (1, 3, 2), (1, 4, 3)))
    assert tifu.rank(moment(user=1), 5).tolist() == [1, 2, 3, 0]
    # Five: {0}; {1}, {2}; {3}, {3}. Weights: 1/12; 1/12 each; 1/3.
    train(tifu, [act._replace(session=5) for act in acts_of((1, 5, 3))])
    assert tifu.rank(moment(user=1), 5).tolist() == [3, 0, 1, 2]


def test_up_cf_on_an_example_computed_by_hand() -> None:
    # Baskets of shopper 1: {0, 1}, {0}; of 2: {0, 2}, {0, 3}; of 3: {1, 4}. Counts: (2, 1), (2, 0, 1, 1) and
    # (0, 1, 0, 0, 1), with the squares 5, 6 and 2. Cosines of 1: to 2 is 4/√30 = .73, to 3 is 1/√10 = .32.
    acts = acts_of((1, 1, 0), (1, 1, 1), (1, 2, 0), (2, 3, 0), (2, 3, 2), (2, 4, 0), (2, 4, 3), (3, 5, 1), (3, 5, 4))
    settings = UpCfSettings(asymmetry=0.5, locality=1.0)

    def ranked(settings: UpCfSettings, user: int = 1) -> list[int]:
        return list(train(UpCf(ITEMS, settings, only_bought=False), acts).rank(moment(user=user), 5))

    # Over all baskets: item 0 has 1 + .73, 1 has ½ + .32, 2 and 3 have .73 / 2, and 4 has .32.
    assert ranked(settings) == [0, 1, 2, 3, 4]
    # Over the last basket of each shopper, 2 of shopper 2 has no vote: 0 has 1 + .73, 3 has .73, 1 and 4 have .32.
    assert ranked(settings._replace(recent=1)) == [0, 3, 1, 4]
    # One neighbour, shopper 2.
    assert ranked(settings._replace(neighbours=1)) == [0, 1, 2, 3]
    # With an asymmetry of 0, only the neighbour's vector counts: 4/6 to 2, and 1/2 to 3, who then gives 4 more than 2.
    assert ranked(settings._replace(asymmetry=0.0)) == [0, 1, 4, 2, 3]
    assert ranked(settings, user=7) == []


@pytest.mark.parametrize("of", [TifuKnn, UpCf])
def test_basket_baselines_with_purchases_ignore_views(of: type[TifuKnn | UpCf]) -> None:
    acts = [*acts_of((1, 1, 0), bought=False), *acts_of((1, 2, 3))]
    assert train(of(ITEMS, only_bought=True), acts).rank(moment(user=1), 5).tolist() == [3]


@pytest.mark.parametrize("name", list(BASELINES))
@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, ITEMS - 1)), max_size=30),
    session=st.lists(st.integers(0, ITEMS - 1), unique=True, max_size=4),
    k=st.integers(1, 8),
)
def test_lists_are_unique_without_hidden_items_and_prefixes_of_longer_ones(
    name: str, rows: list[tuple[int, int, int]], session: list[int], k: int
) -> None:
    known = train(BASELINES[name](), acts_of(*((user, 10 * user + number, item) for user, number, item in rows)))
    ranked = known.rank(moment(session, user=1), k).tolist()
    assert len(set(ranked)) == len(ranked) <= k
    assert not set(ranked) & set(session)
    assert set(ranked) <= {item for _, _, item in rows}
    assert known.rank(moment(session, user=1), k + 2).tolist()[:k] == ranked
