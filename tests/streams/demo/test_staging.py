"""The demo's producers, and the wrong data of one of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain

import msgspec
import pytest

from streams.assets.expectations import Expected
from streams.assets.inventory import DataFinding
from streams.assets.profile import Stream
from streams.assets.rules import parse_rules
from streams.contracts.messages import Interaction, Purchase, Search, View
from streams.contracts.serde import parse_interaction
from streams.demo.staging import APP, WEB, WrongData, WrongMessage, expectations, is_wrong, producer_of
from streams.demo.view import KINDS, wrong_lines
from streams.demo.words import words
from streams.errors import InvalidEvent

AT = datetime(2017, 1, 2, 12, tzinfo=UTC)


def events(number: int) -> list[Interaction]:
    """Return the events of 40 shoppers: searches, views and purchases in turn."""
    made: list[Interaction] = []
    for place in range(number):
        base = {"event_id": f"e{place}", "user_id": str(place // 3 % 40), "occurred_at": AT, "session_id": "s"}
        kind = (
            (Search, {"query": "tea"}), (View, {"item_id": "i1"}), (Purchase, {"item_id": "i1", "price": 2.5})
        )[place % 3]  # fmt: skip
        made.append(msgspec.convert({**base, **kind[1], "type": kind[0].__struct_config__.tag}, Interaction))
    return made


def sent(replayed: Sequence[Interaction], wrong: WrongData) -> list[WrongMessage]:
    """Return the wrong messages of a replay."""
    return list(chain.from_iterable(wrong.beside(n, event) for n, event in enumerate(replayed)))


def test_shoppers_use_the_app_or_the_pages_and_stay_with_it() -> None:
    by_shopper = {event.user_id: set[str]() for event in events(240)}
    for event in events(240):
        by_shopper[event.user_id].add(producer_of(event))
    assert {len(names) for names in by_shopper.values()} == {1}
    assert set().union(*by_shopper.values()) == {APP, WEB}


def test_wrong_data_is_of_the_app_and_begins_half_way() -> None:
    replayed = events(1200)
    wrong = WrongData.of(len(replayed), 40.0)
    assert wrong is not None
    assert sent(replayed[:600], wrong) == []
    assert not wrong.has_begun
    for n, event in enumerate(replayed[600:], start=600):
        assert not wrong.beside(n, event) or producer_of(event) == APP
    assert wrong.has_begun


def test_a_short_replay_has_none() -> None:
    assert WrongData.of(60, 50) is None


def test_wrong_purchases_repeat_an_event_and_other_wrong_messages_are_of_guests_who_act_once() -> None:
    replayed = events(1200)
    ids = {event.event_id: event for event in replayed}
    wrong, guests, broken = WrongData(0), set[str](), 0
    for key, value in sent(replayed, wrong):
        try:
            event = parse_interaction(value)
        except InvalidEvent:
            broken += 1
            assert is_wrong(key)
            with pytest.raises(json.JSONDecodeError):
                json.loads(value)
            continue
        assert key == event.user_id.encode()
        if isinstance(event, Purchase):
            original = ids[event.event_id]
            assert isinstance(original, Purchase)
            assert original.price is not None
            assert event == msgspec.structs.replace(original, price=100 * original.price)
            assert not is_wrong(key)
        else:
            assert isinstance(event, View)
            assert is_wrong(key)
            assert event.item_id == "app/i1"
            assert event.event_id not in ids
            assert event.user_id not in guests
            guests.add(event.user_id)
    assert guests
    assert broken == wrong.app_events // 6


def test_the_expectations_accept_all_prices_of_the_shop_and_none_in_cents() -> None:
    rules = parse_rules(expectations(events(30)), "expectations.toml")
    (price,) = rules.applied(Stream("clicks", "purchase", APP), [])
    assert (price.kind, price.field, price.low, price.high) == (Expected.RANGE, "price", 0, 2.5)


def finding(kind: str, producer: str = "shop-app", field: str = "", after_s: float = 0) -> DataFinding:
    return DataFinding(
        topic="clicks", type="view", producer=producer, field=field, kind=kind, observed=0.5, limit=0.1,
        since=AT + timedelta(seconds=after_s), severity="high", sentence="s", shoppers="s", remedy="r",
    )  # fmt: skip


def test_a_line_names_the_producer_the_wrong_data_and_the_time() -> None:
    found = [
        finding("range", field="price", after_s=9), finding("unknown_items"),
        finding("refused", "till\x1b[31m", after_s=4),
        finding("completeness", field="context.device", after_s=20), finding("unknown_items", after_s=3),
    ]  # fmt: skip
    assert wrong_lines(found) == [
        "shop-app sends unknown items, prices out of range, messages without context.device, since 12:00:00 UTC",
        "till sends broken messages, since 12:00:04 UTC",
    ]
    assert wrong_lines(found[:1], words("zh")) == ["shop-app 发送超出范围的价格，自 12:00:09 UTC"]
    assert wrong_lines([]) == []


def test_every_kind_of_finding_has_words() -> None:
    assert set(KINDS) == set(Expected)
