"""The engine is deterministic: the same state and events give the same bytes, queries and messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest

from inference.encoding.text import remembered_query
from inference.queries import LONG_TERM, PAST_TENSES, QUERY, SEARCH, SHORT_TERM, QueryBatch
from inference.ranking.lists import Lists
from inference.retrieval.vectors import dequantise, quantise
from inference.types import Because, Item, SessionItems, Vector, stable_key
from streams.budget import ListBudgets
from streams.contracts.messages import Intent, ItemTransition, ItemVector, ModelRef, Recommendations, Search
from streams.contracts.serde import (
    decode_session,
    decode_transitions,
    encode_json,
    encode_msgpack,
    recommendation_id,
)
from streams.engine import Engine, Folded
from streams.errors import ProfileCodecError
from streams.items.live import LiveCatalogue
from streams.profiles.events import Event
from streams.profiles.profile import ACTIONS, Source
from tests.streams.shoppers import DIM, NOW_MS, RULES, SourcedInteraction, act, at, item_of, moment, search, unit_vector

MODEL = ModelRef(name="m", version="1")


@pytest.fixture
def engine() -> Engine:
    live = LiveCatalogue("m/1", DIM)
    for item_id in ("a", "b", "c"):
        vector = quantise(unit_vector(item_id)).tobytes()
        live.apply(item_id, ItemVector(item=item_of(item_id), space="m/1", text_hash=1, vector=vector))
    return Engine(model=MODEL, catalogue=live, rules=RULES, list_size=5)


def event(sourced: SourcedInteraction, shopper: int = 0) -> Event:
    interaction, source = sourced
    vector = unit_vector(interaction.query) if isinstance(interaction, Search) else None
    return Event(interaction, source, shopper, vector)


@dataclass(frozen=True)
class LastQuery:
    """The last query of a batch."""

    queries: QueryBatch

    def vector(self, place: int) -> Vector | None:
        vector = self.queries.vectors[-1, place]
        return dequantise(vector) if vector.any() else None

    def keys(self, name: str) -> list[int]:
        """Return the keys of this field of the query."""
        record = self.queries.records[-1]
        keys: list[int] = record[name][: record[f"{name}_length"]].tolist()
        return keys

    @property
    def exclude(self) -> list[int]:
        start, end = self.queries.exclude_starts[-2:]
        keys: list[int] = self.queries.exclude[start:end].tolist()
        return keys


@dataclass(frozen=True)
class LastResult(LastQuery):
    """The result of folding the last event, with the shopper's profile."""

    folded: Folded

    @property
    def profile(self) -> bytes:
        return self.folded.profiles[0]

    @property
    def outcome(self) -> str:
        return self.folded.outcomes[-1]

    @property
    def intent(self) -> tuple[Intent, ...]:
        return self.folded.intents[-1]

    @property
    def transition(self) -> ItemTransition | None:
        return self.folded.transitions[0] if self.folded.transitions else None

    @property
    def session(self) -> SessionItems | None:
        return self.folded.sessions[-1] if self.folded.sessions else None


def observe(engine: Engine, *history: SourcedInteraction, stored: bytes | None = None) -> LastResult:
    """Fold one shopper's events one by one, and assert that one batch gives the same result."""
    profile = stored
    for sourced in history:
        folded = engine.fold([event(sourced)], [profile])
        (profile,) = folded.profiles
    together = engine.fold([event(sourced) for sourced in history], [stored])
    assert together.profiles == [profile]
    assert (together.outcomes[-1:], together.intents[-1:]) == (folded.outcomes, folded.intents)
    if folded.transitions:
        assert together.transitions[-len(folded.transitions) :] == folded.transitions
    if folded.sessions:
        assert together.sessions[-1:] == folded.sessions
    assert together.queries.records[-1].tobytes() == folded.queries.records[0].tobytes()
    assert np.array_equal(together.queries.vectors[-1], folded.queries.vectors[0])
    return LastResult(folded.queries, folded)


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


