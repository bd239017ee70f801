"""Item transitions: decayed sums in any order, each action counted once, bounded size, private searches."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.kernels.support import BITS, Support
from streams.behaviour.cooccurrence import (
    BEFORE,
    POSITIONS,
    QUERIES,
    CooccurrenceRules,
    encode_neighbours,
    fold_all,
    neighbours_of_all,
)
from streams.contracts import serde
from streams.contracts.internal import ItemTransition
from tests.conftest import a_quarter_of_the_examples
from tests.streams.behaviour.items import DAY, ITEM, RULES, fold, fold_in_turn, item_transition, neighbours
from tests.streams.shoppers import NOW_MS

pytestmark = pytest.mark.kernel
YEAR = 365 * DAY


def histories(width_ms: int) -> st.SearchStrategy[list[ItemTransition]]:
    """Transitions of three shoppers to one item within `width_ms` before now, few enough to keep them all."""
    return st.lists(
        st.builds(
            item_transition,
            at_ms=st.integers(NOW_MS - width_ms, NOW_MS),
            weight=st.sampled_from([1.0, 2.0, 3.0]),
            before=st.dictionaries(st.integers(1, BEFORE), st.sampled_from([0.1, 0.5, 3.0]), max_size=10),
            query=st.sampled_from([None, "boots", "red shoes", "чайник", "tent"]),
            shopper=st.integers(1, 3),
        ),
        min_size=1,
        max_size=30,
    )


@pytest.mark.parametrize("width_ms", [60_000, 200 * DAY, 20 * YEAR])
@given(st.data())
def test_neighbours_are_decayed_sums_in_any_order(width_ms: int, data: st.DataObject) -> None:
    history = data.draw(histories(width_ms))
    newest_ms = max(each.at_ms for each in history)
    total_weight, before = 0.0, dict[int, float]()
    queries, shoppers = dict[str, float](), dict[str, set[int]]()
    for each in history:
        share = 2.0 ** (-(newest_ms - each.at_ms) / RULES.half_life_ms)
        total_weight += each.weight * share
        for key, weight in each.before.items():
            before[key] = before.get(key, 0.0) + weight * share
        if each.query is not None:
            queries[each.query] = queries.get(each.query, 0.0) + each.weight * share
            shoppers.setdefault(each.query, set()).add(each.shopper)
    for order in (history, data.draw(st.permutations(history))):
        published = neighbours(ITEM, fold_in_turn(order))
        assert (published.key, published.as_of_ms) == (ITEM, newest_ms)
        assert published.weight == pytest.approx(total_weight)
        assert published.before == pytest.approx(before)
        assert published.queries == pytest.approx({q: w for q, w in queries.items() if len(shoppers[q]) > 1})
        assert list(published.before.values()) == sorted(published.before.values(), reverse=True)


@given(histories(DAY), st.data())
def test_a_replayed_transition_returns_the_same_state(history: list[ItemTransition], data: st.DataObject) -> None:
    state = fold_in_turn(history)
    offset = data.draw(st.integers(0, len(history) - 1))
    assert fold(state, msgspec.structs.replace(history[offset], offset=offset), RULES) is state


def test_transitions_of_a_recreated_topic_and_of_other_partitions_are_counted() -> None:
    state = fold(None, item_transition(9, timestamp_ms=NOW_MS), RULES)
    assert fold(state, item_transition(0, timestamp_ms=NOW_MS), RULES) is state
    recreated = fold(state, item_transition(0, timestamp_ms=NOW_MS + 1), RULES)
    assert neighbours(ITEM, recreated).weight == 2
    other_partition = fold(recreated, item_transition(0, partition=1), RULES)
    assert neighbours(ITEM, other_partition).weight == 3
    assert fold(other_partition, item_transition(0, timestamp_ms=NOW_MS + 1), RULES) is other_partition


def test_the_position_of_the_longest_silent_partition_is_evicted() -> None:
    state = None
    for partition in range(POSITIONS + 1):
        state = fold(state, item_transition(5, partition=partition, timestamp_ms=NOW_MS + partition), RULES)
    for partition in range(1, POSITIONS + 1):
        assert fold(state, item_transition(5, partition=partition, timestamp_ms=NOW_MS + partition), RULES) is state
    assert fold(state, item_transition(5, partition=0), RULES) != state


def test_a_late_transition_is_decayed() -> None:
    half_life = round(RULES.half_life_ms)
    published = neighbours(
        ITEM,
        fold_in_turn([item_transition(before={1: 1.0}), item_transition(at_ms=NOW_MS - half_life, before={2: 1.0})]),
    )
    assert published.before == pytest.approx({1: 1.0, 2: 0.5})
    assert published.weight == pytest.approx(1.5)


@pytest.mark.parametrize("far_ms", [0, NOW_MS + 500 * YEAR])
def test_weights_stay_finite_with_times_far_apart(far_ms: int) -> None:
    published = neighbours(
        ITEM,
        fold_in_turn(
            [item_transition(at_ms=at_ms, before={number: 1.0}) for number, at_ms in enumerate((NOW_MS, far_ms, 1))]
        ),
    )
    newest = 0 if far_ms < NOW_MS else 1
    assert published.before[newest] == pytest.approx(1.0)
    assert all(0 < weight <= 1 for weight in published.before.values())
    assert 1 <= published.weight < 1.01


def test_a_changed_half_life_applies_from_then_on() -> None:
    state = fold(None, item_transition(0, before={1: 1.0}), RULES)
    then = NOW_MS + round(RULES.half_life_ms)
    state = fold(state, item_transition(1, then, before={2: 1.0}), CooccurrenceRules(RULES.half_life_ms / 2))
    assert neighbours(ITEM, state).before == pytest.approx({1: 0.5, 2: 1.0})
    state = fold(
        state,
        item_transition(2, then + round(RULES.half_life_ms), before={3: 1.0}),
        CooccurrenceRules(RULES.half_life_ms / 2),
    )
    assert neighbours(ITEM, state).before == pytest.approx({1: 0.125, 2: 0.25, 3: 1.0})


def test_the_lightest_neighbours_are_evicted() -> None:
    favourites = dict.fromkeys(range(10), 3.0)
    history = [
        item_transition(before={**favourites, 1000 + 3 * number: 1.0, 1001 + 3 * number: 0.5, 1002 + 3 * number: 0.2})
        for number in range(200)
    ]
    published = neighbours(ITEM, fold_in_turn(history))
    assert len(published.before) == BEFORE
    assert {key: published.before[key] for key in list(published.before)[:10]} == pytest.approx(
        dict.fromkeys(range(10), 600.0)
    )
    assert {1000 + 3 * 199, 1001 + 3 * 199, 1002 + 3 * 199} <= published.before.keys()
    assert max(weight for key, weight in published.before.items() if key >= 1000) == 1.0


def test_a_search_is_published_after_two_shoppers_used_it() -> None:
    private = fold_in_turn([item_transition(query="my own name", shopper=1, weight=3.0) for _ in range(9)])
    assert neighbours(ITEM, private).queries == {}
    shared = fold_in_turn([item_transition(query="boots", shopper=shopper) for shopper in (1, 1, 2, 1)])
    assert neighbours(ITEM, shared).queries == {"boots": 4.0}


def test_a_search_in_traditional_and_in_simplified_characters_is_one() -> None:
    shared = fold_in_turn([item_transition(query="藍牙耳機", shopper=1), item_transition(query="蓝牙耳机", shopper=2)])
    assert neighbours(ITEM, shared).queries == {"藍牙耳機": 2.0}


def test_an_evicted_search_is_private_again() -> None:
    history = [item_transition(query="boots", shopper=shopper) for shopper in (1, 2)]
    history += [
        item_transition(query=f"query {number}", shopper=number % 2, weight=9.0) for number in range(4 * QUERIES)
    ]
    history += [item_transition(query="boots", shopper=1, weight=99.0)]
    assert neighbours(ITEM, fold_in_turn(history)).queries == {}


def test_a_pair_is_published_from_the_required_number_of_shoppers_on() -> None:
    def published(*shoppers: int, required: int = 3) -> set[int]:
        state = fold_in_turn([item_transition(before={1: 1.0}, shopper=shopper) for shopper in shoppers])
        return set(neighbours(ITEM, state, Support(required)).before)

    assert published(*[5] * 100) == set()
    assert published(5, 6, 5, 6) == set()
    assert published(5, 6, 7) == {1}
    assert published(5, 5 + BITS, 6) == set()  # shoppers of one bit count as one
    assert published(5, required=1) == {1}


def test_a_search_needs_the_required_shoppers_and_two_at_least() -> None:
    state = fold_in_turn([item_transition(query="boots", shopper=shopper) for shopper in (1, 2)])
    assert neighbours(ITEM, state, Support(1)).queries == {"boots": 2.0}
    assert neighbours(ITEM, state, Support(3)).queries == {}


def test_a_shopper_adds_a_limited_weight_to_a_pair_and_a_search() -> None:
    often = [item_transition(before={1: 1.0, 2: 1.0}, query="boots", shopper=1) for _ in range(50)]
    others = [item_transition(before={2: 1.0}, query="tent", shopper=shopper) for shopper in range(20)]
    once = item_transition(before={1: 1.0}, query="boots", shopper=2)
    published = neighbours(ITEM, fold_in_turn([*often, *others, once]), Support(2, weight_each=3.0))
    assert published.before[1] == pytest.approx(6.0, rel=0.05)
    assert published.before[2] == pytest.approx(60.0, rel=0.2)
    assert list(published.before) == [2, 1]
    assert published.queries == pytest.approx({"tent": 20.0, "boots": 6.0}, rel=0.05)


def test_the_support_of_an_evicted_pair_is_forgotten() -> None:
    history = [item_transition(before={1: 1.0}, shopper=shopper) for shopper in (1, 2)]
    history += [item_transition(before={1000 + n: 2.0}, shopper=n % 2) for n in range(4 * BEFORE)]
    history += [item_transition(before={1: 99.0}, shopper=1)]
    assert 1 not in neighbours(ITEM, fold_in_turn(history), Support(2)).before


def test_neighbours_follow_the_contract() -> None:
    before = {2**64 - 1: 1.0, 5: 2.0, 3: 2.0, 9: 1e-320}
    state = fold(None, item_transition(0, before=before, query="Чай", shopper=9), RULES)
    state = fold(state, item_transition(1, NOW_MS + 40 * YEAR, query="tea", shopper=9), RULES)
    state = fold(state, item_transition(2, NOW_MS + 40 * YEAR, query="tea", shopper=8, weight=2.0), RULES)
    (message,) = encode_neighbours([ITEM], [state], Support())
    key, as_of_ms, weight, items, queries = msgspec.msgpack.decode(message, strict=True)
    assert (key, as_of_ms, weight) == (ITEM, NOW_MS + 40 * YEAR, pytest.approx(3.0))
    assert list(items) == [3, 5, 2**64 - 1]  # heaviest first, ties by key, without weights that underflow to 0
    assert queries == {"tea": 3.0}
    assert serde.decode_neighbours(message) == neighbours(ITEM, state)


@a_quarter_of_the_examples()
@given(st.data())
def test_a_batch_equals_single_folds(data: st.DataObject) -> None:
    history = data.draw(st.lists(st.tuples(st.integers(0, 2), histories(DAY).map(lambda drawn: drawn[0])), max_size=40))
    history = [(item, msgspec.structs.replace(each, offset=n)) for n, (item, each) in enumerate(history)]
    again = data.draw(st.lists(st.sampled_from(history), max_size=5)) if history else []
    single: list[bytes | None] = [None, None, None]
    batched: list[bytes | None] = [None, None, None]
    for item, each in [*history, *again]:
        single[item] = fold(single[item], each, RULES)
    for part in (history[:7], history[7:], again):
        folded = fold_all(batched, [item for item, _ in part], [each for _, each in part], RULES)
        assert folded.counted == [part is not again] * len(part)
        if part is again:
            assert all(after is before for before, after in zip(batched, folded.states, strict=True) if before)
        batched = [state or None for state in folded.states]
    assert batched == single
    known = [(number, state) for number, state in enumerate(single) if state is not None]
    assert neighbours_of_all([key for key, _ in known], [state for _, state in known], Support()) == [
        neighbours(key, state) for key, state in known
    ]
