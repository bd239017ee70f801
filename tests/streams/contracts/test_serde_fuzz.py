"""A decoder returns a message or raises InvalidEvent for any bytes, and encoded messages round-trip."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inference.records import KINDS, URL_PATTERN, Because
from streams.contracts.internal import ItemVector, TrendingSnapshot
from streams.contracts.messages import (
    Cart,
    Click,
    DeadLetter,
    Intent,
    Interaction,
    Item,
    ModelRef,
    Purchase,
    Recommendations,
    RecommendedItem,
    Search,
    Trigger,
    View,
)
from streams.contracts.serde import (
    decode_dead_letter,
    decode_interaction,
    decode_item,
    decode_item_action,
    decode_item_vector,
    decode_recommendations,
    decode_search,
    decode_trending,
    encode_json,
    encode_msgpack,
    parse_interaction,
    parse_item,
)
from streams.errors import InvalidEvent
from tests.streams.strategies import ITEM, SEARCH, VIEW, identifiers, json_values, numbers, scalars, text, times

KEYED = (decode_interaction, decode_item_action, decode_search, decode_item)
UNKEYED = (decode_recommendations, decode_dead_letter, decode_item_vector, decode_trending)

counts = st.integers(0, 2**63 - 1)
nullable = identifiers | st.none()
contexts = st.dictionaries(text, scalars | st.lists(scalars, max_size=3) | st.dictionaries(text, scalars, max_size=3))
common = {
    "event_id": identifiers,
    "user_id": identifiers,
    "occurred_at": times,
    "session_id": nullable,
    "recommendation_id": nullable,
    "context": contexts,
}
on_item = {"item_id": identifiers, "price": numbers | st.none(), "quantity": st.none() | st.floats(0.001, 1e300)}
interactions: st.SearchStrategy[Interaction] = st.one_of(
    st.builds(Search, query=st.text(st.characters(codec="utf-8"), min_size=1, max_size=1000), **common),
    *(st.builds(kind, **common, **on_item) for kind in (View, Click, Cart, Purchase)),
)
urls = st.from_regex(URL_PATTERN)
items = st.builds(
    Item,
    item_id=identifiers,
    title=identifiers,
    description=text | st.none(),
    category=st.lists(text, max_size=4).map(tuple),
    brand=text | st.none(),
    price=numbers | st.none(),
    currency=st.from_regex(r"\A[A-Z]{3}\Z") | st.none(),
    in_stock=st.booleans(),
    released_at=times | st.none(),
    attributes=st.dictionaries(text, text, max_size=3),
    url=urls | st.none(),
    image_url=urls | st.none(),
    list_price=numbers | st.none(),
)
lists = st.builds(
    Recommendations,
    recommendation_id=text,
    user_id=text,
    trigger=st.builds(Trigger, event_id=text, topic=text, partition=counts, offset=counts, occurred_at=times),
    produced_at=times,
    items=st.lists(
        st.builds(
            RecommendedItem,
            rank=st.integers(1, 1000),
            score=numbers,
            sources=st.lists(text, max_size=3).map(tuple),
            because=st.builds(
                Because,
                kind=st.sampled_from([None, *KINDS, "later"]),
                item=text | st.none(),
                label=text | st.none(),
                query=text | st.none(),
                action=text | st.none(),
                interval_days=numbers | st.none(),
                share=st.none() | st.floats(0, 1),
            ),
        ),
        max_size=5,
    ).map(tuple),
    intent=st.lists(st.builds(Intent, weight=st.floats(0, 1)), max_size=3).map(tuple),
    model=st.builds(ModelRef, name=text, version=text),
    fallback=text | st.none(),
)
letters = st.builds(DeadLetter, topic=text, partition=counts, offset=counts, failed_at=times)


def decoded_or_error(decode: Any, *arguments: bytes | None) -> Any:
    """Return the decoded value, or the InvalidEvent."""
    try:
        return decode(*arguments)
    except InvalidEvent as error:
        refusal = error
    assert refusal.reason in InvalidEvent.REASONS
    assert refusal.where == "key" or refusal.where.startswith("$")
    assert 0 < len(refusal.detail) < 300
    return refusal


@given(st.none() | st.binary(max_size=200), st.none() | st.binary(max_size=200))
@example(b"u", b'{"type":"view","event_id":"e","user_id":"u","item_id":"i","occurred_at":"' + b"9" * 5000 + b'"}')
@example(b"u", b"[" * 50_000)
@example(b"u", b'{"a":' * 50_000)
@example(b"u", b"\x91" * 50_000)
@example(b"u", b"\x94\xdf\xff\xff\xff\xff")
@example(b"u", b"\xc7\x0c\xff" + b"\xff" * 12)
@example(b"u", b"\x94\x00\x00\x81\x00")
@example(b"u", b"-0")
@example(b"u", b"1" * 10_000)
@settings(deadline=None)
def test_random_bytes_are_decoded_or_refused(key: bytes | None, value: bytes | None) -> None:
    for decode in KEYED:
        result = decoded_or_error(decode, key, value)
        assert result is not None or value is None
    for read in UNKEYED:
        assert decoded_or_error(read, value) is not None


@given(json_values)
def test_random_json_is_refused(value: Any) -> None:
    body = json.dumps(value).encode()
    for decode in KEYED:
        assert isinstance(decoded_or_error(decode, b"u", body), InvalidEvent)


@given(
    st.sampled_from([VIEW, SEARCH, ITEM]),
    st.data(),
    json_values | times.map(datetime.isoformat) | st.floats() | st.integers(-(10**40), 10**40),
)
def test_a_message_with_one_field_replaced_is_decoded_or_refused(
    base: dict[str, Any], data: st.DataObject, value: Any
) -> None:
    field = data.draw(st.sampled_from(sorted(base)))
    body = json.dumps({**base, field: value}).encode()
    parse = parse_item if base is ITEM else parse_interaction
    result = decoded_or_error(parse, body)
    if isinstance(result, InvalidEvent):
        assert result.where == "$" or result.where.startswith(f"$.{field}") or field == "type"
    else:
        assert decoded_or_error(parse, encode_json(result)) == result


@given(st.sampled_from([VIEW, SEARCH, ITEM]), st.data())
def test_a_message_needs_exactly_its_required_fields(base: dict[str, Any], data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(sorted(base)))
    body = json.dumps({name: value for name, value in base.items() if name != field}).encode()
    result = decoded_or_error(parse_item if base is ITEM else parse_interaction, body)
    required = {"type", "event_id", "user_id", "occurred_at", "query", "title"}
    if base is not SEARCH:
        required.add("item_id")
    if field in required:
        assert (result.reason, result.where) == ("missing_field", f"$.{field}")
    else:
        assert not isinstance(result, InvalidEvent)


@given(st.sampled_from([VIEW, SEARCH, ITEM]), st.data())
def test_a_message_with_one_byte_changed_is_decoded_or_refused(base: dict[str, Any], data: st.DataObject) -> None:
    body = bytearray(json.dumps(base, ensure_ascii=False).encode())
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    assert decoded_or_error(parse_item if base is ITEM else parse_interaction, bytes(body)) is not None


@given(interactions)
def test_interactions_round_trip(event: Interaction) -> None:
    assert decode_interaction(event.user_id.encode(), encode_json(event)) == event


@given(items)
def test_items_round_trip(item: Item) -> None:
    assert decode_item(item.item_id.encode(), encode_json(item)) == item


@given(lists)
def test_recommendations_round_trip(message: Recommendations) -> None:
    assert decode_recommendations(encode_json(message)) == message


@given(letters)
def test_dead_letters_round_trip(letter: DeadLetter) -> None:
    assert decode_dead_letter(encode_json(letter)) == letter


@given(items, st.integers(0, 2**64 - 1), st.binary(max_size=384), st.binary(max_size=384))
def test_item_vectors_round_trip(item: Item, text_hash: int, vector: bytes, other: bytes) -> None:
    message = ItemVector(item=item, space="m", text_hash=text_hash, vector=vector, also={"n": other})
    assert decode_item_vector(encode_msgpack(message)) == message
    assert [message.vector_in(space) for space in ("m", "n", "o")] == [vector, other, None]


def test_an_item_vector_of_the_old_format_is_decoded() -> None:
    item = Item(item_id="i", title="t")
    old = msgspec.msgpack.encode([item, "m", 7, b"abc"])
    assert decode_item_vector(old) == ItemVector(item=item, space="m", text_hash=7, vector=b"abc")


@given(st.integers(-(2**61), 2**61), st.dictionaries(st.integers(0, 2**64 - 1), st.floats(0, 1e15), max_size=9))
def test_trending_snapshots_round_trip(as_of_ms: int, counted: dict[int, float]) -> None:
    message = TrendingSnapshot(partition=1, as_of_ms=as_of_ms, counts=counted, lasting=counted)
    assert decode_trending(encode_msgpack(message)) == message


@pytest.mark.parametrize("depth", [500, 990, 1000, 1010, 100_000])
def test_deep_nesting_in_an_unknown_field_is_ignored_or_refused(depth: int) -> None:
    body = json.dumps(SEARCH)[:-1].encode() + b',"unknown":' + b"[" * depth + b"]" * depth + b"}"
    result = decoded_or_error(parse_interaction, body)
    assert isinstance(result, Search) or result.reason == "out_of_range"
