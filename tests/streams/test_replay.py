"""Replay without files: learning with and without ranking gives the same state."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from inference.bundle import Bundle
from inference.queries import LONG_TERM, SEARCH
from inference.retrieval.behaviour import Behaviour
from inference.retrieval.vectors import quantise
from inference.types import Item, ItemNeighbours, SessionItems, Vector, stable_key
from streams.contracts.messages import Interaction
from streams.contracts.serde import encode_json
from streams.factory import recommender
from streams.items.encoded import encode_catalogue
from streams.replay import Replay
from streams.settings import Settings, load_settings
from tests.streams.behaviour.items import neighbours
from tests.streams.desk import ITEMS
from tests.streams.shoppers import NOW_MS, act, search

SECOND = 1000


class FakeBehaviour:
    """Records the batches of learned records."""

    def __init__(self) -> None:
        self.batches: list[list[ItemNeighbours | SessionItems]] = []

    def learn(self, records: Iterable[ItemNeighbours | SessionItems]) -> None:
        self.batches.append(list(records))


@pytest.fixture
def settings() -> Settings:
    return load_settings(env_file=None)


def replay_of(settings: Settings, bundle: Bundle, behaviour: FakeBehaviour | None = None) -> Replay:
    return Replay(settings, bundle, encode_catalogue(bundle, ITEMS), behaviour)


def history() -> list[Interaction]:
    """Return events of three shoppers, at most a second apart, in two sessions each."""
    events: list[Interaction] = []
    for number in range(60):
        at_ms = NOW_MS + number * 700 + (number // 30) * 3600 * SECOND
        user, item = f"u{number % 3}", f"i{number * 5 % 8}"
        if number % 10 == 4:
            events.append(search(f"tea {number // 20}", at_ms, user_id=user))
        else:
            events.append(act(("view", "click", "purchase")[number % 3], item, at_ms, user_id=user))
    return events


def test_learning_gives_the_same_state_as_ranking(settings: Settings, bundle: Bundle) -> None:
    ranking, learning = replay_of(settings, bundle), replay_of(settings, bundle)
    for _ in ranking.fold(history()):
        pass
    learning.learn(history())
    assert learning.profiles == ranking.profiles
    assert learning.learned.pairs == ranking.learned.pairs
    later = [act("view", "i1", NOW_MS + 86_400 * SECOND, user_id="u1")]
    lists = [[encode_json(answer) for answer in replay.recommend(later)] for replay in (ranking, learning)]
    assert lists[0] == lists[1]


def test_a_replay_makes_the_lists_of_one_placement(bundle: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "placements.toml"
    file.write_text("[placements.small]\nk = 2\n[events]\nsearch = []\nview = ['default', 'small']")
    own = load_settings({"placements_file": file}, env_file=None)
    small = Replay(own, bundle, encode_catalogue(bundle, ITEMS), placement="small")
    answers = list(small.recommend(history()))
    assert [answer.placement for answer in answers] == ["small"] * 60
    assert max(len(answer.items) for answer in answers) == 2
    plain = Replay(own, bundle, encode_catalogue(bundle, ITEMS))
    assert [answer.placement for answer in plain.recommend(history())] == ["default"] * 60


def test_items_of_one_session_become_neighbours(settings: Settings, bundle: Bundle) -> None:
    behaviour = FakeBehaviour()
    replay = replay_of(settings.replace(min_shoppers=1), bundle, behaviour)
    replay.learn([act("view", "a", NOW_MS), search("boots", NOW_MS + 1), act("view", "b", NOW_MS + 2)])
    (records,) = behaviour.batches
    a, b = stable_key("a"), stable_key("b")
    kinds: list[ItemNeighbours | SessionItems] = [
        ItemNeighbours(key=a, as_of_ms=NOW_MS, weight=1.0),
        ItemNeighbours(key=b, as_of_ms=NOW_MS + 2, weight=1.0, before={a: 1.0}),
    ]
    assert records[:2] == kinds
    session = records[2]
    assert isinstance(session, SessionItems)
    assert session.items == (a, b)
    replay.learn([search("boots", NOW_MS + 1, user_id="v"), act("view", "b", NOW_MS + 3, user_id="v")])
    assert neighbours(b, replay.learned.pairs[b]).queries == pytest.approx({"boots": 2.0})


def test_no_list_repeats_an_item_of_a_long_session(settings: Settings, bundle: Bundle) -> None:
    """A profile remembers the last 24 items, and 32 bits of the session's earlier ones."""
    shop = [Item(item_id=f"tea{number}", title=f"Green tea {number}") for number in range(60)]
    events = [act("view", each.item_id, NOW_MS + place * SECOND) for place, each in enumerate(shop[:50])]
    replay = Replay(settings.replace(list_size=20), bundle, encode_catalogue(bundle, shop))
    *_, last = replay.recommend([*events, search("green tea", NOW_MS + 60 * SECOND)])
    assert sorted(each.item_id for each in last.items) == sorted(each.item_id for each in shop[50:])


