"""Behaviour, in cases computed by hand, and its bounds for any records in any order."""

from __future__ import annotations

from collections import Counter, defaultdict
from heapq import nlargest
from math import log, log1p
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from inference.queries import QueryBatch
from inference.retrieval import sessions as sessions_module
from inference.retrieval.behaviour import Behaviour
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.clicked import Clicked, ClickedSource
from inference.retrieval.cooccurrence import Limits
from inference.retrieval.numbers import ItemNumbers
from inference.retrieval.port import CandidateSource
from inference.retrieval.sessions import Sessions, SessionsSource
from inference.retrieval.transitions import ItemTransitions, TransitionsSource
from inference.types import ItemNeighbours, Keys, Query, Remembered, SessionItems, stable_key
from tests.inference.catalogues import NUMBERS, catalogue_of, unit_vectors
from tests.inference.retrieval.behaviours import found_by, key, keys, proposed_ids

pytestmark = pytest.mark.kernel

CATALOGUE = catalogue_of(unit_vectors(30))
DAY_MS = 86_400_000


def item(
    number: int, mass: float = 1.0, at_ms: int = 0, queries: dict[str, float] | None = None, **before: float
) -> ItemNeighbours:
    """A record; `before` says `i3=2.0` for item 3."""
    pairs = {key(name[1:]): weight for name, weight in before.items()}
    return ItemNeighbours(key=key(number), as_of_ms=at_ms, mass=mass, before=pairs, queries=queries or {})


def session(number: int, *items: int, at_ms: int | None = None) -> SessionItems:
    return SessionItems(key=number, at_ms=number if at_ms is None else at_ms, items=tuple(map(key, items)))


def proposed(
    source: CandidateSource, query: Query, limit: int = 30, catalogue: Catalogue = CATALOGUE
) -> dict[str, float]:
    (found,) = found_by(source, [query], catalogue, limit)
    return proposed_ids(found, catalogue)


def after(*items: int) -> Query:
    """A shopper whose session has these items, newest first."""
    return Query(session=keys(*items))


def test_pairs_count_in_either_order_by_the_mass_of_the_item_at_hand() -> None:
    transitions = ItemTransitions(NUMBERS)
    for record in (item(1, 3.0, i2=1.0), item(2, 4.0, i1=2.0, i3=1.0), item(3, 1.0)):
        transitions.learn([record])
    source = TransitionsSource(transitions)
    assert proposed(source, after(1)) == pytest.approx({"2": 3 / 4})
    assert proposed(source, after(2)) == pytest.approx({"1": 3 / 5, "3": 1 / 5})
    # The newest of two items weighs twice as much; what is at hand is not proposed.
    assert proposed(source, after(3, 1)) == pytest.approx({"2": (1 * 1 / 2 + 0.5 * 3 / 4) / 1.5})
    assert proposed(source, Query()) == proposed(source, after(9)) == {}


def test_pairs_are_brought_to_the_time_of_the_item_at_hand() -> None:
    transitions = ItemTransitions(NUMBERS, Limits(half_life_ms=DAY_MS))
    transitions.learn([item(1, 3.0, at_ms=0)])
    transitions.learn([item(2, 1.0, at_ms=2 * DAY_MS, i1=0.5)])
    assert proposed(TransitionsSource(transitions), after(1)) == pytest.approx({"2": 0.5 * 4 / 4})
    transitions.learn([item(3, 1.0, at_ms=10**18, i1=1.0)])
    assert proposed(TransitionsSource(transitions), after(1))["3"] == 1.0


def test_before_the_first_action_of_a_session_remembered_items_stand_in() -> None:
    transitions = ItemTransitions(NUMBERS)
    transitions.learn([item(1, 1.0, i2=1.0)])
    remembered = Query(recent=(Remembered(key(1), "viewed"),))
    source = TransitionsSource(transitions)
    assert proposed(source, remembered) == proposed(source, after(1)) != {}


def test_a_record_replaces_the_older_one_in_full_and_one_without_mass_forgets() -> None:
    transitions = ItemTransitions(NUMBERS)
    transitions.learn([item(1, 3.0, at_ms=5, i2=1.0, i3=1.0)])
    transitions.learn([item(1, 1.0, at_ms=4, i4=1.0)])
    assert proposed(TransitionsSource(transitions), after(1)) == pytest.approx({"2": 1 / 4, "3": 1 / 4})
    transitions.learn([item(1, 3.0, at_ms=6, i3=2.0, i4=1.0)])
    assert proposed(TransitionsSource(transitions), after(1)) == pytest.approx({"3": 2 / 4, "4": 1 / 4})
    transitions.learn([item(1, 0.0, at_ms=7)])
    assert proposed(TransitionsSource(transitions), after(1)) == {}
    assert len(transitions) == 0


