"""Co-occurring items, in cases computed by hand, and by the formula for any records in any order."""

from __future__ import annotations

from collections import defaultdict
from heapq import nlargest
from math import log
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from inference.kernels.votes import ItemNumbers
from inference.queries import QueryBatch
from inference.retrieval.cooccurrence import Limits
from inference.retrieval.transitions import ItemTransitions, TransitionsSource
from inference.types import ItemNeighbours, Keys, Query, Remembered
from tests.inference.catalogues import NUMBERS, catalogue_of, unit_vectors
from tests.inference.retrieval.behaviours import key, keys
from tests.inference.retrieval.by_hand import DAY_MS, after, item, proposed

pytestmark = pytest.mark.kernel


def test_pairs_count_in_either_order_by_the_weight_of_the_session_item() -> None:
    transitions = ItemTransitions(NUMBERS)
    for record in (item(1, 3.0, i2=1.0), item(2, 4.0, i1=2.0, i3=1.0), item(3, 1.0)):
        transitions.learn([record])
    source = TransitionsSource(transitions)
    assert proposed(source, after(1)) == pytest.approx({"2": 3 / 4})
    assert proposed(source, after(2)) == pytest.approx({"1": 3 / 5, "3": 1 / 5})
    # The newest of two items weighs twice as much; what is at hand is not proposed.
    assert proposed(source, after(3, 1)) == pytest.approx({"2": (1 * 1 / 2 + 0.5 * 3 / 4) / 1.5})
    assert proposed(source, Query()) == proposed(source, after(9)) == {}


def test_weights_are_decayed_to_the_time_of_the_item() -> None:
    transitions = ItemTransitions(NUMBERS, Limits(half_life_ms=DAY_MS))
    transitions.learn([item(1, 3.0, at_ms=0)])
    transitions.learn([item(2, 1.0, at_ms=2 * DAY_MS, i1=0.5)])
    assert proposed(TransitionsSource(transitions), after(1)) == pytest.approx({"2": 0.5 * 4 / 4})
    transitions.learn([item(3, 1.0, at_ms=10**18, i1=1.0)])
    assert proposed(TransitionsSource(transitions), after(1))["3"] == 1.0


def test_remembered_items_are_used_before_the_first_action_of_a_session() -> None:
    transitions = ItemTransitions(NUMBERS)
    transitions.learn([item(1, 1.0, i2=1.0)])
    remembered = Query(recent=(Remembered(key(1), "viewed"),))
    source = TransitionsSource(transitions)
    assert proposed(source, remembered) == proposed(source, after(1)) != {}


def test_a_record_replaces_the_older_one_and_weight_0_deletes_it() -> None:
    transitions = ItemTransitions(NUMBERS)
    transitions.learn([item(1, 3.0, at_ms=5, i2=1.0, i3=1.0)])
    transitions.learn([item(1, 1.0, at_ms=4, i4=1.0)])
    assert proposed(TransitionsSource(transitions), after(1)) == pytest.approx({"2": 1 / 4, "3": 1 / 4})
    transitions.learn([item(1, 3.0, at_ms=6, i3=2.0, i4=1.0)])
    assert proposed(TransitionsSource(transitions), after(1)) == pytest.approx({"3": 2 / 4, "4": 1 / 4})
    transitions.learn([item(1, 0.0, at_ms=7)])
    assert proposed(TransitionsSource(transitions), after(1)) == {}
    assert len(transitions) == 0


transitions_of = st.lists(
    st.builds(
        lambda number, at_days, weight, before: ItemNeighbours(
            key=key(number),
            as_of_ms=round(at_days * DAY_MS),
            weight=weight,
            before={key(other): each for other, each in before.items() if other != number},
        ),
        st.integers(0, 12),
        st.floats(0, 90),
        st.sampled_from([0.0, 1.0, 2.5, 7.0]),
        st.dictionaries(st.integers(0, 12), st.floats(0.1, 50) | st.just(1.0), max_size=8),
    ),
    unique_by=lambda record: record.as_of_ms,
    max_size=25,
)


