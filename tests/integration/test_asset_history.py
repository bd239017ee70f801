"""The history of the streams from a real broker: an hour that is over is recorded once, and answers questions."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from streams.assets.snapshots import HOUR_MS, Snapshot, decode_snapshot, encode_snapshot
from streams.kafka import topics
from streams.kafka.clients import client_options
from streams.settings import Settings
from tests.integration.catalogue_items import random_events
from tests.integration.commands import run
from tests.integration.profiled_shop import ITEMS, profiled_shop
from tests.integration.topic_contents import read_all
from tests.integration.workers import until


@pytest.mark.kafka
async def test_an_hour_that_is_over_is_recorded_once_and_answers_questions(
    kafka: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    events = random_events("shopper-1", 12)
    async with profiled_shop(kafka, request.node.name, tmp_path) as (settings, shop, _):
        await shop.publish_events(events)
        await shop.wait_for_lists(events)

        async def is_profiled() -> bool:
            seen = await snapshots(settings)
            return sum(each.window.messages for each in seen if each.type != "item") >= len(events)

        await until(is_profiled, "all events are profiled")
    seen = await snapshots(settings)
    assert sum(each.window.messages for each in seen if each.type == "item") == len(ITEMS)

    # The same profiles three hours ago and now: the hour of the earlier ones is over.
    later = settings.replace(asset_profiles_topic=f"{settings.topics.asset_profiles}-later")
    await topics.create(later)
    await publish(later, [moved(each, -3 * HOUR_MS) for each in seen] + seen)
    folder = tmp_path / "history"
    recorded = [await run(later, "assets", "record", "--output", str(folder)) for _ in range(2)]
    assert [each.exit_code for each in recorded] == [0, 0]
    assert [": 1, the last one" in each.output for each in recorded] == [True, False]

    volume = json.loads((await run(later, "assets", "history", "volume", "--folder", str(folder), "--json")).stdout)
    counts = Counter(each.type for each in events)
    assert {each["type"]: each["messages"] for each in volume} == {**counts, "item": len(ITEMS)}
    query = "SELECT distinct_values, completeness FROM fields WHERE field = 'item_id' AND type = 'item'"
    (row,) = json.loads((await run(later, "assets", "history", query, "--folder", str(folder), "--json")).stdout)
    assert row["distinct_values"] == pytest.approx(len(ITEMS), rel=0.1)
    assert row["completeness"] == 1
    personal = await run(later, "assets", "history", "personal", "--folder", str(folder), "--json")
    assert json.loads(personal.stdout) == []


def moved(snapshot: Snapshot, by_ms: int) -> Snapshot:
    """Return a snapshot at another time."""
    times = {name: getattr(snapshot, name) + by_ms for name in ("from_ms", "until_ms", "hour_ms")}
    return msgspec.structs.replace(snapshot, **times)


async def snapshots(settings: Settings) -> list[Snapshot]:
    """Return all profiles that workers have published."""
    return [decode_snapshot(each.value) for each in await read_all(settings, settings.topics.asset_profiles, 1)]


async def publish(settings: Settings, made: list[Snapshot]) -> None:
    """Publish profiles, in order."""
    async with AIOKafkaProducer(**client_options(settings.kafka)) as producer:
        for each in made:
            await producer.send_and_wait(settings.topics.asset_profiles, encode_snapshot(each), each.key)
