"""The shopper's own earlier sessions, in cases computed by hand, and by the formula for any records in any order."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.kernels.votes import ItemNumbers
from inference.records import SESSION_BITS
from inference.retrieval.own import OwnSessions
from inference.retrieval.sessions import Sessions
from inference.types import Query, SessionItems
from tests.inference.catalogues import NUMBERS, catalogue_of, unit_vectors
from tests.inference.retrieval.behaviours import key
from tests.inference.retrieval.by_hand import DAY_MS, after, proposed

pytestmark = pytest.mark.kernel

ANN, BEN = 0xA11CE_00000_00011, 0xB0B00_00000_00011
"""Two shoppers with the same 16 bits and different keys."""


def visit(shopper: int, number: int, *items: int, day: int = 0) -> SessionItems:
    """Return a session of a shopper."""
    name = shopper >> SESSION_BITS << SESSION_BITS | number
    return SessionItems(key=name, at_ms=day * DAY_MS, items=tuple(map(key, items)), shopper=shopper & 0xFFFF)


def source_over(*records: SessionItems, min_shoppers: int = 2) -> OwnSessions:
    """Return the source over these sessions."""
    sessions = Sessions(NUMBERS, min_shoppers=min_shoppers)
    sessions.learn(records)
    return OwnSessions(sessions)


def by(shopper: int, *session: int) -> Query:
    """Return the query of a shopper with this session, newest first."""
    return replace(after(*session), shopper=shopper)


def score(votes: float) -> float:
    """Return the score of a sum of votes."""
    return votes / (1 + votes)


def test_an_own_session_votes_for_the_items_beside_the_last_one() -> None:
    source = source_over(visit(ANN, 1, 1, 2, 3, 4))
    assert proposed(source, by(ANN, 2)) == pytest.approx({"1": score(1), "3": score(1), "4": score(1 / 2)})


def test_earlier_items_of_the_session_vote_less_and_sessions_add_up() -> None:
    source = source_over(visit(ANN, 1, 1, 2, 3), visit(ANN, 2, 2, 5, day=1), visit(ANN, 3, 7, 8, day=2))
    # Item 2 is the last one, item 1 the one before it.
    assert proposed(source, by(ANN, 2, 1)) == pytest.approx({"3": score(1 + 1 / 2 / 2), "5": score(1)})


def test_sessions_of_others_do_not_vote_whatever_their_hash() -> None:
    source = source_over(visit(BEN, 1, 1, 2), visit(ANN, 1, 1, 3))
    assert set(proposed(source, by(ANN, 1))) == {"3"}
    assert set(proposed(source, by(BEN, 1))) == {"2"}
    assert proposed(source, by(0xC0DE_00000_00011, 1)) == {}


def test_an_unknown_shopper_gets_nothing() -> None:
    source = source_over(visit(ANN, 1, 1, 2), visit(0x11, 1, 1, 3))
    assert proposed(source, after(1)) == proposed(source, by(ANN)) == proposed(source, by(ANN, 9)) == {}


def test_the_source_follows_a_growing_table() -> None:
    sessions = Sessions(NUMBERS)
    source = OwnSessions(sessions)
    assert proposed(source, by(ANN, 1)) == {}
    for number in range(1, 600):
        sessions.learn([visit(BEN if number % 2 else ANN, number, 1, 2 + number % 3, day=number)])
    assert set(proposed(source, by(ANN, 1))) == {"2", "3", "4"}


def own_scores(records: list[SessionItems], shopper: int, session: list[int]) -> dict[int, float]:
    """The formula of `own.py` in plain Python."""
    votes: defaultdict[int, float] = defaultdict(float)
    for at, item in enumerate(session[:10]):
        for record in records:
            if record.key >> SESSION_BITS == shopper >> SESSION_BITS and key(item) in record.items:
                place = record.items.index(key(item))
                for other, each in enumerate(record.items):
                    if other != place:
                        votes[each] += 1 / (at + 1) / abs(other - place)
    return {each: score(total) for each, total in votes.items() if each not in set(map(key, session))}


visits = st.lists(
    st.builds(
        lambda shopper, number, day, items: visit(shopper, number, *items, day=day),
        st.sampled_from((ANN, BEN)),
        st.integers(1, 10**6),
        st.integers(0, 90),
        st.lists(st.integers(0, 8), min_size=1, max_size=5, unique=True),
    ),
    unique_by=lambda record: record.key,
    max_size=30,
)


@given(visits, st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True), st.randoms(use_true_random=False))
def test_votes_equal_the_formula_for_any_order_of_sessions(
    records: list[SessionItems], session: list[int], random: Random
) -> None:
    numbers = ItemNumbers()
    catalogue = catalogue_of(unit_vectors(10), numbers=numbers)
    one, other = Sessions(numbers), Sessions(numbers)
    one.learn(records)
    for record in random.sample(records, len(records)):
        other.learn([record])
    found, shuffled = (proposed(OwnSessions(each), by(ANN, *session), catalogue=catalogue) for each in (one, other))
    assert found == shuffled
    votes = own_scores(records, ANN, session)
    assert found == pytest.approx({str(item): votes[key(item)] for item in range(10) if key(item) in votes})
