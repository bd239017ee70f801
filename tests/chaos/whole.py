"""Evidence of a run without any fault, made up without an engine, for tests of the checker."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from tests.chaos.evidence import Evidence, Topics
from tests.chaos.hostile import INVALID_EVENTS, INVALID_ITEMS, SECRET, decoded
from tests.chaos.model import ExpectedProfile, expected_items, expected_profiles, list_id, partition_of
from tests.chaos.records import Record
from tests.chaos.shop import ITEMS, Catalogue, Message, Shopper, item_id
from tests.chaos.stored import COOCCURRENCE_HEADER, COOCCURRENCE_VERSIONS, HABIT, PROFILE, PROFILE_VERSIONS

PARTITIONS = 4
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp()) * 1000
DIM = 8
TOPICS = Topics(
    clicks="clicks",
    searches="searches",
    items="items",
    item_vectors="item-vectors",
    recommendations="recommendations",
    dead_letters="dead-letters",
    profiles="profiles-changelog",
    cooccurrence="pairs-changelog",
)


def append(records: Iterable[tuple[str, bytes | None, bytes | None]]) -> dict[str, list[Record]]:
    """Return records of topic, key and value as the topics hold them."""
    topics: dict[str, list[Record]] = {name: [] for name in vars(TOPICS).values()}
    ends: Counter[tuple[str, int]] = Counter()
    for topic, key, value in records:
        partition = partition_of(key or b"", PARTITIONS)
        at_ms = NOW_MS + len(topics[topic])
        topics[topic].append(Record(topic, partition, ends[topic, partition], at_ms, key, value))
        ends[topic, partition] += 1
    return topics


def evidence(shoppers: int = 12, events: int = 40) -> Evidence:
    """Return what a perfect engine would leave of a load with some invalid messages, a removed item and a resend."""
    goods = Catalogue(1)
    visitor = Shopper("hostile", 1, NOW, 1.0)
    people = [Shopper(f"shopper-{number}", 1, NOW, 9.0) for number in range(shoppers)]
    messages = [shopper.act() for _ in range(events) for shopper in people]
    messages += [*goods.first(), goods.new(), goods.new()]
    messages.append(Message("items", messages[-1].key, None))
    messages += [each for shopper in people[:3] if (each := shopper.last) is not None]
    for change in INVALID_EVENTS.values():
        messages.append(Message("clicks", *change(visitor.user_id.encode(), visitor.fields("view"))))
    for change in INVALID_ITEMS.values():
        item = goods.new("bad")
        messages.append(Message("items", *change(item.key or b"", decoded(item.value))))
    given = Evidence(
        topics=TOPICS,
        partitions=PARTITIONS,
        records=append((message.topic, message.key, message.value) for message in messages),
        known_items={item_id(number) for number in range(ITEMS)},
        logs={"one": "INFO ready\n"},
        secrets=(SECRET,),
    )
    records = append([*_lists(given), *_letters(given), *_profiles(given), *_pairs(given), *_vectors(given)])
    inputs = {topic: list(given.records[topic]) for topic in TOPICS.inputs}
    return Evidence(TOPICS, PARTITIONS, records | inputs, given.known_items, given.logs, given.secrets)


def _lists(given: Evidence) -> Iterable[tuple[str, bytes | None, bytes]]:
    for position, event in given.events.items():
        trigger = dict(zip(("topic", "partition", "offset"), position, strict=True))
        message = {
            "recommendation_id": list_id(*position),
            "user_id": event.user_id,
            "trigger": {"event_id": event.event_id, "type": event.type, **trigger},
            "items": [{"rank": 1, "item_id": item_id(0), "reason": "new in the shop", "because": {"kind": "new"}}],
            "intent": [],
            "fallback": None,
        }
        yield TOPICS.recommendations, event.record.key, json.dumps(message).encode()


def _letters(given: Evidence) -> Iterable[tuple[str, bytes | None, bytes]]:
    for topic in TOPICS.inputs:
        for record in given.records[topic]:
            if record.position not in given.events and record.position not in given.items:
                yield TOPICS.dead_letters, record.key, letter(record)


def letter(record: Record) -> bytes:
    """Return the dead letter of a record."""
    key, value = (None if each is None else b64encode(each).decode() for each in (record.key, record.value))
    place = dict(zip(("topic", "partition", "offset"), record.position, strict=True))
    return json.dumps(place | {"key": key, "value": value}).encode()


def _profiles(given: Evidence) -> Iterable[tuple[str, bytes | None, bytes]]:
    expected = expected_profiles(given.clicks, given.searches, given.known_items, PARTITIONS, given.rules)
    for user, profile in expected.items():
        yield TOPICS.profiles, user.encode(), stored_profile(profile)


def stored_profile(profile: ExpectedProfile) -> bytes:
    """Return the bytes of a profile in the newest version."""
    fields: Any = np.zeros(1, PROFILE)
    queries = profile.queries or []
    fields["version"], fields["dim"], fields["updated_ms"] = PROFILE_VERSIONS[-1], DIM, profile.updated_ms
    fields["recent_length"], fields["queries_length"] = len(profile.recent), len(queries)
    fields["topics_length"], fields["habits_length"] = len(profile.offsets), len(profile.habits)
    fields["price_moments"][0, 0] = profile.weight
    for row, (topic, offsets) in enumerate(profile.offsets.items()):
        fields["topic_keys"][0, row], fields["topic_offsets"][0, row] = topic, max(offsets)
    for row, (at_ms, key, action) in enumerate(profile.recent):
        fields["recent_at_ms"][0, row], fields["recent_keys"][0, row] = at_ms, key
        fields["recent_actions"][0, row] = action
    for row, (at_ms, text) in enumerate(queries):
        data = text.encode()
        fields["query_at_ms"][0, row], fields["query_lengths"][0, row] = at_ms, len(data)
        fields["query_texts"][0, row, : len(data)] = np.frombuffer(data, np.uint8)
    habits = np.array([(key, at_s, weight, 0) for key, (at_s, weight) in profile.habits.items()], HABIT)
    return bytes(fields.tobytes() + bytes(4 * DIM) + habits.tobytes())


def _pairs(given: Evidence) -> Iterable[tuple[str, bytes | None, bytes]]:
    for item, expected in expected_items(given.clicks, PARTITIONS, given.rules).items():
        header = COOCCURRENCE_VERSIONS[-1], 1e9, expected.latest_ms, expected.latest_ms, expected.weight
        yield TOPICS.cooccurrence, item.encode(), COOCCURRENCE_HEADER.pack(*header)


def _vectors(given: Evidence) -> Iterable[tuple[str, bytes | None, bytes | None]]:
    for record, item in given.items.values():
        value = None if item is None else msgspec.msgpack.encode([item, "space", 1, b"", {}])
        yield TOPICS.item_vectors, record.key, value