def test_sessions_vote_by_what_they_share_and_by_how_near() -> None:
    sessions = Sessions(NUMBERS)
    for record in (session(1, 1, 2, 3), session(2, 5, 1), session(3, 8, 9)):
        sessions.learn([record])
    source = SessionsSource(sessions)
    # Both neighbours share item 1 alone: half of the vote each; item 3 is two places away from it.
    assert proposed(source, after(1)) == pytest.approx({"2": 0.5 / 1.5, "3": 0.5 / 2, "5": 0.5 / 1.5})
    one, two = log1p(3 / 2), log1p(3 / 1)
    first, second = two + one / 2, one / 2
    votes = first + second
    expected = {"3": first / votes / 1.5, "5": second / votes / 1.5}
    assert proposed(source, after(2, 1)) == pytest.approx(expected)
    assert proposed(source, after(20)) == proposed(source, Query()) == {}


def test_a_session_has_no_vote_in_what_it_has_itself() -> None:
    sessions = Sessions(NUMBERS)
    sessions.learn([session(1, 1, 2)])
    assert proposed(SessionsSource(sessions), after(2, 1)) == {}
    sessions.learn([session(2, 2, 3)])
    assert proposed(SessionsSource(sessions), after(2, 1)) == pytest.approx({"3": 1 / 1.5})


def test_a_session_replaces_its_older_state() -> None:
    sessions = Sessions(NUMBERS)
    for record in (session(1, 1, 2, at_ms=5), session(1, 1, 2, 3, at_ms=9), session(1, 4, 1, at_ms=7)):
        sessions.learn([record])
    assert set(proposed(SessionsSource(sessions), after(1))) == {"2", "3"}
    sessions.learn([session(1, at_ms=10)])
    assert len(sessions) == 0
    assert proposed(SessionsSource(sessions), after(1)) == {}


