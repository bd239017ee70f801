"""Records of Kafka in the loop: bad ones are counted and skipped, forgotten shoppers are left out."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inference.bundle import Bundle
from inference.types import Item
from streams.contracts.messages import Forget, Interaction, Recommendations
from streams.contracts.serde import encode_json, encode_msgpack
from streams.items.encoded import encode_catalogue
from streams.serving.pins import SERVING_SLOT
from streams.serving.store import BundleStore
from streams.settings import Settings, load_settings
from tests.conftest import BUNDLE
from tests.training.learning.acts import START_MS, answer, ms, search, view
from training.learning.loop import LearningLoop
from training.learning.process import learning_loop
from training.learning.records import Broadcasts, turn

ITEMS = [Item(item_id=f"i{number}", title=f"Tea {number}") for number in range(6)]


@dataclass
class Record:
    topic: str
    key: bytes | None
    value: bytes | None
    timestamp: int = START_MS
    partition: int = 0
    offset: int = 0


@dataclass
class Shop:
    settings: Settings
    loop: LearningLoop
    broadcasts: Broadcasts

    def turn(self, *records: Record, is_current: bool = False) -> None:
        turn(self.loop, self.settings, self.broadcasts.take(), records, is_current=is_current)

    def record(self, message: Interaction | Recommendations, **fields: Any) -> Record:
        topics = self.settings.topics
        topic = topics.clicks
        if isinstance(message, Recommendations):
            topic = topics.recommendations
            at_ms = ms_of(message)
        else:
            at_ms = ms(message)
            topic = topics.searches if message.type == "search" else topics.clicks
        return Record(topic, message.user_id.encode(), encode_json(message), **{"timestamp": at_ms, **fields})

    def unreadable(self, topic: str) -> float | None:
        return self.loop.metrics.registry.get_sample_value(
            "intentstream_learn_unreadable_records_total", {"topic": topic}
        )


def ms_of(message: Recommendations) -> int:
    return round(message.trigger.occurred_at.timestamp() * 1000)


@pytest.fixture
def shop(bundle: Bundle, tmp_path: Path) -> Shop:
    folder = tmp_path / "models" / BUNDLE.parent.name / BUNDLE.name
    shutil.copytree(BUNDLE, folder)
    settings = load_settings({"model_path": folder, "model_dir": tmp_path / "models"}, env_file=None)
    loop = learning_loop(settings, bundle, BundleStore.of(settings), tmp_path / "data")
    broadcasts = Broadcasts(settings)
    for record in encode_catalogue(bundle, ITEMS):
        value = encode_msgpack(record)
        broadcasts.apply(Record(settings.topics.item_vectors, record.item.item_id.encode(), value))
    return Shop(settings, loop, broadcasts)


def test_unreadable_records_are_counted_and_do_not_end_the_loop(shop: Shop) -> None:
    topics = shop.settings.topics
    shop.turn(
        shop.record(view(0, 1)),
        Record(topics.clicks, b"u", b"{"),
        Record(topics.clicks, None, None),
        Record(topics.clicks, b"u", encode_json(search(1))),
        Record(topics.searches, b"other", encode_json(search(1))),
        Record(topics.recommendations, b"u", b"[]"),
        shop.record(view(2, 2)),
    )
    assert shop.unreadable(topics.clicks) == 3
    assert shop.unreadable(topics.searches) == 1
    assert shop.unreadable(topics.recommendations) == 1
    assert len(shop.loop.gatherer) == 2


def test_unreadable_broadcasts_are_counted(shop: Shop) -> None:
    topics = shop.settings.topics
    for topic, key in ((topics.item_vectors, b"i9"), (topics.privacy, b"u"), (topics.models, SERVING_SLOT)):
        shop.broadcasts.apply(Record(topic, key, b"\xc1"))
    shop.turn()
    assert [shop.unreadable(topic) for topic in (topics.item_vectors, topics.privacy, topics.models)] == [1, 1, 1]


def test_lists_are_gathered_when_their_labels_are_known(shop: Shop) -> None:
    events: list[Interaction] = [
        view(0, 1),
        view(1, 2),
        search(2),
        view(3, 3),
        view(40, 4, user="v"),
        view(80, 5, user="v"),
    ]
    shop.turn(*(shop.record(event, offset=number) for number, event in enumerate(events)))
    shop.loop.flush()
    lists = shop.loop.store.read()
    assert lists is not None
    # The last shopper's events still wait, the second one's is due.
    assert lists.times.tolist() == [ms(event) for event in events[:5]]
    assert lists.examples.relevant.tolist() == [2, 1, 1, 0, 0]
    assert shop.loop.store.positions == {"clicks/0": 5, "searches/0": 3}


def test_lists_on_disk_are_not_gathered_again(shop: Shop, bundle: Bundle, tmp_path: Path) -> None:
    events = [view(number, number % 6) for number in range(60)]
    records = [shop.record(event, offset=number) for number, event in enumerate(events)]
    shop.turn(*records)
    shop.loop.flush()
    first = shop.loop.store.read()
    again = learning_loop(shop.settings, bundle, BundleStore.of(shop.settings), tmp_path / "data")
    restarted = Shop(shop.settings, again, Broadcasts(shop.settings))
    later = [view(number, number % 6) for number in range(60, 120)]
    restarted.turn(*records, *(shop.record(event, offset=60 + number) for number, event in enumerate(later)))
    again.flush()
    lists = again.store.read()
    assert first is not None
    assert lists is not None
    assert 20 < len(first) < len(lists)
    assert len(set(lists.times.tolist())) == len(lists)
    assert lists.times.tolist() == [ms(event) for event in (events + later)[: len(lists)]]


def test_an_event_from_the_future_counts_at_kafkas_time(shop: Shop) -> None:
    late = msgspec.structs.replace(view(0, 1), occurred_at=view(0, 1).occurred_at + timedelta(days=400))
    shop.turn(shop.record(late, timestamp=START_MS))
    assert shop.loop.now_ms == START_MS + 300_000


def test_a_forgotten_shopper_leaves_memory_and_disk(shop: Shop) -> None:
    events = [view(number, number % 6) for number in range(90)] + [view(90, 1, user="v"), view(200, 1, user="v")]
    shop.turn(*map(shop.record, events), shop.record(answer(events[0], [1, 2])))
    shop.loop.flush()
    forget = encode_json(Forget(type="forget", request_id="f", user_id="u"))
    shop.broadcasts.apply(Record(shop.settings.topics.privacy, b"u", forget, timestamp=ms(view(300, 1))))
    shop.turn(shop.record(view(250, 1)), shop.record(view(301, 1)))
    lists = shop.loop.store.read()
    assert lists is not None
    assert len(set(lists.shoppers.tolist())) == 1
    assert "u" not in shop.loop.replay.profiles
    assert len(shop.loop.gatherer) == 1  # the event after the request


def test_repeats_are_left_out(shop: Shop) -> None:
    shop.turn(*(shop.record(view(0, 1)) for _ in range(3)))
    assert len(shop.loop.gatherer) == 1
