"""Earlier items of a long session: lists leave out all of them, not only the last 24."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inference.types import stable_key
from streams.contracts.messages import Interaction
from streams.profiles import codec
from streams.profiles.batch import fixed_size
from streams.profiles.layout import EARLIER, HABITS, RECENT_ITEMS, VERSION, VERSION_6
from streams.profiles.profile import empty
from tests.conftest import a_quarter_of_the_examples
from tests.streams.profiles import reference
from tests.streams.shoppers import DIM, NOW_MS, RULES, SPACE, act, fold_batch, in_one_topic, read, search

pytestmark = pytest.mark.kernel

MINUTE = 60_000
START_MS = NOW_MS - 600 * MINUTE


def views(
    number: int, start_ms: int = START_MS, session_id: str | None = None, name: str = "i", kind: str = "view"
) -> list[Interaction]:
    """Return actions on different items, a second apart."""
    return [act(kind, f"{name}{place}", start_ms + place * 1000, session_id) for place in range(number)]


def left_out(history: Sequence[Interaction], stored: bytes | None = None) -> set[int]:
    """Return 32 bits of the keys that the list of the last event leaves out."""
    _, answers = fold_batch(stored, in_one_topic(history))
    query, start = answers.queries[-1], answers.exclude_starts[-2]
    keys = answers.exclude[start : answers.exclude_starts[-1]] & np.uint64(2**32 - 1)
    return {*keys.tolist(), *query["earlier"][: query["earlier_length"]].tolist()}


def marks(history: Sequence[Interaction]) -> set[int]:
    return {stable_key(each.item_id) % 2**32 for each in history if hasattr(each, "item_id")}


@pytest.mark.parametrize("session_id", [None, "s1"])
@pytest.mark.parametrize("number", [RECENT_ITEMS, RECENT_ITEMS + 1, 60, RECENT_ITEMS + EARLIER])
def test_all_items_of_a_session_are_left_out(number: int, session_id: str | None) -> None:
    history = views(number, session_id=session_id)
    assert left_out(history) == marks(history)
    assert left_out([*history, search("boots", START_MS + number * 1000, session_id)]) == marks(history)


def test_the_oldest_of_too_many_items_are_listed_again() -> None:
    history = views(RECENT_ITEMS + EARLIER + 7)
    assert left_out(history) == marks(history[7:])


def test_a_pause_empties_the_memory() -> None:
    history = views(60)
    after_ms = START_MS + 60_000 + RULES.session_gap_ms
    for later in (act("view", "later", after_ms), search("boots", after_ms)):
        stored, answers = fold_batch(None, in_one_topic([*history, later]))
        assert answers.queries["earlier_length"].tolist()[-2:] == [36, 0]
        assert (read(stored).earlier, stored[0]) == ((), VERSION_6)


def test_each_device_has_its_own_items() -> None:
    desk, phone = views(60, session_id="desk", name="d"), views(60, session_id="phone", name="p")
    history = [event for pair in zip(desk, phone, strict=True) for event in pair]
    assert left_out([*history, search("boots", START_MS + 60_000, "desk")]) >= marks(desk)
    assert not left_out([*history, search("boots", START_MS + 60_000, "desk")]) & marks(phone)


def test_an_event_without_an_id_belongs_to_the_session_of_the_newest_item() -> None:
    history = views(60, session_id="s1")
    assert left_out([*history, search("boots", START_MS + 60_000)]) == marks(history)


def test_a_late_event_of_a_session_before_the_pause_leaves_out_no_later_items() -> None:
    first, late = act("view", "first", START_MS - 90 * MINUTE), act("view", "late", START_MS - 40 * MINUTE, "s1")
    _, answers = fold_batch(None, in_one_topic([first, *views(60, session_id="s1"), late]))
    assert answers.queries["earlier_length"].tolist()[-2:] == [36, 0]


def test_bought_items_are_in_the_habits_alone() -> None:
    history = views(60, kind="purchase")
    stored, _ = fold_batch(None, in_one_topic(history))
    assert (read(stored).earlier, stored[0]) == ((), VERSION_6)
    assert left_out(history) == marks(history)


def test_a_replay_changes_nothing_and_leaves_out_the_same() -> None:
    history = in_one_topic(views(60))
    stored, answers = fold_batch(None, history)
    again, replayed = fold_batch(stored, history)
    assert again == stored
    assert stored[0] == VERSION
    for name in ("earlier", "earlier_length"):
        assert replayed.queries[name][-1].tolist() == answers.queries[name][-1].tolist()


@pytest.mark.parametrize(("habits", "room"), [(0, EARLIER), (56, EARLIER), (57, 94), (72, 34), (HABITS, 2)])
def test_a_profile_stays_within_4096_bytes(habits: int, room: int) -> None:
    """The habits of 384 dimensions and the fingerprints share what is left of the 4 KB."""
    bought = views(habits, START_MS - 86_400_000, name="bought", kind="purchase")
    history = views(200)
    stored, answers = fold_batch(None, in_one_topic([*bought, *history]), dim=384)
    assert (len(read(stored, 384).habits), len(read(stored, 384).earlier)) == (habits, room)
    assert answers.queries["earlier_length"][-1] == room
    assert fixed_size(384) + 16 * habits + 4 * room == len(stored) <= 4096
    assert codec.encode(read(stored, 384)) == stored == codec.load(stored, 384, SPACE)


def test_a_purchase_takes_the_room_of_the_oldest_fingerprints() -> None:
    bought = views(70, START_MS - 86_400_000, name="bought", kind="purchase")
    one = act("purchase", "new", START_MS + 200_000)
    stored, _ = fold_batch(None, in_one_topic([*bought, *views(100)]), dim=384)
    after, _ = fold_batch(None, in_one_topic([*bought, *views(100), one]), dim=384)
    first, second = read(stored, 384).earlier, read(after, 384).earlier
    assert (len(first), len(second)) == (42, 38)
    assert second[1:] == first[:37]


ids = st.integers(0, 90).map(lambda number: f"i{number}")
acts = st.builds(
    act,
    st.sampled_from(["view", "view", "view", "click", "purchase"]),
    ids,
    st.integers(0, 20 * MINUTE).map(lambda ago_ms: NOW_MS - ago_ms),
    st.sampled_from([None, "s1", "s1", "s2"]),
)
pauses = st.builds(act, st.just("view"), ids, st.just(NOW_MS + RULES.session_gap_ms + 1))


@a_quarter_of_the_examples()
@given(st.lists(acts, min_size=60, max_size=160), st.none() | pauses)
@example(views(150), None)
def test_the_memory_equals_the_reference(history: list[Interaction], pause: Interaction | None) -> None:
    sourced = in_one_topic([*history, *([] if pause is None else [pause]), *history[:5]])
    expected = empty(DIM, SPACE)
    _, answers = fold_batch(None, sourced)
    for row, (interaction, source) in enumerate(sourced):
        expected = reference.apply(expected, interaction, source, vector=None, item=None, rules=RULES)
        query, at_ms = answers.queries[row], int(answers.answers["at_ms"][row])
        keys = reference.earlier_keys(expected, interaction.session_id, at_ms, RULES.session_gap_ms)
        assert query["earlier"][: query["earlier_length"]].tolist() == keys
    stored, _ = fold_batch(None, sourced)
    assert read(stored).earlier == expected.earlier
    assert codec.encode(read(stored)) == stored
