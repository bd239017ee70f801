"""What shoppers do, by cases computed by hand, and kept within bounds whatever comes in whatever order."""

from __future__ import annotations

from math import log, log1p
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.retrieval import relations as relations_module
from inference.retrieval.behaviour import Behaviour
from inference.retrieval.clicked import Clicked, ClickedSource
from inference.retrieval.port import CandidateSource
from inference.retrieval.relations import Relations
from inference.retrieval.sessions import Sessions, SessionsSource
from inference.retrieval.together import Together, TogetherSource
from inference.types import ItemNeighbours, Query, Remembered, SessionItems, stable_key
from tests.inference.catalogues import catalogue_of, unit_vectors
from tests.inference.retrieval.behaviours import found_by, key, keys, proposed_ids

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


def proposed(source: CandidateSource, query: Query, limit: int = 30) -> dict[str, float]:
    (found,) = found_by(source, [query], CATALOGUE, limit)
    return proposed_ids(found, CATALOGUE)


def after(*items: int) -> Query:
    """A shopper whose session has these items, newest first."""
    return Query(session=keys(*items))


def test_pairs_count_in_either_order_by_the_mass_of_the_item_at_hand() -> None:
    together = Together()
    for record in (item(1, 3.0, i2=1.0), item(2, 4.0, i1=2.0, i3=1.0), item(3, 1.0)):
        together.learn(record)
    source = TogetherSource(together)
    assert proposed(source, after(1)) == pytest.approx({"2": 3 / 4})
    assert proposed(source, after(2)) == pytest.approx({"1": 3 / 5, "3": 1 / 5})
    # The newest of two items weighs twice as much; what is at hand is not proposed.
    assert proposed(source, after(3, 1)) == pytest.approx({"2": (1 * 1 / 2 + 0.5 * 3 / 4) / 1.5})
    assert proposed(source, Query()) == proposed(source, after(9)) == {}


def test_pairs_are_brought_to_the_time_of_the_item_at_hand() -> None:
    together = Together(half_life_ms=DAY_MS)
    together.learn(item(1, 3.0, at_ms=0))
    together.learn(item(2, 1.0, at_ms=2 * DAY_MS, i1=0.5))
    assert proposed(TogetherSource(together), after(1)) == pytest.approx({"2": 0.5 * 4 / 4})
    together.learn(item(3, 1.0, at_ms=10**18, i1=1.0))
    assert proposed(TogetherSource(together), after(1))["3"] == 1.0


def test_before_the_first_action_of_a_session_remembered_items_stand_in() -> None:
    together = Together()
    together.learn(item(1, 1.0, i2=1.0))
    remembered = Query(recent=(Remembered(key(1), "viewed"),))
    assert proposed(TogetherSource(together), remembered) == proposed(TogetherSource(together), after(1)) != {}


def test_a_record_replaces_the_older_one_in_full_and_one_without_mass_forgets() -> None:
    together = Together()
    together.learn(item(1, 3.0, at_ms=5, i2=1.0, i3=1.0))
    together.learn(item(1, 1.0, at_ms=4, i4=1.0))
    assert proposed(TogetherSource(together), after(1)) == pytest.approx({"2": 1 / 4, "3": 1 / 4})
    together.learn(item(1, 3.0, at_ms=6, i3=2.0, i4=1.0))
    assert proposed(TogetherSource(together), after(1)) == pytest.approx({"3": 2 / 4, "4": 1 / 4})
    together.learn(item(1, 0.0, at_ms=7))
    assert proposed(TogetherSource(together), after(1)) == {}
    assert len(together) == 0


def test_sessions_vote_by_what_they_share_and_by_how_near() -> None:
    sessions = Sessions()
    for record in (session(1, 1, 2, 3), session(2, 5, 1), session(3, 8, 9)):
        sessions.learn(record)
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
    sessions = Sessions()
    sessions.learn(session(1, 1, 2))
    assert proposed(SessionsSource(sessions), after(2, 1)) == {}
    sessions.learn(session(2, 2, 3))
    assert proposed(SessionsSource(sessions), after(2, 1)) == pytest.approx({"3": 1 / 1.5})


def test_a_session_replaces_its_older_state() -> None:
    sessions = Sessions()
    for record in (session(1, 1, 2, at_ms=5), session(1, 1, 2, 3, at_ms=9), session(1, 4, 1, at_ms=7)):
        sessions.learn(record)
    assert set(proposed(SessionsSource(sessions), after(1))) == {"2", "3"}
    sessions.learn(session(1, at_ms=10))
    assert len(sessions) == 0
    assert proposed(SessionsSource(sessions), after(1)) == {}


def test_of_a_long_session_the_newest_items_are_remembered() -> None:
    sessions = Sessions(width=3)
    sessions.learn(session(1, *range(1, 7)))
    assert set(proposed(SessionsSource(sessions), after(6))) == {"4", "5"}
    assert proposed(SessionsSource(sessions), after(3)) == {}
    sessions.learn(session(1, *range(1, 8), at_ms=5))
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
    one, other, fresh = (Sessions(capacity=capacity) for _ in range(3))
    for record, moved in zip(records, shuffled, strict=True):
        one.learn(record)
        other.learn(moved)
    newest = {record.key: record for record in sorted(records, key=lambda record: record.at_ms)}
    for record in sorted(newest.values(), key=lambda record: -record.at_ms)[:capacity]:
        fresh.learn(record)
    assert len(one) == len(other) == len(fresh) <= capacity
    for query in (after(1), after(2, 3), after(8, 0, 4)):
        assert proposed(SessionsSource(one), query) == proposed(SessionsSource(other), query)
        assert proposed(SessionsSource(one), query) == proposed(SessionsSource(fresh), query)


