"""The engine is deterministic: the same state and events give the same bytes, queries and messages."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from inference.queries import LONG_TERM, PAST_TENSES, QUERY, SEARCH, SHORT_TERM
from inference.retrieval.vectors import dequantise, quantise
from inference.types import Because, Item, Vector, stable_key
from streams.contracts.internal import ItemVector
from streams.contracts.messages import Intent
from streams.contracts.serde import (
    encode_json,
    recommendation_id,
)
from streams.engine import Engine, EngineOptions
from streams.errors import ProfileCodecError
from streams.items.live import LiveCatalogue
from streams.profiles.events import Event, Source
from streams.profiles.profile import ACTIONS
from tests.streams.engines import MODEL, LastQuery, composed, engine, event, lists, observe
from tests.streams.shoppers import DIM, NOW_MS, RULES, act, at, item_of, moment, search, unit_vector

__all__ = ["engine"]


def cosine(vector: Vector | None, item_id: str) -> float:
    assert vector is not None
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    return float(vector @ unit_vector(item_id))


def test_past_tenses_are_in_the_order_of_the_actions() -> None:
    assert tuple(action.past_tense for action in ACTIONS) == PAST_TENSES


def test_a_first_event_creates_a_profile_and_a_query(engine: Engine) -> None:
    seen = observe(engine, (act("view", "a"), at(0)))
    assert seen.outcome == "ok"
    assert cosine(seen.vector(SHORT_TERM), "a") > 0.999
    assert cosine(seen.vector(LONG_TERM), "a") > 0.999
    assert seen.vector(SEARCH) is None
    record = seen.queries.records[0]
    assert (seen.keys("recent"), PAST_TENSES[record["recent_actions"][0]]) == ([stable_key("a")], "viewed")
    assert (seen.queries.texts, record["k"], record["searching"]) == ([None], 5, 0)
    assert record["category_shares"][: record["categories_length"]].sum() == pytest.approx(1)


def test_a_query_has_the_key_of_its_shopper(engine: Engine) -> None:
    folded = engine.fold([event((act("view", "a", user_id=name), at(n)), n) for n, name in enumerate("xy")], [None] * 2)
    assert folded.queries.records["shopper"].tolist() == [stable_key("x"), stable_key("y")]
    arrived = engine.arrive([None, *folded.profiles], NOW_MS, [None, "x", "y"])
    assert arrived.records["shopper"].tolist() == [0, stable_key("x"), stable_key("y")]
    assert not engine.arrive([None], NOW_MS).records["shopper"].any()


def test_a_first_search_sets_text_vector_and_intent(engine: Engine) -> None:
    seen = observe(engine, (search("boots"), at(0, topic="searches")))
    assert (seen.queries.texts, seen.queries.records[0]["searching"]) == (["boots"], 1)
    assert cosine(seen.vector(SEARCH), "boots") > 0.999
    assert cosine(seen.vector(SHORT_TERM), "boots") > 0.999
    assert seen.intent == (Intent(kind="query", label="boots", weight=1.0),)


def test_an_unknown_item_gives_a_query_without_vectors(engine: Engine) -> None:
    seen = observe(engine, (act("view", "unknown"), at(0)))
    assert not seen.queries.vectors.any()
    assert not seen.queries.inverse_norms.any()
    assert seen.intent == ()
    assert seen.exclude == [stable_key("unknown")]


def test_the_same_input_gives_the_same_output(engine: Engine) -> None:
    history = [(act("view", "a"), at(0)), (search("boots"), at(0, topic="searches")), (act("cart", "b"), at(1))]
    one, other = observe(engine, *history), observe(engine, *history)
    assert one.profile == other.profile
    assert one.intent == other.intent
    for name in ("records", "vectors", "inverse_norms", "exclude", "exclude_starts"):
        assert getattr(one.queries, name).tobytes() == getattr(other.queries, name).tobytes()


def test_a_late_event_has_the_outcome_late_and_its_replay_replayed(engine: Engine) -> None:
    late = (act("view", "b", NOW_MS - 1), at(1))
    seen = engine.fold([event((act("view", "a"), at(0))), event(late), event(late)], [None])
    assert seen.outcomes == ["ok", "late", "replayed"]


def test_shoppers_of_one_batch_are_folded_independently(engine: Engine) -> None:
    kinds = ("view", "purchase", "click")
    sourced_events = [
        (act(kinds[n % 3], "abc"[n % 3], NOW_MS + n, user_id=f"u{n % 4}"), at(n, NOW_MS + n)) for n in range(40)
    ]
    together = engine.fold([event(each, n % 4) for n, each in enumerate(sourced_events)], [None] * 4)
    for shopper in range(4):
        alone = engine.fold([event(each) for each in sourced_events[shopper::4]], [None])
        assert alone.profiles == [together.profiles[shopper]]
        assert alone.transitions == together.transitions[shopper::4]
        assert alone.sessions == together.sessions[shopper::4]
        assert alone.intents == together.intents[shopper::4]
        for name in QUERY.names or ():
            separate, batched = alone.queries.records[name], together.queries.records[name][shopper::4]
            assert np.array_equal(separate, batched, equal_nan=separate.dtype.kind == "f")
        assert np.array_equal(alone.queries.vectors, together.queries.vectors[shopper::4])


def test_an_empty_batch_gives_no_output(engine: Engine) -> None:
    folded = engine.fold([], [])
    assert (folded.profiles, len(folded.queries), folded.outcomes, len(folded.trends.keys)) == ([], 0, [], 0)
    assert composed(engine, folded) == []


def test_only_items_of_the_current_session_are_excluded(engine: Engine) -> None:
    later = NOW_MS + 60 * 60_000
    history = [(act("view", "a"), at(0)), (act("view", "b", later), at(1, later))]
    assert observe(engine, *history).exclude == [stable_key("b")]
    named = [(act("view", "a", NOW_MS, "s"), at(0)), (act("view", "b", later, "s"), at(1, later))]
    assert observe(engine, *named).exclude == [stable_key("b")]
    soon = (act("view", "c", later + 1, "s"), at(2, later))
    assert observe(engine, *named, soon).exclude == [stable_key("c"), stable_key("b")]


def test_the_intent_lists_labels_by_falling_share(engine: Engine) -> None:
    seen = observe(engine, (act("purchase", "a"), at(0)), (act("view", "b"), at(1)), (act("view", "unknown"), at(2)))
    by_kind = {kind: [intent for intent in seen.intent if intent.kind == kind] for kind in ("category", "brand")}
    heaviest = item_of("a")
    assert [by_kind["category"][0].label, by_kind["brand"][0].label] == [heaviest.label, heaviest.brand]
    for intents in by_kind.values():
        assert [intent.weight for intent in intents] == sorted((intent.weight for intent in intents), reverse=True)
        assert sum(intent.weight for intent in intents) == pytest.approx(1)


def test_an_unreadable_profile_is_reported_and_no_event_is_folded(engine: Engine) -> None:
    good = observe(engine, (act("view", "a"), at(0))).profile
    events = [event((act("view", "a"), at(1)), shopper) for shopper in range(3)]
    with pytest.raises(ProfileCodecError) as refusal:
        engine.fold(events, [b"garbage", good, good[:-1]])
    assert list(refusal.value.reasons) == [0, 2]
    with pytest.raises(ProfileCodecError):
        engine.arrive([good[:-1]], NOW_MS)


def test_a_message_has_its_trigger_and_ranks_from_one(engine: Engine) -> None:
    history = [(act("view", "a"), Source("clicks", 3, 42, NOW_MS)), (act("cart", "b"), Source("clicks", 3, 43, NOW_MS))]
    folded = engine.fold([event(each) for each in history], [None])
    ranked = lists(("x", "y"), ("z",), fallback="late")
    message, other = composed(engine, folded, ranked, 5)
    assert [(each.rank, each.item_id) for each in message.items] == [(1, "x"), (2, "y")]
    assert [(each.rank, each.item_id) for each in other.items] == [(1, "z")]
    first = message.items[0]
    assert (first.score, first.sources, first.because, first.reason) == (
        0.5,
        ("trending",),
        Because("new"),
        "new in the shop",
    )
    assert message.recommendation_id == recommendation_id("clicks", 3, 42)
    assert (message.trigger.partition, message.trigger.offset, message.trigger.type) == (3, 42, "view")
    assert (other.trigger.offset, other.trigger.type) == (43, "cart")
    assert message.trigger.occurred_at == history[0][0].occurred_at
    assert (message.user_id, message.fallback, message.model) == ("u", "late", MODEL)
    assert message.produced_at == moment(NOW_MS + 5)
    assert [message.intent, other.intent] == folded.intents
    assert list(map(encode_json, composed(engine, folded, ranked, 5))) == [encode_json(message), encode_json(other)]


def test_a_search_decays_in_the_intent(engine: Engine) -> None:
    searched = (search("boots"), at(0, topic="searches"))

    def weights_after(half_lives: int) -> list[float]:
        later = NOW_MS + half_lives * round(RULES.short_term_half_life_ms)
        seen = observe(engine, searched, (act("view", "a", later), at(0, later)))
        return [intent.weight for intent in seen.intent if intent.kind == "query"]

    assert weights_after(1) == [0.5]
    assert weights_after(9) == []


def test_a_search_without_a_vector_sets_the_fallback_encoding_failed(engine: Engine) -> None:
    searched = event((search("boots"), at(0, topic="searches")))
    unencoded = engine.fold([searched._replace(vector=None)], [None])
    assert not unencoded.queries.vectors.any()
    assert unencoded.queries.texts == ["boots"]
    assert composed(engine, unencoded)[0].fallback == "encoding_failed"
    assert composed(engine, unencoded, lists((), fallback="late"))[0].fallback == "late"
    assert composed(engine, engine.fold([searched], [None]))[0].fallback is None


@pytest.mark.parametrize("blank", ["   ", "\u00a0", "\u200b\u200d", ".", "🎁", "&nbsp;<br>", "\u3164", "\x00"])
def test_a_search_without_words_is_no_intent(engine: Engine, blank: str) -> None:
    blanked = observe(engine, (search(blank), at(0, topic="searches")))
    assert (blanked.outcome, blanked.queries.texts, blanked.intent) == ("ok", [None], ())
    assert blanked.queries.records[0]["searching"] == 0
    assert not blanked.queries.vectors.any()
    unencoded = engine.fold([event((search(blank), at(0, topic="searches")))._replace(vector=None)], [None])
    assert composed(engine, unencoded)[0].fallback is None
    boots = (search("boots"), at(0, topic="searches"))
    seen = observe(
        engine, boots, (search(blank, NOW_MS + 1), at(1, topic="searches")), (act("view", "a", NOW_MS + 2), at(0))
    )
    assert [intent.label for intent in seen.intent if intent.kind == "query"] == ["boots"]
    assert seen.transition is not None
    assert seen.transition.query == "boots"


def test_intents_are_readable(engine: Engine) -> None:
    seen = observe(engine, (search(" <b>red</b>\x1b[31m&nbsp;boots\u00ad "), at(0, topic="searches")))
    assert [intent.label for intent in seen.intent] == ["red boots"]
    assert seen.queries.texts == ["red boots"]


def test_blank_labels_are_none_and_others_are_readable() -> None:
    live = LiveCatalogue("m/1", DIM)
    for item_id, brand in (("a", "\u200b"), ("b", "Salt &amp; <i>Sea</i>"), ("c", "Salt & Sea")):
        item = Item(item_id=item_id, title=item_id, category=("Shop", "Boots\x07", " "), brand=brand)
        live.apply(item_id, ItemVector(item=item, space="m/1", text_hash=1, vector=unit8(item_id, DIM)))
    engine = Engine(model=MODEL, catalogue=live, rules=RULES, options=EngineOptions(list_size=5))
    seen = observe(engine, *[(act("view", name, NOW_MS + n), at(n)) for n, name in enumerate("abc")])
    assert [(intent.kind, intent.label) for intent in seen.intent] == [("category", "Boots"), ("brand", "Salt & Sea")]


def test_a_query_has_habits_and_prices(engine: Engine) -> None:
    later = NOW_MS + 7 * 86_400_000
    bought = [(act("purchase", "a", at_ms), at(n, at_ms)) for n, at_ms in enumerate((NOW_MS, later))]
    seen = observe(engine, *bought)
    assert seen.keys("habits") == [stable_key("a")]
    record = seen.queries.records[0]
    assert record["habit_interval_days"][0] == 7.0
    assert np.isnan(record["price_mean"])
    priced = msgspec.structs.replace(act("view", "b", later + 1), price=10.0)
    record = observe(engine, *bought, (priced, at(2, later))).queries.records[0]
    assert (record["price_mean"], record["price_deviation"]) == pytest.approx((np.log1p(10.0), 0.0))


def test_an_arriving_shopper_has_long_term_memory_and_no_session(engine: Engine) -> None:
    bought = observe(engine, (act("purchase", "a"), at(0)), (act("view", "b", NOW_MS + 1), at(1)))
    soon, later = (LastQuery(engine.arrive([bought.profile], NOW_MS + days * 86_400_000)) for days in (0, 10))
    known, arrived = bought.queries.records[0], later.queries.records[0]
    assert np.array_equal(soon.queries.vectors, bought.queries.vectors)
    assert later.vector(SHORT_TERM) is None
    assert np.array_equal(later.vector(LONG_TERM), bought.vector(LONG_TERM))  # type: ignore[arg-type]
    assert arrived["habit_elapsed_days"][0] == 10.0
    assert arrived["habit_weights"][0] == pytest.approx(2.0 ** (-10 / 90), rel=1e-3)
    for name in ("categories", "category_shares", "recent", "recent_actions", "k"):
        assert arrived[name].tobytes() == known[name].tobytes()
    assert (later.keys("session"), later.exclude, later.queries.texts) == ([], [], [None])


def test_a_new_shopper_has_an_empty_query(engine: Engine) -> None:
    arrived = LastQuery(engine.arrive([None], NOW_MS))
    record = arrived.queries.records[0]
    assert not arrived.queries.vectors.any()
    assert np.isnan(record["price_mean"])
    assert [arrived.keys(name) for name in ("recent", "habits", "session", "categories", "brands")] == [[]] * 5


@pytest.mark.parametrize("change", [lambda dim: dim, lambda dim: dim // 2], ids=["the same size", "smaller"])
def test_a_model_of_another_space_recomputes_the_vectors(engine: Engine, change: Callable[[int], int]) -> None:
    stored = observe(engine, (act("view", "a"), at(0)), (search("boots"), at(0, topic="searches"))).profile
    dim = change(DIM)
    live = LiveCatalogue("m/2", dim)
    live.apply("a", ItemVector(item=item_of("a"), space="m/2", text_hash=1, vector=unit8("a", dim)))
    other = Engine(model=MODEL, catalogue=live, rules=RULES, options=EngineOptions(list_size=5))
    folded = other.fold([Event(act("view", "x", NOW_MS + 1), at(1), 0, None)], [stored])
    assert dequantise(folded.queries.vectors[0, SHORT_TERM]) @ unit_vector("a", dim) > 0.999
    assert folded.outcomes == ["ok"]


def unit8(item_id: str, dim: int) -> bytes:
    return quantise(unit_vector(item_id, dim)).tobytes()


def test_items_bought_in_a_long_session_are_excluded_beyond_the_remembered_ones(engine: Engine) -> None:
    day_ms = 86_400_000
    before = [(act("purchase", "last week", NOW_MS - 7 * day_ms), at(0))]
    order = [(act("purchase", f"i{n}", NOW_MS + 1000 * n), at(n + 1)) for n in range(40)]
    seen = observe(engine, *before, *order)
    expected = {stable_key(f"i{n}") for n in range(40)}
    assert set(seen.exclude) == expected
    assert seen.exclude[:24] == [stable_key(f"i{n}") for n in range(39, 15, -1)]
    # The session that others learn from is what the profile remembers.
    assert seen.session is not None
    assert len(seen.session.items) == 24
    short = observe(engine, *before, *order[:10])
    assert set(short.exclude) == {stable_key(f"i{n}") for n in range(10)}
    tomorrow = (act("view", "later", NOW_MS + day_ms), Source("clicks", 0, 99, NOW_MS + day_ms))
    later = observe(engine, *before, *order, tomorrow)
    assert later.exclude == [stable_key("later")]
