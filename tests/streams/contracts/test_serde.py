"""Decoding of messages: accepted values, and the errors for all others."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from inference.types import NO_CLAIM, Because
from streams.contracts.messages import Forget, Item, Purchase, View
from streams.contracts.serde import (
    decode_dead_letter,
    decode_forget,
    decode_interaction,
    decode_item,
    decode_item_action,
    decode_item_vector,
    decode_recommendations,
    decode_search,
    decode_trending,
    encode_json,
    recommendation_id,
)
from streams.errors import InvalidEvent
from tests.streams.strategies import ITEM, SEARCH, VIEW

KEY = "Zoë".encode()
MISSING = object()


def dumped(base: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({k: v for k, v in {**base, **changes}.items() if v is not MISSING}).encode()


def refused(value: bytes | None, key: bytes | None = KEY) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as caught:
        decode_interaction(key, value)
    assert caught.value.reason in InvalidEvent.REASONS
    return caught.value


def test_a_complete_view_is_decoded() -> None:
    assert decode_item_action(KEY, dumped(VIEW)) == View(
        event_id="e-1",
        user_id="Zoë",
        occurred_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
        item_id="sku-1",
        session_id="s-1",
        recommendation_id="r-1",
        quantity=2,
        price=9.5,
        context={"page": "home", "tags": ["a", 1], "device": {"os": "x"}},
    )


@pytest.mark.parametrize("type_", ["view", "click", "cart", "purchase"])
def test_every_action_is_decoded(type_: str) -> None:
    assert decode_item_action(KEY, dumped(VIEW, type=type_)).type == type_


def test_searches_and_actions_are_refused_in_the_others_topic() -> None:
    assert decode_search(KEY, dumped(SEARCH)).query == "blue shoes"
    with pytest.raises(InvalidEvent, match=r"^\$\.type: required search on this topic, got view$") as view:
        decode_search(KEY, dumped(VIEW))
    with pytest.raises(InvalidEvent, match=r"required view, click, cart or purchase .* got search") as search:
        decode_item_action(KEY, dumped(SEARCH))
    assert view.value.reason == search.value.reason == "wrong_topic"


def test_times_are_converted_to_utc() -> None:
    event = decode_interaction(KEY, dumped(VIEW, type="purchase", occurred_at="2026-01-31T14:00:00.5+02:00"))
    assert isinstance(event, Purchase)
    assert event.occurred_at.tzinfo is UTC
    assert event.occurred_at == datetime(2026, 1, 31, 12, 0, 0, 500_000, tzinfo=UTC)
    assert event.price == 9.5
    assert b'"occurred_at":"2026-01-31T12:00:00.500000Z"' in encode_json(event)
    item = decode_item(b"sku-1", dumped(ITEM))
    assert item is not None
    assert encode_json(item).count(b'"released_at":"2026-01-31T10:00:00Z"') == 1


def test_unknown_fields_are_ignored() -> None:
    assert decode_interaction(KEY, dumped(VIEW, colour={"a": [1, 10**400]})) == decode_interaction(KEY, dumped(VIEW))


@pytest.mark.parametrize(
    ("changes", "reason", "where", "detail"),
    [
        ({"type": MISSING}, "missing_field", "$.type", "required, and not there"),
        (
            {"type": "buy"},
            "wrong_value",
            "$.type",
            'required search, view, click, cart or purchase in lower case, given once, got "buy"',
        ),
        ({"type": 7}, "wrong_type", "$.type", "required string, got integer"),
        ({"item_id": MISSING}, "missing_field", "$.item_id", "required, and not there"),
        ({"item_id": 4711}, "wrong_type", "$.item_id", "required string, got integer"),
        ({"item_id": ""}, "out_of_range", "$.item_id", "required string of length >= 1, got 0"),
        ({"item_id": "x" * 129}, "out_of_range", "$.item_id", "required string of length <= 128, got 129"),
        ({"session_id": False}, "wrong_type", "$.session_id", "required string or null, got boolean"),
        ({"price": -1}, "out_of_range", "$.price", "required number >= 0.0, got -1"),
        ({"price": "9.5"}, "wrong_type", "$.price", "required number or null, got string"),
        ({"quantity": 0}, "out_of_range", "$.quantity", "required number > 0.0, got 0"),
        ({"quantity": [1]}, "wrong_type", "$.quantity", "required number or null, got array"),
        ({"occurred_at": 1769860800}, "wrong_type", "$.occurred_at", "required RFC 3339 time, got integer"),
        ({"occurred_at": "2026-02-30T00:00:00Z"}, "wrong_value", "$.occurred_at", 'got "2026-02-30T00:00:00Z"'),
        ({"occurred_at": "2026-01-31T12:00:00"}, "wrong_value", "$.occurred_at", "required a time with its offset"),
        ({"occurred_at": "1969-12-31T23:59:59Z"}, "out_of_range", "$.occurred_at", "from 1970 until 2100"),
        ({"occurred_at": "2100-01-01T00:00:00Z"}, "out_of_range", "$.occurred_at", 'got "2100-01-01T00:00:00Z"'),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "out_of_range", "$.occurred_at", "from 1970 until 2100"),
        ({"occurred_at": "9999-12-31T23:59:59-14:00"}, "out_of_range", "$.occurred_at", "from 1970 until 2100"),
        ({"context": None}, "wrong_type", "$.context", "required object, got null"),
        ({"context": {"a": [[]]}}, "wrong_type", '$.context["a"][0]', "got array"),
        ({"context": {str(i): i for i in range(65)}}, "out_of_range", "$.context", "<= 64, got 65"),
        ({"context": {"a": 10**400}}, "out_of_range", '$.context["a"]', "required integer <= 9223372036854775807"),
        ({"price": -(10**30)}, "out_of_range", "$.price", "required number >= 0.0, got -1"),
    ],
)
def test_an_invalid_field_is_an_error_with_its_path_and_the_requirement(
    changes: dict[str, Any], reason: str, where: str, detail: str
) -> None:
    error = refused(dumped(VIEW, **changes))
    assert (error.reason, error.where) == (reason, where)
    assert detail in error.detail
    assert str(error) == f"{where}: {error.detail}"


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (None, "empty", "got no value"),
        (b"", "empty", "got 0 bytes"),
        (b" ", "not_json", "it ends too early"),
        (b"\x00\x00\x00\x01", "not_json", "invalid character (byte 0)"),
        (dumped(VIEW)[:-1], "not_json", "it ends too early"),
        (dumped(VIEW) + b"}", "not_json", "trailing characters"),
        (b"\xef\xbb\xbf" + dumped(VIEW), "not_json", "invalid character (byte 0)"),
        (dumped(VIEW).decode().encode("utf-16"), "not_json", "invalid character (byte 0)"),
        (dumped(VIEW).replace(b"sku-1", b"\xff"), "not_json", "required text in UTF-8"),
        (dumped(VIEW, item_id="\ud800"), "not_json", "surrogate"),
        (dumped(VIEW, price=float("nan")), "not_json", "invalid character"),
        (dumped(VIEW, price=float("-inf")), "not_json", "invalid character"),
        (dumped(VIEW).replace(b"9.5", b"1e999"), "out_of_range", "at most 64 bits"),
        (dumped(VIEW).replace(b"9.5", b"9" * 5000), "out_of_range", "at most 64 bits"),
        (b"[" * 100_000, "wrong_type", "required object, got array"),
        (b'{"unknown":' + b"[" * 100_000, "out_of_range", "not nested hundreds deep"),
        (b'{"type":"view","type":"click"}', "wrong_value", "once"),
        (dumped(VIEW, item_id="x" * 10_000_000), "out_of_range", "<= 128, got 10000000"),
        (dumped(VIEW, occurred_at="x" * 10_000_000), "wrong_value", "x…"),
    ],
)
def test_bytes_that_are_no_message_are_refused(value: bytes | None, reason: str, detail: str) -> None:
    error = refused(value)
    assert error.reason == reason
    assert detail in error.detail
    assert len(error.detail) < 250


def test_the_last_value_of_a_repeated_field_is_used() -> None:
    event = decode_item_action(KEY, dumped(VIEW).replace(b"}", b"}", 1)[:-1] + b',"item_id":"second"}')
    assert event.item_id == "second"


@pytest.mark.parametrize(
    ("key", "got"),
    [(None, "no key"), (b"", "no key"), (b"\xff", "other 1 bytes"), (b"Zoe", "other 3 bytes"), ('"Zoë"', "in quotes")],
)
def test_the_key_must_be_the_user_id(key: bytes | str | None, got: str) -> None:
    error = refused(dumped(VIEW), key.encode() if isinstance(key, str) else key)
    assert (error.reason, error.where) == ("wrong_key", "key")
    assert "$.user_id" in error.detail
    assert got in error.detail
    assert "Zo" not in error.detail


def test_items_and_tombstones_are_decoded() -> None:
    item = decode_item(b"sku-1", dumped(ITEM))
    assert isinstance(item, Item)
    assert item.category == ("Sport", "Shoes")
    assert decode_item(b"sku-1", None) is None


def test_requests_to_forget_are_decoded_and_checked() -> None:
    value = b'{"type":"forget","request_id":"r1","user_id":"ann"}'
    assert decode_forget(b"ann", value) == Forget(type="forget", request_id="r1", user_id="ann")
    assert decode_forget(b"ann", None) is None
    for key, bad, reason in (
        (b"bob", value, "wrong_key"),
        (b"", None, "wrong_key"),
        (b"ann", b"", "empty"),
        (b"ann", b'{"request_id":"r1","user_id":"ann"}', "missing_field"),
        (b"ann", b'{"type":"recall","request_id":"r1","user_id":"ann"}', "wrong_value"),
    ):
        with pytest.raises(InvalidEvent) as caught:
            decode_forget(key, bad)
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("key", "value", "reason", "where"),
    [
        (None, None, "wrong_key", "key"),
        (b"", None, "wrong_key", "key"),
        (b"\xff", None, "wrong_key", "key"),
        (b"sku-1", b"", "empty", "$"),
        (b"sku-2", dumped(ITEM), "wrong_key", "key"),
        (b"sku-1", dumped(ITEM, currency="eur"), "wrong_value", "$.currency"),
        (b"sku-1", dumped(ITEM, category=["a", 1]), "wrong_type", "$.category[1]"),
        (b"sku-1", dumped(ITEM, attributes={"a": 1}), "wrong_type", '$.attributes["a"]'),
        (b"sku-1", dumped(ITEM, released_at="0001-01-01T00:00:00+14:00"), "out_of_range", "$.released_at"),
        (b"sku-1", dumped(ITEM, released_at="9999-12-31T23:00:00-14:00"), "out_of_range", "$.released_at"),
    ],
)
def test_invalid_items_are_refused(key: bytes | None, value: bytes | None, reason: str, where: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        decode_item(key, value)
    assert (caught.value.reason, caught.value.where) == (reason, where)


@pytest.mark.parametrize("field", ["url", "image_url"])
def test_a_url_is_absolute_with_http_or_https(field: str) -> None:
    for url in ("http://a", "https://shop.example/é?q=a&b=(c)#d", "https://[::1]:8080/'x'", "https://a/" + "x" * 1990):
        item = decode_item(b"sku-1", dumped(ITEM, **{field: url}))
        assert item is not None
        assert getattr(item, field) == url
    for url in (
        "javascript:alert(1)", "data:image/png;base64,AA", "HTTPS://a", "//a/b", "/b", "https://", "https:///a", "",
        "https://a b", 'https://a/"onload=', "https://a/<b>", "https://a\n", "\nhttps://a", "https://a\\b", "https://a\0",
    ):  # fmt: skip
        with pytest.raises(InvalidEvent) as caught:
            decode_item(b"sku-1", dumped(ITEM, **{field: url}))
        assert (caught.value.reason, caught.value.where) == ("wrong_value", f"$.{field}")
        assert caught.value.detail.startswith("required an absolute URL with http or https")
    with pytest.raises(InvalidEvent) as caught:
        decode_item(b"sku-1", dumped(ITEM, **{field: "https://a/" + "x" * 1991}))
    assert caught.value.reason == "out_of_range"


def test_a_list_of_an_older_version_claims_nothing() -> None:
    old = {
        "recommendation_id": "r", "user_id": "u", "produced_at": VIEW["occurred_at"], "intent": [], "fallback": None,
        "trigger": {
            "event_id": "e", "type": "view", "topic": "clicks", "partition": 0, "offset": 1,
            "occurred_at": VIEW["occurred_at"],
        },
        "items": [{"rank": 1, "item_id": "i", "score": 0.5, "sources": ["new"], "reason": "new in the shop"}],
        "model": {"name": "m", "version": "1"},
    }  # fmt: skip
    (item,) = decode_recommendations(json.dumps(old).encode()).items
    assert (item.because, item.reason) == (NO_CLAIM, "new in the shop")


def test_a_reason_without_a_claim_is_an_explicit_null() -> None:
    assert msgspec.json.encode(NO_CLAIM) == b'{"kind":null}'
    assert msgspec.json.encode(Because("popular")) == b'{"kind":"popular"}'


def test_a_list_price_is_a_number_from_0_on() -> None:
    for price, reason in ((-0.01, "out_of_range"), ("9.50", "wrong_type")):
        with pytest.raises(InvalidEvent) as caught:
            decode_item(b"sku-1", dumped(ITEM, list_price=price))
        assert (caught.value.reason, caught.value.where) == (reason, "$.list_price")


def test_other_invalid_messages_are_refused() -> None:
    for decode, value, reason in (
        (decode_recommendations, b"{}", "missing_field"),
        (decode_dead_letter, b"?", "not_json"),
        (decode_item_vector, b"\xc1", "not_msgpack"),
        (decode_item_vector, b"\x90", "out_of_range"),
        (decode_trending, None, "empty"),
    ):
        with pytest.raises(InvalidEvent) as caught:
            decode(value)
        assert caught.value.reason == reason


def test_a_recommendation_id_is_a_function_of_the_position() -> None:
    assert recommendation_id("clicks", 3, 12) == recommendation_id("clicks", 3, 12)
    places = [(t, p, o) for t in ("clicks", "searches") for p in range(12) for o in range(120)]
    assert len({recommendation_id(*place) for place in places}) == len(places)
    # Consumers store these ids, so the formula is part of the contract.
    assert recommendation_id("searches", 3, 120815) == "42edcda8337f69c48f05b9b5ab112299"


def test_accepted_times_keep_their_milliseconds() -> None:
    for zone in (timezone(timedelta(hours=14)), timezone(timedelta(hours=-14))):
        for day in (datetime(1970, 1, 2, tzinfo=zone), datetime(2099, 12, 30, tzinfo=zone)):
            event = decode_interaction(KEY, dumped(VIEW, occurred_at=day.isoformat()))
            assert int(event.occurred_at.timestamp() * 1000) == int(day.timestamp() * 1000)