def test_of_a_long_session_the_newest_items_are_remembered() -> None:
    sessions = Sessions(NUMBERS, width=3)
    sessions.learn([session(1, *range(1, 7))])
    assert set(proposed(SessionsSource(sessions), after(6))) == {"4", "5"}
    assert proposed(SessionsSource(sessions), after(3)) == {}
    sessions.learn([session(1, *range(1, 8), at_ms=5)])
    assert proposed(SessionsSource(sessions), after(4)) == {}


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
def test_the_newest_sessions_are_kept_in_whatever_order_they_came(
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
        assert proposed(SessionsSource(one), query) == proposed(SessionsSource(other), query)
        assert proposed(SessionsSource(one), query) == proposed(SessionsSource(fresh), query)


def test_of_very_many_sessions_with_an_item_the_newest_are_asked() -> None:
    sessions, numbers = Sessions(NUMBERS), list(range(1, 3001))
    Random(1).shuffle(numbers)
    for number in numbers:
        sessions.learn([session(number, 1, 2 if number > 2900 else 3)])
    assert proposed(SessionsSource(sessions), after(1)) == pytest.approx({"2": 1 / 1.5})
    # An old session that goes on is among the newest again, once.
    for number in range(1, 101):
        sessions.learn([session(number, 1, 4, at_ms=10_000 + number)])
    assert proposed(SessionsSource(sessions), after(1)) == pytest.approx({"4": 1 / 1.5})


def test_a_search_is_remembered_for_itself_and_for_near_ones() -> None:
    clicked = Clicked(NUMBERS)
    clicked.learn([item(1, 9.0, queries={"usb cable": 3.0})])
    clicked.learn([item(2, 9.0, queries={"usb cable": 1.0, "garden chair": 2.0})])
    source = ClickedSource(clicked)
    assert proposed(source, Query(text="garden  CHAIR")) == pytest.approx({"2": 2 / 3})
    assert proposed(source, Query(text="USB cable")) == pytest.approx({"1": 3 / 5, "2": 1 / 5})
    near = proposed(source, Query(text="long usb cables"))
    assert list(near) == ["1", "2"]
    assert 0 < near["1"] < 3 / 5
    assert near["1"] / near["2"] == pytest.approx(3)
    assert proposed(source, Query(text="lamp")) == proposed(source, Query()) == proposed(source, Query(text="")) == {}
    assert clicked.searches == 2


def test_rare_words_make_searches_near() -> None:
    clicked = Clicked(NUMBERS)
    for number, text in enumerate(["red lamp", "red chair", "red table", "red xm4"], start=1):
        clicked.learn([item(number, 1.0, queries={text: 1.0})])
    assert next(iter(proposed(ClickedSource(clicked), Query(text="xm4 red case")))) == "4"


def test_a_search_that_no_record_has_any_more_is_forgotten() -> None:
    clicked = Clicked(NUMBERS, capacity=2)
    clicked.learn([item(1, 1.0, at_ms=1, queries={"lamp": 1.0})])
    clicked.learn([item(2, 1.0, at_ms=2, queries={"lamp": 1.0, "chair": 1.0})])
    clicked.learn([item(2, 1.0, at_ms=3, queries={"chair": 1.0})])
    assert clicked.searches == 2
    clicked.learn([item(3, 1.0, at_ms=4, queries={"table": 1.0})])
    assert (len(clicked), clicked.searches) == (2, 2)
    assert proposed(ClickedSource(clicked), Query(text="lamp")) == {}
    clicked.learn([item(3, 0.0)])
    clicked.learn([item(4, 1.0, at_ms=1, queries={})])
    assert clicked.searches == 1


def test_a_refused_record_leaves_nothing_behind() -> None:
    clicked = Clicked(NUMBERS, capacity=1)
    clicked.learn([item(1, 1.0, at_ms=5, queries={"lamp": 1.0})])
    clicked.learn([item(2, 1.0, at_ms=4, queries={"chair": 1.0})])
    assert clicked.searches == 1
    clicked.learn([item(2, 1.0, at_ms=6, queries={"chair": 1.0})])
    assert proposed(ClickedSource(clicked), Query(text="chair")) == pytest.approx({"2": 1 / 2})


transitions_of = st.lists(
    st.builds(
        lambda number, at_days, mass, before: ItemNeighbours(
            key=key(number),
            as_of_ms=round(at_days * DAY_MS),
            mass=mass,
            before={key(other): weight for other, weight in before.items() if other != number},
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
        scale = part / sum(parts.values()) / (own.mass + 1)
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
def test_transitions_are_what_the_formula_says_in_whatever_order_and_batches_records_come(
    records: list[ItemNeighbours], items: list[int], capacity: int, width: int, random: Random
) -> None:
    records = [record for record in records if record.mass > 0]
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
        each.learn([replace(record, mass=0.0) for record in records])
        assert len(each) == 0
    assert len(numbers) == held


@given(transitions_of, st.lists(st.integers(0, 13), unique=True, max_size=4), st.integers(1, 9))
def test_the_partner_of_an_item_is_the_one_that_goes_with_it_most_often(
    records: list[ItemNeighbours], items: list[int], width: int
) -> None:
    transitions = ItemTransitions(NUMBERS, Limits(width=width, half_life_ms=30 * DAY_MS))
    records = [record for record in records if record.mass > 0]
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


def test_of_equally_frequent_partners_the_one_with_the_greatest_key_is_named() -> None:
    transitions = ItemTransitions(NUMBERS)
    transitions.learn([item(1, i2=1.0, i3=1.0), item(4, i1=1.0)])
    for others in (keys(2, 3, 4), keys(4, 3, 2)):
        assert partners_of(transitions, keys(1, 9), others) == [max(map(key, (2, 3, 4))), None]
    assert partners_of(transitions, keys(1), keys()) == [None]
    assert partners_of(transitions, keys(), keys(1)) == []


def test_the_items_of_each_query_are_its_session_or_else_what_it_remembers() -> None:
    transitions = ItemTransitions(NUMBERS)
    transitions.learn([item(1, i2=1.0, i3=2.0), item(4, i1=1.0)])
    recent = tuple(Remembered(key(number), "viewed") for number in (5, 3, 2))
    queries = [Query(recent=recent), Query(), Query(session=keys(2), recent=recent), Query(session=keys(1))]
    asked = keys(1, 9, 1, 4)
    found = transitions.partners(QueryBatch.of(queries, 16).records, np.array([0, 2, 2, 3, 4]), asked)
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
def test_neighbours_vote_as_the_formula_says_in_whatever_order_and_batches_sessions_come(
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
        assert proposed(SessionsSource(each), after(*items), catalogue=catalogue) == pytest.approx(expected)
        each.learn([replace(record, items=(), at_ms=0) for record in records])
        assert len(each) == 0
    assert len(numbers) == held


def test_behaviour_outgrows_its_first_arrays() -> None:
    numbers = ItemNumbers()
    catalogue = catalogue_of(unit_vectors(30), numbers=numbers)
    behaviour = Behaviour(numbers=numbers)
    crowd = [
        ItemNeighbours(key=key(f"crowd {number}"), as_of_ms=number, mass=1.0, before={key(1): 1.0, key(number): 1.0})
        for number in range(1000)
    ]
    behaviour.learn([*crowd, item(1, 3.0, i2=2.0), *(session(number, number % 700, 1, 3) for number in range(1, 2000))])
    assert numbers.capacity >= 1500
    assert proposed(TransitionsSource(behaviour.transitions), after(1), catalogue=catalogue) == {"2": 0.5}
    assert next(iter(proposed(SessionsSource(behaviour.sessions), after(1), catalogue=catalogue))) == "3"
    assert (len(behaviour.transitions), len(behaviour.sessions), len(behaviour.clicked)) == (1001, 1999, 1001)


def test_capacity_is_needed() -> None:
    for make in (lambda: Sessions(NUMBERS, capacity=0), lambda: ItemTransitions(NUMBERS, Limits(capacity=0))):
        with pytest.raises(ValueError, match="required at least 1, got 0"):
            make()


def test_whoever_was_acted_on_has_been_seen() -> None:
    records: list[ItemNeighbours | SessionItems] = [item(1, i2=1.0), item(3, 0.0), session(1, 4, 5)]
    assert Behaviour().learn(records) == {key(1), key(4), key(5)}
    assert stable_key("1") == key(1)