def test_a_replayed_event_changes_no_profile_and_no_trend(engine: Engine) -> None:
    first = observe(engine, (act("view", "a"), at(0)), (act("cart", "b", NOW_MS + 1), at(1)))
    again = observe(engine, (act("view", "a"), at(0)), stored=first.profile)
    assert again.outcome == "replayed"
    assert again.profile == first.profile
    assert again.intent == first.intent
    assert [len(column) for column in again.folded.trends] == [0] * 5
    (message,) = composed(engine, again.folded)
    assert message.recommendation_id == recommendation_id("clicks", 0, 0)


def test_an_event_that_is_sent_twice_teaches_once_and_repeats_the_id_of_its_list(engine: Engine) -> None:
    order = act("purchase", "b", NOW_MS + 1)
    history = [(act("view", "a"), at(0)), (order, at(1)), (order, at(2))]
    folded = engine.fold([event(each) for each in history], [None])
    assert folded.outcomes == ["ok", "ok", "duplicate"]
    assert [each.offset for each in folded.transitions] == [0, 1]
    assert len(folded.sessions) == 2
    assert folded.trends.keys.tolist() == [stable_key("a"), stable_key("b")]
    _, first, second = composed(engine, folded)
    assert first.recommendation_id == second.recommendation_id == recommendation_id("clicks", 0, 1)
    assert (first.trigger.offset, second.trigger.offset) == (1, 2)
    assert folded.queries.records[1].tobytes() == folded.queries.records[2].tobytes()


def test_a_late_event_has_the_outcome_late_and_its_replay_replayed(engine: Engine) -> None:
    late = (act("view", "b", NOW_MS - 1), at(1))
    seen = engine.fold([event((act("view", "a"), at(0))), event(late), event(late)], [None])
    assert seen.outcomes == ["ok", "late", "replayed"]


def test_trend_increments_are_weighted_actions_without_searches(engine: Engine) -> None:
    history = [
        (act("purchase", "a"), at(0)),
        (search("boots"), at(0, topic="searches")),
        (act("view", "x", NOW_MS + 9), Source("clicks", 3, 1, NOW_MS)),
        (act("purchase", "a"), at(0)),
    ]
    trends = engine.fold([event(each) for each in history], [None]).trends
    assert [column.tolist() for column in trends] == [
        [0, 3], [stable_key("a"), stable_key("x")], [NOW_MS, NOW_MS + 9], [3.0, 1.0], [1 << stable_key("u") % 64] * 2,
    ]  # fmt: skip
    assert [column.dtype for column in trends] == [np.int32, np.uint64, np.int64, np.float64, np.uint64]


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


def lists(*ids: Sequence[str], fallback: str | None = None) -> Lists:
    """Return ranked lists of these items."""
    items = [Item(item_id=name, title=name) for each in ids for name in each]
    starts = np.cumsum([0, *map(len, ids)])
    scores = np.full(len(items), 0.5)
    rows = np.zeros(len(items), dtype=np.int32)
    return Lists(starts, rows, scores, [("trending",)] * len(items), [Because("new")] * len(items), items, fallback)


def composed(engine: Engine, folded: Folded, ranked: Lists | None = None, after_ms: int = 0) -> list[Recommendations]:
    ranked = ranked or lists(*[()] * len(folded.events))
    return engine.compose(
        folded, [ranked] if folded.parts else [], [moment(NOW_MS + after_ms)] * len(folded.events), ListBudgets(0)
    )


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
    engine = Engine(model=MODEL, catalogue=live, rules=RULES, list_size=5)
    seen = observe(engine, *[(act("view", name, NOW_MS + n), at(n)) for n, name in enumerate("abc")])
    assert [(intent.kind, intent.label) for intent in seen.intent] == [("category", "Boots"), ("brand", "Salt & Sea")]


