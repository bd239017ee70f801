from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from streams.contracts.messages import PRODUCER_HEADER, ModelRef, Recommendations, RecommendedItem, Trigger
from streams.contracts.serde import encode_json
from streams.kafka import topics
from streams.kafka.clients import client_options
from streams.kafka.feed import Feed
from streams.settings import Settings
from tests.integration.commands import run

ITEMS = '{"item_id": "i1", "title": "Oat milk"}\n{"item_id": "i2", "title": "Rye bread"}\n'
EVENTS = (
    '{"type": "search", "event_id": "e1", "user_id": "u1", "query": "milk", "occurred_at": "2026-01-02T03:04:05Z"}\n'
    '{"type": "view", "event_id": "e2", "user_id": "u1", "item_id": "i1", "occurred_at": "2026-01-02T03:04:06Z"}\n'
    '{"type": "purchase", "event_id": "e3", "user_id": "u2", "item_id": "i2", "occurred_at": "2026-01-02T03:04:07Z"}\n'
)
INVALID = '{"type": "view", "event_id": "e4", "user_id": "u1", "occurred_at": "2026-01-02T03:04:06Z"}\n'


async def stored(settings: Settings, topic: str) -> list[tuple[bytes, bytes]]:
    """Return all keys and values of a topic, partition by partition."""
    return [(record.key, record.value) for record in await records(settings, topic)]


async def records(settings: Settings, topic: str) -> list[ConsumerRecord]:
    """Return all records of a topic, partition by partition."""
    consumer = AIOKafkaConsumer(**client_options(settings.kafka), auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(settings.topics.partitions)]
        consumer.assign(partitions)
        found: list[ConsumerRecord] = []
        for partition, end in (await consumer.end_offsets(partitions)).items():
            while await consumer.position(partition) < end:
                found += (await consumer.getmany(partition, timeout_ms=500))[partition]
        return found
    finally:
        await consumer.stop()


def ranked(user: str, *items: str) -> Recommendations:
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return Recommendations(
        recommendation_id="r",
        user_id=user,
        trigger=Trigger(event_id="e", type="view", topic="clicks", partition=0, offset=0, occurred_at=when),
        produced_at=when,
        items=tuple(
            RecommendedItem(rank=rank, item_id=item, score=0.5, sources=("query",), reason="because")
            for rank, item in enumerate(items, 1)
        ),
        intent=(),
        model=ModelRef(name="m", version="1"),
        fallback=None,
    )


async def recommend(settings: Settings, *lists: Recommendations) -> None:
    producer = AIOKafkaProducer(**client_options(settings.kafka))
    await producer.start()
    for each in lists:
        await producer.send_and_wait(settings.topics.recommendations, encode_json(each), each.user_id.encode())
    await producer.stop()


async def test_lines_are_published_to_their_topics_with_keys(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text(ITEMS)
    (tmp_path / "events.jsonl").write_text(EVENTS)
    await topics.create(settings)
    result = await run(settings, "produce", str(tmp_path / "items.jsonl"), str(tmp_path / "events.jsonl"))
    assert result.exit_code == 0, result.output
    assert "published 5 messages" in result.stdout
    assert f"2 on {settings.topics.clicks}" in result.stdout
    assert sorted(await stored(settings, settings.topics.items)) == [
        (b"i1", ITEMS.splitlines()[0].encode()), (b"i2", ITEMS.splitlines()[1].encode()),
    ]  # fmt: skip
    assert [key for key, _ in await stored(settings, settings.topics.searches)] == [b"u1"]
    assert sorted(key for key, _ in await stored(settings, settings.topics.clicks)) == [b"u1", b"u2"]


async def test_a_line_that_names_its_producer_has_that_name_in_the_header(settings: Settings, tmp_path: Path) -> None:
    lines = EVENTS.splitlines()
    named = lines[1].replace("{", '{"ce_source": "shop-app", ', 1)
    (tmp_path / "events.jsonl").write_text(f"{named}\n{lines[2]}\n")
    await topics.create(settings)
    result = await run(settings, "produce", "--producer", "import", str(tmp_path / "events.jsonl"))
    assert result.exit_code == 0, result.output
    headers = {record.key: record.headers for record in await records(settings, settings.topics.clicks)}
    assert headers == {b"u1": ((PRODUCER_HEADER, b"shop-app"),), b"u2": ((PRODUCER_HEADER, b"import"),)}


async def test_an_invalid_line_ends_the_command_with_its_position_and_a_count(
    settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(EVENTS + INVALID + EVENTS)
    await topics.create(settings)
    result = await run(settings, "produce", str(file))
    assert result.exit_code == 1
    assert f"Error: {file}:4: $.item_id: " in result.stderr
    assert "published 3 messages" in result.stdout


async def test_skipped_invalid_lines_are_counted(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(EVENTS + INVALID + EVENTS)
    await topics.create(settings)
    result = await run(settings, "produce", "--skip-invalid", "--rate", "1000", str(file))
    assert result.exit_code == 0, result.output
    assert f"skipped {file}:4: $.item_id" in result.stderr
    assert "published 6 messages" in result.stdout
    assert "1 invalid lines skipped" in result.stdout


async def test_missing_topics_are_an_error(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text(ITEMS)
    result = await run(settings, "produce", str(tmp_path / "items.jsonl"))
    assert result.exit_code == 1
    assert "no such topic" in result.stderr
    assert "intentstream topics create" in result.stderr


async def test_watch_shows_a_shoppers_lists_with_titles(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text(ITEMS)
    await topics.create(settings)
    await run(settings, "produce", str(tmp_path / "items.jsonl"))
    await recommend(settings, ranked("u2", "i2"), ranked("u1", "i2", "unknown"))
    result = await run(settings, "watch", "--from-beginning", "--user", "u1", "--limit", "1")
    assert result.exit_code == 0, result.output
    assert "u1  after view" in result.stdout
    assert "Rye bread" in result.stdout
    assert "unknown" in result.stdout
    assert "u2" not in result.stdout


async def test_a_feed_starts_with_new_lists(settings: Settings) -> None:
    await topics.create(settings)
    await recommend(settings, ranked("before"))
    async with Feed.connected(settings) as feed:
        await recommend(settings, ranked("after"))
        lists = feed.recommendations()
        assert (await anext(lists)).user_id == "after"
        await lists.aclose()