def newest(records: list[ItemNeighbours], capacity: int, width: int) -> dict[int, ItemNeighbours]:
    """The records that are to be remembered, as far as none forgets its item, each with its heaviest weights."""
    by_key = {record.key: record for record in sorted(records, key=lambda record: record.as_of_ms)}
    kept = sorted(by_key.values(), key=lambda record: (-record.as_of_ms, -record.key))[:capacity]
    return {
        record.key: replace(record, before=dict(nlargest(width, record.before.items(), key=lambda entry: entry[::-1])))
        for record in kept
    }


def transition_scores(records: dict[int, ItemNeighbours], session: list[int], backwards: float) -> dict[str, float]:
    """The formula of `transitions.py` in plain Python."""
    parts = {each: 1 / place for place, each in enumerate(session, start=1)}
    scores: defaultdict[int, float] = defaultdict(float)
    for each, part in parts.items():
        if each not in records:
            continue
        own = records[each]
        scale = part / sum(parts.values()) / (own.weight + 1)
        for other, weight in own.before.items():
            scores[other] += backwards * weight * scale
        for record in records.values():
            if each in record.before:
                halvings = (record.as_of_ms - own.as_of_ms) / (30 * DAY_MS)
                scores[record.key] += record.before[each] * 2**halvings * scale
    return {str(number): min(1.0, scores[key(number)]) for number in range(13) if key(number) in scores.keys() - parts}


@given(
    transitions_of,
    st.lists(st.integers(0, 13), unique=True, max_size=4),
    st.integers(1, 13),
    st.integers(1, 9),
    st.randoms(use_true_random=False),
)
def test_votes_equal_the_formula_for_any_order_and_batches_of_records(
    records: list[ItemNeighbours], items: list[int], capacity: int, width: int, random: Random
) -> None:
    records = [record for record in records if record.weight > 0]
    numbers = ItemNumbers()
    catalogue = catalogue_of(unit_vectors(13), numbers=numbers)
    held = len(numbers)
    limits = Limits(capacity=capacity, width=width, half_life_ms=30 * DAY_MS)
    transitions, at_once = ItemTransitions(numbers, limits), ItemTransitions(numbers, limits)
    for record in random.sample(records, len(records)):
        transitions.learn([record])
    at_once.learn(records)
    kept = newest(records, capacity, width)
    assert len(transitions) == len(at_once) == len(kept)
    for most, backwards in ((10, 1.0), (1, 0.5)):
        expected = transition_scores(kept, list(map(key, items[:most])), backwards)
        found = [
            proposed(TransitionsSource(each, most=most, backwards=backwards), after(*items), catalogue=catalogue)
            for each in (transitions, at_once)
        ]
        assert found[0] == found[1] == pytest.approx(expected)
    for each in (transitions, at_once):
        each.learn([replace(record, weight=0.0) for record in records])
        assert len(each) == 0
    assert len(numbers) == held


@given(transitions_of, st.lists(st.integers(0, 13), unique=True, max_size=4), st.integers(1, 9))
def test_the_partner_of_an_item_is_the_most_frequent_one(
    records: list[ItemNeighbours], items: list[int], width: int
) -> None:
    transitions = ItemTransitions(NUMBERS, Limits(width=width, half_life_ms=30 * DAY_MS))
    records = [record for record in records if record.weight > 0]
    transitions.learn(records)
    kept = newest(records, 100, width)
    others = keys(*items)
    for number, partner in zip(range(14), partners_of(transitions, keys(*range(14)), others), strict=True):
        own, weights = kept.get(key(number)), dict[int, float]()
        for other in others.tolist() if own else ():
            record = kept.get(other)
            halvings = (record.as_of_ms - own.as_of_ms) / (30 * DAY_MS) if own and record else 0.0
            theirs = record.before.get(key(number), 0.0) * 2**halvings if record else 0.0
            weights[other] = (own.before.get(other, 0.0) if own else 0.0) + theirs
        best = max(weights.values(), default=0.0)
        assert (partner is None) == (best == 0.0)
        if partner is not None:
            assert weights[partner] == pytest.approx(best)


def test_the_greatest_key_wins_among_equally_frequent_partners() -> None:
    transitions = ItemTransitions(NUMBERS)
    transitions.learn([item(1, i2=1.0, i3=1.0), item(4, i1=1.0)])
    for others in (keys(2, 3, 4), keys(4, 3, 2)):
        assert partners_of(transitions, keys(1, 9), others) == [max(map(key, (2, 3, 4))), None]
    assert partners_of(transitions, keys(1), keys()) == [None]
    assert partners_of(transitions, keys(), keys(1)) == []


