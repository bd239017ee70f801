"""Similar sessions, in cases computed by hand, and by the formula for any records in any order."""

from __future__ import annotations

from collections import Counter, defaultdict
from math import log1p
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from inference.kernels.votes import ItemNumbers
from inference.retrieval import sessions as sessions_module
from inference.retrieval.sessions import EACH, Sessions
from inference.types import Query, SessionItems
from tests.inference.catalogues import NUMBERS, catalogue_of, unit_vectors
from tests.inference.retrieval.behaviours import key
from tests.inference.retrieval.by_hand import after, proposed, session

pytestmark = pytest.mark.kernel


def test_sessions_vote_by_shared_items_and_their_distance() -> None:
    sessions = Sessions(NUMBERS)
    for record in (session(1, 1, 2, 3), session(2, 5, 1), session(3, 8, 9)):
        sessions.learn([record])
    source = sessions
    # Both neighbours share item 1 alone: half of the vote each; item 3 is two places away from it.
    assert proposed(source, after(1)) == pytest.approx({"2": 0.5 / 1.5, "3": 0.5 / 2, "5": 0.5 / 1.5})
    one, two = log1p(3 / 2), log1p(3 / 1)
    first, second = two + one / 2, one / 2
    votes = first + second
    expected = {"3": first / votes / 1.5, "5": second / votes / 1.5}
    assert proposed(source, after(2, 1)) == pytest.approx(expected)
    assert proposed(source, after(20)) == proposed(source, Query()) == {}


def test_a_session_does_not_vote_for_the_items_of_the_query() -> None:
    sessions = Sessions(NUMBERS)
    sessions.learn([session(1, 1, 2)])
    assert proposed(sessions, after(2, 1)) == {}
    sessions.learn([session(2, 2, 3)])
    assert proposed(sessions, after(2, 1)) == pytest.approx({"3": 1 / 1.5})


def test_sessions_are_found_by_the_beginning_of_their_keys_and_deleted_by_one_without_items() -> None:
    sessions = Sessions(NUMBERS)
    keys = [5 << 24 | 1, 5 << 24 | 2, 6 << 24 | 1, 2**64 - 1]
    sessions.learn([SessionItems(key=key, at_ms=1, items=(1, 2)) for key in keys])
    assert sorted(sessions.keys_with_prefix({5}, 24)) == keys[:2]
    assert sorted(sessions.keys_with_prefix({6, 2**40 - 1}, 24)) == keys[2:]
    sessions.learn([SessionItems(key=keys[0], at_ms=0, items=())])
    assert sessions.keys_with_prefix({5}, 24) == [keys[1]]


def test_a_session_replaces_its_older_state() -> None:
    sessions = Sessions(NUMBERS)
    for record in (session(1, 1, 2, at_ms=5), session(1, 1, 2, 3, at_ms=9), session(1, 4, 1, at_ms=7)):
        sessions.learn([record])
    assert set(proposed(sessions, after(1))) == {"2", "3"}
    sessions.learn([session(1, at_ms=10)])
    assert len(sessions) == 0
    assert proposed(sessions, after(1)) == {}


def test_the_newest_items_of_a_long_session_are_kept() -> None:
    sessions = Sessions(NUMBERS, width=3)
    sessions.learn([session(1, *range(1, 7))])
    assert set(proposed(sessions, after(6))) == {"4", "5"}
    assert proposed(sessions, after(3)) == {}
    sessions.learn([session(1, *range(1, 8), at_ms=5)])
    assert proposed(sessions, after(4)) == {}


snapshots = st.lists(
    st.builds(
        lambda number, at_ms, items: session(number, *items, at_ms=at_ms),
        st.integers(1, 12),
        st.integers(0, 10**6),
        st.lists(st.integers(0, 8), min_size=1, max_size=5, unique=True),
    ),
    unique_by=lambda record: record.at_ms,
    max_size=30,
)


@given(snapshots, st.integers(1, 8), st.randoms(use_true_random=False))
def test_the_newest_sessions_are_kept_in_any_order_of_arrival(
    records: list[SessionItems], capacity: int, random: Random
) -> None:
    shuffled = random.sample(records, len(records))
    one, other, fresh = (Sessions(NUMBERS, capacity=capacity) for _ in range(3))
    for record, moved in zip(records, shuffled, strict=True):
        one.learn([record])
        other.learn([moved])
    newest = {record.key: record for record in sorted(records, key=lambda record: record.at_ms)}
    for record in sorted(newest.values(), key=lambda record: -record.at_ms)[:capacity]:
        fresh.learn([record])
    assert len(one) == len(other) == len(fresh) <= capacity
    for query in (after(1), after(2, 3), after(8, 0, 4)):
        assert proposed(one, query) == proposed(other, query)
        assert proposed(one, query) == proposed(fresh, query)


