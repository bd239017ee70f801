"""The examples and tables of docs/contracts.md agree with the code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.contracts.schema import schemas
from streams.contracts.serde import (
    decode_dead_letter,
    decode_interaction,
    decode_item,
    decode_item_action,
    decode_recommendations,
    decode_search,
    recommendation_id,
)
from streams.errors import InvalidEvent
from streams.kafka.topics import declare
from streams.settings import load_settings
from tests.streams.contracts.test_schema import validator

PAGE = (Path(__file__).parents[3] / "docs" / "contracts.md").read_text(encoding="utf-8")
BLOCKS: dict[str, str] = dict(re.findall(r'^```json title="([a-z-]+)"\n(.*?)^```$', PAGE, re.DOTALL | re.MULTILINE))
ROWS = re.findall(r"^\| `([^`]+)` \| (.+) \|$", PAGE, re.MULTILINE)


def test_every_topic_has_one_example() -> None:
    assert set(BLOCKS) == set(schemas())
    assert PAGE.count("```json") == len(BLOCKS)


@pytest.mark.parametrize("topic", sorted(BLOCKS))
def test_the_example_is_valid(topic: str) -> None:
    validator(topic).validate(json.loads(BLOCKS[topic]))


@pytest.mark.parametrize("topic", sorted(BLOCKS))
def test_the_example_is_complete(topic: str) -> None:
    body = schemas()[topic]
    top = body["$defs"][body["$ref"].rpartition("/")[2]] if "$ref" in body else body["$defs"]["Purchase"]
    optional = {"session_id", "recommendation_id", "context"} if topic == "searches" else set()
    assert set(json.loads(BLOCKS[topic])) | optional == set(top["properties"])


def test_the_examples_decode() -> None:
    purchase = decode_item_action(b"shopper-17", BLOCKS["clicks"].encode())
    assert purchase.type == "purchase"
    assert decode_search(b"shopper-17", BLOCKS["searches"].encode()).query == "waterproof trail shoes"
    assert decode_item(b"sku-4711", BLOCKS["items"].encode()) is not None
    trigger = decode_recommendations(BLOCKS["recommendations"].encode())
    place = trigger.trigger
    assert trigger.recommendation_id == recommendation_id(place.topic, place.partition, place.offset)


def test_the_example_of_a_dead_letter_has_the_error_of_its_bytes() -> None:
    letter = decode_dead_letter(BLOCKS["dead-letters"].encode())
    with pytest.raises(InvalidEvent) as caught:
        decode_interaction(letter.key, letter.value)
    assert (caught.value.reason, caught.value.where, caught.value.detail) == (
        letter.reason,
        letter.where,
        letter.detail,
    )


def paths(body: dict[str, Any], node: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the fields of a schema in the notation of the tables: `trigger.offset`, `items[].rank`."""
    for name, field in node.get("properties", {}).items():
        yield prefix + name
        for inner, mark in ((field, "."), (field.get("items", {}), "[].")):
            if "$ref" in inner:
                target = body["$defs"][inner["$ref"].rpartition("/")[2]]
                yield from paths(body, target, prefix + name + mark)


def test_the_tables_have_exactly_the_fields_and_topics() -> None:
    documented = {name for name, _ in ROWS}
    real = {p for body in schemas().values() for kind in tops(body) for p in paths(body, kind)}
    topics = {topic.name for topic in declare(load_settings({"app_id": "APP_ID"}, env_file=None))}
    other = set(schemas()) | set(InvalidEvent.REASONS) | topics
    assert real | topics <= documented
    assert documented - other <= real


def tops(body: dict[str, Any]) -> list[dict[str, Any]]:
    refs = [body["$ref"]] if "$ref" in body else [kind["$ref"] for kind in body["anyOf"]]
    return [body["$defs"][ref.rpartition("/")[2]] for ref in refs]


VIEW = {"type": "view", "event_id": "e", "user_id": "u", "occurred_at": "2026-01-31T12:00:00Z", "item_id": "i"}
CAUSES: dict[str, tuple[bytes | None, bytes | None]] = {
    "empty": (b"u", None),
    "not_json": (b"u", b"<view></view"),
    "missing_field": (b"u", json.dumps({k: v for k, v in VIEW.items() if k != "item_id"}).encode()),
    "wrong_type": (b"u", json.dumps({**VIEW, "price": "9.50"}).encode()),
    "wrong_value": (b"u", json.dumps({**VIEW, "occurred_at": "yesterday"}).encode()),
    "out_of_range": (b"u", json.dumps({**VIEW, "quantity": 0}).encode()),
    "wrong_key": (None, json.dumps(VIEW).encode()),
    "wrong_topic": (b"u", json.dumps(VIEW).encode()),
}


@pytest.mark.parametrize("reason", [reason for reason in InvalidEvent.REASONS if reason != "not_msgpack"])
def test_the_table_of_reasons_has_the_real_error_texts(reason: str) -> None:
    decode = decode_search if reason == "wrong_topic" else decode_interaction
    with pytest.raises(InvalidEvent) as caught:
        decode(*CAUSES[reason])
    assert caught.value.reason == reason
    (row,) = [rest for name, rest in ROWS if name == reason]
    assert row == f"`{caught.value.where}` | {caught.value.detail}"