def test_behaviour_is_learned_once_an_interval_of_event_time(settings: Settings, bundle: Bundle) -> None:
    behaviour = FakeBehaviour()
    replay = replay_of(settings, bundle, behaviour)
    times = [0, 400, 999, 1000, 1500, 2000]
    events = [act("view", f"i{number}", NOW_MS + at_ms) for number, at_ms in enumerate(times)]
    assert [len(folded.queries) for folded in replay.fold(events)] == [3, 2, 1]
    keys = [{record.key for record in records if isinstance(record, ItemNeighbours)} for records in behaviour.batches]
    assert keys == [set(), {stable_key(f"i{n}") for n in range(3)}, {stable_key(f"i{n}") for n in range(3, 5)}]


def test_pending_sessions_are_learned_when_their_number_reaches_the_limit(
    settings: Settings, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.replay.PENDING_SESSIONS", 10)
    behaviour = FakeBehaviour()
    events = [act("view", f"i{n % 2}", NOW_MS + n, user_id=f"u{n // 2}") for n in range(60)]
    replay_of(settings, bundle, behaviour).learn(events)
    sessions = {record.key for records in behaviour.batches for record in records if isinstance(record, SessionItems)}
    assert len(sessions) == 30


def test_an_arriving_shopper_has_the_folded_profile(settings: Settings, bundle: Bundle) -> None:
    replay = replay_of(settings, bundle)
    replay.learn(history())
    query = replay.arrive("u2", NOW_MS + 86_400 * SECOND * 10)
    (record,) = query.records
    assert query.inverse_norms[0, LONG_TERM] > 0
    assert record["habits_length"] > 0
    assert record["habit_elapsed_days"][: record["habits_length"]] == pytest.approx(10, abs=0.1)
    assert [record["session_length"], len(query.exclude)] == [0, 0]
    assert replay.arrive("nobody", NOW_MS).inverse_norms[0, LONG_TERM] == 0


def test_a_repeated_query_is_encoded_once(settings: Settings, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    replay = replay_of(settings, bundle)
    expected = bundle.encode_query("red tea")
    encoded: list[str] = []
    encode = Bundle.encode_query

    def recorded_encode(self: Bundle, text: str) -> Vector:
        encoded.append(text)
        return encode(self, text)

    monkeypatch.setattr(Bundle, "encode_query", recorded_encode)
    events: list[Interaction] = [search(text, NOW_MS + n) for n, text in enumerate(["Red tea", "red  TEA", "tea"])]
    (folded,) = replay.fold(events)
    assert encoded == ["red tea", "tea"]
    for vectors in folded.queries.vectors[:2]:
        assert np.array_equal(vectors[SEARCH], quantise(expected))


def test_a_search_for_oat_milk_lists_oat_milk_before_the_milk_that_others_chose(
    settings: Settings, bundle: Bundle
) -> None:
    titles = ("Whole milk 1 l", "Oat milk 1 l", "Oat flakes 500 g", "Skimmed milk 1 l", "Butter 250 g", "Green tea")
    catalogue = [Item(item_id=f"g{number}", title=title, category=("Food",)) for number, title in enumerate(titles)]
    replay = Replay(settings, bundle, encode_catalogue(bundle, catalogue))
    log: list[Interaction] = []
    for number in range(60):
        at_ms, user = NOW_MS + number * 60 * SECOND, f"u{number}"
        query, item = ("oats", "g2") if number % 4 == 0 else ("milk", "g0")
        log += [search(query, at_ms, user_id=user), act("purchase", item, at_ms + SECOND, user_id=user)]
    end_ms = NOW_MS + 61 * 60 * SECOND
    log += [search("milk", end_ms, user_id="new-1"), search("oat milk", end_ms + SECOND, user_id="new-2")]
    *_, after_milk, after_oat_milk = replay.recommend(log)
    assert after_milk.items[0].item_id == "g0"
    assert after_oat_milk.items[0].item_id == "g1"


@pytest.mark.parametrize(("sources", "has_words"), [(("words",), True), (("clicked_near",), True), (("query",), False)])
def test_words_of_items_are_indexed_if_a_source_reads_them(
    bundle: Bundle, sources: tuple[str, ...], has_words: bool
) -> None:
    catalogue = recommender(load_settings({"sources": sources}, env_file=None), bundle, Behaviour()).catalogue
    catalogue.upsert(Item(item_id="1", title="Oat milk"), quantise(np.ones((1, bundle.dim), dtype=np.float32))[0])
    assert len(catalogue.words) == has_words
