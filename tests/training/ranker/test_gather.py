"""Examples for the ranker: features from the past, labels from the next actions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from inference.bundle import Bundle
from inference.errors import BundleError
from inference.ranking.features import FEATURES
from inference.types import Item, stable_key
from streams.contracts.internal import ItemVector
from streams.contracts.messages import Cart, Interaction, Purchase, Search, View
from streams.items.encoded import encode_catalogue
from streams.replay import Replay
from streams.settings import load_settings
from training.ranker import gather as module
from training.ranker.gather import (
    ExampleList,
    Sampling,
    arrivals,
    as_examples,
    example_lists,
    first_ranked,
    next_items,
)

TITLES = ("Green tea", "Black tea", "Espresso beans", "Oat milk", "Milk chocolate", "Sea salt", "Bananas", "Apples")
ITEMS = [Item(item_id=f"i{n}", title=title, category=("Shop", title.split()[-1])) for n, title in enumerate(TITLES)]
EVERYTHING = Sampling(negatives=None)


def at(minute: float) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)


def view(minute: float, item: int, *, user: str = "u", session: str | None = "s") -> View:
    return View(
        event_id=f"{user}{minute}", user_id=user, session_id=session, occurred_at=at(minute), item_id=f"i{item}"
    )


def search(minute: float, query: str) -> Search:
    return Search(event_id=f"q{minute}", user_id="u", session_id="s", occurred_at=at(minute), query=query)


def acted(action: type[Cart | Purchase], minute: float, item: int) -> Interaction:
    event_id = f"{action.__name__}{minute}"
    return action(event_id=event_id, user_id="u", session_id="s", occurred_at=at(minute), item_id=f"i{item}")


def keys(*items: int) -> tuple[int, ...]:
    return tuple(stable_key(f"i{item}") for item in items)


@pytest.fixture(scope="module")
def records(bundle: Bundle) -> list[ItemVector]:
    return encode_catalogue(bundle, ITEMS)


def gather(
    bundle: Bundle, records: Sequence[ItemVector], events: Sequence[Interaction], sampling: Sampling = EVERYTHING
) -> list[ExampleList]:
    return list(example_lists(Replay(load_settings(), bundle, records), events, sampling, lambda _: None))


def random_events(seed: int, length: int, *, start: int = 0) -> list[Interaction]:
    """Return random views of three shoppers, each in one session."""
    draw = np.random.default_rng(seed)
    users = [f"u{draw.integers(3)}" for _ in range(length)]
    return [
        view(start + n, int(draw.integers(len(ITEMS))), user=user, session="s") for n, user in enumerate(users)
    ]  # fmt: skip


def test_next_items_are_the_new_items_of_the_session() -> None:
    events = [
        view(0, 0), acted(Cart, 1, 0), search(2, "milk"), view(3, 3), view(4, 0), acted(Purchase, 5, 3), view(6, 4),
    ]  # fmt: skip
    found = next_items(events, Sampling(horizon=5))
    # Item 0 is not new when it is viewed again, and the first item after a search answers it.
    assert found == [keys(3, 4), keys(3, 4), keys(3), keys(4), keys(4), keys(4), ()]


def test_the_horizon_counts_items() -> None:
    assert next_items([view(n, n) for n in range(5)], Sampling(horizon=2))[0] == keys(1, 2)


def test_items_of_one_time_do_not_follow_each_other() -> None:
    assert next_items([view(0, 0), view(1, 1), view(1, 2), view(2, 3)], EVERYTHING) == [
        keys(1, 2, 3), keys(3), keys(3), (),
    ]  # fmt: skip


def test_of_the_interactions_of_one_time_only_the_last_is_sampled(bundle: Bundle, records: list[ItemVector]) -> None:
    events = [view(0, 0), view(1, 1), view(1, 2), view(2, 3)]
    assert len(gather(bundle, records, events)) == 3


def test_next_items_are_of_the_same_shopper_and_session() -> None:
    assert next_items([view(0, 0), view(1, 1, user="v"), view(2, 2, session="t")], EVERYTHING) == [(), (), ()]


def test_a_session_without_an_id_ends_with_a_pause() -> None:
    events = [view(minute, item, session=None) for minute, item in ((0, 0), (20, 1), (40, 2), (71, 3))]
    assert next_items(events, EVERYTHING) == [keys(1, 2), keys(2), (), ()]


def test_the_next_item_has_the_label(bundle: Bundle, records: list[ItemVector]) -> None:
    (answer, *_) = gather(bundle, records, [search(0, "green tea"), view(1, 0), view(2, 1), view(3, 5)])
    assert answer.relevant == 1
    assert answer.labels.tolist().count(1) == 1
    assert np.argmax(answer.features[:, FEATURES.index("query")]) == np.argmax(answer.labels)


@pytest.mark.parametrize("seed", range(5))
def test_later_events_do_not_change_features(bundle: Bundle, records: list[ItemVector], seed: int) -> None:
    before = random_events(seed, 30)
    lists = gather(bundle, records, before)
    assert len(lists) == 30
    for later in (random_events(seed + 50, 30, start=30), [search(30, "milk"), *random_events(seed + 90, 9, start=31)]):
        longer = gather(bundle, records, before + later)
        assert len(longer) == len(before + later)
        for each, same in zip(lists, longer[:30], strict=True):
            np.testing.assert_array_equal(each.features, same.features)


def test_a_last_event_has_no_positive_label(bundle: Bundle, records: list[ItemVector]) -> None:
    followed, last = gather(bundle, records, [view(0, 0), view(1, 1)])
    assert (followed.relevant, followed.labels.sum()) == (1, 1)
    assert (last.relevant, last.labels.sum()) == (0, 0)
    assert len(last.labels)


def test_the_next_event_changes_only_labels(bundle: Bundle, records: list[ItemVector]) -> None:
    one, other = (gather(bundle, records, [view(0, 0), view(1, item)])[0] for item in (1, 5))
    np.testing.assert_array_equal(one.features, other.features)
    assert one.labels.tolist() != other.labels.tolist()


def test_examples_are_a_function_of_the_seed(bundle: Bundle, records: list[ItemVector]) -> None:
    events = random_events(1, 60)
    sampling = Sampling(seed=3, share=0.5, negatives=2)
    first, second = (as_examples(gather(bundle, records, events, sampling)) for _ in range(2))
    for each in fields(first):
        np.testing.assert_array_equal(getattr(first, each.name), getattr(second, each.name))
    other = as_examples(gather(bundle, records, events, Sampling(seed=4, share=0.5, negatives=2)))
    assert not np.array_equal(first.features, other.features)


def test_sampled_negatives_are_weighted_by_those_left_out(bundle: Bundle, records: list[ItemVector]) -> None:
    events = random_events(2, 40)
    whole = gather(bundle, records, events)
    sampled = gather(bundle, records, events, Sampling(negatives=2))
    for all_, few in zip(whole, sampled, strict=True):
        assert few.labels.sum() == all_.labels.sum()
        assert (few.labels == 0).sum() <= 2
        assert few.weights.sum() == pytest.approx(all_.weights.sum())
        assert (all_.weights == 1).all()


def test_labels_fall_with_the_distance_of_the_next_items(bundle: Bundle, records: list[ItemVector]) -> None:
    first, *_ = gather(bundle, records, [view(0, 0), view(1, 1), view(2, 4), view(3, 5)])
    assert sorted(first.labels[first.labels > 0].tolist()) == pytest.approx([1 / 3, 1 / 2, 1])


def test_an_arrival_has_the_features_before_any_action(bundle: Bundle, records: list[ItemVector]) -> None:
    events = [view(0, 0), view(1, 1), view(99, 4, session="t"), view(100, 5, session="t")]
    assert arrivals(events, 30 * 60_000) == {2: keys(4, 5)}
    found = gather(bundle, records, events, Sampling(negatives=None, share=1e-9, arrivals=1.0))
    (arrived,) = found
    assert arrived.relevant == 2
    assert sorted(set(arrived.labels.tolist())) == [0, 1]
    assert not arrived.features[:, FEATURES.index("session_length")].any()
    # Items of the earlier session are candidates again, with the feature `seen_before`.
    assert arrived.features[:, FEATURES.index("seen_before")].sum() == 2


def test_lists_start_after_the_given_share_of_events(bundle: Bundle, records: list[ItemVector]) -> None:
    events = random_events(3, 40)
    whole, late = gather(bundle, records, events), gather(bundle, records, events, Sampling(negatives=None, after=0.5))
    assert 0 < len(late) < len(whole)
    for one, other in zip(late, whole[-len(late) :], strict=True):
        np.testing.assert_array_equal(one.features, other.features)


def test_no_lists_are_an_error() -> None:
    with pytest.raises(BundleError, match="acted on, got 0 lists"):
        as_examples([])


def test_lists_are_the_same_if_the_beginning_is_learned_without_ranking(
    bundle: Bundle, records: list[ItemVector], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WARM_UP", 5)
    events, sampling = random_events(6, 90), Sampling(after=0.5, arrivals=1.0, negatives=3)
    learned = first_ranked(events, sampling)
    assert learned == 40
    replay = Replay(load_settings(), bundle, records)
    replay.learn(events[:learned])
    progress: list[int] = []
    some = list(example_lists(replay, events, sampling, progress.append, learned=learned))
    every = gather(bundle, records, events, sampling)
    assert sum(progress) == 50
    assert len(some) == len(every) > 0
    for one, other in zip(some, every, strict=True):
        assert (one.relevant, one.shopper) == (other.relevant, other.shopper)
        # Updates of trends and behaviour happen at other moments, by less than a minute.
        assert one.labels.sum() == other.labels.sum()


def test_each_list_names_its_shopper(bundle: Bundle, records: list[ItemVector]) -> None:
    events = random_events(6, 30)
    lists = gather(bundle, records, events)
    users = [each.user_id for each in events]
    assert [each.shopper for each in lists] == [list(dict.fromkeys(users)).index(user) for user in users]
    assert as_examples(lists).shoppers.tolist() == [each.shopper for each in lists]