def test_the_newest_of_many_sessions_with_an_item_vote() -> None:
    sessions, numbers = Sessions(NUMBERS), list(range(1, 3001))
    Random(1).shuffle(numbers)
    for number in numbers:
        sessions.learn([session(number, 1, 2 if number > 2900 else 3)])
    assert proposed(sessions, after(1)) == pytest.approx({"2": 1 / 1.5})
    # An old session that goes on is among the newest again, once.
    for number in range(1, 101):
        sessions.learn([session(number, 1, 4, at_ms=10_000 + number)])
    assert proposed(sessions, after(1)) == pytest.approx({"4": 1 / 1.5})


def session_scores(records: list[SessionItems], items: list[int], sample: int, neighbours: int) -> dict[int, float]:
    """The formula of `sessions.py` in plain Python."""
    having = Counter(each for record in records for each in record.items)
    like = []
    for record in records:
        shared = [(place, each) for place, each in enumerate(items, start=1) if each in record.items]
        if shared and len(shared) < len(record.items):
            similarity = sum(log1p(len(records) / having[each]) / place for place, each in shared)
            like.append((similarity, record.at_ms, record.key, record.items, record.items.index(shared[0][1])))
    like = sorted(like, key=lambda each: each[1:3], reverse=True)[:sample]
    like = sorted(like, key=lambda each: each[:3], reverse=True)[:neighbours]
    total = sum(each[0] for each in like)
    scores: defaultdict[int, float] = defaultdict(float)
    for similarity, _, _, voting, nearest in like:
        for place, each in enumerate(voting):
            scores[each] += similarity / total / (1 + abs(place - nearest) / 2)
    return {each: min(1.0, score) for each, score in scores.items() if each not in items}


@given(snapshots, st.lists(st.integers(0, 9), unique=True, max_size=4), st.randoms(use_true_random=False))
def test_votes_equal_the_formula_for_any_order_and_batches_of_sessions(
    records: list[SessionItems], items: list[int], random: Random
) -> None:
    numbers = ItemNumbers()
    catalogue = catalogue_of(unit_vectors(10), numbers=numbers)
    held = len(numbers)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sessions_module, "SAMPLE", 10)
        patched.setattr(sessions_module, "NEIGHBOURS", 4)
        sessions, at_once = Sessions(numbers), Sessions(numbers)
    for record in random.sample(records, len(records)):
        sessions.learn([record])
    at_once.learn(records)
    newest_of = {record.key: record for record in sorted(records, key=lambda record: record.at_ms)}
    scores = session_scores(list(newest_of.values()), list(map(key, items)), 10, 4)
    expected = {str(number): scores[key(number)] for number in range(10) if key(number) in scores}
    for each in (sessions, at_once):
        assert proposed(each, after(*items), catalogue=catalogue) == pytest.approx(expected)
        each.learn([replace(record, items=(), at_ms=0) for record in records])
        assert len(each) == 0
    assert len(numbers) == held


def of_shopper(number: int, shopper: int | None, *items: int) -> SessionItems:
    return replace(session(number, *items), shopper=shopper)


def test_an_item_needs_the_sessions_of_distinct_shoppers() -> None:
    sessions = Sessions(NUMBERS, min_shoppers=2)
    sessions.learn([of_shopper(1, 7, 1, 2), of_shopper(2, 7, 1, 2, 3)])
    assert proposed(sessions, after(1)) == {}
    sessions.learn([of_shopper(3, 8, 1, 3)])
    assert set(proposed(sessions, after(1))) == {"3"}
    # The votes of the other items still count in the sum, and nothing is left over for the next query.
    assert proposed(sessions, after(1)) == proposed(sessions, after(1))


def test_only_the_newest_sessions_of_a_shopper_count() -> None:
    sessions = Sessions(NUMBERS)
    many = [of_shopper(number, 7, 1, 2 + number % 9) for number in range(100)]
    sessions.learn([of_shopper(1000, 8, 1, 20), *many])
    found = proposed(sessions, after(1))
    assert set(found) == {"20", *(str(2 + number % 9) for number in range(100 - EACH, 100))}
    assert found["20"] == pytest.approx(1 / (EACH + 1) / 1.5)


def test_sessions_of_an_older_release_count_as_one_shopper_each() -> None:
    sessions = Sessions(NUMBERS, min_shoppers=2)
    sessions.learn([session(number, 1, 2) for number in range(1, 4)])
    assert set(proposed(sessions, after(1))) == {"2"}