def test_a_transition_holds_the_earlier_items_of_its_session(engine: Engine) -> None:
    history = [(act("view", name, NOW_MS + place), at(place)) for place, name in enumerate(["x", "a", "b"])]
    seen = observe(engine, *history, (act("cart", "c", NOW_MS + 9), at(3)))
    assert seen.transition == ItemTransition(
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
    again = observe(engine, *history, (act("cart", "b", NOW_MS + 9), at(3)))
    assert again.transition is not None
    assert again.transition.before == {stable_key("a"): 1.0, stable_key("x"): 0.5}


def test_a_repeated_action_teaches_nothing_and_keeps_its_session(engine: Engine) -> None:
    history = [(act("view", name, NOW_MS + place), at(place)) for place, name in enumerate(["a", "b", "a"])]
    folded = engine.fold([event(each) for each in history], [None])
    assert [each.item_id for each in folded.transitions] == ["a", "b"]
    assert folded.trends.keys.tolist() == [stable_key("a"), stable_key("b")]
    assert folded.sessions[-1].items == (stable_key("b"), stable_key("a"))
    assert folded.unlearned == {"repeat": 1}


def test_a_robot_teaches_nothing_and_gets_its_lists(engine: Engine) -> None:
    history = [(act("view", f"i{n}", NOW_MS + n), at(n)) for n in range(RULES.robot_events_per_minute + 5)]
    folded = engine.fold([event(each) for each in history], [None])
    assert len(folded.queries) == len(history)
    for taught in (folded.transitions, folded.sessions, folded.trends.keys):
        assert len(taught) == RULES.robot_events_per_minute
    assert folded.unlearned == {"robot": 5}
    again = engine.fold([event(history[-1])], folded.profiles)
    assert (again.outcomes, again.transitions, again.sessions, again.unlearned) == (["replayed"], [], [], {})


def test_items_of_one_time_are_before_each_other_in_either_order(engine: Engine) -> None:
    order = [(act("purchase", name), at(n)) for n, name in enumerate("abc")]
    for lines in (order, order[::-1]):
        pairs: dict[tuple[str, int], float] = {}
        weights: dict[str, float] = {}
        folded = engine.fold([event((action, at(n))) for n, (action, _) in enumerate(lines)], [None])
        for each in folded.transitions:
            weights[each.item_id] = weights.get(each.item_id, 0.0) + each.weight
            for other, weight in each.before.items():
                pairs[each.item_id, other] = pairs.get((each.item_id, other), 0.0) + weight
        assert weights == dict.fromkeys("abc", 3.0)
        assert pairs == {(one, stable_key(other)): 0.75 for one in "abc" for other in "abc" if one != other}
        assert decode_transitions(encode_msgpack(folded.transitions)) == folded.transitions


def test_an_item_of_the_same_time_that_is_not_listed_gets_no_transition(engine: Engine) -> None:
    folded = engine.fold([event((act("view", "unknown"), at(0))), event((act("view", "a"), at(1)))], [None])
    assert [(each.item_id, len(each.before)) for each in folded.transitions] == [("unknown", 0), ("a", 1)]


def test_a_transition_is_bounded_by_the_window_and_the_session(engine: Engine) -> None:
    later = NOW_MS + 2 * RULES.session_gap_ms
    history = [(act("view", "old"), at(0))]
    history += [(act("view", f"i{n}", later + n), at(1 + n, later)) for n in range(15)]
    seen = observe(engine, *history)
    assert seen.transition is not None
    assert list(seen.transition.before) == [stable_key(f"i{n}") for n in range(13, 3, -1)]
    assert list(seen.transition.before.values()) == pytest.approx([1 / n for n in range(1, 11)])


def test_a_transition_holds_the_last_search_before_it_within_the_session_gap(engine: Engine) -> None:
    def query(after_ms: int, *searches: tuple[str, int]) -> str | None:
        searched = [(search(text, at_ms), at(n, topic="searches")) for n, (text, at_ms) in enumerate(searches)]
        seen = observe(engine, *searched, (act("view", "a", NOW_MS + after_ms), at(0, NOW_MS + after_ms)))
        assert seen.transition is not None
        return seen.transition.query

    gap_ms = RULES.session_gap_ms
    assert query(gap_ms, ("  Red   BOOTS ", NOW_MS)) == "red boots"
    assert query(gap_ms + 1, ("boots", NOW_MS)) is None
    assert query(9, ("boots", NOW_MS), ("tent", NOW_MS + 5)) == "tent"
    assert query(3, ("boots", NOW_MS), ("tent", NOW_MS + 5)) == "boots"
    assert query(1, ("x" * 500, NOW_MS)) == remembered_query("x" * 500) == "x" * 64


def test_a_search_makes_no_transition(engine: Engine) -> None:
    seen = observe(engine, (act("view", "a"), at(0)), (search("boots", NOW_MS + 1), at(0, topic="searches")))
    assert (seen.transition, seen.session) == (None, None)
    assert seen.keys("session") == [stable_key("a")]


def test_a_replayed_event_gives_the_same_transition(engine: Engine) -> None:
    history: list[SourcedInteraction] = [
        (act("view", "a"), at(0)),
        (search("boots", NOW_MS + 1), at(0, topic="searches")),
        (act("view", "b", NOW_MS + 2), at(1)),
    ]
    first = observe(engine, *history)
    later = observe(
        engine, *history, (search("tent", NOW_MS + 3), at(1, topic="searches")), (act("view", "c", NOW_MS + 4), at(2))
    )
    for stored in (first.profile, later.profile):
        again = observe(engine, history[-1], stored=stored)
        assert again.outcome == "replayed"
        assert again.transition == first.transition


def test_an_evicted_session_gives_no_session_and_no_earlier_items(engine: Engine) -> None:
    later = NOW_MS + 2 * RULES.session_gap_ms
    history = [(act("view", f"i{n}", later + n), at(n, later)) for n in range(30)]
    seen = observe(engine, *history, (act("view", "a", NOW_MS, "old"), at(30, later)))
    assert (seen.outcome, seen.session, seen.exclude) == ("late", None, [])
    assert seen.transition is not None
    assert seen.transition.before == {}


def test_a_session_has_a_unique_key_and_its_items_oldest_first(engine: Engine) -> None:
    history = [(act("view", name, NOW_MS + n), at(n)) for n, name in enumerate(["a", "b", "a", "c"])]
    seen = observe(engine, *history)
    assert seen.session is not None
    assert seen.session.items == tuple(map(stable_key, ["b", "a", "c"]))
    assert seen.session.at_ms == NOW_MS + 3
    assert seen.keys("session") == list(reversed(seen.session.items))
    later = NOW_MS + 2 * RULES.session_gap_ms
    keys = set()
    for user, session_id, at_ms in [("u", None, NOW_MS), ("v", None, NOW_MS), ("u", "1", NOW_MS), ("u", "1", later)]:
        other = observe(engine, (act("view", "a", at_ms, session_id, user), at(0, at_ms)))
        assert other.session is not None
        keys.add(other.session.key)
    assert len(keys) == 4
    assert seen.session.key in keys
    paused = observe(engine, *history, (act("view", "a", later), at(4, later)))
    assert paused.session is not None
    assert paused.session.key != seen.session.key
    assert paused.session.key >> 24 == seen.session.key >> 24 == stable_key("u") >> 24


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
    other = Engine(model=MODEL, catalogue=live, rules=RULES, list_size=5)
    folded = other.fold([Event(act("view", "x", NOW_MS + 1), at(1), 0, None)], [stored])
    assert dequantise(folded.queries.vectors[0, SHORT_TERM]) @ unit_vector("a", dim) > 0.999
    assert folded.outcomes == ["ok"]


def unit8(item_id: str, dim: int) -> bytes:
    return quantise(unit_vector(item_id, dim)).tobytes()


@pytest.mark.parametrize("timestamp_ms", [2**63 - 1, -(2**63), 0])
def test_transitions_and_sessions_decode_for_any_message_timestamp(engine: Engine, timestamp_ms: int) -> None:
    action, source = act("view", "a"), Source("clicks", 0, 1, timestamp_ms)
    folded = engine.fold([event((action, source))], [None])
    assert decode_transitions(encode_msgpack(folded.transitions)) == folded.transitions
    assert [decode_session(encode_msgpack(each)) for each in folded.sessions] == folded.sessions
