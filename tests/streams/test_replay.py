"""Replay without files: its state equals that of the separate parts, with and without ranking."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from inference.bundle import Bundle
from inference.queries import LONG_TERM, SEARCH
from inference.retrieval.vectors import quantise
from inference.types import ItemNeighbours, SessionItems, Vector, stable_key
from streams.contracts.messages import Interaction
from streams.contracts.serde import encode_json
from streams.items.encoded import encode_catalogue
from streams.replay import Replay
from streams.settings import Settings, load_settings
from tests.streams.behaviour.items import neighbours
from tests.streams.desk import ITEMS
from tests.streams.shoppers import NOW_MS, act, search

SECOND = 1000


class Told:
    """Remembers what was told, each time."""

    def __init__(self) -> None:
        self.times: list[list[ItemNeighbours | SessionItems]] = []

    def learn(self, records: Iterable[ItemNeighbours | SessionItems]) -> None:
        self.times.append(list(records))


@pytest.fixture
def settings() -> Settings:
    return load_settings(env_file=None)


def replay_of(settings: Settings, bundle: Bundle, told: Told | None = None) -> Replay:
    return Replay(settings, bundle, encode_catalogue(bundle, ITEMS), told)


def history() -> list[Interaction]:
    """Return what three shoppers do, a second or less apart, in two sessions each."""
    events: list[Interaction] = []
    for number in range(60):
        at_ms = NOW_MS + number * 700 + (number // 30) * 3600 * SECOND
        user, item = f"u{number % 3}", f"i{number * 5 % 8}"
        if number % 10 == 4:
            events.append(search(f"tea {number // 20}", at_ms, user_id=user))
        else:
            events.append(act(("view", "click", "purchase")[number % 3], item, at_ms, user_id=user))
    return events


def test_what_is_learned_is_what_is_kept_while_ranking(settings: Settings, bundle: Bundle) -> None:
    ranking, learning = replay_of(settings, bundle), replay_of(settings, bundle)
    for _ in ranking.fold(history()):
        pass
    learning.learn(history())
    assert learning.profiles == ranking.profiles
    assert learning.learned.pairs == ranking.learned.pairs
    later = [act("view", "i1", NOW_MS + 86_400 * SECOND, user_id="u1")]
    lists = [[encode_json(answer) for answer in replay.recommend(later)] for replay in (ranking, learning)]
    assert lists[0] == lists[1]


def test_items_that_were_acted_on_in_a_session_become_neighbours(settings: Settings, bundle: Bundle) -> None:
    told = Told()
    replay = replay_of(settings, bundle, told)
    replay.learn([act("view", "a", NOW_MS), search("boots", NOW_MS + 1), act("cart", "b", NOW_MS + 2)])
    (records,) = told.times
    a, b = stable_key("a"), stable_key("b")
    kinds: list[ItemNeighbours | SessionItems] = [
        ItemNeighbours(key=a, as_of_ms=NOW_MS, weight=1.0),
        ItemNeighbours(key=b, as_of_ms=NOW_MS + 2, weight=2.0, before={a: 2.0}),
    ]
    assert records[:2] == kinds
    session = records[2]
    assert isinstance(session, SessionItems)
    assert session.items == (a, b)
    replay.learn([search("boots", NOW_MS + 1, user_id="v"), act("view", "b", NOW_MS + 3, user_id="v")])
    assert neighbours(b, replay.learned.pairs[b]).queries == pytest.approx({"boots": 3.0})


def test_behaviour_is_told_as_event_time_passes_and_before_what_comes_after(settings: Settings, bundle: Bundle) -> None:
    told = Told()
    replay = replay_of(settings, bundle, told)
    times = [0, 400, 999, 1000, 1500, 2000]
    events = [act("view", f"i{number}", NOW_MS + at_ms) for number, at_ms in enumerate(times)]
    assert [len(folded.queries) for folded in replay.fold(events)] == [3, 2, 1]
    keys = [{record.key for record in records if isinstance(record, ItemNeighbours)} for records in told.times]
    assert keys == [set(), {stable_key(f"i{n}") for n in range(3)}, {stable_key(f"i{n}") for n in range(3, 5)}]


def test_sessions_are_published_before_too_many_are_pending(
    settings: Settings, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.replay.PENDING_SESSIONS", 10)
    told = Told()
    events = [act("view", f"i{n % 2}", NOW_MS + n, user_id=f"u{n // 2}") for n in range(60)]
    replay_of(settings, bundle, told).learn(events)
    sessions = {record.key for records in told.times for record in records if isinstance(record, SessionItems)}
    assert len(sessions) == 30


def test_who_arrives_is_known_by_what_was_folded_in(settings: Settings, bundle: Bundle) -> None:
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

    def noted(self: Bundle, text: str) -> Vector:
        encoded.append(text)
        return encode(self, text)

    monkeypatch.setattr(Bundle, "encode_query", noted)
    events: list[Interaction] = [search(text, NOW_MS + n) for n, text in enumerate(["Red tea", "red  TEA", "tea"])]
    (folded,) = replay.fold(events)
    assert encoded == ["red tea", "tea"]
    for vectors in folded.queries.vectors[:2]:
        assert np.array_equal(vectors[SEARCH], quantise(expected))
