"""The engine is a function: the same state and event give the same bytes, query and message."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from inference.encoding.text import remembered_query
from inference.retrieval.vectors import quantise
from inference.types import Item, RankedList, ScoredCandidate, Vector, stable_key
from streams.contracts.messages import Approach, Intent, Interaction, ItemVector, ModelRef, Search
from streams.contracts.serde import encode_json, recommendation_id
from streams.engine import Engine, Observation, shares
from streams.errors import ProfileCodecError
from streams.items.live import LiveCatalogue
from streams.items.trending import Trending
from streams.profiles.profile import AFFINITY, Source
from tests.streams.shoppers import DIM, NOW_MS, RULES, act, at, item_of, moment, search, unit_vector


@pytest.fixture
def trending() -> Trending:
    return Trending(86_400_000)


@pytest.fixture
def engine(trending: Trending) -> Engine:
    live = LiveCatalogue("m/1", DIM)
    for item_id in ("a", "b", "c"):
        vector = quantise(unit_vector(item_id)).tobytes()
        live.apply(item_id, ItemVector(item=item_of(item_id), space="m/1", text_hash=1, vector=vector))
    model = ModelRef(name="m", version="1")
    return Engine(dim=DIM, space="m/1", model=model, catalogue=live, trending=trending, rules=RULES, list_size=5)


def vector_of(interaction: Interaction) -> Vector | None:
    return unit_vector(interaction.query) if isinstance(interaction, Search) else None


def observe(engine: Engine, *history: tuple[Interaction, Source]) -> Observation:
    """Observe one after the other, each with what the one before it stored."""
    stored = None
    for interaction, source in history:
        observation = engine.observe(stored, interaction, source, vector_of(interaction))
        stored = observation.profile
    return observation


def cosine(vector: Vector | None, item_id: str) -> float:
    assert vector is not None
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    return float(vector @ unit_vector(item_id))


def test_the_first_event_ever_makes_a_profile_and_a_query(engine: Engine) -> None:
    seen = observe(engine, (act("view", "a"), at(0)))
    assert not seen.replayed
    assert cosine(seen.query.short_term, "a") > 0.999
    assert cosine(seen.query.long_term, "a") > 0.999
    assert [(memory.key, memory.action) for memory in seen.query.recent] == [(stable_key("a"), "viewed")]
    assert (seen.query.text, seen.query.text_vector, seen.query.k) == (None, None, 5)
    assert sum(seen.query.categories.values()) == pytest.approx(1)


def test_a_first_search_is_text_vector_and_intent(engine: Engine) -> None:
    seen = observe(engine, (search("boots"), at(0, topic="searches")))
    assert seen.query.text == "boots"
    assert cosine(seen.query.text_vector, "boots") > 0.999
    assert cosine(seen.query.short_term, "boots") > 0.999
    assert seen.intent == (Intent(kind="query", label="boots", weight=1.0),)


def test_an_unknown_item_gives_a_query_without_vectors(engine: Engine) -> None:
    seen = observe(engine, (act("view", "unknown"), at(0)))
    assert (seen.query.short_term, seen.query.long_term, seen.intent) == (None, None, ())
    assert seen.query.exclude.tolist() == [stable_key("unknown")]


def test_the_same_input_gives_the_same_output(engine: Engine) -> None:
    history = [(act("view", "a"), at(0)), (search("boots"), at(0, topic="searches")), (act("cart", "b"), at(1))]
    one, other = observe(engine, *history), observe(engine, *history)
    assert one.profile == other.profile
    assert one.intent == other.intent
    for name in one.query.__dataclass_fields__:
        mine, other_one = getattr(one.query, name), getattr(other.query, name)
        assert np.array_equal(mine, other_one) if isinstance(mine, np.ndarray) else mine == other_one


def test_a_replay_keeps_the_stored_profile_and_counts_nothing(engine: Engine, trending: Trending) -> None:
    first = observe(engine, (act("view", "a"), at(0)), (act("cart", "b", NOW_MS + 1), at(1)))
    list(trending.take_changed())
    again = engine.observe(first.profile, act("view", "a"), at(0), None)
    assert again.replayed
    assert again.profile == first.profile
    assert again.intent == first.intent
    assert list(trending.take_changed()) == []
    message = engine.compose(again, RankedList(()), moment(NOW_MS))
    assert message.recommendation_id == recommendation_id("clicks", 0, 0)


def test_actions_trend_with_their_weight_and_searches_do_not(engine: Engine, trending: Trending) -> None:
    observe(
        engine, (act("purchase", "a"), at(0)), (search("boots"), at(0, topic="searches")), (act("view", "x"), at(1))
    )
    (told,) = list(trending.take_changed())
    assert told.counts == pytest.approx({stable_key("a"): 3.0, stable_key("x"): 1.0})


def test_the_sessions_items_are_excluded_and_earlier_ones_are_not(engine: Engine) -> None:
    later = NOW_MS + 60 * 60_000
    history = [(act("view", "a"), at(0)), (act("view", "b", later), at(1, later))]
    assert observe(engine, *history).query.exclude.tolist() == [stable_key("b")]
    named = [(act("view", "a", NOW_MS, "s"), at(0)), (act("view", "b", later, "s"), at(1, later))]
    assert set(observe(engine, *named).query.exclude.tolist()) == {stable_key("a"), stable_key("b")}


def test_the_intent_names_the_heaviest_labels_with_their_shares(engine: Engine) -> None:
    seen = observe(engine, (act("purchase", "a"), at(0)), (act("view", "b"), at(1)), (act("view", "unknown"), at(2)))
    by_kind = {kind: [intent for intent in seen.intent if intent.kind == kind] for kind in ("category", "brand")}
    heaviest = item_of("a")
    assert [by_kind["category"][0].label, by_kind["brand"][0].label] == [heaviest.label, heaviest.brand]
    for intents in by_kind.values():
        assert [intent.weight for intent in intents] == sorted((intent.weight for intent in intents), reverse=True)
        assert sum(intent.weight for intent in intents) == pytest.approx(1)


def test_shares_of_nothing_are_nothing() -> None:
    assert shares(np.empty(0, dtype=AFFINITY)) == {}
    assert shares(np.array([(1, 0.0)], dtype=AFFINITY)) == {}
    assert shares(np.array([(1, 3.0), (2, 1.0)], dtype=AFFINITY)) == {1: 0.75, 2: 0.25}


def test_an_unreadable_profile_is_said_and_nothing_trends(engine: Engine, trending: Trending) -> None:
    with pytest.raises(ProfileCodecError):
        engine.observe(b"garbage", act("view", "a"), at(0), None)
    assert list(trending.take_changed()) == []


def test_a_message_answers_its_trigger_with_ranks_from_one(engine: Engine) -> None:
    seen = observe(engine, (act("view", "a"), Source("clicks", 3, 42, NOW_MS)))
    items = [Item(item_id=name, title=name) for name in ("x", "y")]
    ranked = RankedList(tuple(ScoredCandidate(item, 0.5, ("trending",), "because") for item in items), fallback="late")
    message = engine.compose(seen, ranked, moment(NOW_MS + 5))
    assert [(each.rank, each.item_id) for each in message.items] == [(1, "x"), (2, "y")]
    assert message.recommendation_id == recommendation_id("clicks", 3, 42)
    assert (message.trigger.partition, message.trigger.offset, message.trigger.type) == (3, 42, "view")
    assert message.trigger.occurred_at == seen.interaction.occurred_at
    assert (message.user_id, message.fallback, message.model.version) == ("u", "late", "1")
    assert message.produced_at == moment(NOW_MS + 5)
    assert encode_json(message) == encode_json(engine.compose(seen, ranked, moment(NOW_MS + 5)))


def test_a_search_fades_from_the_intent(engine: Engine) -> None:
    searched = (search("boots"), at(0, topic="searches"))

    def weights_after(half_lives: int) -> list[float]:
        later = NOW_MS + half_lives * round(RULES.short_term_half_life_ms)
        seen = observe(engine, searched, (act("view", "a", later), at(0, later)))
        return [intent.weight for intent in seen.intent if intent.kind == "query"]

    assert weights_after(1) == [0.5]
    assert weights_after(9) == []


def test_a_list_that_had_to_do_without_the_searchs_vector_says_so(engine: Engine) -> None:
    deaf = engine.observe(None, search("boots"), at(0, topic="searches"), None)
    assert engine.compose(deaf, RankedList(()), moment(NOW_MS)).fallback == "encoding_failed"
    heard = observe(engine, (search("boots"), at(0, topic="searches")))
    assert engine.compose(heard, RankedList(()), moment(NOW_MS)).fallback is None


def test_an_action_tells_what_came_before_it_in_its_session(engine: Engine) -> None:
    history = [(act("view", name, NOW_MS + place), at(place)) for place, name in enumerate(["x", "a", "b"])]
    seen = observe(engine, *history, (act("cart", "c", NOW_MS + 9), at(3)))
    assert seen.approach == Approach(
        item_id="c",
        at_ms=NOW_MS + 9,
        weight=2.0,
        before={stable_key("b"): 2.0, stable_key("a"): 1.0, stable_key("x"): 2 / 3},
        query=None,
        topic="clicks",
        partition=0,
        offset=3,
        timestamp_ms=NOW_MS,
        shopper=stable_key("u") & 0xFFFF,
    )
    again = observe(engine, *history, (act("view", "b", NOW_MS + 9), at(3)))
    assert again.approach is not None
    assert list(again.approach.before) == [stable_key("a"), stable_key("x")]


def test_what_came_before_is_bounded_by_the_window_and_the_session(engine: Engine) -> None:
    later = NOW_MS + 2 * RULES.session_gap_ms
    history = [(act("view", "old"), at(0))]
    history += [(act("view", f"i{n}", later + n), at(1 + n, later)) for n in range(15)]
    seen = observe(engine, *history)
    assert seen.approach is not None
    assert list(seen.approach.before) == [stable_key(f"i{n}") for n in range(13, 3, -1)]
    assert list(seen.approach.before.values()) == pytest.approx([1 / n for n in range(1, 11)])


def test_the_last_search_led_to_an_action_until_a_pause_or_another_search(engine: Engine) -> None:
    def query(after_ms: int, *searches: tuple[str, int]) -> str | None:
        searched = [(search(text, at_ms), at(n, topic="searches")) for n, (text, at_ms) in enumerate(searches)]
        seen = observe(engine, *searched, (act("view", "a", NOW_MS + after_ms), at(0, NOW_MS + after_ms)))
        assert seen.approach is not None
        return seen.approach.query

    gap_ms = RULES.session_gap_ms
    assert query(gap_ms, ("  Red   BOOTS ", NOW_MS)) == "red boots"
    assert query(gap_ms + 1, ("boots", NOW_MS)) is None
    assert query(9, ("boots", NOW_MS), ("tent", NOW_MS + 5)) == "tent"
    assert query(3, ("boots", NOW_MS), ("tent", NOW_MS + 5)) == "boots"
    assert query(1, ("x" * 500, NOW_MS)) == remembered_query("x" * 500) == "x" * 64


def test_a_search_approaches_no_item(engine: Engine) -> None:
    seen = observe(engine, (act("view", "a"), at(0)), (search("boots", NOW_MS + 1), at(0, topic="searches")))
    assert (seen.approach, seen.session) == (None, None)
    assert seen.query.session.tolist() == [stable_key("a")]


def test_a_replay_tells_the_same_approach(engine: Engine) -> None:
    history = [
        (act("view", "a"), at(0)),
        (search("boots", NOW_MS + 1), at(0, topic="searches")),
        (act("view", "b", NOW_MS + 2), at(1)),
    ]
    first = observe(engine, *history)
    later = observe(
        engine, *history, (search("tent", NOW_MS + 3), at(1, topic="searches")), (act("view", "c", NOW_MS + 4), at(2))
    )
    for stored in (first.profile, later.profile):
        again = engine.observe(stored, *history[-1], None)
        assert again.replayed
        assert again.approach == first.approach


def test_a_session_is_its_items_oldest_first_under_a_key_of_its_own(engine: Engine) -> None:
    history = [(act("view", name, NOW_MS + n), at(n)) for n, name in enumerate(["a", "b", "a", "c"])]
    seen = observe(engine, *history)
    assert seen.session is not None
    assert seen.session.items == tuple(map(stable_key, ["b", "a", "c"]))
    assert seen.session.at_ms == NOW_MS + 3
    assert seen.query.session.tolist() == list(reversed(seen.session.items))
    later = NOW_MS + 2 * RULES.session_gap_ms
    keys = set()
    for user, session_id, at_ms in [("u", None, NOW_MS), ("v", None, NOW_MS), ("u", "1", NOW_MS), ("u", "1", later)]:
        other = observe(engine, (act("view", "a", at_ms, session_id, user), at(0, at_ms)))
        assert other.session is not None
        keys.add(other.session.key)
    assert len(keys) == 3
    assert seen.session.key in keys
    paused = observe(engine, *history, (act("view", "a", later), at(4, later)))
    assert paused.session is not None
    assert paused.session.key != seen.session.key


def test_habits_and_prices_are_in_the_query(engine: Engine) -> None:
    later = NOW_MS + 7 * 86_400_000
    bought = [(act("purchase", "a", at_ms), at(n, at_ms)) for n, at_ms in enumerate((NOW_MS, later))]
    query = observe(engine, *bought).query
    assert query.habits.keys.tolist() == [stable_key("a")]
    assert query.habits.interval_days.tolist() == [7.0]
    assert query.price is None
    priced = msgspec.structs.replace(act("view", "b", later + 1), price=10.0)
    query = observe(engine, *bought, (priced, at(2, later))).query
    assert query.price == pytest.approx((np.log1p(10.0), 0.0))


def test_who_arrives_is_known_by_his_past_and_has_no_session(engine: Engine) -> None:
    bought = observe(engine, (act("purchase", "a"), at(0)), (act("view", "b", NOW_MS + 1), at(1)))
    soon, later = (engine.arrive(bought.profile, NOW_MS + days * 86_400_000) for days in (0, 10))
    assert np.array_equal(soon.short_term, bought.query.short_term)  # type: ignore[arg-type]
    assert later.short_term is None
    assert np.array_equal(later.long_term, bought.query.long_term)  # type: ignore[arg-type]
    assert later.habits.elapsed_days.tolist() == [10.0]
    assert later.habits.weights == pytest.approx([2.0 ** (-10 / 90)], rel=1e-3)
    assert (later.categories, later.recent, later.k) == (bought.query.categories, bought.query.recent, 5)
    assert (later.session.tolist(), later.exclude.tolist(), later.text) == ([], [], None)


def test_of_a_new_shopper_nothing_is_known(engine: Engine) -> None:
    query = engine.arrive(None, NOW_MS)
    assert (query.short_term, query.long_term, query.price, query.recent) == (None, None, None, ())
    assert len(query.habits.keys) == len(query.session) == 0