def test_of_very_many_sessions_with_an_item_the_newest_are_asked() -> None:
    sessions, numbers = Sessions(), list(range(1, 3001))
    Random(1).shuffle(numbers)
    for number in numbers:
        sessions.learn(session(number, 1, 2 if number > 2900 else 3))
    assert proposed(SessionsSource(sessions), after(1)) == pytest.approx({"2": 1 / 1.5})
    # An old session that goes on is among the newest again, once.
    for number in range(1, 101):
        sessions.learn(session(number, 1, 4, at_ms=10_000 + number))
    assert proposed(SessionsSource(sessions), after(1)) == pytest.approx({"4": 1 / 1.5})


def test_a_search_is_remembered_for_itself_and_for_near_ones() -> None:
    clicked = Clicked()
    clicked.learn(item(1, 9.0, queries={"usb cable": 3.0}))
    clicked.learn(item(2, 9.0, queries={"usb cable": 1.0, "garden chair": 2.0}))
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
    clicked = Clicked()
    for number, text in enumerate(["red lamp", "red chair", "red table", "red xm4"], start=1):
        clicked.learn(item(number, 1.0, queries={text: 1.0}))
    assert next(iter(proposed(ClickedSource(clicked), Query(text="xm4 red case")))) == "4"


def test_a_search_that_no_record_has_any_more_is_forgotten() -> None:
    clicked = Clicked(capacity=2)
    clicked.learn(item(1, 1.0, at_ms=1, queries={"lamp": 1.0}))
    clicked.learn(item(2, 1.0, at_ms=2, queries={"lamp": 1.0, "chair": 1.0}))
    clicked.learn(item(2, 1.0, at_ms=3, queries={"chair": 1.0}))
    assert clicked.searches == 2
    clicked.learn(item(3, 1.0, at_ms=4, queries={"table": 1.0}))
    assert (len(clicked), clicked.searches) == (2, 2)
    assert proposed(ClickedSource(clicked), Query(text="lamp")) == {}
    clicked.learn(item(3, 0.0))
    clicked.learn(item(4, 1.0, at_ms=1, queries={}))
    assert clicked.searches == 1


def test_a_refused_record_leaves_nothing_behind() -> None:
    clicked = Clicked(capacity=1)
    clicked.learn(item(1, 1.0, at_ms=5, queries={"lamp": 1.0}))
    clicked.learn(item(2, 1.0, at_ms=4, queries={"chair": 1.0}))
    assert clicked.searches == 1
    clicked.learn(item(2, 1.0, at_ms=6, queries={"chair": 1.0}))
    assert proposed(ClickedSource(clicked), Query(text="chair")) == pytest.approx({"2": 1 / 2})


changes = st.lists(
    st.tuples(st.integers(1, 6), st.dictionaries(st.integers(1, 9), st.floats(0.1, 50), max_size=6)), max_size=25
)


@given(changes, st.integers(1, 6), st.integers(1, 4))
def test_relations_are_what_a_dict_would_hold(
    records: list[tuple[int, dict[int, float]]], capacity: int, width: int
) -> None:
    appeared: list[int] = []
    relations = Relations(capacity, width, DAY_MS, appeared=appeared.append, vanished=appeared.remove)
    model: dict[int, dict[int, float]] = {}
    for at_ms, (record, weights) in enumerate(records):
        assert relations.replace(record, at_ms, 1.0, weights)
        heaviest = sorted(weights.items(), key=lambda entry: (entry[1], entry[0]), reverse=True)[:width]
        model.pop(record, None)
        model[record] = dict(heaviest)
        if len(model) > capacity:
            del model[next(iter(model))]
    assert len(relations) == len(model)
    for thing in range(1, 10):
        slots, columns = np.divmod(relations.holders([thing])[0], width)
        found = dict(zip(relations.keys[slots].tolist(), relations.weights[slots, columns].tolist(), strict=True))
        assert found == {record: weights[thing] for record, weights in model.items() if thing in weights}
    assert sorted(appeared) == sorted({thing for weights in model.values() for thing in weights})


@given(
    st.lists(st.tuples(st.integers(1, 12), st.floats(0.1, 50) | st.just(1.0)), max_size=40),
    st.randoms(use_true_random=False),
)
def test_a_thing_is_traced_back_to_its_strongest_relations(records: list[tuple[int, float]], random: Random) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(relations_module, "HOLDERS", 4)
        newest = {record: (at_ms, weight) for at_ms, (record, weight) in enumerate(records)}
        first = {record: at_ms for at_ms, (record, _) in reversed([*enumerate(records)])}
        shuffled = [(record, at_ms, weight) for record, (at_ms, weight) in newest.items()]
        random.shuffle(shuffled)
        relations = Relations(100, 2, DAY_MS)
        for record, at_ms, weight in shuffled:
            # A weaker state of the same record came before it.
            relations.replace(record, first[record] - 1, 0.5, {77: weight / 2, 78: 1.0})
            relations.replace(record, at_ms, 1.0, {77: weight})
        strongest = sorted(
            newest, key=lambda record: (log(newest[record][1]) / log(2) + newest[record][0] / DAY_MS, record)
        )
        holders = relations.keys[relations.holders([77])[0] // 2].tolist()
        assert sorted(holders) == sorted(strongest[-4:])


def test_whoever_was_acted_on_has_been_seen() -> None:
    records: list[ItemNeighbours | SessionItems] = [item(1, i2=1.0), item(3, 0.0), session(1, 4, 5)]
    assert Behaviour().learn(records) == {key(1), key(4), key(5)}
    assert stable_key("1") == key(1)
