"""Gathering from a stream: the examples of the offline gathering, within a quota."""

from __future__ import annotations

import numpy as np
import pytest

from inference.bundle import Bundle
from inference.errors import ScoringError
from inference.types import Item
from streams.contracts.internal import ItemVector
from streams.items.encoded import encode_catalogue
from streams.replay import Replay
from streams.settings import load_settings
from tests.training.learning.acts import START_MS, answer, ms, view
from training.learning.gathering import Gathered, Gatherer, Quota
from training.learning.outcomes import Outcomes
from training.learning.rules import DAY_MS, LearningRules
from training.ranker.gather import Sampling, example_lists

TITLES = ("Green tea", "Black tea", "Espresso beans", "Oat milk", "Milk chocolate", "Sea salt", "Bananas", "Apples")
ITEMS = [Item(item_id=f"i{n}", title=title, category=("Shop", title.split()[-1])) for n, title in enumerate(TITLES)]
RULES = LearningRules(negatives=100)


@pytest.fixture(scope="module")
def records(bundle: Bundle) -> list[ItemVector]:
    return encode_catalogue(bundle, ITEMS)


def gatherer(bundle: Bundle, records: list[ItemVector], rules: LearningRules = RULES) -> Gatherer:
    return Gatherer(Replay(load_settings(env_file=None), bundle, records), rules, Outcomes(rules.outcome_ms))


def test_examples_are_those_of_the_offline_gathering(bundle: Bundle, records: list[ItemVector]) -> None:
    draw = np.random.default_rng(5)
    minutes = np.cumsum(draw.choice([1, 3, 50], 150, p=[0.7, 0.25, 0.05])).tolist()
    events = [view(minute, int(draw.integers(8)), user=f"u{draw.integers(4)}", session=None) for minute in minutes]
    sampling = Sampling(arrivals=1.0, negatives=None)
    offline = list(
        example_lists(Replay(load_settings(env_file=None), bundle, records), events, sampling, lambda _: None)
    )
    stream = gatherer(bundle, records, LearningRules(negatives=100, outcome_ms=DAY_MS))
    found: list[Gathered] = []
    for start in range(0, len(events), 20):
        for event in events[start : start + 20]:
            stream.add(event)
        for some in stream.advance(ms(events[min(start + 19, len(events) - 1)])):
            found += some
    for some in stream.advance(ms(events[-1]) + 2 * DAY_MS):
        found += some
    assert len(found) == len(offline) > 150
    for each, same in zip(found, offline, strict=True):
        np.testing.assert_array_equal(each.examples.labels, same.labels)
        np.testing.assert_allclose(each.examples.features, same.features, atol=1e-6)
        assert each.examples.relevant == same.relevant


def test_an_action_on_a_listed_item_has_its_rank(bundle: Bundle, records: list[ItemVector]) -> None:
    outcomes = Outcomes(RULES.outcome_ms)
    stream = Gatherer(Replay(load_settings(env_file=None), bundle, records), RULES, outcomes)
    first = view(0, 0)
    stream.add(first)
    outcomes.show(answer(first, [5, 1, 3]))
    stream.add(view(1, 1))
    stream.add(view(2, 6))
    (found,) = stream.advance(START_MS + DAY_MS)
    gathered = found[0]
    assert sorted(gathered.ranks.tolist(), reverse=True)[:2] == [2, 0]
    assert gathered.examples.labels[gathered.ranks == 2].tolist() == [1]


def test_the_quota_is_spread_over_the_day() -> None:
    quota = Quota(100)
    taken = [quota.take(START_MS + minute * 60_000) for minute in range(3 * 1440)]
    assert sum(taken[:1440]) == pytest.approx(200, abs=2)  # the first day may use a day's worth at once
    assert sum(taken[1440:2880]) == pytest.approx(100, abs=2)
    assert sum(taken[2880:3600]) == pytest.approx(50, abs=2)


def test_lists_beyond_the_quota_are_folded_but_not_gathered(bundle: Bundle, records: list[ItemVector]) -> None:
    stream = gatherer(bundle, records, LearningRules(lists_per_day=5))
    for minute in range(40):
        stream.add(view(minute, minute % 8))
    found = [each for some in stream.advance(START_MS + DAY_MS) for each in some]
    assert len(found) == 5
    assert len(stream) == 0


def test_interactions_on_which_the_model_fails_are_left_out(
    bundle: Bundle, records: list[ItemVector], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = gatherer(bundle, records)
    stream.add(view(0, 0))

    def fails(*_: object) -> None:
        raise ScoringError("the graph failed")

    with monkeypatch.context() as patched:
        patched.setattr(Replay, "fold", fails)
        assert list(stream.advance(START_MS + DAY_MS)) == [[]]
    assert stream.failures == 1
    stream.add(view(60, 1))
    (found,) = stream.advance(START_MS + 2 * DAY_MS)
    assert len(found) == 1
