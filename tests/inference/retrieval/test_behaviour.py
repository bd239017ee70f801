"""All learned behaviour together: growth, limits, items that were seen."""

from __future__ import annotations

import pytest

from inference.kernels.votes import ItemNumbers
from inference.retrieval.behaviour import Behaviour
from inference.retrieval.cooccurrence import Limits
from inference.retrieval.sessions import Sessions
from inference.retrieval.transitions import ItemTransitions, TransitionsSource
from inference.types import ItemNeighbours, SessionItems, stable_key
from tests.inference.catalogues import NUMBERS, catalogue_of, unit_vectors
from tests.inference.retrieval.behaviours import key
from tests.inference.retrieval.by_hand import after, item, proposed, session

pytestmark = pytest.mark.kernel


def test_arrays_grow_with_the_records() -> None:
    numbers = ItemNumbers()
    catalogue = catalogue_of(unit_vectors(30), numbers=numbers)
    behaviour = Behaviour(numbers=numbers)
    crowd = [
        ItemNeighbours(key=key(f"crowd {number}"), as_of_ms=number, weight=1.0, before={key(1): 1.0, key(number): 1.0})
        for number in range(1000)
    ]
    behaviour.learn([*crowd, item(1, 3.0, i2=2.0), *(session(number, number % 700, 1, 3) for number in range(1, 2000))])
    assert numbers.capacity >= 1500
    assert proposed(TransitionsSource(behaviour.transitions), after(1), catalogue=catalogue) == {"2": 0.5}
    assert next(iter(proposed(behaviour.sessions, after(1), catalogue=catalogue))) == "3"
    assert (len(behaviour.transitions), len(behaviour.sessions), len(behaviour.clicked)) == (1001, 1999, 1001)


def test_a_capacity_of_0_is_an_error() -> None:
    for make in (lambda: Sessions(NUMBERS, capacity=0), lambda: ItemTransitions(NUMBERS, Limits(capacity=0))):
        with pytest.raises(ValueError, match="required at least 1, got 0"):
            make()


def test_items_that_were_acted_on_are_seen() -> None:
    records: list[ItemNeighbours | SessionItems] = [item(1, i2=1.0), item(3, 0.0), session(1, 4, 5)]
    assert Behaviour().learn(records) == {key(1), key(4), key(5)}
    assert stable_key("1") == key(1)
