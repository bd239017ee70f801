"""How much a shopper's actions teach others: an item once a day with its heaviest action, and robots nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from streams.contracts.messages import Interaction
from streams.profiles.layout import RECENT_EVENTS
from streams.profiles.profile import ProfileRules
from streams.profiles.teaching import BY_ROBOT, LEARNED, REPEATED
from tests.streams.shoppers import NOW_MS, RULES, SourcedInteraction, act, at, fold_batch, in_one_topic, read, search

pytestmark = pytest.mark.kernel

DAY = 86_400_000
MINUTE = 60_000
MIDNIGHT = (NOW_MS // DAY - 10) * DAY
SLOW = replace(RULES, robot_events_per_minute=5, robot_events_per_day=20)


def lessons(
    actions: Sequence[Interaction | SourcedInteraction], rules: ProfileRules = RULES, stored: bytes | None = None
) -> tuple[list[tuple[float, int]], bytes]:
    """Fold one shopper's actions. Return what each one taught, and the profile."""
    history = [each if isinstance(each, tuple) else (each, at(n)) for n, each in enumerate(actions)]
    profile, answers = fold_batch(stored, history, rules=rules)
    records = answers.answers
    return list(zip(records["learned"].tolist(), records["unlearned"].tolist(), strict=True)), profile


def weights(*actions: Interaction, rules: ProfileRules = RULES) -> list[float]:
    return [weight for weight, _ in lessons(actions, rules)[0]]


def test_an_item_counts_once_a_day_with_its_heaviest_action() -> None:
    funnel = [act(kind, "a", MIDNIGHT + n) for n, kind in enumerate(["view", "view", "click", "cart", "purchase"])]
    assert weights(*funnel) == [1, 0, 0, 1, 1]
    assert weights(*reversed([act(kind, "a", MIDNIGHT + 9 - n) for n, kind in enumerate(["view", "cart"])])) == [2, 0]
    again = [act("view", "a", MIDNIGHT + n) for n in range(100)]
    assert weights(*again) == [1, *[0] * 99]
    assert weights(*again, act("purchase", "a", MIDNIGHT + 200), act("view", "a", MIDNIGHT + 201))[-2:] == [2, 0]
    assert lessons(again[:2])[0] == [(1.0, LEARNED), (0.0, REPEATED)]


def test_another_item_and_another_day_count_again() -> None:
    assert weights(act("view", "a", MIDNIGHT), act("view", "b", MIDNIGHT + 1)) == [1, 1]
    assert weights(*[act("view", "a", MIDNIGHT + n * DAY) for n in range(5)]) == [1] * 5
    assert weights(act("view", "a", MIDNIGHT - 1), act("view", "a", MIDNIGHT)) == [1, 1]
    assert weights(act("view", "a", MIDNIGHT), act("view", "a", MIDNIGHT - 1)) == [1, 1]


@given(st.lists(st.tuples(st.sampled_from(["view", "click", "cart", "purchase"]), st.integers(0, 999)), max_size=12))
def test_in_any_order_a_day_teaches_the_weight_of_its_heaviest_action(actions: list[tuple[str, int]]) -> None:
    taught = weights(*[act(kind, "a", MIDNIGHT + after_ms) for kind, after_ms in actions])
    assert sum(taught) == max((RULES.weights[kind] for kind, _ in actions), default=0)


def test_the_shoppers_own_profile_takes_every_action() -> None:
    view = act("view", "a", MIDNIGHT)
    once, often = (lessons([structs.replace(view, event_id=f"e{place}") for place in range(n)])[1] for n in (1, 9))
    assert read(often).short_term == pytest.approx(9 * read(once).short_term, rel=1e-3)


ACTIONS = st.tuples(st.sampled_from(["view", "click", "cart", "purchase"]), st.sampled_from("abc"), st.integers(-9, 9))


@given(st.lists(ACTIONS, min_size=1, max_size=RECENT_EVENTS), st.sampled_from([RULES, SLOW]))
def test_a_replay_teaches_the_same_again(actions: list[tuple[str, str, int]], rules: ProfileRules) -> None:
    history = in_one_topic(
        structs.replace(act(kind, item, MIDNIGHT + after_ms), event_id=f"e{place}")
        for place, (kind, item, after_ms) in enumerate(actions)
    )
    first, profile = lessons(history, rules)
    for replayed in (history, history[len(history) // 2 :]):
        again, unchanged = lessons(replayed, rules, profile)
        assert again == first[-len(replayed) :]
        assert unchanged == profile


def test_a_replay_beyond_the_remembered_events_teaches_what_the_recent_items_tell() -> None:
    for later in ("click", "cart", "purchase"):
        others = [act("view", f"i{n}", MIDNIGHT + 2 + n) for n in range(RECENT_EVENTS)]
        history = in_one_topic([act("view", "a", MIDNIGHT), act(later, "a", MIDNIGHT + 1), *others])
        first, profile = lessons(history)
        again, _ = lessons(history, stored=profile)
        assert [weight for weight, _ in again] == [weight for weight, _ in first]


def test_too_many_events_in_a_minute_teach_nothing_for_the_rest_of_the_day() -> None:
    fast = [act("view", f"i{n}", MIDNIGHT + n) for n in range(8)]
    later = [act("view", "x", MIDNIGHT + DAY - 1), act("view", "x", MIDNIGHT + DAY)]
    expected = [(1.0, LEARNED)] * 5 + [(0.0, BY_ROBOT)] * 4 + [(1.0, LEARNED)]
    taught, profile = lessons([*fast, *later], SLOW)
    assert taught == expected
    robot = lessons(fast, SLOW)[1]
    assert [weight for weight, _ in lessons([(act("view", "i7", MIDNIGHT + 7), at(7))], SLOW, robot)[0]] == [0]
    assert read(profile).activity.day_events == 1
    at_a_human_rate = [act("view", f"i{n}", MIDNIGHT + n * MINUTE // 5) for n in range(20)]
    assert weights(*at_a_human_rate, rules=SLOW) == [1] * 20


def test_searches_count_as_events_of_a_robot() -> None:
    fast = [search(f"word {n}", MIDNIGHT + n) for n in range(5)]
    assert lessons([*fast, act("view", "a", MIDNIGHT + 9)], SLOW)[0][-1] == (0.0, BY_ROBOT)


def test_too_many_events_in_a_day_teach_nothing() -> None:
    slowly = [act("view", f"i{n}", MIDNIGHT + n * MINUTE) for n in range(25)]
    assert weights(*slowly, rules=SLOW) == [1] * 20 + [0] * 5


def test_the_lines_of_an_order_and_late_events_are_no_robot() -> None:
    order = [act("purchase", f"i{n}", MIDNIGHT + MINUTE) for n in range(15)]
    assert weights(*order, rules=SLOW) == [3] * 15
    late = [act("view", f"i{n}", MIDNIGHT + n) for n in range(15)]
    assert weights(act("view", "x", MIDNIGHT + MINUTE), *late, rules=SLOW) == [1] * 16


def test_the_profile_remembers_what_its_day_taught() -> None:
    taught, profile = lessons([act("view", "a", MIDNIGHT)])
    assert (taught, read(profile).taught) == ([(1.0, LEARNED)], bytes([0]))
    again, profile = lessons([(act("cart", "a", MIDNIGHT + 1), at(1))], stored=profile)
    assert (again, read(profile).taught) == ([(1.0, LEARNED)], bytes([1]))
    assert read(profile).activity.day_events == 2