def test_the_first_pair_of_a_shop_can_be_claimed_at_once() -> None:
    transitions = ItemTransitions(NUMBERS, claimed_above=3.0)
    transitions.learn([item(number, 5.0) for number in (1, 2, 4)])
    transitions.learn([item(3, 9.0, i1=4.5)])
    assert partners_of(transitions, keys(3), keys(1)) == [key(1)]


def test_a_claim_needs_a_weight_of_three_shoppers_and_lift() -> None:
    transitions = ItemTransitions(NUMBERS, claimed_above=3.0)
    # Everybody buys item 1. Item 2 goes with it as often as by chance would predict, item 3 much more often.
    transitions.learn([item(1, 1000.0, i2=100.0, i3=9.0, i4=3.0, i6=2.0)])
    transitions.learn([item(2, 500.0, i3=5.0, i1=100.0), item(3, 20.0), item(4, 20.0), item(5, 500.0, i2=400.0)])
    transitions.learn([item(6, 20.0, i1=2.0)])
    # M = 2,060 and C = 621: the lift of 1 and 2 is 200 · M² / (2 C) / (1,000 · 500) = 1.4, of 1 and 3 it is 1.5.
    assert partners_of(transitions, keys(3), keys(1)) == [key(1)]
    assert partners_of(transitions, keys(2), keys(1)) == [key(1)]
    # Exactly the weight of two shoppers, and 2 in each direction.
    assert partners_of(transitions, keys(4, 6), keys(1)) == [None, None]
    # Much more of item 3 alone: the same pairs have a lift below 1.
    transitions.learn([item(3, 2000.0, at_ms=1), *[item(number, 1.0, at_ms=1) for number in range(7, 16)]])
    assert partners_of(transitions, keys(3), keys(1)) == [None]
    assert partners_of(ItemTransitions(NUMBERS), keys(3), keys(1)) == [None]


def test_partners_are_items_of_the_session_else_recent_items() -> None:
    transitions = ItemTransitions(NUMBERS)
    transitions.learn([item(1, i2=1.0, i3=2.0), item(4, i1=1.0)])
    recent = tuple(Remembered(key(number), "viewed") for number in (5, 3, 2))
    queries = [Query(recent=recent), Query(), Query(session=keys(2), recent=recent), Query(session=keys(1))]
    requested = keys(1, 9, 1, 4)
    found = transitions.partners(QueryBatch.of(queries, 16).records, np.array([0, 2, 2, 3, 4]), requested)
    assert found.tolist() == [key(3), 0, key(2), key(1)]


def partners_of(transitions: ItemTransitions, own: Keys, others: Keys) -> list[int | None]:
    starts = np.array([0, len(own)])
    found = transitions.partners(QueryBatch.of([Query(session=others)], 16).records, starts, own)
    return [partner or None for partner in found.tolist()]


@given(
    st.lists(st.tuples(st.integers(1, 12), st.floats(0.1, 50) | st.just(1.0)), max_size=40),
    st.randoms(use_true_random=False),
)
def test_an_item_is_traced_back_to_its_strongest_transitions(records: list[tuple[int, float]], random: Random) -> None:
    newest_of = {number: (at_ms, weight) for at_ms, (number, weight) in enumerate(records)}
    first = {number: at_ms for at_ms, (number, _) in reversed([*enumerate(records)])}
    shuffled = [(number, at_ms, weight) for number, (at_ms, weight) in newest_of.items()]
    random.shuffle(shuffled)
    transitions = ItemTransitions(NUMBERS, Limits(width=2, half_life_ms=DAY_MS, postings=4))
    transitions.learn([item(20, 1e6, at_ms=0)])
    for number, at_ms, weight in shuffled:
        # A weaker state of the same record came before it.
        transitions.learn([item(number, 0.5, at_ms=first[number] - 1, i20=weight / 2, i21=1.0)])
        transitions.learn([item(number, 1.0, at_ms=at_ms, i20=weight)])
    strongest = sorted(
        newest_of, key=lambda number: (log(newest_of[number][1]) / log(2) + newest_of[number][0] / DAY_MS, key(number))
    )
    found = proposed(TransitionsSource(transitions), after(20))
    assert sorted(found) == sorted(map(str, strongest[-4:]))
